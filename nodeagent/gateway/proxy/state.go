package proxy

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"bonsai/bootstrap/gatewaytable"
)

// state is a table in the form in which requests are served by it. It never changes, except for counters.
type state struct {
	id       string
	ports    map[uint16]*port
	backends []*backend
	// certificates are those of the table, by their index.
	certificates []*tls.Certificate
	// proxyFrom are the addresses that may say for whom they connect.
	proxyFrom []gatewaytable.Range
}

type port struct {
	number   uint16
	public   uint16 // what clients connect to
	tls      bool
	names    []serverName
	fallback bool
	// passthrough says that TLS is not terminated.
	passthrough bool
	clients     *tls.Config // nil if they need no certificate
	groups      [][]*listener
	// byHeader says that rules look at more of the header than the host.
	byHeader bool
}

type serverName struct {
	name         string
	certificates []*tls.Certificate
}

type listener struct {
	hostname string
	// exact and wild have the hosts by name, wild those with a wildcard, from the most specific; any is the one without name.
	exact map[string]*host
	wild  []*host
	any   *host
}

type host struct {
	gatewaytable.Host
	rules []*rule
}

type rule struct {
	gatewaytable.Rule
	path           *regexp.Regexp // of a path that is one
	prefix         string         // without a slash at the end
	headers, query []matcher
	backends       []*weighted
	total          int64
	mirrors        []mirror
	simple         bool // as isSimple says
}

type matcher struct {
	gatewaytable.Match
	regex *regexp.Regexp
}

type weighted struct {
	gatewaytable.Weighted
	backend *backend // nil if it does not exist
}

type mirror struct {
	gatewaytable.Mirror
	backend *backend
}

// backend has the endpoints of a Service.
type backend struct {
	gatewaytable.Backend
	hosts []string // of endpoints, in the form of URLs
	// transport has its connections, if they are not those of its protocol.
	transport *http.Transport
	next      atomic.Uint32
}

// build prepares a table. An error means that it does not come from a daemon of this version.
func build(t gatewaytable.Table) (*state, error) {
	s := &state{id: t.ID, ports: map[uint16]*port{}, proxyFrom: t.ProxyFrom}
	backends := make([]*backend, len(t.Backends))
	for i, b := range t.Backends {
		backends[i] = &backend{Backend: b}
		for _, e := range b.Endpoints {
			backends[i].hosts = append(backends[i].hosts, e.String())
		}
		if b.Host != "" {
			backends[i].hosts = []string{b.Host}
		}
	}
	s.backends = backends
	certificates := make([]*tls.Certificate, len(t.Certificates))
	for i, c := range t.Certificates {
		pair, err := tls.X509KeyPair(c.Chain, c.Key)
		if err != nil {
			return nil, fmt.Errorf("certificate %d cannot be used: %w", i, err)
		}
		certificates[i] = &pair
	}
	s.certificates = certificates
	for _, p := range t.Ports {
		out := &port{number: p.Number, public: cmp.Or(p.Public, p.Number), tls: p.TLS, fallback: p.Fallback, passthrough: p.Passthrough}
		var err error
		if out.clients, err = clientsOf(p.Clients); err != nil {
			return nil, fmt.Errorf("port %d: %w", p.Number, err)
		}
		for _, n := range p.Names {
			name := serverName{name: n.Name}
			for _, index := range n.Certificates {
				name.certificates = append(name.certificates, certificates[index])
			}
			out.names = append(out.names, name)
		}
		for _, g := range p.Groups {
			var group []*listener
			for _, l := range g.Listeners {
				built, err := buildListener(l, backends)
				if err != nil {
					return nil, err
				}
				group = append(group, built)
				out.byHeader = out.byHeader || built.byHeader()
			}
			out.groups = append(out.groups, group)
		}
		s.ports[p.Number] = out
	}
	return s, nil
}

func buildListener(l gatewaytable.Listener, backends []*backend) (*listener, error) {
	out := &listener{hostname: l.Hostname, exact: map[string]*host{}}
	for _, h := range l.Hosts {
		built := &host{Host: h}
		for _, r := range h.Rules {
			rule, err := buildRule(r, backends)
			if err != nil {
				return nil, err
			}
			built.rules = append(built.rules, rule)
		}
		built.Rules = nil
		switch {
		case h.Name == "":
			out.any = built
		case strings.HasPrefix(h.Name, "*."):
			out.wild = append(out.wild, built)
		default:
			out.exact[h.Name] = built
		}
	}
	return out, nil
}

func (l *listener) byHeader() bool {
	look := func(h *host) bool {
		return h != nil && slices.ContainsFunc(h.rules, func(r *rule) bool { return len(r.headers) > 0 || r.CORS != nil })
	}
	return look(l.any) || slices.ContainsFunc(l.wild, look) || slices.ContainsFunc(slices.Collect(maps.Values(l.exact)), look)
}

func buildRule(r gatewaytable.Rule, backends []*backend) (*rule, error) {
	out := &rule{Rule: r, prefix: strings.TrimSuffix(r.Path.Value, "/")}
	if r.Path.Kind == gatewaytable.PathRegex {
		text := "^(?:" + r.Path.Value + ")"
		if r.Path.IgnoreCase {
			text = "(?i)" + text
		}
		var err error
		if out.path, err = regexp.Compile(text); err != nil {
			return nil, fmt.Errorf("path of %s: %w", r.From, err)
		}
	}
	var err error
	if out.headers, err = matchers(r.Headers); err != nil {
		return nil, fmt.Errorf("header of %s: %w", r.From, err)
	}
	if out.query, err = matchers(r.Query); err != nil {
		return nil, fmt.Errorf("query parameter of %s: %w", r.From, err)
	}
	for _, w := range r.Backends {
		add := &weighted{Weighted: w}
		if w.Backend >= 0 {
			add.backend = backends[w.Backend]
		}
		out.backends = append(out.backends, add)
		out.total += int64(w.Weight)
	}
	for _, m := range r.Mirrors {
		out.mirrors = append(out.mirrors, mirror{m, backends[m.Backend]})
	}
	out.simple = out.isSimple()
	return out, nil
}

func matchers(list []gatewaytable.Match) (out []matcher, err error) {
	for _, m := range list {
		add := matcher{Match: m}
		if m.Regex {
			if add.regex, err = regexp.Compile("^(?:" + m.Value + ")$"); err != nil {
				return nil, err
			}
		}
		out = append(out, add)
	}
	return out, nil
}

func (m *matcher) match(value string) bool {
	if m.regex != nil {
		return m.regex.MatchString(value)
	}
	return value == m.Value
}

// covers reports whether a host name, perhaps with a wildcard, is or includes another one.
func covers(pattern, name string, oneLabel bool) bool {
	if pattern == "" || pattern == name {
		return true
	}
	rest, wild := strings.CutPrefix(pattern, "*")
	if !wild || !strings.HasSuffix(name, rest) || len(name) == len(rest) {
		return false
	}
	return !oneLabel || !strings.Contains(name[:len(name)-len(rest)], ".")
}

// specificity is greater for the more specific of two patterns that cover the same name.
func specificity(pattern string) int {
	if pattern != "" && pattern[0] != '*' {
		return 1 << 20
	}
	return len(pattern)
}

// find returns the rule for a request, nil if there is none. misdirected says that there is none because the client has connected for
// another name: a browser that uses a connection again asks on a new one then (RFC 9110 15.5.20, GEP-3567).
func (p *port) find(r *http.Request, hostname, path string) (found *rule, misdirected bool) {
	var buf [8]*listener
	candidates := buf[:0]
	for _, group := range p.groups {
		l := listenerOf(group, hostname)
		switch {
		case l == nil:
		case r.TLS != nil && r.TLS.ServerName != "" && l != listenerOf(group, hostOf(&http.Request{Host: r.TLS.ServerName})):
			misdirected = true
		default:
			candidates = append(candidates, l)
		}
	}
	if len(candidates) > 1 {
		slices.SortStableFunc(candidates, func(a, b *listener) int { return specificity(b.hostname) - specificity(a.hostname) })
	}
	for _, l := range candidates {
		if found := l.find(r, hostname, path); found != nil {
			return found, false
		}
	}
	return nil, misdirected
}

// listenerOf is the one of a group that takes a host's requests, nil if none does.
func listenerOf(group []*listener, hostname string) *listener {
	for _, l := range group { // the most specific first
		if covers(l.hostname, hostname, false) {
			return l
		}
	}
	return nil
}

func (l *listener) find(r *http.Request, hostname, path string) *rule {
	if h := l.exact[hostname]; h != nil {
		if found := h.find(r, path); found != nil {
			return found
		}
	}
	for _, h := range l.wild {
		if covers(h.Name, hostname, h.OneLabel) {
			if found := h.find(r, path); found != nil {
				return found
			}
		}
	}
	if l.any != nil {
		return l.any.find(r, path)
	}
	return nil
}

func (h *host) find(r *http.Request, path string) *rule {
	for _, rule := range h.rules {
		if rule.matches(r, path) {
			return rule
		}
	}
	return nil
}

// method is that of a request, or that of the one for which a browser asks in advance whether it may send it.
func method(r *rule, req *http.Request) string {
	if r.CORS != nil && isPreflight(req) {
		return req.Header.Get("Access-Control-Request-Method")
	}
	return req.Method
}

func (r *rule) matches(req *http.Request, path string) bool {
	switch r.Path.Kind {
	case gatewaytable.PathExact:
		if path != r.Path.Value {
			return false
		}
	case gatewaytable.PathRegex:
		if !r.path.MatchString(path) {
			return false
		}
	default:
		if !strings.HasPrefix(path, r.prefix) || len(path) > len(r.prefix) && path[len(r.prefix)] != '/' {
			return false
		}
	}
	if r.Method != "" && r.Method != method(r, req) {
		return false
	}
	for i := range r.headers {
		m := &r.headers[i]
		values := req.Header[m.Name]
		if m.Name == "Host" {
			values = []string{req.Host}
		}
		if len(values) == 0 || !m.match(strings.Join(values, ",")) {
			return false
		}
	}
	if len(r.query) > 0 {
		query := req.URL.Query()
		for i := range r.query {
			m := &r.query[i]
			values := query[m.Name]
			if len(values) == 0 || !m.match(values[0]) { // of several, the first counts
				return false
			}
		}
	}
	return true
}
