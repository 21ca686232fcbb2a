package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"bonsai/bootstrap/accept"
)

// webGrace is how long requests may take to end when the server stops.
const webGrace = 200 * time.Millisecond

// Handler serves, to everybody, /metrics, /health (the process answers) and /ready (it answers from complete records), like CoreDNS on
// its three ports. If Options.Metrics is set, Run serves it.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.opts.Registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelWarn),
	}))
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "OK") })
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		if !s.answering() {
			http.Error(w, "kubernetes", http.StatusServiceUnavailable) // CoreDNS lists the plugins that are not ready
			return
		}
		_, _ = io.WriteString(w, "OK")
	})
	return mux
}

// guard serves only those who get answers to questions, too.
func (s *Server) guard(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if from, err := netip.ParseAddrPort(r.RemoteAddr); err != nil || !s.allowed(from.Addr().Unmap()) {
			http.Error(w, "only the cluster's own addresses are answered", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// answering reports whether the server listens and its records are complete: it asks itself for the name that every
// cluster has.
func (s *Server) answering() bool {
	view := s.opts.Zone.View()
	return s.Listening() != nil && view.Lookup("dns-version."+view.Apex(), dns.TypeTXT).Rcode == dns.RcodeSuccess
}

// web is the HTTP server, or nil.
type web struct {
	ln  net.Listener
	srv *http.Server
	log *slog.Logger
}

func (s *Server) listenHTTP(ctx context.Context) (*web, error) {
	if !s.opts.Metrics.IsValid() {
		return nil, nil
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.opts.Metrics.String())
	if err != nil {
		return nil, fmt.Errorf("serve DNS metrics at %s: %w", s.opts.Metrics, err)
	}
	return &web{ln: accept.Patient(ln, s.opts.Log), log: s.opts.Log, srv: &http.Server{
		Handler:           s.guard(s.Handler()),
		ReadHeaderTimeout: 5 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug),
	}}, nil
}

// serve answers until ctx ends.
func (w *web) serve(ctx context.Context) {
	if w == nil {
		return
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), webGrace)
		defer cancel()
		if w.srv.Shutdown(grace) != nil {
			_ = w.srv.Close()
		}
	}()
	if err := w.srv.Serve(w.ln); !errors.Is(err, http.ErrServerClosed) {
		w.log.Error("serve DNS metrics", "err", err)
	}
	<-stopped
}

// close stops listening, if serve was never called.
func (w *web) close() error {
	if w == nil {
		return nil
	}
	return w.ln.Close()
}
