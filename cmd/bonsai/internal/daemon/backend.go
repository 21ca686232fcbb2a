package daemon

import (
	"context"
	"fmt"
	"io"

	"k8s.io/client-go/kubernetes"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/componentlog"
	"bonsai/bootstrap/localapi"
	"bonsai/controlplane/drain"
	"bonsai/controlplane/handover"
)

// currentSpec is the plan as it is now.
func (d *daemon) currentSpec() cluster.Spec {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.spec
}

func (d *daemon) setControl(c ControlPlane) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.control = c
}

// Events implements localapi.Backend.
func (d *daemon) Events(ctx context.Context, send func(cluster.Event) error) error {
	return d.story.follow(ctx, send)
}

// Addons implements localapi.AddonBackend.
func (d *daemon) Addons(ctx context.Context) ([]cluster.AddonStatus, error) {
	if d.paused() != nil { // what their health depends on does not answer
		return d.parts.Addons.Status(), nil
	}
	return d.parts.Addons.Observe(ctx), nil
}

// Reload reads the spec again and makes it true, as far as that is the control plane's to do. When it returns, Node objects
// are as planned, and the manager of addons knows what is wanted.
func (d *daemon) Reload(ctx context.Context) error {
	// One at a time: else what an interrupted command wanted could win over what took it back.
	d.reloading.Lock()
	defer d.reloading.Unlock()
	spec, err := d.State.LoadSpec()
	if err != nil {
		return err
	}
	if err := d.Ready(); err != nil {
		return err
	}
	if err := d.Serving(ctx); err != nil { // a start calls the cluster ready next
		return fmt.Errorf("the API server is not ready: %w", err)
	}
	if err := d.running().Apply(ctx, *spec); err != nil {
		return err
	}
	d.mu.Lock()
	d.spec = *spec
	d.mu.Unlock()
	d.serveNames(*spec) // before the ports, which may need one that this has, and the addons, of which one says how this is
	d.serveDashboard(*spec)
	d.images.Apply(*spec)
	d.parts.Addons.Reload(*spec)
	d.idle.SetAfter(spec.AutoPause)
	d.owner.reload()
	return d.ports.Apply(*spec)
}

// Revert implements localapi.HistoryBackend. What it changes is acted on.
func (d *daemon) Revert(ctx context.Context, r cluster.RevertRequest) (cluster.Reverted, error) {
	done, err := d.idle.Use(ctx, "revert")
	if err != nil {
		return cluster.Reverted{}, err
	}
	defer done()
	return d.Observer.Revert(ctx, r)
}

// DNSLookup implements localapi.DNSBackend.
func (d *daemon) DNSLookup(ctx context.Context, q cluster.DNSQuestion) (cluster.DNSAnswer, error) {
	done, err := d.idle.Use(ctx, "dns query")
	if err != nil {
		return cluster.DNSAnswer{}, err
	}
	defer done()
	return d.Observer.DNSLookup(ctx, q)
}

// HostDNS implements localapi.DNSBackend.
func (d *daemon) HostDNS() cluster.HostDNS { return d.parts.HostDNS() }

// Drain implements localapi.DrainBackend.
func (d *daemon) Drain(ctx context.Context, r cluster.DrainRequest, send func(cluster.DrainProgress) error) error {
	client, err := d.client()
	if err != nil {
		return err
	}
	return drain.Nodes(ctx, client, r, send)
}

// Uncordon implements localapi.DrainBackend.
func (d *daemon) Uncordon(ctx context.Context, nodes []string) error {
	client, err := d.client()
	if err != nil {
		return err
	}
	return drain.Uncordon(ctx, client, nodes)
}

// Leave implements localapi.HandoverBackend.
func (d *daemon) Leave(ctx context.Context, node string) ([]cluster.ServingPod, error) {
	client, err := d.client()
	if err != nil {
		return nil, err
	}
	return handover.Leave(ctx, client, node, d.Scale)
}

// Await implements localapi.HandoverBackend.
func (d *daemon) Await(ctx context.Context, node string, pods []cluster.ServingPod, send func(cluster.DrainProgress) error) error {
	client, err := d.client()
	if err != nil {
		return err
	}
	return handover.Await(ctx, client, node, pods, send)
}

// client has all rights in the cluster, once it is ready.
func (d *daemon) client() (kubernetes.Interface, error) {
	if err := d.Ready(); err != nil {
		return nil, err
	}
	return d.running().Client(), nil
}

// CopyStore implements localapi.CheckpointBackend.
func (d *daemon) CopyStore(ctx context.Context, begin func(cluster.StoreCopy) (io.Writer, error)) error {
	if err := d.Ready(); err != nil {
		return err
	}
	return d.running().CopyStore(ctx, begin)
}

// Stop ends the daemon, and the cluster is not meant to run any more; it returns at once.
func (d *daemon) Stop() {
	d.asked.Store(true)
	if err := d.State.DropIntent(); err != nil {
		d.Log.Warn("the cluster still counts as running", "err", err)
	}
	d.stop()
}

// Logs copies the log of a component of this process.
func (d *daemon) Logs(ctx context.Context, q localapi.LogQuery, w io.Writer) error {
	lines := q.Tail
	if lines <= 0 {
		lines = -1 // all, as LogQuery has it
	}
	return componentlog.Tail(ctx, d.State.LogFile(q.Component), lines, q.Follow, w)
}
