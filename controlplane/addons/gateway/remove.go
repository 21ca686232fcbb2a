package gateway

import (
	"context"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons"
)

// begin notes that nodes get tables from now on.
func (g *Gateway) begin() {
	g.mu.Lock()
	g.began = true
	g.mu.Unlock()
	g.stopped.Forget()
}

// Remove implements addons.Remover: the data planes end, and the Services of Gateways are deleted. A cluster that has never needed the addon is left alone.
func (g *Gateway) Remove(ctx context.Context, c addons.Cluster) error {
	g.mu.Lock()
	began := g.began
	g.mu.Unlock()
	// If the user has disabled it, a daemon before this one may have had it.
	g.show(nil)
	if _, chosen := c.Spec().Addons[Name]; began || chosen {
		if err := newFronts(c.Client).removeAll(ctx); err != nil {
			return err
		}
		g.stopped.Do(ctx, c, func(ctx context.Context, n cluster.Node) error { return c.Agents.StopGateway(ctx, n) })
	}
	return nil
}
