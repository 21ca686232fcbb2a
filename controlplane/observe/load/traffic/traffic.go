// Package traffic counts the requests between components: the clients of the API server, and its requests to etcd.
//
// Upstream's metrics are not enough: apiserver_request_total does not know the client, and
// etcd_request_duration_seconds counts everything below five milliseconds as one, which here is everything. So each of
// the two servers has a filter around it that adds to a few counters, without locks, in less than a microsecond a
// request. Begin reading at Counters.
package traffic

import (
	"sync/atomic"
	"time"

	"bonsai/bootstrap/cluster"
)

// Counters count since the process began. They are safe for concurrent use.
type Counters struct {
	callers  [callers]link
	etcd     link
	watches  atomic.Int64
	inflight atomic.Int64
}

// caller is a client of the API server.
type caller int

const (
	clients caller = iota // kubectl and everything else
	kubelet
	scheduler
	controllerManager
	apiServer // itself, and everything else that uses its loopback client
	callers
)

const apiServerName = "kube-apiserver"

// names are those of cluster.Link.
var names = [callers]string{"clients", "kubelet", "kube-scheduler", "kube-controller-manager", apiServerName}

// link counts requests from one component to another.
type link struct {
	begun, failed atomic.Uint64
	latency       [buckets]atomic.Uint64
}

// end counts a request that was answered.
func (l *link) end(took time.Duration, failed bool) {
	l.latency[bucket(took)].Add(1)
	if failed {
		l.failed.Add(1)
	}
}

// Reading holds the counters at one moment.
type Reading struct {
	links []linkReading
	// Watches are open watch requests, Inflight other requests that are being served.
	Watches, Inflight int
}

type linkReading struct {
	from, to      string
	begun, failed uint64
	latency       [buckets]uint64
}

// Read reads all counters.
func (c *Counters) Read() Reading {
	r := Reading{Watches: int(c.watches.Load()), Inflight: int(c.inflight.Load())}
	for i := range c.callers {
		r.links = append(r.links, c.callers[i].read(names[i], apiServerName))
	}
	r.links = append(r.links, c.etcd.read(apiServerName, "etcd"))
	return r
}

func (l *link) read(from, to string) linkReading {
	r := linkReading{from: from, to: to, begun: l.begun.Load(), failed: l.failed.Load()}
	for i := range l.latency {
		r.latency[i] = l.latency[i].Load()
	}
	return r
}

// Between computes figures from two readings that are span apart.
func Between(before, after Reading, span time.Duration) []cluster.Link {
	links := make([]cluster.Link, len(after.links))
	for i, now := range after.links {
		past := before.links[i]
		var counts [buckets]uint64
		for b := range counts {
			counts[b] = now.latency[b] - past.latency[b]
		}
		links[i] = cluster.Link{
			From: now.from, To: now.to, Rate: float64(now.begun-past.begun) / span.Seconds(),
			Errors: float64(now.failed-past.failed) / span.Seconds(),
			P50:    quantile(&counts, 0.5), P99: quantile(&counts, 0.99),
		}
	}
	return links
}
