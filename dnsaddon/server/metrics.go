package server

import (
	"net/netip"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"

	"bonsai/dnsaddon/forward"
	"bonsai/dnsaddon/forward/cache"
)

// collector exports to Prometheus what the server, the forwarders and the cache have counted, under CoreDNS's names, so
// that its dashboards and alerts work. Everything is summed up on request.
type collector struct {
	server *Server
	all    []*prometheus.Desc

	requests, do, responses, duration, requestSize, responseSize *prometheus.Desc
	dropped, foreign, malformed                                  *prometheus.Desc
	panics, build                                                *prometheus.Desc
	cacheEntries, cacheHits, cacheMisses, cacheRequests          *prometheus.Desc
	cacheEvictions, cacheStale                                   *prometheus.Desc
	forwardRejects, forwardBroken                                *prometheus.Desc
	proxyDuration, proxyHealth, proxyReused, proxyDialed         *prometheus.Desc
}

func newCollector(s *Server) *collector {
	var all []*prometheus.Desc
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		d := prometheus.NewDesc("coredns_"+name, help, labels, nil)
		all = append(all, d)
		return d
	}
	c := &collector{
		server: s,

		requests:     desc("dns_requests_total", "Answered questions.", "server", "zone", "view", "proto", "family", "type"),
		do:           desc("dns_do_requests_total", "Answered questions with the DO bit.", "server", "zone", "view"),
		responses:    desc("dns_responses_total", "Answers by rcode.", "server", "zone", "view", "rcode", "plugin"),
		duration:     desc("dns_request_duration_seconds", "Time from a question to its answer.", "server", "zone", "view"),
		requestSize:  desc("dns_request_size_bytes", "Size of answered questions.", "server", "zone", "view", "proto"),
		responseSize: desc("dns_response_size_bytes", "Size of answers.", "server", "zone", "view", "proto"),
		dropped:      desc("shed_dropped_total", "Questions that were dropped under load, or REFUSED over TCP.", "server", "reason"),
		foreign:      desc("acl_dropped_requests_total", "Messages and connections from sources that get no answers.", "server", "zone", "view"),
		malformed:    desc("dns_malformed_requests_total", "Messages that cannot be answered: no header, too long, or an answer themselves.", "server"),
		panics:       desc("panics_total", "Questions that ended in a panic."),
		build:        desc("build_info", "The version of the server.", "version", "revision", "goversion"),

		cacheEntries:   desc("cache_entries", "Answers in the cache.", "server", "type", "zones", "view"),
		cacheHits:      desc("cache_hits_total", "Questions answered from the cache.", "server", "type", "zones", "view"),
		cacheMisses:    desc("cache_misses_total", "Questions that the cache could not answer.", "server", "zones", "view"),
		cacheRequests:  desc("cache_requests_total", "Questions to the cache.", "server", "zones", "view"),
		cacheEvictions: desc("cache_evictions_total", "Answers that were evicted.", "server", "type", "zones", "view"),
		cacheStale:     desc("cache_served_stale_total", "Expired answers that were served because no upstream answered.", "server", "zones", "view"),

		forwardRejects: desc("forward_max_concurrent_rejects_total", "Questions refused because too many waited for upstreams."),
		forwardBroken:  desc("forward_healthcheck_broken_total", "Questions that came while all upstreams of their zone were down."),
		proxyDuration:  desc("proxy_request_duration_seconds", "Time that upstreams took to reply.", "proxy_name", "to", "rcode"),
		proxyHealth:    desc("proxy_healthcheck_failures_total", "Failed health checks of upstreams.", "proxy_name", "to"),
		proxyReused:    desc("proxy_conn_cache_hits_total", "Questions over a connection that was open.", "proxy_name", "to", "proto"),
		proxyDialed:    desc("proxy_conn_cache_misses_total", "Questions that needed a new connection.", "proxy_name", "to", "proto"),
	}
	c.all = all
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.all {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s := c.server
	out <- prometheus.MustNewConstMetric(c.panics, prometheus.CounterValue, float64(s.panics.Load()))
	version, revision := buildVersion()
	out <- prometheus.MustNewConstMetric(c.build, prometheus.GaugeValue, 1, version, revision, runtime.Version())
	for _, l := range s.listeners {
		c.collectListener(out, l)
	}
	// A view may have its own forwarder. Where CoreDNS's metric has no label for that, it is one number for all.
	var refused, broken uint64
	names := map[Forwarder]string{s.opts.NodeForward: "node", s.opts.Forward: "forward"}
	for _, l := range s.listeners {
		name, ok := names[l.forward]
		if !ok {
			continue // collected with an earlier listener, whose address is in the cache's labels
		}
		delete(names, l.forward)
		st := l.forward.Stats()
		refused, broken = refused+st.Refused, broken+st.Broken
		c.collectCache(out, serverLabel(l.addr), st.Cache)
		c.collectUpstreams(out, name, st.Upstreams)
	}
	out <- prometheus.MustNewConstMetric(c.forwardRejects, prometheus.CounterValue, float64(refused))
	out <- prometheus.MustNewConstMetric(c.forwardBroken, prometheus.CounterValue, float64(broken))
}

func serverLabel(addr netip.AddrPort) string { return "dns://" + addr.String() }

func (c *collector) collectListener(out chan<- prometheus.Metric, l *listener) {
	const zone, view = ".", ""
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	var sum counters
	l.sum(&sum)
	server := serverLabel(l.addr)
	protos, families := [...]string{"udp", "tcp"}, [...]string{"1", "2"}
	for p, proto := range protos {
		for fam, byType := range sum.requests[p] {
			for t, n := range byType {
				if n > 0 {
					counter(c.requests, n, server, zone, view, proto, families[fam], typeNames()[t])
				}
			}
		}
		out <- sum.size[p].metric(c.requestSize, server, zone, view, proto)
		out <- sum.reply[p].metric(c.responseSize, server, zone, view, proto)
	}
	for rcode, bySource := range sum.responses {
		byPlugin := map[string]uint64{}
		for source, n := range bySource {
			byPlugin[pluginNames()[source]] += n
		}
		for plugin, n := range byPlugin {
			if n > 0 {
				counter(c.responses, n, server, zone, view, rcodeName(rcode), plugin)
			}
		}
	}
	counter(c.do, sum.do, server, zone, view)
	out <- sum.duration.metric(c.duration, server, zone, view)
	counter(c.foreign, l.drops.foreign.Load(), server, zone, view)
	counter(c.malformed, l.drops.malformed.Load(), server)
	for why := range dropReasons {
		counter(c.dropped, l.drops.byReason[why].Load(), server, why.String())
	}
}

func (c *collector) collectCache(out chan<- prometheus.Metric, server string, st cache.Stats) {
	const zones, view = ".", ""
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	var hits uint64
	for kind, name := range map[cache.Kind]string{cache.Success: "success", cache.Denial: "denial"} {
		hits += st.Hits[kind]
		out <- prometheus.MustNewConstMetric(c.cacheEntries, prometheus.GaugeValue, float64(st.Entries[kind]), server, name, zones, view)
		counter(c.cacheHits, st.Hits[kind], server, name, zones, view)
		counter(c.cacheEvictions, st.Evictions[kind], server, name, zones, view)
	}
	counter(c.cacheMisses, st.Misses, server, zones, view)
	counter(c.cacheRequests, st.Misses+hits, server, zones, view)
	counter(c.cacheStale, st.Stale, server, zones, view)
}

// collectUpstreams adds up the counters of an upstream for several zones, which CoreDNS does not distinguish.
func (c *collector) collectUpstreams(out chan<- prometheus.Metric, name string, list []forward.UpstreamStats) {
	type key struct{ address, rcode string }
	replies := map[key]forward.Histogram{}
	sums := map[string]forward.UpstreamStats{}
	for _, u := range list {
		sum := sums[u.Address]
		sum.HealthFailures += u.HealthFailures
		sum.Reused += u.Reused
		sum.Dialed += u.Dialed
		sums[u.Address] = sum
		for rcode, h := range u.Replies {
			k := key{u.Address, rcode}
			total := replies[k]
			if total.Buckets == nil {
				total.Buckets = map[float64]uint64{}
			}
			total.Count += h.Count
			total.Sum += h.Sum
			for bound, n := range h.Buckets {
				total.Buckets[bound] += n
			}
			replies[k] = total
		}
	}
	for k, h := range replies {
		out <- prometheus.MustNewConstHistogram(c.proxyDuration, h.Count, h.Sum, h.Buckets, name, k.address, k.rcode)
	}
	for address, u := range sums {
		counter := func(d *prometheus.Desc, n uint64, labels ...string) {
			out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), append([]string{name, address}, labels...)...)
		}
		counter(c.proxyHealth, u.HealthFailures)
		counter(c.proxyReused, u.Reused, "tcp")
		counter(c.proxyDialed, u.Dialed, "tcp")
	}
}

func (d *durations) metric(desc *prometheus.Desc, labels ...string) prometheus.Metric {
	buckets := make(map[float64]uint64, durationBuckets)
	count, bound := uint64(0), firstDuration.Seconds()
	for _, n := range d.buckets[:durationBuckets] {
		count += n
		buckets[bound] = count
		bound *= 2
	}
	return prometheus.MustNewConstHistogram(desc, count+d.buckets[durationBuckets], d.sum.Seconds(), buckets, labels...)
}

func (s *sizes) metric(desc *prometheus.Desc, labels ...string) prometheus.Metric {
	buckets := make(map[float64]uint64, len(s.buckets)-1)
	count := uint64(0)
	for i, bound := range sizeBounds() {
		count += s.buckets[i]
		buckets[float64(bound)] = count
	}
	return prometheus.MustNewConstHistogram(desc, count+s.buckets[len(s.buckets)-1], float64(s.sum), buckets, labels...)
}

// buildVersion returns the build information of the executable.
func buildVersion() (version, revision string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "", ""
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			revision = setting.Value
		}
	}
	return info.Main.Version, revision
}
