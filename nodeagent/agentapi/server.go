// Package agentapi is the way into a node: an HTTP server that the control plane reaches over mutual TLS, and the
// node's own tools over a unix socket.
//
//	CONNECT host:port   a TCP connection from the node's network to a pod, Service or node (TLS only)
//	GET  /healthz       "ok"
//	GET  /v1/state      State
//	GET  /v1/components []cluster.Component: those that are shown as pods; again after each change, until the client ends it
//	GET  /v1/logs/NAME?lines=N&follow=true
//	                    the last lines of a component's log, all of them if N is negative, and new ones
//	GET  /v1/usage      cluster.NodeCounters, measured now
//	GET  /v1/images     []cluster.NodeImage
//	GET  /v1/pods/UID   cluster.PodOnNode: when the parts of a pod were made
//	GET  /v1/pods/UID/listening
//	                    []cluster.Listening: the ports that its programs listen on now
//	     /v1/NAME/…     what the part of the agent with this name answers (dns, volumes)
//
// It keeps nothing between requests. Begin reading at Server.
package agentapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"bonsai/bootstrap/accept"
	"bonsai/bootstrap/cluster"
	"bonsai/nodeagent/listening"
	"bonsai/nodeagent/podtimes"
)

const (
	// Socket is for the tools inside the node; only root may use it.
	Socket = "/run/bonsai/agent.sock"
	// daemons is the organization of the only certificates that may use the TLS port: the cluster's daemon's.
	daemons = "bonsai:daemons"
)

// Images is what the server needs of containerd.
type Images interface {
	Images(ctx context.Context) ([]cluster.NodeImage, error)
}

// Pods is what the server needs to report on pods.
type Pods interface {
	Pod(ctx context.Context, uid string) (cluster.PodOnNode, error)
}

// Config holds the dependencies of a server.
type Config struct {
	// Allowed are the ranges that CONNECT may dial; Denied are addresses in them that it may not.
	Allowed []netip.Prefix
	Denied  []netip.Addr
	// DialTimeout bounds the dialing of a CONNECT target.
	DialTimeout time.Duration
	// State observes the node; it must answer within about half a second.
	State func(ctx context.Context) State
	// Components observes the agent itself, and the components that are shown as pods but do not report on themselves. The
	// channel is closed when one of them changes, as far as their supervisor sees it.
	Components func(ctx context.Context) ([]cluster.Component, <-chan struct{})
	// LogDir has the logs of the components.
	LogDir string
	// Usage measures the node and its pods.
	Usage  func() (cluster.NodeCounters, error)
	Images Images
	Pods   Pods
	// Listening returns the ports that the programs of a pod listen on.
	Listening func(uid string) ([]cluster.Listening, error)
	// Parts answer at and below /v1/NAME; they do not see this prefix.
	Parts map[string]http.Handler
	Log   *slog.Logger
}

// Server can serve any number of listeners.
type Server struct {
	cfg     Config
	tunnels sync.WaitGroup
}

// New returns a server that does not listen yet.
func New(cfg Config) *Server { return &Server{cfg: cfg} }

// ServeTLS serves the control plane on l until ctx ends; it returns when all connections are closed, including tunnels.
func (s *Server) ServeTLS(ctx context.Context, l net.Listener, cfg *tls.Config) error {
	return s.serve(ctx, tls.NewListener(l, cfg), func(ctx context.Context) http.Handler { return s.connect(ctx, s.api()) })
}

// ServeLocal serves the node's own tools on l until ctx ends. It has no CONNECT: the tools are already in the network.
func (s *Server) ServeLocal(ctx context.Context, l net.Listener) error {
	return s.serve(ctx, l, func(context.Context) http.Handler { return s.api() })
}

func (s *Server) serve(ctx context.Context, l net.Listener, handler func(context.Context) http.Handler) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	hs := &http.Server{
		Handler: handler(ctx),
		// The time for a request's header is limited; the answer may take as long as a tunnel lives.
		ReadHeaderTimeout: 10 * time.Second,
		// Requests, and with them tunnels, end with ctx.
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
		// CONNECT takes over the connection, which HTTP/2 does not allow.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		<-ctx.Done()
		_ = hs.Close()
	}()
	err := hs.Serve(accept.Patient(l, s.cfg.Log))
	cancel()
	<-closed
	s.tunnels.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve agent API on %s: %w", l.Addr(), err)
}

func (s *Server) api() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	mux.HandleFunc("GET /v1/state", func(w http.ResponseWriter, r *http.Request) { answer(w, s.cfg.State(r.Context()), nil) })
	mux.HandleFunc("GET /v1/components", s.components)
	mux.HandleFunc("GET /v1/logs/{name}", s.log)
	mux.HandleFunc("GET /v1/usage", func(w http.ResponseWriter, _ *http.Request) {
		r, err := s.cfg.Usage()
		answer(w, r, err)
	})
	mux.HandleFunc("GET /v1/images", func(w http.ResponseWriter, r *http.Request) {
		images, err := s.cfg.Images.Images(r.Context())
		answer(w, images, err)
	})
	mux.HandleFunc("GET /v1/pods/{uid}", func(w http.ResponseWriter, r *http.Request) {
		pod, err := s.cfg.Pods.Pod(r.Context(), r.PathValue("uid"))
		if errors.Is(err, podtimes.ErrUID) {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer(w, pod, err)
	})
	mux.HandleFunc("GET /v1/pods/{uid}/listening", func(w http.ResponseWriter, r *http.Request) {
		ports, err := s.cfg.Listening(r.PathValue("uid"))
		if errors.Is(err, listening.ErrUID) {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer(w, ports, err)
	})
	for name, h := range s.cfg.Parts {
		prefix := "/v1/" + name
		mux.Handle(prefix+"/", http.StripPrefix(prefix, h))
		mux.HandleFunc(prefix, func(w http.ResponseWriter, r *http.Request) {
			r = r.Clone(r.Context())
			r.URL.Path, r.URL.RawPath = "/", ""
			h.ServeHTTP(w, r)
		})
	}
	return mux
}

// answer writes a value as JSON, or the error as text.
func answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // fails only if the client is gone
}

// TLSConfig reads agent.crt, agent.key and ca.crt of dir. Only the cluster's daemons pass the handshake.
func TLSConfig(dir string) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "agent.crt"), filepath.Join(dir, "agent.key"))
	if err != nil {
		return nil, fmt.Errorf("load agent certificate: %w", err)
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("load cluster CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("load cluster CA: no certificate in %s", filepath.Join(dir, "ca.crt"))
	}
	return &tls.Config{
		Certificates: []tls.Certificate{cert},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    pool,
		MinVersion:   tls.VersionTLS13,
		NextProtos:   []string{"http/1.1"},
		// Every component of the cluster has a certificate of this authority; kubelets of other nodes must be rejected.
		VerifyConnection: func(cs tls.ConnectionState) error {
			if !slices.Contains(cs.PeerCertificates[0].Subject.Organization, daemons) {
				return fmt.Errorf("client %q is not one of %s", cs.PeerCertificates[0].Subject.CommonName, daemons)
			}
			return nil
		},
	}, nil
}

// ListenUnix listens on path for root only, replacing a socket that an earlier agent left.
func ListenUnix(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove old socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}
