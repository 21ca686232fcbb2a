package localapi

import (
	"context"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

func (b *backend) DashboardLogin(_ context.Context, readOnly bool) (cluster.DashboardLogin, error) {
	if !readOnly {
		return cluster.DashboardLogin{}, fault.Newf(fault.Addon, "the dashboard is not served")
	}
	return cluster.DashboardLogin{URL: "http://dev.localhost:1/login?token=a", ReadOnly: true}, nil
}

func (b *backend) DashboardRevoke(context.Context) (cluster.DashboardRevoked, error) {
	return cluster.DashboardRevoked{Sessions: 2, Tokens: 1}, nil
}

func TestDashboard(t *testing.T) {
	c, _, _ := serve(t, newBackend())
	if login, err := c.DashboardLogin(t.Context(), true); err != nil || !login.ReadOnly || login.URL == "" {
		t.Errorf("got %+v, %v", login, err)
	}
	if _, err := c.DashboardLogin(t.Context(), false); fault.KindOf(err) != fault.Addon {
		t.Errorf("got %v", err)
	}
	if revoked, err := c.DashboardRevoke(t.Context()); err != nil || revoked != (cluster.DashboardRevoked{Sessions: 2, Tokens: 1}) {
		t.Errorf("got %+v, %v", revoked, err)
	}
}
