package host

import (
	"net/netip"
	"strings"

	"bonsai/bootstrap/cluster"
)

// table is cluster.HostDNS, to look names up in. It is immutable.
type table struct {
	domains []string
	// own is the domain that no other cluster answers for.
	own   string
	names map[string][]netip.Addr
	// above are the names below which there are others, so that they exist, too (RFC 8020).
	above map[string]bool
}

func newTable(h cluster.HostDNS, own string) *table {
	t := &table{domains: h.Domains, own: own, names: map[string][]netip.Addr{}, above: map[string]bool{}}
	for _, d := range h.Domains {
		t.above[d] = true
	}
	for _, n := range h.Names {
		if !t.serves(strings.TrimPrefix(n.Name, "*.")) {
			continue
		}
		t.names[n.Name] = append(t.names[n.Name], n.Addresses...)
		for name := n.Name; ; {
			_, rest, ok := strings.Cut(name, ".")
			if !ok || !t.serves(rest) {
				break
			}
			name = rest
			t.above[name] = true
		}
	}
	return t
}

// serves reports whether a name is in one of the domains.
func (t *table) serves(name string) bool {
	for _, d := range t.domains {
		if cluster.Below(name, d) {
			return true
		}
	}
	return false
}

// shared reports whether other clusters of this machine may have a name.
func (t *table) shared(name string) bool { return !cluster.Below(name, t.own) }

// find returns the addresses of a name in lower case, without a final dot. exists says that there is such a name, with addresses
// or without.
func (t *table) find(name string) (addresses []netip.Addr, exists bool) {
	if a, ok := t.names[name]; ok {
		return a, true
	}
	if t.above[name] {
		return nil, true
	}
	// The closest wildcard (RFC 4592): one above a name that exists does not count.
	for rest := name; ; {
		_, parent, ok := strings.Cut(rest, ".")
		if !ok || !t.serves(parent) {
			return nil, false
		}
		if a, ok := t.names["*."+parent]; ok {
			return a, true
		}
		if _, ok := t.names[parent]; ok || t.above[parent] {
			return nil, false
		}
		rest = parent
	}
}
