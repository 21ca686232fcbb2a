package bootstrap

import (
	"context"
	"errors"
	"slices"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/ports"
)

// portsLimit bounds a request to the daemon, which answers from memory.
const portsLimit = 3 * time.Second

// Ports returns the ports of this machine that lead into the cluster; those of one that is not running are not open.
func (m *Manager) Ports(ctx context.Context, name string) ([]cluster.PortStatus, error) {
	state := m.env.Dir.Cluster(name)
	if state.DaemonAlive() {
		ctx, cancel := m.limit(ctx, portsLimit, "an answer from the daemon")
		defer cancel()
		return m.clientOf(state).Ports(ctx)
	}
	spec, err := state.LoadSpec()
	if err != nil {
		return nil, err
	}
	list := make([]cluster.PortStatus, 0, len(spec.Ports))
	for _, p := range spec.Ports {
		list = append(list, cluster.PortStatus{Port: p, Reason: "the cluster is not running"})
	}
	return list, nil
}

// SetPorts changes the ports of this machine that lead into an existing cluster. change receives its spec and returns the
// new ports; if it fails, its error is returned unchanged and nothing has changed. When SetPorts returns, a running control
// plane listens on them; if that is impossible, they are as before. running reports whether there is one.
func (m *Manager) SetPorts(ctx context.Context, name string, change func(spec cluster.Spec) ([]cluster.Port, error)) (running bool, err error) {
	p, err := m.change(ctx, "ports", name, func(current plan.State, env plan.Environment) (plan.State, error) {
		ports, err := change(*current.Spec)
		if err != nil {
			return current, err
		}
		wanted, err := plan.Wish{Name: name}.Kept(current, env)
		if err != nil {
			return current, err
		}
		wanted.Spec.Ports = ports
		return wanted, nil
	}, Run{}, parts{})
	return p.Current.Running && err == nil, err
}

// checkPorts refuses ports of a wish on which a control plane that is about to start cannot listen. Those that the cluster
// had before are only warned of, by the control plane: it listens when they are free.
func (o *operation) checkPorts() error {
	if o.Current.Running {
		return nil // it listens already, or fails to and says so
	}
	var errs []error
	for _, p := range o.Wanted.Spec.Ports {
		if o.Current.Spec != nil && slices.Contains(o.Current.Spec.Ports, p) {
			continue
		}
		if err := ports.Check(p); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
