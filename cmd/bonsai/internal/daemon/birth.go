package daemon

import (
	"context"
	"net/http"
	"slices"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/controlplane"
	"bonsai/controlplane/observe/birth"
)

// newBirthView makes what tells how pods come to be. The caller closes it before the control plane stops.
func (d *daemon) newBirthView(cp *controlplane.ControlPlane) *birth.View {
	return birth.New(birth.Options{
		Cluster: d.state.Name, Client: cp.Client(), Births: cp.Births(), Scale: d.scale,
		Nodes: func() []cluster.Node {
			d.mu.Lock()
			defer d.mu.Unlock()
			return slices.Clone(d.spec.Nodes)
		},
		Agent: func(n cluster.Node) http.RoundTripper { return cp.Dialer().AgentTransport(n) },
	})
}

// Birth implements localapi.BirthBackend.
func (d *daemon) Birth(ctx context.Context, namespace, name string, send func(cluster.Birth) error) error {
	d.mu.Lock()
	view := d.births
	d.mu.Unlock()
	if view == nil {
		return fault.Newf(fault.NotRunning, "the control plane of %s is still starting", d.state.Name)
	}
	return view.Birth(ctx, namespace, name, send)
}
