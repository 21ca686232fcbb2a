package names

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/gatewaytable"
	"bonsai/bootstrap/servicename"
)

// nodeLimit bounds a connection to the gateway on one node, before the next one is tried.
const nodeLimit = 3 * time.Second

// SetHosts replaces the hosts of Ingresses and routes that are served, and reports whether that changes something. Those that are
// not below localhost are ignored.
func (s *Server) SetHosts(hosts []gatewaytable.NamedHost) (changed bool) {
	hosts = slices.DeleteFunc(slices.Clone(hosts), func(h gatewaytable.NamedHost) bool { return h.Name == servicename.Top || !isName(h.Name) })
	s.mu.Lock()
	defer s.mu.Unlock()
	changed = !reflect.DeepEqual(hosts, s.hosts) && len(hosts)+len(s.hosts) > 0
	s.hosts = hosts
	return changed
}

// namedHosts are hosts as others see them.
func namedHosts(hosts []gatewaytable.NamedHost) []cluster.NamedHost {
	var all []cluster.NamedHost
	for _, h := range hosts {
		all = append(all, cluster.NamedHost{Host: h.Name, From: h.From, Also: h.Also, Services: h.Services})
	}
	return all
}

// hostFor is the host of Ingresses and routes that a request is for: one of that name, and the most specific one with a wildcard;
// nil if there is none.
func (s *Server) hostFor(name string) (exact, wild *gatewaytable.NamedHost) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.hosts { // sorted, the most specific first
		switch {
		case h.Name == name:
			return &h, nil
		case wild == nil && h.Covers(name):
			wild = &h
		}
	}
	return nil, wild
}

// toGateway passes a request on to the gateway on a node. With TLS, it gets there with TLS, so that rules and apps see what the
// client uses.
func (s *Server) toGateway(w http.ResponseWriter, r *http.Request, spec cluster.Spec, h gatewaytable.NamedHost) *page {
	_, at := s.current()
	port, speaks, scheme := h.Plain, servicename.HTTP, "http"
	switch {
	case r.TLS == nil && h.Plain == 0: // it is served with TLS only
		to := url.URL{Scheme: "https", Host: strings.TrimPrefix(servicename.HostURL(at.Secure(), hostOf(r.Host), true), "https://"), Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
		http.Redirect(w, r, to.String(), http.StatusPermanentRedirect)
		return nil
	case r.TLS != nil && h.TLS != 0:
		port, speaks, scheme = h.TLS, servicename.HTTPS, "https"
	}
	proxy := s.reverseProxy(w, r, s.gateway.transportFor(speaks, r), func(err error) *page { return gatewayFailed(spec, h, err) })
	proxy.Rewrite = func(p *httputil.ProxyRequest) {
		// The name is the one that the gateway is asked for in the handshake; where it is, dialGateway knows.
		p.Out.URL.Scheme, p.Out.URL.Host = scheme, net.JoinHostPort(hostOf(r.Host), strconv.Itoa(int(port)))
		p.Out.Host = r.Host
		p.SetXForwarded()
	}
	proxy.ModifyResponse = func(resp *http.Response) error {
		if to, ok := s.here(resp.Header.Get("Location"), at); ok {
			resp.Header.Set("Location", to)
		}
		return nil
	}
	proxy.ServeHTTP(w, r)
	return nil
}

// here is where a redirect leads on this machine: to one of the hosts, it has the port of the gateway, or none, and has to have the
// one of the names. ok says whether it changes.
func (s *Server) here(location string, at cluster.Names) (to string, ok bool) {
	u, err := url.Parse(location)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return "", false
	}
	exact, wild := s.hostFor(hostOf(u.Host))
	if exact == nil {
		exact = wild
	}
	if exact == nil {
		return "", false
	}
	if port := u.Port(); port != "" && port != strconv.Itoa(int(exact.Plain)) && port != strconv.Itoa(int(exact.TLS)) {
		return "", false
	}
	listener, secure := at.Port, u.Scheme == "https"
	if secure {
		listener = at.Secure()
	}
	base, err := url.Parse(servicename.HostURL(listener, u.Hostname(), secure))
	if err != nil {
		return "", false
	}
	u.Host = base.Host
	return u.String(), true
}

// dialGateway connects to the port of an address, on the first node that answers: each serves the same.
func (s *Server) dialGateway(ctx context.Context, network, address string) (net.Conn, error) {
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%q is not a port", text)
	}
	spec, _ := s.current()
	errs := []error{}
	for _, n := range spec.ActiveNodes() {
		c, err := s.dialNode(ctx, network, netip.AddrPortFrom(n.IP, uint16(port)).String())
		if err == nil {
			return c, nil
		}
		errs = append(errs, fmt.Errorf("node %s: %w", n.Name, err))
		if ctx.Err() != nil {
			break
		}
	}
	if len(errs) == 0 {
		return nil, errors.New("the cluster has no node that runs")
	}
	return nil, errors.Join(errs...)
}

func (s *Server) dialNode(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := s.o.Scale.Limit(ctx, nodeLimit, "a connection to "+address)
	defer cancel()
	return s.o.Dial(ctx, network, address)
}

// gatewayFailed is the page for a host of an Ingress or route whose gateway does not answer.
func gatewayFailed(spec cluster.Spec, h gatewaytable.NamedHost, err error) *page {
	return &page{
		Status: http.StatusBadGateway, Title: fmt.Sprintf("The gateway, which has %s from %s, does not answer", h.Name, strings.Join(h.From, " and ")),
		Cause: strings.ReplaceAll(err.Error(), "\n", "; "),
		Next:  []next{{Text: "see why", Command: cluster.Bonsai("addons", "status").On(cluster.GatewayAddon).Of(spec.Name)}},
	}
}

// atGateway says whether a host and port are one of Ingresses and routes.
func (s *Server) atGateway(host string, port uint16) bool {
	exact, _ := s.hostFor(hostOf(host))
	return exact != nil && port != 0 && (port == exact.Plain || port == exact.TLS)
}
