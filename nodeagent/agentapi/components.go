package agentapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/componentlog"
)

const (
	// checkAgain is how often the health of components is checked for those who watch it, besides the changes that their
	// supervisor sees; checkSoon while one of them is not healthy.
	checkAgain = 15 * time.Second
	checkSoon  = time.Second
)

// components sends the states of the components that Config.Components reports, one list per line: at once, and whenever it
// differs from the one before.
func (s *Server) components(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/jsonl")
	enc, rc := json.NewEncoder(w), http.NewResponseController(w)
	var sent []cluster.Component
	for {
		now, changed := s.cfg.Components(r.Context())
		if sent == nil || !reflect.DeepEqual(now, sent) {
			if err := errors.Join(enc.Encode(now), rc.Flush()); err != nil {
				return // the client is gone
			}
			sent = now
		}
		pause := checkAgain
		for _, c := range now {
			if c.Phase != cluster.PhaseRunning {
				pause = checkSoon
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-r.Context().Done():
			timer.Stop()
			return
		case <-changed:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// log sends a log file: its last lines, all if that number is negative, and with follow what is added to it.
func (s *Server) log(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	lines, err := strconv.Atoi(r.URL.Query().Get("lines"))
	if err == nil {
		err = cluster.ValidateName(name) // it becomes part of a path
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	follow := r.URL.Query().Get("follow") == "true"
	path := filepath.Join(s.cfg.LogDir, name+".log")
	if _, err := os.Stat(path); err != nil {
		http.Error(w, name+" has not written a log yet", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	out := &flushed{w, http.NewResponseController(w)}
	// This shows the client that it is connected, before there is anything to send.
	if err := out.rc.Flush(); err != nil {
		return
	}
	if err := componentlog.Tail(r.Context(), path, lines, follow, out); err != nil {
		panic(http.ErrAbortHandler) // the reader sees that it is not complete
	}
}

// flushed sends everything at once.
type flushed struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

func (f *flushed) Write(data []byte) (int, error) {
	n, err := f.w.Write(data)
	return n, errors.Join(err, f.rc.Flush())
}
