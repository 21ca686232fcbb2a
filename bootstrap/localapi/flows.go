package localapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// FlowBackend is the part of Backend for who talks to whom. Its error is the fault NotRunning before the control plane is
// ready.
type FlowBackend interface {
	// Flows calls send with the traffic of all nodes every cluster.FlowInterval, for the first time after about one
	// interval, until ctx ends or send fails, and returns that failure. A slow receiver misses some.
	Flows(ctx context.Context, send func(cluster.Flows) error) error
	// Why walks from a pod to something else. Its error is also the fault ObjectNotFound for an end that does not exist, or Usage.
	Why(ctx context.Context, q cluster.WhyQuestion) (cluster.Why, error)
}

func flowRoutes(mux *http.ServeMux, b FlowBackend) {
	mux.HandleFunc("GET /v1/flows", func(w http.ResponseWriter, r *http.Request) { sendAll(w, r, b.Flows) })
	mux.HandleFunc("POST /v1/why", func(w http.ResponseWriter, r *http.Request) {
		var q cluster.WhyQuestion
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxQuestion)).Decode(&q); err != nil {
			fail(w, fault.New(fault.Usage, "read the question", err))
			return
		}
		way, err := b.Why(r.Context(), q)
		answer(w, way, err)
	})
}

// Flows calls f once a second with who talks to whom, for the first time after about a second, until f fails, ctx ends or
// the daemon exits. It returns f's error unchanged, and nil only if the daemon stopped in order. Nothing is measured
// without watchers.
func (c *Client) Flows(ctx context.Context, f func(cluster.Flows) error) error {
	return lines(ctx, c, "/v1/flows", f)
}

// Why walks from a pod to something else, and returns the steps. A way that ends early is not an error.
func (c *Client) Why(ctx context.Context, q cluster.WhyQuestion) (way cluster.Why, err error) {
	body, err := json.Marshal(q)
	if err != nil {
		return way, fmt.Errorf("encode the question: %w", err)
	}
	err = c.send(ctx, http.MethodPost, "/v1/why", bytes.NewReader(body), func(r *http.Response) error { return decode(r.Body, &way) })
	return way, err
}
