package cli

import (
	"context"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// The dashboard of a script's cluster is served if its addon is enabled and the cluster runs, as the addons' scripts have it.
func (f *fakeEngine) DashboardLogin(_ context.Context, name string, readOnly bool) (cluster.DashboardLogin, error) {
	spec, err := f.dir.Cluster(name).LoadSpec()
	if err != nil {
		return cluster.DashboardLogin{}, err
	}
	if _, err := f.moments(); err != nil {
		return cluster.DashboardLogin{}, err
	}
	if !spec.Wants(cluster.DashboardAddon, false) {
		return cluster.DashboardLogin{}, fault.Newf(fault.Addon, "the dashboard is not served")
	}
	port := spec.DashboardPort()
	address := "http://" + name + ".localhost/"
	if port != 0 {
		address = "http://" + name + ".localhost:9000/"
	}
	return cluster.DashboardLogin{URL: address + "login?token=once", Address: address, ReadOnly: readOnly}, nil
}

func (f *fakeEngine) DashboardRevoke(context.Context, string) (cluster.DashboardRevoked, error) {
	if _, err := f.moments(); err != nil {
		return cluster.DashboardRevoked{}, err
	}
	return cluster.DashboardRevoked{Sessions: 1, Tokens: 2}, nil
}
