package zone

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// PodMode determines how names such as 10-1-2-3.default.pod.cluster.local are answered.
type PodMode uint8

// The modes.
const (
	// Insecure returns the address in the name if the namespace exists, whether or not a pod has that address.
	Insecure PodMode = iota
	// Disabled denies all of them.
	Disabled
	// Verified answers if a pod of that namespace has the address. It needs the pods (Store.SetPod).
	Verified
)

// Options are the settings of a zone. All of them can change while it answers.
type Options struct {
	// Domain is the cluster's domain; if empty or invalid, it is "cluster.local".
	Domain string
	// Aliases are further domains with the same records. Names in answers to PTR questions are always in Domain.
	Aliases []string
	// TTL is how many seconds answers may be cached, 0 not at all. Kubeadm's Corefile has 30.
	TTL  uint32
	Pods PodMode
	// EndpointPodNames names an endpoint without a hostname after its pod instead of its address.
	EndpointPodNames bool
	// IgnoreEmptyService denies a service with a cluster IP that has no ready endpoint.
	IgnoreEmptyService bool
	// Fallthrough are the zones in which a name that the cluster does not have is not denied but passed on (Answer.In
	// is false). Nil means the two zones of reverse names; empty and not nil means none.
	Fallthrough []string
	// Reverse are the address ranges of the cluster. Reverse names in them are always answered here, regardless of
	// Fallthrough: no other server knows these private addresses.
	Reverse []netip.Prefix
	// Local are the addresses of this server. The services that have one of them as an endpoint are the zone's name
	// servers. If there is none, the name server is called ns.dns.DOMAIN and has these addresses.
	Local []netip.Addr
	// NameServer is the only service ("kube-system/kube-dns") that may be named as name server: a node's address also
	// has endpoints of other services. Empty means any.
	NameServer string
}

const (
	defaultDomain = "cluster.local."
	zone4, zone6  = "in-addr.arpa.", "ip6.arpa."
)

// config is Options in processed form.
type config struct {
	Options
	// apexes are the zones that questions are matched with: Domain, Aliases, and the two of reverse names. Longer ones
	// come first, so that the first match is the closest.
	apexes []apex
	// fallInside reports that names below the domain or an alias may fall through, so that a denial is only certain
	// after checking Fallthrough.
	fallInside bool
}

// apex is the top of a zone.
type apex struct {
	name    string // fully qualified, in lower case
	wire    []byte
	reverse bool
}

func newConfig(o Options) *config {
	c := &config{Options: o}
	c.Domain = canonical(o.Domain)
	top, ok := newApex(c.Domain)
	if !ok || o.Domain == "" {
		c.Domain = defaultDomain
		top, _ = newApex(defaultDomain)
	}
	c.apexes = append(c.apexes, top)
	for _, alias := range o.Aliases {
		a, ok := newApex(canonical(alias))
		if ok && !slices.ContainsFunc(c.apexes, func(b apex) bool { return a.name == b.name }) {
			c.apexes = append(c.apexes, a)
		}
	}
	c.Fallthrough = []string{zone4, zone6}
	if o.Fallthrough != nil {
		c.Fallthrough = nil
		for _, name := range o.Fallthrough {
			c.Fallthrough = append(c.Fallthrough, canonical(name))
		}
	}
	for _, f := range c.Fallthrough {
		for _, a := range c.apexes {
			c.fallInside = c.fallInside || dns.IsSubDomain(f, a.name) || dns.IsSubDomain(a.name, f)
		}
	}
	for _, name := range []string{zone4, zone6} {
		a, _ := newApex(name)
		a.reverse = true
		c.apexes = append(c.apexes, a)
	}
	slices.SortStableFunc(c.apexes, func(a, b apex) int { return len(b.wire) - len(a.wire) })
	c.Reverse = nil
	for _, prefix := range o.Reverse {
		if prefix.IsValid() {
			c.Reverse = append(c.Reverse, prefix.Masked())
		}
	}
	c.Local = nil
	for _, addr := range o.Local {
		if addr.IsValid() {
			c.Local = append(c.Local, addr.WithZone("").Unmap())
		}
	}
	return c
}

func canonical(name string) string { return strings.ToLower(dns.Fqdn(name)) }

// newApex rejects what cannot be the top of a cluster's zone: the root, an invalid name, one that leaves no room for
// the names in the zone's SOA record.
func newApex(name string) (apex, bool) {
	const room = len("hostmaster.")
	w, ok := packName(name)
	if !ok || len(w) == 1 || len(w) > maxName-room {
		return apex{}, false
	}
	return apex{name: name, wire: w}, true
}

// falls reports whether a name that the cluster does not have is passed on.
func (c *config) falls(name string) bool {
	return slices.ContainsFunc(c.Fallthrough, func(f string) bool { return dns.IsSubDomain(f, name) })
}
