package localapi

import (
	"context"
	"net/http"

	"bonsai/bootstrap/cluster"
)

// LoadBackend is the part of Backend for how busy the cluster is. Its error is the fault NotRunning before the control
// plane is ready.
type LoadBackend interface {
	// Load calls send with a Load every cluster.LoadInterval, for the first time after about one interval, until ctx
	// ends or send fails, and returns that failure. A slow receiver misses some.
	Load(ctx context.Context, send func(cluster.Load) error) error
}

func loadRoutes(mux *http.ServeMux, b LoadBackend) {
	mux.HandleFunc("GET /v1/load", func(w http.ResponseWriter, r *http.Request) { sendAll(w, r, b.Load) })
}

// sendAll answers with what a backend sends. An error before the first value is the answer itself.
func sendAll[T any](w http.ResponseWriter, r *http.Request, f func(ctx context.Context, send func(T) error) error) {
	var s *stream
	err := f(r.Context(), func(v T) error {
		if s == nil {
			s = newStream(w, "application/jsonl")
		}
		return s.send(v)
	})
	switch {
	case s != nil:
		s.end(err)
	case err != nil:
		fail(w, err)
	default:
		newStream(w, "application/jsonl").end(nil)
	}
}

// Load calls f once a second with what the cluster is doing, for the first time after about a second, until f fails,
// ctx ends or the daemon exits. It returns f's error unchanged, and nil only if the daemon stopped in order. The daemon
// measures only while there are watchers.
func (c *Client) Load(ctx context.Context, f func(cluster.Load) error) error {
	return lines(ctx, c, "/v1/load", f)
}
