package forward

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"bonsai/bootstrap/cluster"
)

// lackFor is how long EDNS or TCP is not used with an upstream that does not support it.
const lackFor = 10 * time.Minute

// upstream is one server of one zone. It survives changes of the configuration that keep it in its zone.
type upstream struct {
	name    string // as in messages
	addr    netip.AddrPort
	invalid error // why name is not an address

	stats upstreamStats
	// fails counts consecutive failures, of questions and health checks.
	fails atomic.Int32
	// cut reports that the upstream leads back here.
	cut atomic.Bool
	// ednsWorks is set by the first reply that proves it; plainUntil, in nanoseconds, by one that proves the opposite,
	// and noTCPUntil likewise.
	ednsWorks              atomic.Bool
	plainUntil, noTCPUntil atomic.Int64

	// mu guards what follows.
	mu        sync.Mutex
	lastError error
	health    schedule
	loop      schedule
	idle      []idleConn
	closed    bool
}

// schedule is when something is due next; never if at is zero. busy means that it is being done.
type schedule struct {
	at   time.Time
	busy bool
}

// idleConn is a TCP connection without a question on it.
type idleConn struct {
	net.Conn
	until time.Time
}

// maxIdle limits the idle connections of one upstream.
const maxIdle = 8

func newUpstream(address string) *upstream {
	u := &upstream{name: address}
	if u.addr, u.invalid = parseUpstream(address); u.invalid == nil {
		u.name = u.addr.String()
	}
	return u
}

// usable reports whether it makes sense to ask the upstream.
func (u *upstream) usable() bool { return u.invalid == nil && !u.cut.Load() }

func (u *upstream) down(maxFails int) bool { return maxFails > 0 && int(u.fails.Load()) >= maxFails }

func (u *upstream) status(z *zone) cluster.DNSUpstream {
	s := cluster.DNSUpstream{
		Zone: z.Name, Address: u.name, Phase: cluster.PhaseRunning,
		Queries: u.stats.requests(), Failures: u.stats.failures.Load(),
		Latency: time.Duration(u.stats.latency.Load()),
	}
	switch {
	case u.invalid != nil:
		s.Phase, s.Reason = cluster.PhaseFailed, "not an address: "+u.invalid.Error()
	case u.cut.Load():
		s.Phase, s.Reason = cluster.PhaseDegraded, "cut off: it sends questions back to this server"
	case u.down(z.MaxFails):
		s.Phase, s.Reason = cluster.PhaseFailed, "does not answer"
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.lastError != nil {
			s.Reason += ": " + u.lastError.Error()
		}
	}
	return s
}

// failed counts a failure of an upstream and schedules a check.
func (f *Forwarder) failed(z *zone, u *upstream, err error) {
	u.mu.Lock()
	n := int(u.fails.Add(1))
	u.lastError = err
	now := time.Now()
	if n == 1 {
		u.health.at = now
	}
	if n == z.MaxFails {
		// The next server at that address may be a different one.
		u.ednsWorks.Store(false)
		u.loop.at = now
		f.log.Warn("upstream is down", "upstream", u.name, "zone", z.Name, "err", err)
	}
	u.mu.Unlock()
	if n == 1 || n == z.MaxFails {
		f.poke()
	}
}

// answered ends a series of failures.
func (f *Forwarder) answered(z *zone, u *upstream) {
	if u.fails.Load() == 0 {
		return
	}
	u.mu.Lock()
	n := int(u.fails.Swap(0))
	u.lastError = nil
	if !u.loop.at.IsZero() && !u.cut.Load() {
		u.loop.at = time.Now()
	}
	u.mu.Unlock()
	if z.MaxFails > 0 && n >= z.MaxFails {
		f.log.Info("upstream answers again", "upstream", u.name, "zone", z.Name)
		f.poke()
	}
}

// ours reports whether an error is this process's own, not the upstream's.
func ours(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) ||
		errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM) || errors.Is(err, syscall.EADDRNOTAVAIL)
}

// takeIdle returns the most recently used connection, nil if there is none.
func (u *upstream) takeIdle(now time.Time) net.Conn {
	u.mu.Lock()
	defer u.mu.Unlock()
	last := len(u.idle) - 1
	if last < 0 || !now.Before(u.idle[last].until) {
		return nil
	}
	c := u.idle[last].Conn
	u.idle[last] = idleConn{}
	u.idle = u.idle[:last]
	return c
}

// putIdle keeps a connection for the next question. It reports whether it is the only one, so that nothing watches it
// yet.
func (u *upstream) putIdle(c net.Conn, until time.Time) (first bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed || len(u.idle) >= maxIdle {
		_ = c.Close()
		return false
	}
	u.idle = append(u.idle, idleConn{c, until})
	return len(u.idle) == 1
}

// closeIdle closes connections that have been idle for too long and returns when the next is due. The caller holds the
// lock.
func (u *upstream) closeIdle(now time.Time) time.Time {
	n := 0
	for n < len(u.idle) && !now.Before(u.idle[n].until) {
		_ = u.idle[n].Close()
		n++
	}
	u.idle = append(u.idle[:0], u.idle[n:]...)
	if len(u.idle) == 0 {
		return time.Time{}
	}
	return u.idle[0].until
}

// close gives up the connections, now and later: the upstream was removed from the configuration, or the forwarder
// stops.
func (u *upstream) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	for _, c := range u.idle {
		_ = c.Close()
	}
	u.idle = nil
}
