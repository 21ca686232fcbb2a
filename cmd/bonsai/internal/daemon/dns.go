package daemon

import (
	"context"
	"net/http"
	"slices"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/controlplane"
	"bonsai/controlplane/observe/dns"
)

// newDNSView makes what answers questions about cluster DNS. The caller closes it before the control plane stops,
// whose API server would wait for its watches.
func (d *daemon) newDNSView(cp *controlplane.ControlPlane) *dns.View {
	return dns.New(dns.Options{
		Cluster: d.state.Name, Client: cp.Client(), Log: d.log, Scale: d.scale,
		Nodes: d.plannedNodes,
		Agent: func(n cluster.Node) http.RoundTripper { return cp.Dialer().AgentTransport(n) },
	})
}

// plannedNodes are those that the cluster has at the moment.
func (d *daemon) plannedNodes() []cluster.Node {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.spec.Nodes)
}

// dns returns the view, or the fault that says why there is nothing to see.
func (d *daemon) dns() (*dns.View, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.spec.Wants(cluster.DNSAddon, true) {
		return nil, fault.Newf(fault.Addon, "cluster DNS is disabled in cluster %q", d.spec.Name).
			Advise("", cluster.Bonsai("addons", "enable").On(cluster.DNSAddon).Of(d.spec.Name).Change())
	}
	if d.dnsView == nil {
		return nil, fault.Newf(fault.NotRunning, "the control plane of %s is still starting", d.spec.Name)
	}
	return d.dnsView, nil
}

// DNSStatus implements localapi.DNSBackend.
func (d *daemon) DNSStatus(ctx context.Context) ([]cluster.DNSStatus, error) {
	v, err := d.dns()
	if err != nil {
		return nil, err
	}
	return v.DNSStatus(ctx)
}

// DNSLog implements localapi.DNSBackend.
func (d *daemon) DNSLog(ctx context.Context, q cluster.DNSLogQuery, watching func(), send func(cluster.DNSQuery) error) error {
	v, err := d.dns()
	if err != nil {
		return err
	}
	return v.DNSLog(ctx, q, watching, send)
}

// DNSLookup implements localapi.DNSBackend.
func (d *daemon) DNSLookup(ctx context.Context, q cluster.DNSQuestion) (cluster.DNSAnswer, error) {
	v, err := d.dns()
	if err != nil {
		return cluster.DNSAnswer{}, err
	}
	return v.DNSLookup(ctx, q)
}

// DNSFlush implements localapi.DNSBackend.
func (d *daemon) DNSFlush(ctx context.Context, node string) ([]cluster.DNSFlushed, error) {
	v, err := d.dns()
	if err != nil {
		return nil, err
	}
	return v.DNSFlush(ctx, node)
}
