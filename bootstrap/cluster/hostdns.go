package cluster

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// HostDNSAddon is the name of the addon for the names that a cluster has on this machine. The name is minikube's.
const HostDNSAddon = "ingress-dns"

// Settings of HostDNSAddon.
const (
	HostDNSPortSetting    = "port"    // 0 is any
	HostDNSDomainsSetting = "domains" // of the hosts of Ingresses, Gateways and routes
)

// HostDNSDomain ends the names that say which cluster they are of: SERVICE.NAMESPACE.svc.CLUSTER.bonsai.internal. The domain
// internal is kept free for private use (ICANN, July 2024).
const HostDNSDomain = "bonsai.internal"

// HostDNS is what a cluster's resolver for this machine answers.
type HostDNS struct {
	// Open says that Port of 127.0.0.1 is served, UDP and TCP; otherwise Reason says why not.
	Open   bool   `json:"open"`
	Port   int    `json:"port,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Domains are those below which there are names, in lower case.
	Domains []string `json:"domains"`
	// Names are all that exist, by name. Those of hosts outside Domains are among them, with a reason: they are not answered.
	Names []HostName `json:"names"`
}

// HostName is a name that a cluster has on this machine.
type HostName struct {
	// Name is in lower case and without a final dot. "*.shop.test" stands for all names below shop.test that are not there
	// themselves.
	Name string `json:"name"`
	// Addresses are those that this machine reaches; without one, Reason says why.
	Addresses []netip.Addr `json:"addresses,omitempty"`
	// Of is what has the name ("Service shop/web").
	Of     string `json:"of"`
	Reason string `json:"reason,omitempty"`
}

// HostDNSPort is the port that the user chose for the resolver, 0 for any.
func (s *Spec) HostDNSPort() int {
	port, err := strconv.Atoi(s.AddonValues[HostDNSAddon][HostDNSPortSetting])
	if err != nil {
		return 0
	}
	return port
}

// HostDNSDomains are the domains below which a cluster has names on this machine, when the user has chosen those of hosts: these,
// that of every cluster, and that of this cluster alone.
func (s *Spec) HostDNSDomains(hosts []string) []string {
	domains := []string{"svc." + ClusterDomain, HostDNSOwnDomain(s.Name)}
	for _, d := range hosts {
		if !slices.Contains(domains, d) {
			domains = append(domains, d)
		}
	}
	return domains
}

// HostDNSOwnDomain is the domain that is one cluster's alone.
func HostDNSOwnDomain(name string) string { return name + "." + HostDNSDomain }

// HostDNSProbe is a name of a cluster that is always 127.0.0.1: by it one sees whether programs of this machine get the cluster's
// names.
func HostDNSProbe(name string) string { return "resolver." + HostDNSOwnDomain(name) }

// Below reports whether a name is a domain itself, or below it.
func Below(name, domain string) bool {
	rest, ok := strings.CutSuffix(name, domain)
	return ok && (rest == "" || rest[len(rest)-1] == '.')
}
