// Package server is the network side of cluster DNS: it reads questions from sockets, implements the protocol, asks
// rules, records and upstreams in turn, and answers.
//
// # Two paths
//
// Nearly all questions are plain, and their answers are in memory: names of Services, names of search paths that do not
// exist, cached external names. The goroutine that reads them from a socket answers them itself, from bytes packed
// beforehand (fast.go). Over UDP there is one socket and one such goroutine per processor, and each system call moves
// all waiting messages (mmsg.go, udp.go). All other questions go to a bounded number of workers (pool.go), where a
// complete DNS library parses the message (message.go) and a question may wait for upstreams (resolve.go). Both paths
// give the same answers; they differ only in speed.
//
// # Two views
//
// The addresses of Options.Listen answer with the cluster's names, for pods. Those of Options.NodeListen answer as the
// machine's own resolver would, for pods that request that and for the node itself; there the names of the cluster do
// not exist.
//
// # Limits
//
// Only the sources of Options.Allow get an answer. A name of the cluster is never sent to an upstream. Nothing that a
// client sends can make the server use more than a fixed amount of memory for it, wait for it longer than a fixed time,
// or end the process.
//
// Begin reading at Server.Run.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"bonsai/bootstrap/cluster"
	"bonsai/dnsaddon/forward"
	"bonsai/dnsaddon/wire"
	"bonsai/dnsaddon/zone"
)

// Forwarder asks upstreams, or its cache of their answers. *forward.Forwarder is one.
type Forwarder interface {
	// AppendCached appends the reply to q if it is cached and at most limit bytes long. It must not block or allocate.
	AppendCached(dst []byte, q *wire.Query, limit int, now time.Time) ([]byte, bool)
	// Exchange answers r. The error says why a reply is SERVFAIL or REFUSED, or why there is none.
	Exchange(ctx context.Context, r *dns.Msg, proto string) (*dns.Msg, forward.Result, error)
	// Stats are counted for metrics.
	Stats() forward.Stats
}

// Rules are the user's configuration for names, applied before the cluster's records and the upstreams are asked.
// *rules.Rules is one.
type Rules interface {
	// Plain reports whether no rule applies to a question, so that Serve would only call next. folded is the name in
	// wire form and in lower case. It is called for every question, and must not block or allocate.
	Plain(folded []byte, qtype uint16) bool
	// Serve answers q, whose name is in lower case, by a rule, or by calling next with q or with the question that a
	// rule turns it into. rule describes the rule that mattered. It may be called on many goroutines.
	Serve(q dns.Question, next func(dns.Question) *dns.Msg) (m *dns.Msg, rule string)
}

// Watcher receives the answered questions. *feed.Feed and *rules.Log are watchers.
type Watcher interface {
	// Active is called for every question and must not block. While it is false, nothing is prepared for Publish.
	Active() bool
	// Publish must not block. Neither the watcher nor the caller may change the question's slices afterwards.
	Publish(cluster.DNSQuery)
}

// Options are a server's settings.
type Options struct {
	Zone    *zone.Store
	Forward Forwarder
	// NodeForward answers the node's view; nil means Forward.
	NodeForward Forwarder
	// Feed receives the questions of both views.
	Feed Watcher

	// Listen are the addresses with the cluster's view, NodeListen those with the node's. They should be concrete: the
	// reply to a question that came to the wildcard address may leave from another address than it went to.
	Listen, NodeListen []netip.AddrPort
	// Metrics is where metrics and health are served over HTTP; nowhere if it is not valid.
	Metrics netip.AddrPort
	// Allow are the sources that get answers; there are no others, not even loopback.
	Allow []netip.Prefix
	// Except is one address within Allow that gets none.
	Except netip.Addr
	// Host is the address of host.bonsai.internal and host.docker.internal, the machine that the nodes run on. If it is
	// not valid, those names are not special.
	Host netip.Addr
	// Node is what node.bonsai.internal says. Without a name, that is not special either.
	Node Node

	Log *slog.Logger
	// Registry receives the metrics, under CoreDNS's names. It is also what Metrics serves.
	Registry *prometheus.Registry
}

// Node is the node on which a server runs. Zone may be empty.
type Node struct {
	Name, Zone string
	Address    netip.Addr
}

// Server is a DNS server. Its methods may be called from any goroutine.
type Server struct {
	opts   Options
	rules  atomic.Pointer[Rules]
	log    atomic.Pointer[Watcher]
	locals locals
	slow   *pool
	// tcpLimits are the same for all listeners; tests use smaller ones.
	tcpLimits tcpLimits
	turn      atomic.Uint32 // rotates the addresses in answers of the slow path
	panics    atomic.Uint64

	ready chan struct{}
	// listening is written before ready is closed and read afterwards.
	listeners []*listener
}

// New returns a server that does nothing yet. It registers its metrics, so there is one server per registry.
func New(opts Options) *Server {
	if opts.NodeForward == nil {
		opts.NodeForward = opts.Forward
	}
	s := &Server{
		opts:      opts,
		locals:    newLocals(opts.Host, opts.Node),
		slow:      newPool(poolLimits{maxWorkers, maxWaiting, maxPerSource, maxWait}),
		tcpLimits: defaultTCPLimits(),
		ready:     make(chan struct{}),
	}
	for _, addr := range opts.Listen {
		s.listeners = append(s.listeners, newListener(s, addr, true))
	}
	for _, addr := range opts.NodeListen {
		s.listeners = append(s.listeners, newListener(s, addr, false))
	}
	opts.Registry.MustRegister(newCollector(s))
	return s
}

// SetRules applies rules to all further questions, and sends those that are answered to log as well as to Options.Feed.
// Both may be nil. The node's view has neither.
func (s *Server) SetRules(r Rules, log Watcher) {
	s.rules.Store(nil)
	if r != nil {
		s.rules.Store(&r)
	}
	s.log.Store(nil)
	if log != nil && log.Active() {
		s.log.Store(&log)
	}
}

// Ready is closed once the server listens.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Listening returns the addresses that questions are read from, none before Ready.
func (s *Server) Listening() []netip.AddrPort {
	select {
	case <-s.ready:
	default:
		return nil
	}
	var addrs []netip.AddrPort
	for _, l := range s.listeners {
		addrs = append(addrs, l.addr)
	}
	return addrs
}

// Queries returns how many questions were answered, by rcode.
func (s *Server) Queries() map[string]uint64 {
	var sum counters
	for _, l := range s.listeners {
		l.sum(&sum)
	}
	byRcode := map[string]uint64{}
	for rcode, bySource := range sum.responses {
		for _, n := range bySource {
			if n > 0 {
				byRcode[rcodeName(rcode)] += n
			}
		}
	}
	return byRcode
}

// Run listens and answers until ctx ends, and returns when everything is closed. If it cannot listen on an address, it
// returns an error at once. Call it once.
func (s *Server) Run(ctx context.Context) (err error) {
	for _, l := range s.listeners {
		if e := l.listen(ctx); e != nil {
			err = errors.Join(err, fmt.Errorf("answer DNS questions at %s: %w", l.addr, e))
		}
	}
	web, e := s.listenHTTP(ctx)
	if err = errors.Join(err, e); err != nil {
		for _, l := range s.listeners {
			l.close()
		}
		if err = errors.Join(err, web.close()); ctx.Err() != nil {
			return nil // ctx ended before the start
		}
		return err
	}
	close(s.ready)
	var serving sync.WaitGroup
	for _, l := range s.listeners {
		l.serve(ctx, &serving)
	}
	serving.Go(func() { web.serve(ctx) })
	<-ctx.Done()
	// Readers stop first, then the questions that they have handed on, quickly because their context has ended. Only
	// then may their sockets close.
	for _, l := range s.listeners {
		l.stop()
	}
	serving.Wait()
	s.slow.close()
	for _, l := range s.listeners {
		l.close()
	}
	return nil
}

// allowed reports whether a client gets an answer.
func (s *Server) allowed(source netip.Addr) bool {
	for _, p := range s.opts.Allow {
		if p.Contains(source) {
			return source != s.opts.Except
		}
	}
	return false
}
