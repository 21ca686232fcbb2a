package bootstrap

import (
	"context"
	"time"

	"bonsai/bootstrap/cluster"
)

// dashboardLimit bounds a request to the daemon, which answers from memory.
const dashboardLimit = 3 * time.Second

// DashboardLogin returns a URL with which a browser gets into the dashboard of a running cluster, once. With readOnly its session
// changes nothing. The fault Addon says that the dashboard is not served; without a daemon it is NotRunning.
func (m *Manager) DashboardLogin(ctx context.Context, name string, readOnly bool) (cluster.DashboardLogin, error) {
	client, err := m.livingDaemon(name)
	if err != nil {
		return cluster.DashboardLogin{}, err
	}
	ctx, cancel := m.limit(ctx, dashboardLimit, "an answer from the daemon")
	defer cancel()
	return client.DashboardLogin(ctx, readOnly)
}

// DashboardRevoke ends all sessions of the dashboard of a running cluster.
func (m *Manager) DashboardRevoke(ctx context.Context, name string) (cluster.DashboardRevoked, error) {
	client, err := m.livingDaemon(name)
	if err != nil {
		return cluster.DashboardRevoked{}, err
	}
	ctx, cancel := m.limit(ctx, dashboardLimit, "an answer from the daemon")
	defer cancel()
	return client.DashboardRevoke(ctx)
}
