package dnsaddon

import (
	"context"
	"slices"
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
		Config: slices.Clone(d.sources), Problems: slices.Concat(d.problems, d.resolver, d.wildcards), Omitted: slices.Clone(d.omitted),
		Upstreams: []cluster.DNSUpstream{}, Queries: map[string]uint64{},
	}
	r := d.up.Load()
	var search []string
	if r != nil {
		search = slices.Clone(r.search)
	}
	d.mu.Unlock()
	if r == nil {
		return s
	}
	s.Search = slices.DeleteFunc(search, func(domain string) bool { return slices.Contains(s.Omitted, domain) })
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
