package localapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"bonsai/bootstrap/cluster"
)

// CheckpointBackend is the part of Backend for checkpoints.
type CheckpointBackend interface {
	// CopyStore writes a consistent copy of all objects, as etcd stores them, to what begin returns. begin is called once,
	// before the first byte.
	CopyStore(ctx context.Context, begin func(cluster.StoreCopy) (io.Writer, error)) error
}

// storeHeader carries the StoreCopy of the body, as JSON.
const storeHeader = "Bonsai-Store"

// CopyStore calls f with a consistent copy of all objects, as etcd stores them. f has to read all of it; only if CopyStore
// returns no error, it was complete.
func (c *Client) CopyStore(ctx context.Context, f func(cluster.StoreCopy, io.Reader) error) error {
	return c.do(ctx, http.MethodGet, "/v1/store", func(r *http.Response) error {
		var about cluster.StoreCopy
		if err := json.Unmarshal([]byte(r.Header.Get(storeHeader)), &about); err != nil {
			return fmt.Errorf("the daemon does not say what it copies: %w", err)
		}
		if err := f(about, r.Body); err != nil {
			return err
		}
		return streamEnd(r)
	})
}

func checkpointRoutes(mux *http.ServeMux, b CheckpointBackend) {
	mux.HandleFunc("GET /v1/store", func(w http.ResponseWriter, r *http.Request) {
		var s *stream
		err := b.CopyStore(r.Context(), func(about cluster.StoreCopy) (io.Writer, error) {
			text, err := json.Marshal(about)
			if err != nil {
				return nil, err
			}
			w.Header().Set(storeHeader, string(text))
			s = newStream(w, "application/octet-stream")
			return w, nil // not the stream, which flushes after each write
		})
		if s == nil {
			fail(w, err)
			return
		}
		s.end(err)
	})
}
