// Package registry is the registry of a cluster, and the cache of all others, as the daemon serves them.
//
// This machine pushes and pulls at a port of loopback, without TLS: http://localhost:PORT, as Docker does for that name. Only the
// cluster's user and root get anything there. Nodes pull at the gateway of their network, over TLS with the cluster's
// certificates, where nothing can be changed: the images of localhost:PORT, and those of other registries, which are
// fetched once and kept (cache.go). Containerd says in the query which registry it means.
//
// The protocol is that of the OCI's distribution specification, version 1.1
// (https://github.com/opencontainers/distribution-spec/blob/main/spec.md): handler.go. What is kept is in package registrystore. While
// nothing is enabled, nothing of this exists. Begin reading at Server.
package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"bonsai/bootstrap/accept"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/loopback"
	"bonsai/bootstrap/registryclient"
	"bonsai/bootstrap/registrystore"
	"bonsai/bootstrap/wait"
	"bonsai/controlplane/internal/listener"
)

const (
	headerLimit = 10 * time.Second
	idleLimit   = time.Minute
	maxHeader   = 32 << 10
)

// Options are what a Server needs.
type Options struct {
	// Dir is the folder of the cluster's own images, CacheDir that of others, which the daemons of all clusters share.
	Dir, CacheDir string
	// PKI is the folder with ca.crt, and the certificate of the API server, which is for this machine's address in the nodes'
	// network.
	PKI string
	// Agents is the group of the certificates of nodes.
	Agents string
	// MayUse says whether whoever has a connection over loopback may use the registry.
	MayUse func(net.Conn) error
	// Kept are the ports that Keep was called with last, 0 if it never was. Keep is called with 0 for a port that stays as it is.
	Kept func() (port, nodes int)
	Keep func(port, nodes int) error
	// Logins are those of the machine's Docker configuration.
	Logins func(ctx context.Context, registry string) (registryclient.Login, error)
	// Listen opens the port for nodes; nil is the address in their network, which may not exist yet.
	Listen func(ctx context.Context, address netip.AddrPort) (net.Listener, error)
	Log    *slog.Logger
	// Scale multiplies limits on waits.
	Scale wait.Scale
}

// Server serves from Apply until Close. It is safe for concurrent use.
type Server struct {
	o      Options
	local  *registrystore.Store
	ctx    context.Context //nolint:containedctx // the life of the server, for what is fetched for several requests
	cancel context.CancelFunc

	applying sync.Mutex // held by Apply and Close, and guards the two
	machine  *serving   // nil while the registry is disabled
	nodes    *serving   // nil while nodes have nothing to ask for

	mu     sync.Mutex // guards the rest
	closed bool
	status cluster.RegistryStatus
	names  []string // of the registry, for nodes
	cache  *cache   // nil while it is disabled
}

// New returns a Server that does not listen yet.
func New(o Options) *Server {
	if o.Listen == nil {
		o.Listen = listener.At
	}
	s := &Server{o: o, local: registrystore.Open(o.Dir), status: cluster.RegistryStatus{Reason: "the cluster is starting"}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Status returns where it listens.
func (s *Server) Status() cluster.RegistryStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// Apply serves what spec's cluster wants, and nothing else. It does not wait, and fails for nobody: Status reports what is missing.
func (s *Server) Apply(spec cluster.Spec) {
	s.applying.Lock()
	defer s.applying.Unlock()
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return
	}
	own, others := spec.Wants(cluster.RegistryAddon, false), spec.Wants(cluster.RegistryCacheAddon, false)
	s.applyCache(spec, others)
	s.applyMachine(spec, own)
	s.applyNodes(spec, own, others)
}

func (s *Server) change(f func(*cluster.RegistryStatus)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.status)
}

// applyCache takes over settings of the cache; what is being fetched goes on.
func (s *Server) applyCache(spec cluster.Spec, wanted bool) {
	s.mu.Lock()
	old := s.cache
	s.mu.Unlock()
	if !wanted {
		s.setCache(nil)
		if old != nil {
			old.close()
		}
		return
	}
	settings := cacheSettings{
		mirrors: spec.Registries.Mirrors, authorities: spec.Registries.Authorities, proxy: spec.Proxy,
		limit: spec.RegistryCacheLimit(), logins: spec.RegistryCacheLogins() == cluster.RegistryLoginsDocker,
	}
	if old != nil && old.settings.same(settings) {
		return
	}
	s.setCache(newCache(s.ctx, registrystore.Open(s.o.CacheDir), settings, s.o))
	if old != nil {
		old.close()
	}
}

func (s *Server) setCache(c *cache) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cache = c
}

// applyMachine listens on loopback, or stops that.
func (s *Server) applyMachine(spec cluster.Spec, wanted bool) {
	if !wanted {
		s.machine.end()
		s.machine = nil
		s.setNames(nil)
		s.change(func(r *cluster.RegistryStatus) {
			r.Open, r.Port, r.Reason = false, 0, "the addon "+cluster.RegistryAddon+" is disabled"
		})
		return
	}
	ports := s.choose(spec)
	before := s.Status()
	if before.Open && (before.Port == ports[0] || spec.RegistryPort() == 0) {
		s.setNames(append([]string{cluster.RegistryName(before.Port)}, spec.RegistryAliases()...))
		return
	}
	s.machine.end()
	s.machine = nil
	listeners, port, err := loopback.Listen(ports)
	if err != nil {
		s.o.Log.Warn("the registry has no port on this machine", "err", err)
		s.setNames(nil)
		s.change(func(r *cluster.RegistryStatus) { r.Open, r.Port, r.Reason = false, 0, loopback.Reason(err) })
		return
	}
	s.keep(port, 0)
	s.setNames(append([]string{cluster.RegistryName(port)}, spec.RegistryAliases()...))
	s.change(func(r *cluster.RegistryStatus) { r.Open, r.Port, r.Reason = true, port, "" })
	s.machine = s.serve(listeners, s.forMachine(), nil)
}

func (s *Server) setNames(names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names = names
}

func (s *Server) keep(port, nodes int) {
	if err := s.o.Keep(port, nodes); err != nil {
		s.o.Log.Warn("the port of the registry may be another one next time", "err", err)
	}
}

// moreDefaults is how many ports after the default one are tried: each cluster with a registry has one.
const moreDefaults = 10

// choose returns ports to try, in order; 0 is any.
func (s *Server) choose(spec cluster.Spec) []int {
	if fixed := spec.RegistryPort(); fixed != 0 {
		return []int{fixed}
	}
	taken := []int{spec.APIPort}
	for _, p := range spec.Ports {
		taken = append(taken, p.Port)
	}
	kept, _ := s.o.Kept()
	wanted := []int{kept}
	for i := range moreDefaults {
		wanted = append(wanted, cluster.RegistryDefaultPort+i)
	}
	return loopback.Ports(wanted, taken)
}

// applyNodes listens for nodes, or stops that.
func (s *Server) applyNodes(spec cluster.Spec, own, others bool) {
	if !own && !others || len(spec.Nodes) == 0 || !spec.Gateway.IsValid() {
		s.nodes.end()
		s.nodes = nil
		s.change(func(r *cluster.RegistryStatus) { r.NodesURL, r.NodesReason = "", "" })
		return
	}
	if s.nodes != nil && s.nodes.address.Addr() == spec.Gateway {
		return
	}
	s.nodes.end()
	s.nodes = nil
	err := s.listenForNodes(spec.Gateway)
	if err != nil {
		s.o.Log.Warn("nodes cannot pull from this process", "err", err)
		s.change(func(r *cluster.RegistryStatus) { r.NodesURL, r.NodesReason = "", err.Error() })
	}
}

func (s *Server) listenForNodes(gateway netip.Addr) error {
	config, err := s.nodesTLS()
	if err != nil {
		return err
	}
	_, kept := s.o.Kept()
	l, err := s.o.Listen(s.ctx, netip.AddrPortFrom(gateway, uint16(kept)))
	if err != nil && kept != 0 {
		l, err = s.o.Listen(s.ctx, netip.AddrPortFrom(gateway, 0))
	}
	if err != nil {
		return fmt.Errorf("listen on %s: %w", gateway, err)
	}
	address := netip.AddrPortFrom(gateway, uint16(l.Addr().(*net.TCPAddr).Port))
	s.keep(0, int(address.Port()))
	s.nodes = s.serve([]net.Listener{l}, s.forNodes(), config)
	s.nodes.address = address
	s.change(func(r *cluster.RegistryStatus) { r.NodesURL, r.NodesReason = "https://"+address.String(), "" })
	return nil
}

// nodesTLS is for nodes of this cluster only. The certificate is read for each connection: it is renewed while the cluster runs.
func (s *Server) nodesTLS() (*tls.Config, error) {
	pem, err := os.ReadFile(filepath.Join(s.o.PKI, "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("read the cluster's authority: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &tls.Config{
		MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
		// A refusal names its reason in the status line, which HTTP/2 does not have.
		NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			c, err := tls.LoadX509KeyPair(filepath.Join(s.o.PKI, "apiserver.crt"), filepath.Join(s.o.PKI, "apiserver.key"))
			return &c, err
		},
		VerifyConnection: func(state tls.ConnectionState) error {
			if client := state.PeerCertificates[0].Subject; !slices.Contains(client.Organization, s.o.Agents) {
				return fmt.Errorf("%q is not a node", client.CommonName)
			}
			return nil
		},
	}, nil
}

// serving is an HTTP server at some listeners.
type serving struct {
	server  *http.Server
	running sync.WaitGroup
	address netip.AddrPort // of the one for nodes
}

// stranger is the key of the reason why whoever has a connection may not use the registry.
type stranger struct{}

func (s *Server) serve(listeners []net.Listener, h http.Handler, config *tls.Config) *serving {
	v := &serving{server: &http.Server{
		Handler: h, TLSConfig: config, ReadHeaderTimeout: s.o.Scale.Of(headerLimit), IdleTimeout: idleLimit, MaxHeaderBytes: maxHeader,
		ErrorLog:    slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return s.ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if config != nil {
				return ctx // the handshake decides
			}
			if err := s.o.MayUse(c); err != nil {
				return context.WithValue(ctx, stranger{}, err)
			}
			return ctx
		},
	}}
	for _, l := range listeners {
		v.running.Go(func() {
			var err error
			if patient := accept.Patient(l, s.o.Log); config != nil {
				err = v.server.ServeTLS(patient, "", "")
			} else {
				err = v.server.Serve(patient)
			}
			if !errors.Is(err, http.ErrServerClosed) {
				s.o.Log.Warn("images are not served any more", "err", err)
			}
		})
	}
	return v
}

// end closes listeners and connections, and waits; nil has none.
func (v *serving) end() {
	if v == nil {
		return
	}
	_ = v.server.Close()
	v.running.Wait()
}

// Close ends everything, and waits.
func (s *Server) Close() {
	s.applying.Lock()
	defer s.applying.Unlock()
	s.mu.Lock()
	s.closed = true
	s.status = cluster.RegistryStatus{Reason: "the cluster is stopping"}
	c := s.cache
	s.mu.Unlock()
	s.cancel()
	s.machine.end()
	s.nodes.end()
	s.machine, s.nodes = nil, nil
	if c != nil {
		c.close()
	}
}

// forMachine is what this machine can ask for.
func (s *Server) forMachine() http.Handler {
	own := &handler{store: s.local, log: s.o.Log, mayWrite: true}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err, ok := r.Context().Value(stranger{}).(error); ok {
			fail(w, http.StatusForbidden, codeDenied, "this registry is for one user of this machine: "+err.Error())
			return
		}
		// Pages of other sites are kept out: a browser says where they are from, and which name it was given.
		if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" || !onLoopback(r.Host) {
			fail(w, http.StatusForbidden, codeDenied, "this registry is not for browsers")
			return
		}
		own.ServeHTTP(w, r)
	})
}

func onLoopback(host string) bool { return registryclient.OnLoopback(strings.ToLower(host)) }

// forNodes is what nodes can ask for.
func (s *Server) forNodes() http.Handler {
	own := &handler{store: s.local, log: s.o.Log}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			fail(w, http.StatusMethodNotAllowed, codeUnsupported, "nodes only pull")
			return
		}
		registry := strings.ToLower(r.URL.Query().Get("ns"))
		s.mu.Lock()
		names, c := s.names, s.cache
		s.mu.Unlock()
		switch {
		case slices.Contains(names, registry):
			own.ServeHTTP(w, r)
		case c != nil && registry != "":
			c.ServeHTTP(w, r, registry)
		default:
			fail(w, http.StatusNotFound, codeNameUnknown, "nothing of registry "+strconv.Quote(registry)+" is here")
		}
	})
}
