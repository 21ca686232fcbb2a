package gatewaytable

import (
	"cmp"
	"slices"
	"strings"
)

// NamedHost is a host of a table, over all of its ports.
type NamedHost struct {
	// Name may have a wildcard as its first label, which stands for one label only if OneLabel says so.
	Name     string
	OneLabel bool
	// From are the objects whose rules it has, "ingress/shop/web"; Also those of other groups than the first one's, which get only
	// what that has no rule for.
	From, Also []string
	// Services are those that the rules lead to, NAMESPACE/NAME.
	Services []string
	// Plain and TLS are the ports of nodes at which it is served, without TLS and with it; 0 if there is none. Of several, it is the
	// usual one, or else the lowest: those behind addresses of Gateways' own are above all others. Ports that want certificates of
	// clients are none.
	Plain, TLS uint16
}

// Covers says whether the host is, or includes, a name.
func (h *NamedHost) Covers(name string) bool { return covers(h.Name, name, h.OneLabel) }

// covers reports whether a host name, perhaps with a wildcard, is or includes another one.
func covers(pattern, name string, oneLabel bool) bool {
	if pattern == name {
		return true
	}
	rest, wild := strings.CutPrefix(pattern, "*")
	if !wild || !strings.HasSuffix(name, rest) || len(name) == len(rest) {
		return false
	}
	return !oneLabel || !strings.Contains(name[:len(name)-len(rest)], ".")
}

// HostsBelow returns the hosts that end with a suffix such as ".localhost", sorted: exact names before wildcards, and longer ones
// first.
func (t *Table) HostsBelow(suffix string) []NamedHost {
	found := map[string]*NamedHost{}
	t.eachHost(suffix, func(p Port, _ Listener, _ int, name string, h Host) {
		host := found[name]
		if host == nil {
			host = &NamedHost{Name: name, OneLabel: h.OneLabel}
			found[name] = host
		}
		host.serve(p)
	})
	claims := map[*NamedHost][]claim{}
	t.eachHost(suffix, func(p Port, l Listener, group int, name string, h Host) {
		host := found[name]
		claims[host] = append(claims[host], claim{port: p, listener: l.Hostname, group: group, rules: h.Rules})
	})
	var all []NamedHost
	for _, h := range found {
		h.decide(t, claims[h])
		all = append(all, *h)
	}
	slices.SortFunc(all, func(a, b NamedHost) int {
		return cmp.Or(compareWild(a.Name, b.Name), cmp.Compare(len(b.Name), len(a.Name)), cmp.Compare(a.Name, b.Name))
	})
	return all
}

// eachHost calls f with each host that ends with suffix; group is the number of its group on the port.
func (t *Table) eachHost(suffix string, f func(p Port, l Listener, group int, name string, h Host)) {
	for _, p := range t.Ports {
		if p.Clients != nil && !p.Clients.Optional { // whoever asks on behalf of clients has no certificate of theirs
			continue
		}
		for n, g := range p.Groups {
			for _, l := range g.Listeners {
				for _, h := range l.Hosts {
					if name := cmp.Or(h.Name, l.Hostname); strings.HasSuffix(name, suffix) {
						f(p, l, n, name, h)
					}
				}
			}
		}
	}
}

// claim is what a group has for a host on a port.
type claim struct {
	port     Port
	listener string
	group    int
	rules    []Rule
}

// decide says whose the host is: on each of its ports that of the most specific listener, and of the first group.
func (h *NamedHost) decide(t *Table, claims []claim) {
	slices.SortStableFunc(claims, func(a, b claim) int {
		return cmp.Or(compareWild(a.listener, b.listener), cmp.Compare(len(b.listener), len(a.listener)), cmp.Compare(a.group, b.group))
	})
	has := map[uint16]int{} // the group, by port
	for _, c := range claims {
		first, taken := has[c.port.Number]
		if !taken && (c.port.Number == h.Plain || c.port.Number == h.TLS) {
			has[c.port.Number], first, taken = c.group, c.group, true
		}
		to := &h.Also
		if taken && first == c.group {
			to = &h.From
		}
		for _, r := range c.rules {
			*to = append(*to, r.From)
			for _, w := range r.Backends {
				if w.Backend >= 0 && to == &h.From {
					service := t.Backends[w.Backend].Name
					if i := strings.LastIndexByte(service, ':'); i >= 0 {
						service = service[:i]
					}
					h.Services = append(h.Services, service)
				}
			}
		}
	}
	for _, list := range []*[]string{&h.From, &h.Also, &h.Services} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	h.Also = slices.DeleteFunc(h.Also, func(of string) bool { return slices.Contains(h.From, of) })
}

// compareWild puts names with a wildcard last.
func compareWild(a, b string) int {
	wild := func(name string) int {
		if strings.HasPrefix(name, "*") {
			return 1
		}
		return 0
	}
	return cmp.Compare(wild(a), wild(b))
}

// serve notes a port.
func (h *NamedHost) serve(p Port) {
	at, usual := &h.Plain, uint16(80)
	if p.TLS {
		at, usual = &h.TLS, 443
	}
	if *at == 0 || *at != usual && (p.Number == usual || p.Number < *at) {
		*at = p.Number
	}
}
