package daemon

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"k8s.io/client-go/dynamic"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane"
	"bonsai/controlplane/addons"
	"bonsai/controlplane/addons/builtin"
)

// newAddons makes the manager of the cluster's addons, which knows at once what is wanted.
func (d *daemon) newAddons() error {
	m, err := addons.New(addons.Options{
		Addons: builtin.All(), Spec: d.spec, Log: d.log, Scale: d.scale,
		Changed: func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.notify()
		},
	})
	if err != nil {
		return fmt.Errorf("put the addons together: %w", err)
	}
	d.addons = m
	return nil
}

// applyAddons is controlplane.Options.ApplyAddons. An addon that cannot be applied is told of in its state; the cluster
// starts without it.
func (d *daemon) applyAddons(ctx context.Context, cp *controlplane.ControlPlane) error {
	client, err := dynamic.NewForConfig(cp.LoopbackConfig())
	if err != nil {
		return err
	}
	if err := d.addons.Apply(ctx, addons.Cluster{
		Client: cp.Client(), Config: cp.LoopbackConfig(), Dynamic: client, Log: d.log,
		Agent: func(n cluster.Node) http.RoundTripper { return cp.Dialer().AgentTransport(n) },
	}); err != nil {
		d.log.Warn("not all addons could be applied", "err", err)
	}
	return nil
}

// runAddons begins to keep the addons as they are wanted. The returned function ends that and waits for it.
func (d *daemon) runAddons() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { d.addons.Run(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// Addons implements localapi.AddonBackend.
func (d *daemon) Addons(ctx context.Context) ([]cluster.AddonStatus, error) {
	return d.addons.Observe(ctx), nil
}

// enabledAddons are what a snapshot tells of addons: those that are wanted, and those that are not gone yet.
func enabledAddons(all []cluster.AddonStatus) (list []cluster.AddonStatus) {
	for _, s := range all {
		if s.State != cluster.AddonDisabled {
			list = append(list, s)
		}
	}
	return list
}
