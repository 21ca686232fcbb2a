package agentapi

import (
	"errors"
	"net/http"

	"bonsai/nodeagent/volumes"
)

// Volumes is what the server needs of the node's volumes.
type Volumes interface {
	Ensure(name string) (path string, err error)
	Remove(name string) error
	List() (volumes.Report, error)
}

// Volume is the answer to a PUT.
type Volume struct {
	// Path is where the volume is on the node.
	Path string `json:"path"`
}

// volumes serves the node's volumes. A response is final: no work of a request continues after it.
func (s *Server) volumes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/volumes", func(w http.ResponseWriter, _ *http.Request) {
		report, err := s.cfg.Volumes.List()
		answer(w, report, err)
	})
	mux.HandleFunc("PUT /v1/volumes/{name}", func(w http.ResponseWriter, r *http.Request) {
		path, err := s.cfg.Volumes.Ensure(r.PathValue("name"))
		if err != nil {
			http.Error(w, err.Error(), volumeStatus(err))
			return
		}
		answer(w, Volume{Path: path}, nil)
	})
	mux.HandleFunc("DELETE /v1/volumes/{name}", func(w http.ResponseWriter, r *http.Request) {
		if err := s.cfg.Volumes.Remove(r.PathValue("name")); err != nil {
			http.Error(w, err.Error(), volumeStatus(err))
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

func volumeStatus(err error) int {
	switch {
	case errors.Is(err, volumes.ErrName):
		return http.StatusBadRequest
	case errors.Is(err, volumes.ErrFull), errors.Is(err, volumes.ErrReadOnly):
		return http.StatusInsufficientStorage
	}
	return http.StatusInternalServerError
}
