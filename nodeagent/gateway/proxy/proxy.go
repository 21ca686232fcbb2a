// Package proxy is the data plane of Ingress and Gateway API: it listens on the ports of a table, finds the rule for each
// request and forwards it to an endpoint, straight to the pod.
//
// Bodies are passed on as they come, in both directions, and nothing is stored. Clients may speak HTTP/1.1 or HTTP/2, with TLS
// or without (h2c); a connection may become a WebSocket. Begin reading at Proxy.Apply and Proxy.handle.
package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"bonsai/bootstrap/accept"
	"bonsai/bootstrap/gatewaytable"
)

const (
	// retryPause is between two attempts to listen on a port that another program has.
	retryPause = time.Second
	// closeLimit is how long requests of a port that is closed may go on.
	closeLimit = 5 * time.Second
	// headerLimit bounds how long a client may take for the header of a request, idleLimit how long a connection may be idle.
	headerLimit = 30 * time.Second
	idleLimit   = 75 * time.Second
)

// Config is what a Proxy needs.
type Config struct {
	// Address is where it listens.
	Address netip.Addr
	// Access records each request; nil for none.
	Access Access
	Log    *slog.Logger
}

// Proxy is one data plane. Its methods may be called from any goroutine.
type Proxy struct {
	cfg     Config
	state   atomic.Pointer[state]
	forward *httputil.ReverseProxy
	out     transports
	plain   *plain
	down    unreachable
	self    func() (*tls.Certificate, error)

	mu       sync.Mutex // guards the rest
	open     map[uint16]*server
	failed   map[uint16]string
	verified map[string]*http.Transport // of backends whose certificates are verified, by what is
	changed  chan struct{}              // closed and replaced when the report changes
	serving  sync.WaitGroup
}

// New returns a proxy that serves nothing yet. The caller calls Run.
func New(cfg Config) *Proxy {
	p := &Proxy{cfg: cfg, open: map[uint16]*server{}, failed: map[uint16]string{}, changed: make(chan struct{}), self: sync.OnceValues(selfSigned)}
	p.out, p.plain = newTransports(), newPlain()
	p.forward = &httputil.ReverseProxy{
		Rewrite: p.rewrite, Transport: (*balancer)(p), ModifyResponse: p.modify, ErrorHandler: p.fail, BufferPool: newBuffers(),
		ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
	p.state.Store(&state{ports: map[uint16]*port{}})
	return p
}

// Apply replaces the table. Requests that are being served are not affected, unless their port is no longer in it.
func (p *Proxy) Apply(t gatewaytable.Table) error {
	s, err := build(t)
	if err != nil {
		return err
	}
	if err := p.secure(s); err != nil {
		return err
	}
	p.state.Store(s)
	p.listen()
	return nil
}

// Handler serves requests as if they had come to a port, with TLS if they have it.
func (p *Proxy) Handler(number uint16) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.handle(w, r, number) })
}

// Report returns what is served, and a channel that is closed when that changes.
func (p *Proxy) Report() (gatewaytable.Report, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := gatewaytable.Report{Table: p.state.Load().id, Listening: slices.Sorted(maps.Keys(p.open)), Failed: maps.Clone(p.failed)}
	return r, p.changed
}

// Run retries what could not be listened on until ctx ends; then it closes all ports and waits for the requests.
func (p *Proxy) Run(ctx context.Context) {
	for {
		report, changed := p.Report()
		var retry <-chan time.Time
		if len(report.Failed) > 0 {
			retry = time.After(retryPause)
		}
		select {
		case <-ctx.Done():
			p.state.Store(&state{ports: map[uint16]*port{}})
			p.listen()
			p.serving.Wait()
			p.CloseIdle()
			return
		case <-changed:
		case <-retry:
			p.listen()
		}
	}
}

// CloseIdle closes the connections to backends that are not in use.
func (p *Proxy) CloseIdle() {
	p.out.close()
	p.plain.close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.verified {
		t.CloseIdleConnections()
	}
}

// server is an open port.
type server struct {
	tls      bool
	listener net.Listener
	http     *http.Server
	simple   *simple // of a port without TLS, before http
	passer   *passer // of a port whose TLS is not terminated, in place of http
}

// listen opens and closes ports as the table says.
func (p *Proxy) listen() {
	p.mu.Lock()
	defer p.mu.Unlock()
	want := p.state.Load().ports
	for number, s := range p.open {
		if w := want[number]; w == nil || w.tls != s.tls || w.passthrough != (s.passer != nil) {
			p.shut(s)
			delete(p.open, number)
		}
	}
	failed := map[uint16]string{}
	for number, w := range want {
		if p.open[number] != nil {
			continue
		}
		s, err := p.start(w)
		if err != nil {
			failed[number] = reason(err)
			if failed[number] != p.failed[number] {
				p.cfg.Log.Warn("a port cannot be opened, trying again", "port", number, "err", err)
			}
			continue
		}
		p.open[number] = s
	}
	p.failed = failed
	close(p.changed)
	p.changed = make(chan struct{})
}

// reason is why a port cannot be opened, without the address, which the reader knows.
func reason(err error) string {
	if errors.Is(err, syscall.EADDRINUSE) {
		return "another program of the node listens on it, such as a pod on the node's network"
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		err = e.Err
	}
	return err.Error()
}

func (p *Proxy) start(w *port) (*server, error) {
	l, err := net.Listen("tcp", netip.AddrPortFrom(p.cfg.Address, w.number).String())
	if err != nil {
		return nil, err
	}
	number := w.number
	if w.passthrough {
		return &server{tls: true, listener: l, passer: p.pass(p.behind(accept.Patient(l, p.cfg.Log)), number)}, nil
	}
	s := &server{tls: w.tls, listener: l, http: &http.Server{
		Handler:           p.Handler(number),
		ReadHeaderTimeout: headerLimit, IdleTimeout: idleLimit, Protocols: new(http.Protocols),
		ErrorLog: slog.NewLogLogger(p.cfg.Log.Handler(), slog.LevelDebug),
	}}
	s.http.Protocols.SetHTTP1(true)
	if l = p.behind(accept.Patient(l, p.cfg.Log)); w.tls {
		s.http.Protocols.SetHTTP2(true)
		s.http.TLSConfig = p.terminating(number)
		p.serving.Go(func() { p.ended(s.http.ServeTLS(l, "", ""), number) })
		return s, nil
	}
	s.http.Protocols.SetUnencryptedHTTP2(true)
	s.simple = p.simply(l, number)
	p.serving.Go(func() { p.ended(s.http.Serve(s.simple.rest), number) })
	return s, nil
}

func (p *Proxy) ended(err error, number uint16) {
	if !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		p.cfg.Log.Error("a port is no longer served", "port", number, "err", err)
	}
}

// shut closes a port at once, and what is served on it after a while.
func (p *Proxy) shut(s *server) {
	_ = s.listener.Close()
	if s.simple != nil {
		p.serving.Go(func() { s.simple.shut(closeLimit) })
	}
	p.serving.Go(func() {
		if s.passer != nil {
			s.passer.shut(closeLimit)
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
		defer cancel()
		if s.http.Shutdown(ctx) != nil {
			_ = s.http.Close()
		}
	})
}

// certificate chooses by the name that a client asks for.
func (p *Proxy) certificate(h *tls.ClientHelloInfo, number uint16) (*tls.Certificate, error) {
	at := p.state.Load().ports[number]
	if at == nil {
		return nil, errors.New("the port is being closed")
	}
	name := hostOf(&http.Request{Host: h.ServerName})
	for _, n := range at.names { // from the most specific
		if !covers(n.name, name, false) {
			continue
		}
		for _, c := range n.certificates {
			if h.SupportsCertificate(c) == nil {
				return c, nil
			}
		}
		return n.certificates[0], nil // the client says what is wrong with it
	}
	if at.fallback {
		return p.self()
	}
	return nil, fmt.Errorf("no certificate for %q", name)
}
