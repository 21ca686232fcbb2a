package forward

import (
	"sync/atomic"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/dnsaddon/forward/cache"

	"github.com/miekg/dns"
)

// The latency buckets double from a quarter of a millisecond to eight seconds, as in CoreDNS, so that its dashboards
// work.
const (
	firstBucket = 250 * time.Microsecond
	buckets     = 16
)

// countedRcodes are counted separately, up to REFUSED; the last slot is for all others.
const countedRcodes = dns.RcodeRefused + 2

// Stats is read by a metrics collector.
type Stats struct {
	Upstreams []UpstreamStats
	Cache     cache.Stats
	// Refused counts questions beyond MaxConcurrent, Broken those that came while every upstream of the zone was down.
	Refused, Broken uint64
}

// UpstreamStats counts what one upstream did.
type UpstreamStats struct {
	Zone, Address string
	// Replies are by rcode ("NOERROR"; "other" for rare ones), with their latency.
	Replies map[string]Histogram
	// Failures are questions without a reply, HealthFailures those among the health checks, which no other counter
	// includes.
	Failures, HealthFailures uint64
	// Strays are messages that were not the reply to the question: late, forged, or malformed.
	Strays uint64
	// Reused and Dialed count questions over TCP connections by whether the connection was open already.
	Reused, Dialed uint64
}

// Histogram is of durations in seconds. Buckets are cumulative, by upper bound, without the infinite one.
type Histogram struct {
	Count   uint64
	Sum     float64
	Buckets map[float64]uint64
}

// Stats reads all counters. Those of an upstream are reset when it is removed from the configuration.
func (f *Forwarder) Stats() Stats {
	st := Stats{Cache: f.cache.Stats()}
	for _, z := range f.table.Load().zones {
		st.Refused += z.refused.Load()
		st.Broken += z.broken.Load()
		for _, u := range z.upstreams {
			st.Upstreams = append(st.Upstreams, u.stats.read(z.Name, u.name))
		}
	}
	return st
}

// Status describes all upstreams, ordered by zone, and the cache.
func (f *Forwarder) Status() ([]cluster.DNSUpstream, cluster.DNSCache) {
	var upstreams []cluster.DNSUpstream
	for _, z := range f.table.Load().zones {
		for _, u := range z.upstreams {
			upstreams = append(upstreams, u.status(z))
		}
	}
	st := f.cache.Stats()
	return upstreams, cluster.DNSCache{
		Entries:  int(st.Entries[cache.Success] + st.Entries[cache.Denial]),
		Capacity: int(st.Capacity[cache.Success] + st.Capacity[cache.Denial]),
		Hits:     st.Hits[cache.Success] + st.Hits[cache.Denial],
		Misses:   st.Misses,
		Stale:    st.Stale,
	}
}

// upstreamStats are the counters of one upstream.
type upstreamStats struct {
	replies                                          [countedRcodes]histogram
	failures, healthFailures, strays, reused, dialed atomic.Uint64
	latency                                          atomic.Int64 // smoothed
}

type histogram struct {
	counts [buckets + 1]atomic.Uint64 // the last is above all bounds
	sum    atomic.Int64
}

func (s *upstreamStats) reply(rcode int, took time.Duration) {
	h := &s.replies[min(rcode, countedRcodes-1)]
	i, bound := 0, firstBucket
	for i < buckets && took > bound {
		i, bound = i+1, bound*2
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(took))
	// Losing one of two simultaneous updates does not matter to an average.
	old := s.latency.Load()
	if old == 0 {
		old = int64(took)
	}
	s.latency.Store(old + (int64(took)-old)/8)
}

func (s *upstreamStats) requests() uint64 {
	n := s.failures.Load()
	for i := range s.replies {
		for j := range s.replies[i].counts {
			n += s.replies[i].counts[j].Load()
		}
	}
	return n
}

func (s *upstreamStats) read(zone, address string) UpstreamStats {
	st := UpstreamStats{
		Zone: zone, Address: address, Replies: map[string]Histogram{},
		Failures: s.failures.Load(), HealthFailures: s.healthFailures.Load(), Strays: s.strays.Load(),
		Reused: s.reused.Load(), Dialed: s.dialed.Load(),
	}
	for rcode := range s.replies {
		h := &s.replies[rcode]
		out := Histogram{Buckets: map[float64]uint64{}, Sum: time.Duration(h.sum.Load()).Seconds()}
		bound := firstBucket
		for i := range buckets {
			out.Count += h.counts[i].Load()
			out.Buckets[bound.Seconds()] = out.Count
			bound *= 2
		}
		out.Count += h.counts[buckets].Load()
		name := dns.RcodeToString[rcode]
		if rcode == countedRcodes-1 {
			name = "other"
		}
		if out.Count > 0 {
			st.Replies[name] = out
		}
	}
	return st
}
