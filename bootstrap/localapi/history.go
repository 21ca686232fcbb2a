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

// HistoryBackend is the part of Backend that knows what has happened to objects. Its errors are faults: ObjectNotFound,
// Usage, State if nothing is recorded, Refused by the API server, and NotRunning before the control plane is ready.
type HistoryBackend interface {
	// History returns changes, the newest first.
	History(ctx context.Context, q cluster.HistoryQuery) (cluster.History, error)
	// Differences returns how objects differ from what they were, the one that has changed last first.
	Differences(ctx context.Context, q cluster.DifferenceQuery) ([]cluster.Difference, error)
	// Revert makes an object as it was.
	Revert(ctx context.Context, r cluster.RevertRequest) (cluster.Reverted, error)
}

func historyRoutes(mux *http.ServeMux, b HistoryBackend) {
	ask(mux, "POST /v1/history", b.History)
	ask(mux, "POST /v1/diff", b.Differences)
	ask(mux, "POST /v1/revert", b.Revert)
}

// ask serves a question that is a JSON value and has an answer that is one.
func ask[Q, A any](mux *http.ServeMux, route string, f func(context.Context, Q) (A, error)) {
	mux.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) {
		var q Q
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxQuestion)).Decode(&q); err != nil {
			fail(w, fault.New(fault.Usage, "read the question", err))
			return
		}
		a, err := f(r.Context(), q)
		answer(w, a, err)
	})
}

// post asks such a question.
func post[A any](ctx context.Context, c *Client, path string, q any) (a A, err error) {
	body, err := json.Marshal(q)
	if err != nil {
		return a, fmt.Errorf("encode the question: %w", err)
	}
	err = c.send(ctx, http.MethodPost, path, bytes.NewReader(body), func(r *http.Response) error { return decode(r.Body, &a) })
	return a, err
}

// History returns what has happened to objects, the newest first.
func (c *Client) History(ctx context.Context, q cluster.HistoryQuery) (cluster.History, error) {
	return post[cluster.History](ctx, c, "/v1/history", q)
}

// Differences returns how objects differ now from what they were, the one that has changed last first.
func (c *Client) Differences(ctx context.Context, q cluster.DifferenceQuery) ([]cluster.Difference, error) {
	return post[[]cluster.Difference](ctx, c, "/v1/diff", q)
}

// Revert makes an object as it was.
func (c *Client) Revert(ctx context.Context, r cluster.RevertRequest) (cluster.Reverted, error) {
	return post[cluster.Reverted](ctx, c, "/v1/revert", r)
}
