package bootstrap

import (
	"context"
	"maps"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/localapi"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/statedir"
)

// addonsLimit bounds a request to the daemon, which answers from memory.
const addonsLimit = 3 * time.Second

// Addons returns the status of every addon from the cluster's daemon. Without a daemon it is the fault NotRunning.
func (m *Manager) Addons(ctx context.Context, name string) ([]cluster.AddonStatus, error) {
	client, err := m.livingDaemon(name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := m.limit(ctx, addonsLimit, "an answer from the daemon")
	defer cancel()
	return client.Addons(ctx)
}

// WatchAddons calls f with the addons of the cluster that are enabled or not removed yet, at once and after each
// change, until f fails, whose error is returned unchanged, or ctx ends. Without a daemon it is the fault NotRunning.
func (m *Manager) WatchAddons(ctx context.Context, name string, f func([]cluster.AddonStatus) error) error {
	client, err := m.livingDaemon(name)
	if err != nil {
		return err
	}
	if err := client.Watch(ctx, func(s cluster.Snapshot) error { return f(s.Addons) }); err != nil {
		return err
	}
	return fault.Newf(fault.NotRunning, "the cluster was stopped in the meantime")
}

func (m *Manager) livingDaemon(name string) (*localapi.Client, error) {
	state := m.env.Dir.Cluster(name)
	switch {
	case !state.Exists():
		return nil, statedir.NotFound(name)
	case !state.DaemonAlive():
		return nil, fault.Newf(fault.NotRunning, "cluster %q is not running", name).Advise("start it", cluster.Bonsai("start").Of(name).Cure())
	}
	return m.clientOf(state), nil
}

// AddonChoice is what the user of a cluster has chosen of its addons. Neither map is nil.
type AddonChoice struct {
	// Enabled says by name which are wanted; the others follow their default.
	Enabled map[string]bool
	// Values are by name the chosen values of settings, in their canonical form. The inner maps are not to be changed, but
	// replaced.
	Values map[string]map[string]string
}

// SetAddons changes which addons the cluster should have, and with which values. change receives the previous choices and
// modifies them; if it fails, its error is returned unchanged and nothing has changed. When SetAddons returns, a running control
// plane knows the change and begins to apply it, which WatchAddons shows; running reports whether there is one.
func (m *Manager) SetAddons(ctx context.Context, name string, change func(chosen AddonChoice) error) (running bool, err error) {
	p, err := m.change(ctx, "addons", name, func(current plan.State, env plan.Environment) (plan.State, error) {
		chosen := AddonChoice{map[string]bool{}, map[string]map[string]string{}}
		maps.Copy(chosen.Enabled, current.Spec.Addons)
		maps.Copy(chosen.Values, current.Spec.AddonValues)
		if err := change(chosen); err != nil {
			return current, err
		}
		return plan.Wish{Name: name, Addons: chosen.Enabled, AddonValues: chosen.Values}.Kept(current, env)
	}, Run{}, parts{})
	return p.Current.Running && err == nil, err
}
