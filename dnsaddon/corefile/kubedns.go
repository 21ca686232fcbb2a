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

// kubeDNS reads the ConfigMap of Kubernetes' former DNS server: domains with their own name servers, and the name
// servers for everything else. A Corefile takes precedence.
func (b *builder) kubeDNS(own bool) {
	if b.src.KubeDNS == nil {
		return
	}
	b.config.Sources = append(b.config.Sources, sourceKubeDNS)
	for _, key := range slices.Sorted(maps.Keys(b.src.KubeDNS)) {
		if key != stubDomainsKey && key != upstreamsKey {
			b.problems.add(place{source: sourceKubeDNS, key: key}, "keys are stubDomains and upstreamNameservers", "unknown setting; it is ignored")
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
		b.problems.add(at, "name the upstreams in the Corefile's forward", "the ConfigMap coredns has a Corefile, which says who is asked; it is ignored")
		return
	}
	addresses := b.servers(at, upstreams)
	for i, f := range b.ownerOf(".").forwardsFrom(".") {
		if i > 0 || len(addresses) == 0 {
			break
		}
		if f.where.source != sourceBuiltin {
			b.problems.add(at, "", "%s says who is asked; it is ignored", f.where)
			break
		}
		f.zone.Upstreams = addresses
	}
}

// kubeDNSValue reads one key with JSON in it, or its last valid value.
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
		b.problems.add(at, hint, "cannot be read (%s); the previous version stays in effect", readable(err))
		return
	}
	_ = read("null") // what had been read before the error is discarded
	b.problems.add(at, hint, "cannot be read (%s); it is ignored", readable(err))
}

// stubDomain creates a server block for a domain, including the cache that kube-dns had.
func (b *builder) stubDomain(domain string, servers []string) {
	at := place{source: sourceKubeDNS, key: stubDomainsKey}
	name, err := parseName(domain)
	if err != nil || name == "." {
		b.problems.add(at, "", "%q is not a domain name; it is ignored", shorten(domain))
		return
	}
	if owner := b.owners[name]; owner != nil {
		b.problems.add(at, "", "%s has a server block already (%s); it is ignored", name, owner.where)
		return
	}
	for _, f := range b.ownerOf(name).forwardsFrom(name) {
		b.problems.add(at, "", "%s is forwarded already (%s); it is ignored", name, f.where)
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
			b.problems.add(at, "name servers are addresses", "%v; the name server is ignored", err)
			continue
		}
		addresses = append(addresses, addr)
	}
	return addresses[:min(len(addresses), forward.MaxUpstreams)]
}
