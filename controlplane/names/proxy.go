package names

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/things-go/go-socks5"
	"github.com/things-go/go-socks5/statute"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/servicename"
	"bonsai/bootstrap/splice"
)

const (
	// connectLimit bounds a connection into the cluster, its name included.
	connectLimit = 15 * time.Second
	// mostAddresses of a name are tried.
	mostAddresses = 3
)

// notInside is the error for what is not of the cluster.
type notInside struct{ host, why string }

func (e *notInside) Error() string {
	return fmt.Sprintf("%s is not in the cluster, and this proxy leads nowhere else: %s", e.host, e.why)
}

// qualify is the full name, in the cluster's DNS, of a name as people and charts write it; the error is a notInside.
func qualify(host, clusterName string) (string, error) {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	const domain = "." + cluster.ClusterDomain
	if isName(host) {
		t, err := servicename.Parse(host)
		switch {
		case err != nil:
			return "", &notInside{host, err.Error()}
		case t.Cluster != "" && t.Cluster != clusterName:
			return "", &notInside{host, "it is of cluster " + t.Cluster}
		case t.Pod != "":
			return t.Pod + "." + t.Service + "." + t.Namespace + ".svc" + domain, nil
		}
		return t.Service + "." + t.Namespace + ".svc" + domain, nil
	}
	switch {
	case host == "" || strings.ContainsAny(host, ":/ ") || len(host) > 253:
		return "", &notInside{host, "it is not a name"}
	case strings.HasSuffix(host, domain):
		return host, nil
	case strings.HasSuffix(host, ".svc"):
		return host + domain, nil
	case !strings.Contains(host, "."):
		return host + ".default.svc" + domain, nil
	}
	return host + ".svc" + domain, nil
}

// resolve are the addresses of a host, which is an address or a name.
func (s *Server) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	spec, _ := s.current()
	if addr, err := netip.ParseAddr(host); err == nil {
		addr = addr.Unmap()
		node := slices.ContainsFunc(spec.Nodes, func(n cluster.Node) bool { return n.IP == addr })
		if !node && !spec.PodRange().Contains(addr) && !spec.ServiceRange().Contains(addr) {
			return nil, &notInside{host, "it is not an address of a pod, Service or node"}
		}
		return []netip.Addr{addr}, nil
	}
	full, err := qualify(host, spec.Name)
	if err != nil {
		return nil, err
	}
	server := netip.AddrPortFrom(spec.DNSServiceIP(), 53).String()
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return s.o.Dial(ctx, "tcp", server) // the cluster's own, and by TCP, which is all that a node's agent passes on
	}}
	addrs, err := resolver.LookupNetIP(ctx, "ip4", full+".")
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return nil, &notInside{host, "cluster DNS does not know " + full}
	}
	if err != nil {
		return nil, fmt.Errorf("ask cluster DNS for %s: %w", full, err)
	}
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	return addrs, nil
}

// dialName connects to a host and port of the cluster; the host is an address or a name. A name at the port of this machine is
// what it is without a proxy: programs that are pointed to the proxy use such URLs as well.
func (s *Server) dialName(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := s.o.Scale.Limit(ctx, connectLimit, "a connection to "+address)
	defer cancel()
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%q is not a port", text)
	}
	if _, at := s.current(); at.Serves(int(port)) && isName(hostOf(host)) {
		return new(net.Dialer).DialContext(ctx, "tcp4", net.JoinHostPort("127.0.0.1", text))
	}
	if s.atGateway(host, uint16(port)) {
		return s.dialGateway(ctx, network, address)
	}
	addrs, err := s.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, a := range addrs[:min(len(addrs), mostAddresses)] {
		c, err := s.o.Dial(ctx, network, netip.AddrPortFrom(a.Unmap(), uint16(port)).String())
		if err == nil {
			return c, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// proxy answers a request that is sent to a proxy.
func (s *Server) proxy(life context.Context, w http.ResponseWriter, r *http.Request) *page {
	done, err := s.o.Use(r.Context(), "a request for "+r.Host+" to the proxy")
	if err != nil {
		return s.proxyFailed(err)
	}
	defer done()
	if r.Method == http.MethodConnect {
		return s.connect(life, w, r)
	}
	if r.URL.Scheme != "http" {
		return &page{Status: http.StatusBadRequest, Title: fmt.Sprintf("A proxy for %s: needs CONNECT", r.URL.Scheme)}
	}
	proxy := httputil.ReverseProxy{
		Transport: s.named, BufferPool: s.buffers, ErrorLog: s.errorLog,
		Rewrite: func(p *httputil.ProxyRequest) { p.Out.URL, p.Out.Host = p.In.URL, p.In.Host },
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				s.proxyFailed(err).write(w, r)
			}
		},
	}
	if r.ProtoMajor == 1 {
		_ = http.NewResponseController(w).EnableFullDuplex()
	}
	proxy.ServeHTTP(w, r)
	return nil
}

// connect is the method CONNECT: bytes go both ways until both ends have closed, or life ends. The request's context is of no
// use: it ends when the client has sent everything, and the answer may be still to come.
func (s *Server) connect(life context.Context, w http.ResponseWriter, r *http.Request) *page {
	if r.ProtoMajor != 1 {
		return &page{Status: http.StatusHTTPVersionNotSupported, Title: "A tunnel needs HTTP/1.1"}
	}
	target, err := s.dialName(life, "tcp", r.Host)
	if err != nil {
		return s.proxyFailed(err)
	}
	defer func() { _ = target.Close() }()
	client, in, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return s.proxyFailed(err)
	}
	defer func() { _ = client.Close() }()
	if _, err := client.Write([]byte("HTTP/1.1 200 Connection established\r\n\r\n")); err != nil {
		return nil
	}
	splice.Both(life, &opened{Conn: client, first: in.Reader}, target)
	return nil
}

// proxyFailed is the page for what the proxy does not reach.
func (s *Server) proxyFailed(err error) *page {
	if outside, ok := errors.AsType[*notInside](err); ok {
		return &page{Status: http.StatusForbidden, Title: "This proxy leads into the cluster only", Cause: outside.Error()}
	}
	return &page{Status: http.StatusBadGateway, Title: "Nothing answers", Cause: err.Error()}
}

// goroutines are those of go-socks5, which somebody has to wait for.
type goroutines struct{ sync.WaitGroup }

// Submit implements socks5.GPool.
func (g *goroutines) Submit(f func()) error {
	g.Go(f)
	return nil
}

// unresolved leaves names to dialName.
type unresolved struct{}

// Resolve implements socks5.NameResolver.
func (unresolved) Resolve(ctx context.Context, _ string) (context.Context, net.IP, error) {
	return ctx, nil, nil
}

// socks serves a connection of SOCKS5, until both ends have closed or ctx ends. It closes one whose client does not say within
// the limit where it wants to go.
func (s *Server) socks(ctx context.Context, c *opened) {
	defer func() { _ = c.Close() }()
	if c.stranger != nil {
		s.o.Log.Debug("SOCKS5 is refused", "err", c.stranger)
		return
	}
	_ = c.SetReadDeadline(time.Now().Add(s.o.Scale.Of(headerLimit)))
	ended := func() {}
	defer func() { ended() }()
	var work goroutines
	server := socks5.NewServer(
		socks5.WithGPool(&work), socks5.WithResolver(unresolved{}),
		socks5.WithRule(insideOnly{s}),
		socks5.WithDial(func(_ context.Context, network, address string) (net.Conn, error) {
			_ = c.SetReadDeadline(time.Time{})
			done, err := s.o.Use(ctx, "a connection to "+address+" by the proxy")
			if err != nil {
				return nil, err
			}
			ended = done
			return s.dialName(ctx, network, address)
		}),
	)
	if err := server.ServeConn(c); err != nil {
		s.o.Log.Debug("a connection by SOCKS5 has failed", "err", err)
	}
	work.Wait()
}

// insideOnly is the rule for SOCKS5: connections over TCP, and no names that cannot be of the cluster.
type insideOnly struct{ s *Server }

// Allow implements socks5.RuleSet.
func (i insideOnly) Allow(ctx context.Context, r *socks5.Request) (context.Context, bool) {
	if r.Command != statute.CommandConnect {
		return ctx, false
	}
	if r.RawDestAddr.FQDN == "" {
		return ctx, true // whether the address is inside is seen when it is dialled
	}
	spec, _ := i.s.current()
	_, err := qualify(r.RawDestAddr.FQDN, spec.Name)
	return ctx, err == nil || i.s.atGateway(r.RawDestAddr.FQDN, uint16(r.RawDestAddr.Port))
}

// pac is a proxy auto-configuration file for browsers: names that can only be of a cluster, and Service addresses, go through
// the proxy.
func pac(spec cluster.Spec, port int) string {
	services := spec.ServiceRange().Masked()
	mask := net.IP(net.CIDRMask(services.Bits(), 32)).String()
	return fmt.Sprintf(`function FindProxyForURL(url, host) {
  if (dnsDomainIs(host, ".svc") || dnsDomainIs(host, ".%s") ||
      (/^[0-9.]+$/.test(host) && isInNet(host, "%s", "%s")))
    return "PROXY 127.0.0.1:%d";
  return "DIRECT";
}
`, cluster.ClusterDomain, services.Addr(), mask, port)
}
