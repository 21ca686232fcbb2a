package localapi

import (
	"context"
	"encoding/json"
	"net/http"

	"bonsai/bootstrap/cluster"
)

// AddonBackend is the part of Backend for addons. To change which are wanted, change the spec and call Reload; the
// progress is visible in Watch.
type AddonBackend interface {
	// Addons observes every addon, each listed after those that it needs, including the disabled ones.
	Addons(ctx context.Context) ([]cluster.AddonStatus, error)
}

// Addons returns the status of every addon.
func (c *Client) Addons(ctx context.Context) (list []cluster.AddonStatus, err error) {
	err = c.do(ctx, http.MethodGet, "/v1/addons", func(r *http.Response) error {
		return json.NewDecoder(r.Body).Decode(&list)
	})
	return list, err
}

func addonRoutes(mux *http.ServeMux, b AddonBackend) {
	mux.HandleFunc("GET /v1/addons", func(w http.ResponseWriter, r *http.Request) {
		list, err := b.Addons(r.Context())
		if err != nil {
			fail(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(list)
	})
}
