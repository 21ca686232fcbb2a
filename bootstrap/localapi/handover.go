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

// HandoverBackend is the part of Backend that keeps Services answering while a node is restarted.
type HandoverBackend interface {
	// Leave takes the pods of a node out of Services, and returns those that were Ready.
	Leave(ctx context.Context, node string) ([]cluster.ServingPod, error)
	// Await returns when these pods are Ready again, or no longer meant to run, and reports what it waits for to send.
	Await(ctx context.Context, node string, pods []cluster.ServingPod, send func(cluster.DrainProgress) error) error
}

// Leave takes the pods of a node out of Services, and returns those that were Ready.
func (c *Client) Leave(ctx context.Context, node string) (pods []cluster.ServingPod, err error) {
	err = c.do(ctx, http.MethodPost, "/v1/leave?"+url.Values{"node": {node}}.Encode(), func(r *http.Response) error {
		return json.NewDecoder(r.Body).Decode(&pods)
	})
	return pods, err
}

// Await returns when these pods of a node are Ready again, and calls f with what it waits for.
func (c *Client) Await(ctx context.Context, node string, pods []cluster.ServingPod, f func(cluster.DrainProgress) error) error {
	body, err := json.Marshal(pods)
	if err != nil {
		return err
	}
	path := "/v1/await?" + url.Values{"node": {node}}.Encode()
	return c.send(ctx, http.MethodPost, path, bytes.NewReader(body), func(resp *http.Response) error { return readLines(ctx, resp, f) })
}

func handoverRoutes(mux *http.ServeMux, b HandoverBackend) {
	mux.HandleFunc("POST /v1/leave", func(w http.ResponseWriter, r *http.Request) {
		pods, err := b.Leave(r.Context(), r.URL.Query().Get("node"))
		if err != nil {
			fail(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(pods)
	})
	mux.HandleFunc("POST /v1/await", func(w http.ResponseWriter, r *http.Request) {
		var pods []cluster.ServingPod
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 8<<20)).Decode(&pods); err != nil {
			fail(w, fault.New(fault.Usage, "read the pods to wait for", err))
			return
		}
		s := newStream(w, "application/jsonl")
		s.end(b.Await(r.Context(), r.URL.Query().Get("node"), pods, func(p cluster.DrainProgress) error { return s.send(p) }))
	})
}
