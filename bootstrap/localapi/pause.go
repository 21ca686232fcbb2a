package localapi

import (
	"context"
	"net/http"
	"strconv"
)

// PauseBackend is the part of Backend that pauses the control plane. The nodes are the caller's; so is the record that says
// whether the cluster is paused, which is written before Pause and removed after Resume.
type PauseBackend interface {
	// Pause ends everything that acts on objects and nodes, and waits for that. With idle it is refused, with the fault Busy, if
	// somebody uses the cluster after all.
	Pause(ctx context.Context, idle bool) error
	// Resume runs it again. The nodes run already.
	Resume(ctx context.Context) error
}

// Pause ends everything that acts on objects and nodes, and returns when it has ended. With idle it is refused, with the fault
// Busy, if somebody uses the cluster.
func (c *Client) Pause(ctx context.Context, idle bool) error {
	return c.do(ctx, http.MethodPost, "/v1/pause?idle="+strconv.FormatBool(idle), nil)
}

// Resume runs it again.
func (c *Client) Resume(ctx context.Context) error {
	return c.do(ctx, http.MethodPost, "/v1/resume", nil)
}

func pauseRoutes(mux *http.ServeMux, b PauseBackend) {
	answer := func(w http.ResponseWriter, err error) {
		if err != nil {
			fail(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
	mux.HandleFunc("POST /v1/pause", func(w http.ResponseWriter, r *http.Request) {
		answer(w, b.Pause(r.Context(), r.URL.Query().Get("idle") == "true"))
	})
	mux.HandleFunc("POST /v1/resume", func(w http.ResponseWriter, r *http.Request) { answer(w, b.Resume(r.Context())) })
}
