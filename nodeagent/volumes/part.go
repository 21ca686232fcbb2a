package volumes

import (
	"encoding/json"
	"errors"
	"net/http"
)

// Name is the part's, and thereby where its API is: /v1/volumes.
const Name = "volumes"

// Name implements nodeagent.Part.
func (s *Store) Name() string { return Name }

// volume is the answer to a PUT.
type volume struct {
	// Path is where the volume is on the node.
	Path string `json:"path"`
}

// Handler implements nodeagent.Part. A response is final: no work of a request continues after it.
//
//	GET    /      Report
//	PUT    /NAME  Ensure; answers with the path
//	DELETE /NAME  Remove
func (s *Store) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		report, err := s.List()
		answer(w, report, err)
	})
	mux.HandleFunc("PUT /{name}", func(w http.ResponseWriter, r *http.Request) {
		path, err := s.Ensure(r.PathValue("name"))
		answer(w, volume{Path: path}, err)
	})
	mux.HandleFunc("DELETE /{name}", func(w http.ResponseWriter, r *http.Request) {
		if err := s.Remove(r.PathValue("name")); err != nil {
			answer(w, nil, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

// answer writes a value as JSON, or the error as text.
func answer(w http.ResponseWriter, v any, err error) {
	switch {
	case err == nil:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v) // fails only if the client is gone
	case errors.Is(err, ErrName):
		http.Error(w, err.Error(), http.StatusBadRequest)
	case errors.Is(err, ErrFull), errors.Is(err, ErrReadOnly):
		http.Error(w, err.Error(), http.StatusInsufficientStorage)
	default:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}
