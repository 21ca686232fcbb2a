package localapi

import (
	"context"
	"net/http"
	"net/url"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// BirthBackend is the part of Backend that tells how pods come to be. Its errors are faults: ObjectNotFound, and NotRunning
// before the control plane is ready.
type BirthBackend interface {
	// Birth calls send with the story of a pod as far as it is known, and again after each change, until it is complete,
	// the pod is gone, ctx ends or send fails.
	Birth(ctx context.Context, namespace, name string, send func(cluster.Birth) error) error
}

func birthRoutes(mux *http.ServeMux, b BirthBackend) {
	mux.HandleFunc("GET /v1/birth", func(w http.ResponseWriter, r *http.Request) {
		namespace, name := r.URL.Query().Get("namespace"), r.URL.Query().Get("name")
		if namespace == "" || name == "" {
			fail(w, fault.Newf(fault.Usage, "birth: no pod is named"))
			return
		}
		// The answer begins with the first story, so that a pod that does not exist is an error and not a stream of none.
		var s *stream
		err := b.Birth(r.Context(), namespace, name, func(v cluster.Birth) error {
			if s == nil {
				s = newStream(w, "application/jsonl")
			}
			return s.send(v)
		})
		if s == nil && err != nil {
			fail(w, err)
			return
		}
		if s == nil {
			s = newStream(w, "application/jsonl")
		}
		s.end(err)
	})
}

// Birth calls f with how a pod came to be, at once and after each change, until the story is complete (Ready), the pod is
// gone, f fails, ctx ends or the daemon does. It returns f's error as it is.
func (c *Client) Birth(ctx context.Context, namespace, name string, f func(cluster.Birth) error) error {
	return lines(ctx, c, "/v1/birth?"+url.Values{"namespace": {namespace}, "name": {name}}.Encode(), f)
}
