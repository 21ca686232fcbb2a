package localapi

import (
	"context"
	"net/http"
	"strconv"

	"bonsai/bootstrap/cluster"
)

// DashboardBackend is the part of Backend that lets browsers into the dashboard. Whoever may open the socket may do anything
// with the cluster anyway, so it needs no further proof.
type DashboardBackend interface {
	// DashboardLogin returns a URL that works once. The fault Addon says that the dashboard is not served.
	DashboardLogin(ctx context.Context, readOnly bool) (cluster.DashboardLogin, error)
	// DashboardRevoke ends all sessions, and makes all URLs void that nobody has opened.
	DashboardRevoke(ctx context.Context) (cluster.DashboardRevoked, error)
}

// DashboardLogin returns a URL with which a browser gets into the dashboard, once.
func (c *Client) DashboardLogin(ctx context.Context, readOnly bool) (login cluster.DashboardLogin, err error) {
	err = c.do(ctx, http.MethodPost, "/v1/dashboard/login?readonly="+strconv.FormatBool(readOnly), func(r *http.Response) error {
		return decode(r.Body, &login)
	})
	return login, err
}

// DashboardRevoke ends all sessions of the dashboard.
func (c *Client) DashboardRevoke(ctx context.Context) (revoked cluster.DashboardRevoked, err error) {
	err = c.do(ctx, http.MethodPost, "/v1/dashboard/revoke", func(r *http.Response) error { return decode(r.Body, &revoked) })
	return revoked, err
}

func dashboardRoutes(mux *http.ServeMux, b DashboardBackend) {
	mux.HandleFunc("POST /v1/dashboard/login", func(w http.ResponseWriter, r *http.Request) {
		login, err := b.DashboardLogin(r.Context(), r.URL.Query().Get("readonly") == "true")
		answer(w, login, err)
	})
	mux.HandleFunc("POST /v1/dashboard/revoke", func(w http.ResponseWriter, r *http.Request) {
		revoked, err := b.DashboardRevoke(r.Context())
		answer(w, revoked, err)
	})
}
