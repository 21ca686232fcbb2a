package localapi

import (
	"context"
	"encoding/json"
	"net/http"

	"bonsai/bootstrap/cluster"
)

// AddonBackend is the part of Backend that tells of addons. What is wanted is changed in the spec, followed by Reload;
// how that goes is seen in Watch.
type AddonBackend interface {
	// Addons looks at every addon, each told behind those that it needs, the disabled ones too.
	Addons(ctx context.Context) ([]cluster.AddonStatus, error)
}

// Addons asks how every addon does.
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
