package localapi

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// DrainBackend is the part of Backend that empties nodes.
type DrainBackend interface {
	// Drain empties nodes and reports its progress to send. If it fails, the nodes are as they were, apart from pods that
	// have moved already.
	Drain(ctx context.Context, r cluster.DrainRequest, send func(cluster.DrainProgress) error) error
	// Uncordon lets nodes take pods again.
	Uncordon(ctx context.Context, nodes []string) error
}

// Drain empties nodes, and calls f with its progress.
func (c *Client) Drain(ctx context.Context, r cluster.DrainRequest, f func(cluster.DrainProgress) error) error {
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return c.send(ctx, http.MethodPost, "/v1/drain", bytes.NewReader(body), func(resp *http.Response) error { return readLines(ctx, resp, f) })
}

// Uncordon lets nodes take pods again.
func (c *Client) Uncordon(ctx context.Context, nodes []string) error {
	return c.do(ctx, http.MethodPost, "/v1/uncordon?"+url.Values{"node": nodes}.Encode(), nil)
}

func drainRoutes(mux *http.ServeMux, b DrainBackend) {
	mux.HandleFunc("POST /v1/drain", func(w http.ResponseWriter, r *http.Request) {
		var q cluster.DrainRequest
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&q); err != nil {
			fail(w, fault.New(fault.Usage, "read the request to drain", err))
			return
		}
		s := newStream(w, "application/jsonl")
		s.end(b.Drain(r.Context(), q, func(p cluster.DrainProgress) error { return s.send(p) }))
	})
	mux.HandleFunc("POST /v1/uncordon", func(w http.ResponseWriter, r *http.Request) {
		if err := b.Uncordon(r.Context(), r.URL.Query()["node"]); err != nil {
			fail(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}
