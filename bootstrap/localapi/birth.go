package localapi

import (
	"context"
	"net/http"
	"net/url"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// BirthBackend is the part of Backend that shows how pods come to be. Its errors are faults: ObjectNotFound, and
// NotRunning before the control plane is ready.
type BirthBackend interface {
	// Birth calls send with the steps of a pod as far as they are known, and again after each change, until they are
	// complete, the pod is gone, ctx ends or send fails.
	Birth(ctx context.Context, namespace, name string, send func(cluster.Birth) error) error
}

func birthRoutes(mux *http.ServeMux, b BirthBackend) {
	mux.HandleFunc("GET /v1/birth", func(w http.ResponseWriter, r *http.Request) {
		namespace, name := r.URL.Query().Get("namespace"), r.URL.Query().Get("name")
		if namespace == "" || name == "" {
			fail(w, fault.Newf(fault.Usage, "birth: no pod was given"))
			return
		}
		// The answer starts with the first state, so that a pod that does not exist is an error and not an empty
		// stream.
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

// Birth calls f with how a pod came to be, at once and after each change, until the steps are complete (Ready), the pod
// is gone, f fails, ctx ends or the daemon exits. It returns f's error unchanged.
func (c *Client) Birth(ctx context.Context, namespace, name string, f func(cluster.Birth) error) error {
	return lines(ctx, c, "/v1/birth?"+url.Values{"namespace": {namespace}, "name": {name}}.Encode(), f)
}
