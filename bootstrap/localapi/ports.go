package localapi

import (
	"context"
	"encoding/json"
	"net/http"

	"bonsai/bootstrap/cluster"
)

// PortBackend is the part of Backend for ports of this machine that lead into the cluster.
type PortBackend interface {
	Ports(ctx context.Context) []cluster.PortStatus
}

func portRoutes(mux *http.ServeMux, b PortBackend) {
	mux.HandleFunc("GET /v1/ports", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(b.Ports(r.Context()))
	})
}

// Ports returns the ports of the cluster with what they do.
func (c *Client) Ports(ctx context.Context) (list []cluster.PortStatus, err error) {
	err = c.do(ctx, http.MethodGet, "/v1/ports", func(r *http.Response) error {
		return json.NewDecoder(r.Body).Decode(&list)
	})
	return list, err
}
