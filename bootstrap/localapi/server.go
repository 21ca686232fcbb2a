package localapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"

	"bonsai/bootstrap/accept"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// closeGrace is the time for answers in progress when the server closes; streams are ended at once.
const closeGrace = time.Second

// Server serves one backend until Close.
type Server struct {
	http   *http.Server
	cancel context.CancelFunc
	done   chan struct{} // closed when Serve has returned
	once   sync.Once
	err    error
}

// Listen serves backend on a new unix socket with mode 0600, in a folder that is private already. A socket that a dead
// daemon left is replaced; if one still answers, the fault is Busy. log gets what keeps clients from being accepted. The
// caller closes the server.
func Listen(path string, backend Backend, log *slog.Logger) (*Server, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fault.New(fault.State, "listen on "+path, err)
	}
	// Until now the folder has kept everybody else out.
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fault.New(fault.State, "make "+path+" private", err), l.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{
		http: &http.Server{
			Handler:     handler(backend),
			BaseContext: func(net.Listener) context.Context { return ctx },
			ErrorLog:    slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // a client that disconnects is normal
			// Only our own clients connect; this protects against one that hangs.
			ReadHeaderTimeout: 10 * time.Second,
		},
		cancel: cancel, done: make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(accept.Patient(l, log)) // ErrServerClosed, or an error that Close cannot fix
	}()
	return s, nil
}

// Close ends all streams, waits a moment for other answers and removes the socket. A second call does nothing.
func (s *Server) Close() error {
	s.once.Do(func() {
		s.cancel()
		ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
		defer cancel()
		if err := s.http.Shutdown(ctx); err != nil {
			s.err = s.http.Close()
		}
		<-s.done
	})
	return s.err
}

func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fault.New(fault.State, "check "+path, err)
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return fault.Newf(fault.State, "%s is not a socket", path).Advise("remove it", cluster.Program("rm", "-r").On(path).Change())
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = c.Close()
		return fault.Newf(fault.Busy, "another daemon answers on %s", path)
	}
	if err := os.Remove(path); err != nil {
		return fault.New(fault.State, "remove the stale socket "+path, err)
	}
	return nil
}

func handler(b Backend) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/snapshot", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(b.Snapshot(r.Context()))
	})
	mux.HandleFunc("GET /v1/watch", func(w http.ResponseWriter, r *http.Request) {
		s := newStream(w, "application/jsonl")
		s.end(b.Watch(r.Context(), func(v cluster.Snapshot) error { return s.send(v) }))
	})
	mux.HandleFunc("GET /v1/events", func(w http.ResponseWriter, r *http.Request) {
		s := newStream(w, "application/jsonl")
		s.end(b.Events(r.Context(), func(v cluster.Event) error { return s.send(v) }))
	})
	mux.HandleFunc("GET /v1/logs", func(w http.ResponseWriter, r *http.Request) {
		q, err := parseLogQuery(r.URL.Query())
		if err != nil {
			fail(w, err)
			return
		}
		s := newStream(w, "text/plain; charset=utf-8")
		s.end(b.Logs(r.Context(), q, s))
	})
	mux.HandleFunc("POST /v1/reload", func(w http.ResponseWriter, r *http.Request) {
		if err := b.Reload(r.Context()); err != nil {
			fail(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /v1/stop", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		// The answer is sent first: an orderly stop closes this connection.
		_ = http.NewResponseController(w).Flush()
		b.Stop()
	})
	loadRoutes(mux, b)
	flowRoutes(mux, b)
	addonRoutes(mux, b)
	dnsRoutes(mux, b)
	birthRoutes(mux, b)
	portRoutes(mux, b)
	drainRoutes(mux, b)
	handoverRoutes(mux, b)
	checkpointRoutes(mux, b)
	historyRoutes(mux, b)
	pauseRoutes(mux, b)
	dashboardRoutes(mux, b)
	return mux
}

func parseLogQuery(v url.Values) (LogQuery, error) {
	q := LogQuery{Component: v.Get("component"), Follow: v.Get("follow") == "true"}
	if q.Component == "" {
		return q, fault.Newf(fault.Usage, "logs: no component was given")
	}
	if text := v.Get("tail"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			return q, fault.Newf(fault.Usage, "logs: tail %q is not a number", text)
		}
		q.Tail = n
	}
	return q, nil
}

// fail answers with a problem. The status only has to differ from 200: the problem's kind has the details.
func fail(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusInternalServerError)
	_ = json.NewEncoder(w).Encode(fault.Problem(err))
}

// stream is an answer that is sent in pieces; each has been flushed when send or Write returns.
type stream struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

func newStream(w http.ResponseWriter, contentType string) *stream {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Trailer", problemTrailer+", "+endTrailer)
	s := &stream{w, http.NewResponseController(w)}
	w.WriteHeader(http.StatusOK)
	_ = s.rc.Flush() // the client knows that it is connected before the first piece
	return s
}

func (s *stream) send(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	_, err = s.Write(append(line, '\n'))
	return err
}

func (s *stream) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	return n, errors.Join(err, s.rc.Flush())
}

func (s *stream) end(err error) {
	if err != nil {
		text, _ := json.Marshal(fault.Problem(err))
		s.w.Header().Set(problemTrailer, url.QueryEscape(string(text))) // a header has no line breaks
	}
	s.w.Header().Set(endTrailer, "true")
}
