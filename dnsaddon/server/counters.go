package server

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"bonsai/bootstrap/cluster"
)

// dropReason says why a message got no answer, or only REFUSED.
type dropReason uint8

const (
	dropSource   dropReason = iota // the client already has too many questions on the slow path
	dropOverload                   // all clients together have
	dropStale                      // it waited too long for the slow path
	dropClosing                    // the server is stopping
	dropFull                       // the socket's send buffer was full, or the client is unreachable
	dropClients                    // too many TCP connections
	dropReasons
)

func (d dropReason) String() string {
	return [dropReasons]string{"source", "overload", "stale", "closing", "send", "connections"}[d]
}

// These types are counted separately, as in CoreDNS; all others are one.
const (
	countedTypes  = 20
	countedRcodes = 24
	sources       = 7
)

// countedType maps a type to its slot; the names are in typeNames.
func countedType(qtype uint16) int {
	switch qtype {
	case dns.TypeA:
		return 0
	case dns.TypeAAAA:
		return 1
	case dns.TypeSRV:
		return 2
	case dns.TypePTR:
		return 3
	case dns.TypeHTTPS:
		return 4
	case dns.TypeCNAME:
		return 5
	case dns.TypeTXT:
		return 6
	case dns.TypeSVCB:
		return 7
	case dns.TypeNS:
		return 8
	case dns.TypeSOA:
		return 9
	case dns.TypeMX:
		return 10
	case dns.TypeDS:
		return 11
	case dns.TypeDNSKEY:
		return 12
	case dns.TypeNSEC:
		return 13
	case dns.TypeNSEC3:
		return 14
	case dns.TypeRRSIG:
		return 15
	case dns.TypeANY:
		return 16
	case dns.TypeAXFR:
		return 17
	case dns.TypeIXFR:
		return 18
	}
	return countedTypes - 1
}

func typeNames() [countedTypes]string {
	return [...]string{"A", "AAAA", "SRV", "PTR", "HTTPS", "CNAME", "TXT", "SVCB", "NS", "SOA", "MX", "DS", "DNSKEY",
		"NSEC", "NSEC3", "RRSIG", "ANY", "AXFR", "IXFR", "other"}
}

// sourceSlot maps where an answer came from to its slot; the names are in pluginNames.
func sourceSlot(s cluster.DNSSource) int {
	switch s {
	case cluster.DNSFromCluster:
		return 0
	case cluster.DNSFromCache:
		return 1
	case cluster.DNSFromStale:
		return 2
	case cluster.DNSFromForward:
		return 3
	case cluster.DNSFromLocal:
		return 4
	case cluster.DNSRefused:
		return 5
	}
	return sources - 1
}

// pluginNames are the plugins that would have given these answers in CoreDNS.
func pluginNames() [sources]string {
	return [...]string{"kubernetes", "cache", "cache", "forward", "hosts", "", ""}
}

// event is what is counted for one answered question.
type event struct {
	tcp, ipv6, do bool
	qtype         uint16
	rcode         int
	source        cluster.DNSSource
	size, reply   int // in bytes
}

// counters count the work of one socket's reader, or all slow answers of a listener. They are plain numbers under a
// lock that is taken once per batch: cheaper than an atomic each, and only the collector contends for it.
type counters struct {
	mu        sync.Mutex // guards what follows
	requests  [2][2][countedTypes]uint64
	responses [countedRcodes][sources]uint64
	do        uint64
	duration  durations
	size      [2]sizes
	reply     [2]sizes
}

// add counts answers, each of which took this long.
func (c *counters) add(took time.Duration, events ...event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.duration.add(took, uint64(len(events)))
	for i := range events {
		e := &events[i]
		proto, family := 0, 0
		if e.tcp {
			proto = 1
		}
		if e.ipv6 {
			family = 1
		}
		if e.do {
			c.do++
		}
		c.requests[proto][family][countedType(e.qtype)]++
		c.responses[min(e.rcode, countedRcodes-1)][sourceSlot(e.source)]++
		c.size[proto].add(e.size)
		c.reply[proto].add(e.reply)
	}
}

// addTo adds all counts to sum, which nothing else uses.
func (c *counters) addTo(sum *counters) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range c.requests {
		for f := range c.requests[p] {
			for t, n := range c.requests[p][f] {
				sum.requests[p][f][t] += n
			}
		}
		sum.size[p].merge(&c.size[p])
		sum.reply[p].merge(&c.reply[p])
	}
	for r := range c.responses {
		for s, n := range c.responses[r] {
			sum.responses[r][s] += n
		}
	}
	sum.do += c.do
	sum.duration.merge(&c.duration)
}

// The latency buckets double from a quarter of a millisecond to eight seconds, as in CoreDNS.
const (
	firstDuration   = 250 * time.Microsecond
	durationBuckets = 16
)

type durations struct {
	buckets [durationBuckets + 1]uint64 // the last is above all bounds
	sum     time.Duration
}

func (d *durations) add(took time.Duration, n uint64) {
	i, bound := 0, firstDuration
	for i < durationBuckets && took > bound {
		i, bound = i+1, bound*2
	}
	d.buckets[i] += n
	d.sum += took * time.Duration(n)
}

func (d *durations) merge(o *durations) {
	for i, n := range o.buckets {
		d.buckets[i] += n
	}
	d.sum += o.sum
}

// sizeBounds are CoreDNS's.
func sizeBounds() [14]int {
	return [...]int{0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16e3, 32e3, 48e3, 64e3}
}

type sizes struct {
	buckets [15]uint64
	sum     uint64
}

func (s *sizes) add(size int) {
	i := 0
	for bounds := sizeBounds(); i < len(bounds) && size > bounds[i]; {
		i++
	}
	s.buckets[i]++
	s.sum += uint64(size)
}

func (s *sizes) merge(o *sizes) {
	for i, n := range o.buckets {
		s.buckets[i] += n
	}
	s.sum += o.sum
}

// drops count messages that got no answer. They are rare, or an attack, in which case our own speed does not matter.
type drops struct {
	foreign   atomic.Uint64 // not from an allowed source
	malformed atomic.Uint64 // no header, or a response
	byReason  [dropReasons]atomic.Uint64
}

func (d *drops) add(why dropReason, n int) {
	if n > 0 {
		d.byReason[why].Add(uint64(n))
	}
}
