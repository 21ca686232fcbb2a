package daemon

import (
	"context"
	"net/http"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/controlplane"
	"bonsai/controlplane/observe/load"
)

// newLoadView makes what tells how busy the cluster is. The caller closes it before the control plane stops, as with
// newDNSView.
func (d *daemon) newLoadView(cp *controlplane.ControlPlane) *load.View {
	return load.New(load.Options{
		Nodes:        d.plannedNodes,
		Agent:        func(n cluster.Node) http.RoundTripper { return cp.Dialer().AgentTransport(n) },
		ControlPlane: func() func() cluster.ControlPlaneLoad { return cp.NewLoadMeter().Measure },
		Client:       cp.Client(), Scale: d.scale,
	})
}

// Load implements localapi.LoadBackend.
func (d *daemon) Load(ctx context.Context, send func(cluster.Load) error) error {
	d.mu.Lock()
	view := d.loadView
	d.mu.Unlock()
	if view == nil {
		return fault.Newf(fault.NotRunning, "the control plane of %s is still starting", d.state.Name)
	}
	return view.Load(ctx, send)
}
