package corefile

import (
	"encoding/json"
	"maps"
	"slices"

	"bonsai/dnsaddon/forward"
)

// The keys of the ConfigMap kube-dns.
const (
	stubDomainsKey = "stubDomains"
	upstreamsKey   = "upstreamNameservers"
)

// kubeDNS takes in the ConfigMap of Kubernetes' former DNS server: domains with name servers of their own, and the
// name servers for everything else. A Corefile goes before it.
func (b *builder) kubeDNS(own bool) {
	if b.src.KubeDNS == nil {
		return
	}
	b.config.Sources = append(b.config.Sources, sourceKubeDNS)
	for _, key := range slices.Sorted(maps.Keys(b.src.KubeDNS)) {
		if key != stubDomainsKey && key != upstreamsKey {
			b.problems.add(place{source: sourceKubeDNS, key: key}, "keys are stubDomains and upstreamNameservers", "there is no such setting; it is left out")
		}
	}
	stubs := map[string][]string{}
	b.kubeDNSValue(stubDomainsKey, `{"corp.example": ["10.0.0.1"]}`, func(text string) error {
		stubs = map[string][]string{}
		return json.Unmarshal([]byte(text), &stubs)
	})
	for _, domain := range slices.Sorted(maps.Keys(stubs)) {
		b.stubDomain(domain, stubs[domain])
	}
	var upstreams []string
	b.kubeDNSValue(upstreamsKey, `["10.0.0.1"]`, func(text string) error {
		upstreams = nil
		return json.Unmarshal([]byte(text), &upstreams)
	})
	if len(upstreams) == 0 {
		return
	}
	at := place{source: sourceKubeDNS, key: upstreamsKey}
	if own {
		b.problems.add(at, "name the upstreams in the Corefile's forward", "the ConfigMap coredns has a Corefile, which says who is asked; it is left out")
		return
	}
	addresses := b.servers(at, upstreams)
	for i, f := range b.ownerOf(".").forwardsFrom(".") {
		if i > 0 || len(addresses) == 0 {
			break
		}
		if f.where.source != sourceBuiltin {
			b.problems.add(at, "", "%s says who is asked; it is left out", f.where)
			break
		}
		f.zone.Upstreams = addresses
	}
}

// kubeDNSValue reads one key with JSON in it, or what stood there when it could be read last.
func (b *builder) kubeDNSValue(key, example string, read func(text string) error) {
	text, ok := b.src.KubeDNS[key]
	if !ok || text == "" {
		return
	}
	at, hint := place{source: sourceKubeDNS, key: key}, "write: "+example
	err := read(text)
	if err == nil {
		b.good.KubeDNS[key] = text
		return
	}
	if text, ok := b.last.KubeDNS[key]; ok && read(text) == nil {
		b.good.KubeDNS[key] = text
		b.problems.add(at, hint, "cannot be read (%s); what was there before stays in force", readable(err))
		return
	}
	_ = read("null") // what had been read before the mistake is not kept
	b.problems.add(at, hint, "cannot be read (%s); it is left out", readable(err))
}

// stubDomain makes a server block of a domain, with the cache that kube-dns had, too.
func (b *builder) stubDomain(domain string, servers []string) {
	at := place{source: sourceKubeDNS, key: stubDomainsKey}
	name, err := parseName(domain)
	if err != nil || name == "." {
		b.problems.add(at, "", "%q is no domain name; it is left out", shorten(domain))
		return
	}
	if owner := b.owners[name]; owner != nil {
		b.problems.add(at, "", "%s has a server block already (%s); it is left out", name, owner.where)
		return
	}
	for _, f := range b.ownerOf(name).forwardsFrom(name) {
		b.problems.add(at, "", "%s is forwarded already (%s); it is left out", name, f.where)
		return
	}
	s := &block{node: node{words: []string{name}, where: at}, out: Block{Zones: []string{name}}, cache: &caching{}}
	s.forwards = []*forwarding{{from: []string{name}, where: at, zone: forward.Zone{Upstreams: b.servers(at, servers)}}}
	b.owners[name] = s
	b.blocks = append(b.blocks, s)
}

func (b *builder) servers(at place, servers []string) []string {
	var addresses []string
	for _, server := range servers {
		addr, err := parseUpstream(server)
		if err != nil {
			b.problems.add(at, "name servers are addresses", "%v; the name server is left out", err)
			continue
		}
		addresses = append(addresses, addr)
	}
	return addresses[:min(len(addresses), forward.MaxUpstreams)]
}
