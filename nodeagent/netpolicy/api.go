package netpolicy

import (
	"encoding/json"
	"errors"
	"net/http"

	"bonsai/bootstrap/cluster"
)

// newHandler exposes the part over HTTP. The node's agent mounts it, and admits only the cluster's daemon.
//
//	GET  /health   a cluster.NetworkPolicyHealth per line: one at once, then whenever it changed
//	GET  /denied   []cluster.Denied: what policies have stopped in the last minutes
//	POST /judge    a cluster.PolicyQuestion; a cluster.PolicyAnswer
func newHandler(p *Part) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/jsonl")
		enc, rc := json.NewEncoder(w), http.NewResponseController(w)
		var sent cluster.NetworkPolicyHealth
		for {
			now, changed := p.Health()
			if now != sent {
				if err := errors.Join(enc.Encode(now), rc.Flush()); err != nil {
					return // the client is gone
				}
				sent = now
			}
			select {
			case <-r.Context().Done():
				return
			case <-changed:
			}
		}
	})
	mux.HandleFunc("GET /denied", func(w http.ResponseWriter, _ *http.Request) {
		list, err := p.Denied()
		if list == nil {
			list = []cluster.Denied{}
		}
		answer(w, list, err)
	})
	mux.HandleFunc("POST /judge", func(w http.ResponseWriter, r *http.Request) {
		var q cluster.PolicyQuestion
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxQuestion)).Decode(&q); err != nil {
			http.Error(w, "the question cannot be read: "+err.Error(), http.StatusBadRequest)
			return
		}
		judged, err := p.Judge(q)
		answer(w, judged, err)
	})
	return mux
}

// maxQuestion bounds what is read of one.
const maxQuestion = 4 << 10

// answer writes a value as JSON, or the error as text.
func answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // fails only if the client is gone
}
