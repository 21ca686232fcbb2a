// Package names serves the Services of a cluster to this machine by name: http://SERVICE.NAMESPACE.localhost, and https as well. At
// the same port are the hosts of Ingresses and routes below localhost, which it passes on to the gateway on the nodes, and a proxy
// into the cluster, SOCKS5 and HTTP. It listens on loopback, for the user of the cluster only, and reaches Services through the
// agents of nodes, so that it needs no rights and changes nothing of the machine.
//
// What a name means is in package servicename. While nobody uses it, only its listeners exist. Begin reading at Server and its
// method serve (handler.go); gateway.go has the hosts of Ingresses and routes, proxy.go the proxy.
package names

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"bonsai/bootstrap/accept"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/gatewaytable"
	"bonsai/bootstrap/loopback"
	"bonsai/bootstrap/wait"
	"bonsai/controlplane/observe/services"
)

const (
	// headerLimit is how long a client may take to say what it wants.
	headerLimit = 10 * time.Second
	// idleLimit is how long a connection without requests is kept, on either side.
	idleLimit = time.Minute
)

// Directory knows the Services of the cluster.
type Directory interface {
	Service(ctx context.Context, namespace, name string) (_ services.Service, ok bool, err error)
	Services(ctx context.Context) ([]services.Service, error)
	Endpoints(ctx context.Context, namespace, name string) ([]services.Endpoint, error)
}

// Options are what a Server needs.
type Options struct {
	Directory Directory
	// Dial connects to an address in the cluster. An error with a method Refused that returns true comes from behind the node
	// that was asked.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Use is called before something is served, and returns when the cluster is not paused; done is called when that has ended.
	Use func(ctx context.Context, what string) (done func(), err error)
	// MayUse says whether whoever has a connection may use the names.
	MayUse func(net.Conn) error
	// Kept is the port that Keep was called with last, 0 if it never was; so a cluster keeps its port.
	Kept func() int
	Keep func(port int) error
	// Certificate is one for a host, a name below localhost or an address of loopback.
	Certificate func(ctx context.Context, host string) (*tls.Certificate, error)
	// Elsewhere is the port of another cluster of this user's.
	Elsewhere func(cluster string) (port int, ok bool)
	Log       *slog.Logger
	// Scale multiplies limits on waits.
	Scale wait.Scale
}

// Server serves names from Apply until Close. It is safe for concurrent use.
type Server struct {
	o         Options
	ctx       context.Context //nolint:containedctx // the life of the server, for its listeners
	cancel    context.CancelFunc
	transport transports                  // to Services
	gateway   transports                  // to the gateway on the nodes
	named     *http.Transport             // to names of the cluster's DNS
	beside    func(port int) (secure int) // usualBeside, but in tests
	buffers   *buffers
	errorLog  *log.Logger

	applying sync.Mutex // held by Apply and Close, and guards stop
	stop     func()     // ends the listeners; nil without any
	serving  sync.WaitGroup

	mu       sync.Mutex // guards the rest
	closed   bool
	spec     cluster.Spec
	status   cluster.Names
	hosts    []gatewaytable.NamedHost
	requests sync.WaitGroup
}

// New returns a Server that does not listen yet.
func New(o Options) *Server {
	s := &Server{o: o, beside: usualBeside, status: cluster.Names{Reason: "the cluster is starting"}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.transport, s.gateway = newTransports(o.Dial), newTransports(s.dialGateway)
	s.named = newTransport(s.dialName)
	s.buffers, s.errorLog = &buffers{}, slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug)
	return s
}

// Status returns where it listens, and for which hosts besides Services.
func (s *Server) Status() cluster.Names {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := s.status
	if status.Open {
		status.Hosts = namedHosts(s.hosts)
	}
	return status
}

// Apply serves the names of spec's cluster, or stops that if it does not want them. It does not wait, and fails for nobody:
// Status reports a port that is missing. A port that spec has for something else is left to that.
func (s *Server) Apply(spec cluster.Spec) {
	s.applying.Lock()
	defer s.applying.Unlock()
	s.mu.Lock()
	s.spec = spec
	before, closed := s.status, s.closed
	s.mu.Unlock()
	if closed {
		return
	}
	if !spec.Wants(cluster.NamesAddon, true) {
		s.end()
		s.set(cluster.Names{Reason: "the addon " + cluster.NamesAddon + " is disabled"})
		return
	}
	taken := portsOf(spec)
	ports := choose(s.o.Kept(), taken)
	if fixed := spec.NamesPort(); fixed != 0 {
		ports = []int{fixed}
	}
	if before.Open && (before.Port == ports[0] || ports[0] == 0) && !slices.Contains(taken, before.TLSPort) {
		return
	}
	s.end()
	listeners, port, err := loopback.Listen(ports)
	if err != nil {
		s.o.Log.Warn("Services have no names on this machine", "err", err)
		s.set(cluster.Names{Reason: loopback.Reason(err)})
		return
	}
	if err := s.o.Keep(port); err != nil {
		s.o.Log.Warn("the port of the names may be another one next time", "err", err)
	}
	secure := s.beside(port)
	if secure != 0 && !slices.Contains(taken, secure) {
		more, _, err := loopback.Listen([]int{secure})
		if err != nil {
			s.o.Log.Debug("URLs with TLS need a port", "err", err)
			secure = 0
		}
		listeners = append(listeners, more...)
	} else {
		secure = 0
	}
	s.set(cluster.Names{Open: true, Port: port, TLSPort: secure})
	s.begin(listeners)
}

// usualBeside is the port that browsers use with TLS where they use a port without it that no URL needs; 0 if there is none. They also
// go there when an app demands TLS of them for the future (RFC 6797, section 8.3).
func usualBeside(port int) int {
	if port == 80 {
		return 443
	}
	return 0
}

// portsOf are the ports of this machine that a cluster needs for something else.
func portsOf(spec cluster.Spec) []int {
	taken := []int{spec.APIPort}
	for _, p := range spec.Ports {
		if p.Protocol != cluster.UDP {
			taken = append(taken, p.Port)
		}
	}
	return taken
}

func (s *Server) set(n cluster.Names) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = n
}

// begin serves at listeners; s.applying is held.
func (s *Server) begin(listeners []net.Listener) {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	ctx, cancel := context.WithCancel(s.ctx)
	server := &http.Server{
		Handler: s.handler(ctx), Protocols: &protocols, ReadHeaderTimeout: s.o.Scale.Of(headerLimit), IdleTimeout: idleLimit,
		ErrorLog:    s.errorLog,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if o := openedOf(c); o != nil && o.stranger != nil {
				return context.WithValue(ctx, stranger{}, o.stranger)
			}
			return ctx
		},
	}
	secure := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, GetCertificate: s.certificate}
	for _, l := range listeners {
		d := newDispatch(accept.Patient(l, s.o.Log), s.o.Scale.Of(headerLimit), s.o.MayUse, secure, s.socks)
		s.serving.Go(func() {
			if err := server.Serve(d); !errors.Is(err, http.ErrServerClosed) {
				s.o.Log.Warn("the names of Services are not served any more", "err", err)
			}
		})
	}
	s.stop = func() {
		cancel() // of connections that have another protocol now, the http.Server does not know
		_ = server.Close()
	}
}

// certificate is the one for the name that a client asks for. A client that asks for an address names none (RFC 6066, section 3).
// Nothing is signed for another user, who could make it a lot.
func (s *Server) certificate(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if o, ok := h.Conn.(*opened); ok && o.stranger != nil {
		return nil, o.stranger
	}
	name := hostOf(h.ServerName)
	if name == "" {
		at, err := netip.ParseAddrPort(h.Conn.LocalAddr().String())
		if err != nil {
			return nil, fmt.Errorf("a certificate for %s: %w", h.Conn.LocalAddr(), err)
		}
		name = at.Addr().Unmap().String()
	} else if !isName(name) {
		return nil, fmt.Errorf("%q is not a name here", name)
	}
	return s.o.Certificate(h.Context(), name)
}

// stranger is the key of the reason why whoever has a connection may not use the names.
type stranger struct{}

// end closes listeners, if there are any, and all of their connections, also those of WebSockets and tunnels; s.applying is held.
func (s *Server) end() {
	if s.stop == nil {
		return
	}
	s.stop()
	s.stop = nil
	s.serving.Wait()
}

// Close ends everything, and waits.
func (s *Server) Close() {
	s.applying.Lock()
	defer s.applying.Unlock()
	s.mu.Lock()
	s.closed = true
	s.status = cluster.Names{Reason: "the cluster is stopping"}
	s.mu.Unlock()
	s.cancel()
	s.end()
	s.requests.Wait()
	s.transport.close()
	s.gateway.close()
	s.named.CloseIdleConnections()
}

// enter counts a request; ok is false when the server is closed.
func (s *Server) enter() (leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, false
	}
	s.requests.Add(1)
	return s.requests.Done, true
}

// current are the plan and where the server listens.
func (s *Server) current() (cluster.Spec, cluster.Names) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spec, s.status
}
