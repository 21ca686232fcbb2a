package dnsaddon

import (
	"context"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"bonsai/bootstrap/cluster"
	"bonsai/dnsaddon/api"
)

// Status returns everything about the server that does not change with each question.
func (d *DNS) Status() cluster.DNSStatus {
	d.mu.Lock()
	s := cluster.DNSStatus{
		Node: d.cfg.Node, Phase: d.health.Phase, Reason: d.health.Reason, Since: d.since, Domain: d.cfg.Domain,
		Config: slices.Clone(d.sources), Problems: slices.Concat(d.problems, d.wildcards), Omitted: slices.Clone(d.omitted),
		Upstreams: []cluster.DNSUpstream{}, Queries: map[string]uint64{},
	}
	d.mu.Unlock()
	r := d.up.Load()
	if r == nil {
		return s
	}
	s.Search = slices.DeleteFunc(slices.Clone(r.search), func(domain string) bool { return slices.Contains(s.Omitted, domain) })
	for _, l := range r.server.Listening() {
		s.Listen = append(s.Listen, l.String())
	}
	s.Records = r.store.Records()
	s.Upstreams, s.Cache = r.forward.Status()
	s.Queries = r.server.Queries()
	return s
}

// Lookup answers a question step by step, as a pod's resolver would ask it.
func (d *DNS) Lookup(ctx context.Context, q cluster.DNSLookup) cluster.DNSLookupResult {
	r := d.up.Load()
	if r == nil {
		return cluster.DNSLookupResult{Node: d.cfg.Node, Steps: []cluster.DNSStep{{
			Name: q.Name, Type: q.Type, Rcode: dns.RcodeToString[dns.RcodeServerFailure], Source: cluster.DNSRefused,
			Rule: "the DNS server of this node is not running",
		}}}
	}
	result := r.server.Lookup(ctx, q)
	result.Node = d.cfg.Node
	return result
}

// Flush removes the cached answers of upstreams and returns their number.
func (d *DNS) Flush() int {
	r := d.up.Load()
	if r == nil {
		return 0
	}
	return r.forward.Flush() + r.node.Flush()
}

// Subscribe is feed.Feed's.
func (d *DNS) Subscribe(ctx context.Context, fold bool, send func(cluster.DNSQuery) error) error {
	return d.feed.Subscribe(ctx, fold, send)
}

// Health returns the server's health, and a channel that is closed when it changes.
func (d *DNS) Health() (api.Health, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.health, d.changed
}

func (d *DNS) setHealth(h api.Health) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.health == h {
		return
	}
	if d.health.Phase != h.Phase {
		d.since = time.Now()
	}
	d.health = h
	close(d.changed)
	d.changed = make(chan struct{})
}

// readResolvConf returns the resolvers of a resolv.conf, as "address:port", and its search domains.
func readResolvConf(path string) (upstreams, search []string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	config, err := dns.ClientConfigFromReader(f)
	if err != nil {
		return nil, nil, err
	}
	for _, server := range config.Servers {
		// A zone after the address ("fe80::1%eth0") is part of it.
		if _, err := netip.ParseAddr(strings.TrimSpace(server)); err == nil {
			upstreams = append(upstreams, net.JoinHostPort(server, config.Port))
		}
	}
	return upstreams, config.Search, nil
}
