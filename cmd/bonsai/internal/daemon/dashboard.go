package daemon

import (
	"context"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/peer"
	"bonsai/controlplane/dashboard"
)

// DashboardParts are what the dashboard needs from outside of this package.
type DashboardParts struct {
	// Objects are those of the API server, asked as any client does.
	Objects dashboard.Objects
	// Words are the texts of a language, named as in LANG.
	Words func(lang string) dashboard.Words
}

// newDashboard returns what shows the cluster to a browser.
func (d *daemon) newDashboard() *dashboard.Server {
	return dashboard.New(dashboard.Options{
		Cluster: d, Objects: d.Dashboard.Objects, Words: d.Dashboard.Words, MayUse: peer.MayUse,
		Kept: d.State.DashboardPort, Keep: d.State.KeepDashboardPort, Log: d.Log, Scale: d.Scale,
	})
}

// serveDashboard serves the dashboard as spec wants it.
func (d *daemon) serveDashboard(spec cluster.Spec) {
	d.board.Apply(spec)
	d.Notify()
}

// DashboardLogin implements localapi.DashboardBackend.
func (d *daemon) DashboardLogin(_ context.Context, readOnly bool) (cluster.DashboardLogin, error) {
	return d.board.Login(readOnly)
}

// DashboardRevoke implements localapi.DashboardBackend.
func (d *daemon) DashboardRevoke(context.Context) (cluster.DashboardRevoked, error) {
	return d.board.Revoke(), nil
}
