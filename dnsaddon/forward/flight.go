package forward

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/dnsaddon/forward/cache"
	"bonsai/dnsaddon/wire"

	"github.com/miekg/dns"
)

// flightKey identifies identical questions. Questions without recursion get a different answer, and one that was
// truncated over UDP cannot be used for TCP.
type flightKey struct {
	zone            uint32
	name            string
	qtype           uint16
	do, cd, rd, tcp bool
}

// flight is a question under way, shared by all that wait for its answer. The other fields are set before done is
// closed.
type flight struct {
	done   chan struct{}
	answer *cache.Answer
	result Result
	err    error
}

// join waits for an identical question, or starts q, in which case leads is true. It returns nil after the end.
func (f *Forwarder) join(z *zone, q *wire.Query, tcp bool) (fl *flight, leads bool) {
	key := flightKey{z.id, string(q.Folded), q.Type, q.DO, q.CD, q.RD, tcp}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return nil, false
	}
	if fl := f.flights[key]; fl != nil {
		return fl, false
	}
	fl = &flight{done: make(chan struct{})}
	f.flights[key] = fl
	f.work.Go(func() {
		defer z.done()
		f.fly(fl, z, q, tcp)
		f.mu.Lock()
		delete(f.flights, key)
		f.mu.Unlock()
		close(fl.done)
	})
	return fl, true
}

// fly asks and caches the answer. The answer is in the cache before the flight ends, so that no identical question
// slips through in between.
func (f *Forwarder) fly(fl *flight, z *zone, q *wire.Query, tcp bool) {
	ctx, cancel := context.WithTimeout(f.base, f.limits.question)
	defer cancel()
	fl.result.Source = cluster.DNSFromForward
	m, err := f.resolve(ctx, z, q, tcp, &fl.result)
	if err != nil {
		fl.err = err
		return
	}
	now := f.now()
	fl.answer, fl.err = cache.NewAnswer(m, q, z.Cache, now)
	if fl.err == nil && q.RD {
		f.cache.Put(fl.answer, z.id, now)
	}
}

// resolve asks one upstream after the other until one answers. An upstream that timed out may be asked again, because a
// datagram can be lost; one that failed at once may not.
func (f *Forwarder) resolve(ctx context.Context, z *zone, q *wire.Query, tcp bool, res *Result) (*dns.Msg, error) {
	var buf [MaxUpstreams]*upstream
	rest, allDown := z.order(buf[:])
	if len(rest) == 0 {
		return nil, ErrCutOff
	}
	limit := z.ReadTimeout
	if allDown {
		z.broken.Add(1)
		if z.FailFast {
			return nil, ErrAllDown
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.limits.allDown)
		defer cancel()
	}
	var last *dns.Msg
	var lastErr error
	for len(rest) > 0 {
		again := rest[:0]
		for _, u := range rest {
			if ctx.Err() != nil {
				break
			}
			res.Upstream = u.name
			start := time.Now()
			m, err := f.attempt(ctx, z, u, q, manner{tcp: tcp, force: z.ForceTCP, limit: limit, expire: z.Expire})
			res.RTT = time.Since(start)
			if err != nil {
				lastErr = fmt.Errorf("ask upstream %s: %w", u.name, err)
				if isTimeout(err) {
					again = append(again, u)
				}
				continue
			}
			if !slices.Contains(z.Failover, m.Rcode) {
				return m, nil
			}
			last = m
		}
		if last != nil {
			return last, nil
		}
		rest = again
	}
	if lastErr == nil {
		lastErr = ctx.Err()
	}
	return nil, lastErr
}

// attempt asks one upstream, again over TCP if its reply is truncated and without EDNS if it does not understand that,
// and records its health.
func (f *Forwarder) attempt(ctx context.Context, z *zone, u *upstream, q *wire.Query, how manner) (*dns.Msg, error) {
	start := time.Now()
	how.edns = start.UnixNano() >= u.plainUntil.Load()
	m, err := f.askWhole(ctx, u, q, how)
	if err == nil && how.edns {
		if u.mayLackEDNS(m) {
			m = f.askPlain(ctx, u, q, how, m)
		} else if m.Rcode == dns.RcodeSuccess || m.Rcode == dns.RcodeNameError {
			u.ednsWorks.Store(true)
		}
	}
	took := time.Since(start)
	if err == nil {
		u.stats.reply(m.Rcode, took)
		f.answered(z, u)
		return m, nil
	}
	// Neither the end of this process nor a shorter limit is the upstream's fault.
	if f.base.Err() != nil || isTimeout(err) && took < how.limit || ours(err) {
		return nil, err
	}
	u.stats.failures.Add(1)
	f.failed(z, u, err)
	return nil, err
}

// askWhole requests the complete answer, with both transports if necessary. Not every upstream can be reached over TCP,
// even if it listens: Docker's resolver, for example, forwards such questions over TCP, even if that does not work.
func (f *Forwarder) askWhole(ctx context.Context, u *upstream, q *wire.Query, how manner) (*dns.Msg, error) {
	wanted, lacking := how.tcp, time.Now().UnixNano() < u.noTCPUntil.Load()
	var tcpErr error
	if wanted && (how.force || !lacking) {
		first := how
		if !how.force {
			first.limit /= 2 // the other half is for UDP
		}
		m, err := f.ask(ctx, u, q, first)
		if err == nil || how.force || ctx.Err() != nil {
			return m, err
		}
		tcpErr, how.limit = err, how.limit/2
	}
	how.tcp = false
	m, err := f.ask(ctx, u, q, how)
	if err != nil {
		return nil, cmp.Or(tcpErr, err)
	}
	if tcpErr != nil {
		f.lacksTCP(u, tcpErr)
		return m, nil
	}
	// A partial answer is enough for a client that can ask again over TCP, and will then make us try again.
	if !m.Truncated || lacking && !wanted {
		return m, nil
	}
	how.tcp = true
	whole, err := f.ask(ctx, u, q, how)
	if err != nil {
		f.lacksTCP(u, err)
		return m, nil
	}
	u.noTCPUntil.Store(0)
	return whole, nil
}

// lacksTCP records that an upstream answered only over UDP.
func (f *Forwarder) lacksTCP(u *upstream, err error) {
	if u.noTCPUntil.Swap(time.Now().Add(lackFor).UnixNano()) == 0 {
		f.log.Info("upstream does not answer over TCP", "upstream", u.name, "err", err)
	}
}

// mayLackEDNS reports whether a reply can mean that the upstream does not understand EDNS. Old ones say FORMERR or
// NOTIMP, some forwarders turn that into SERVFAIL; from an upstream that has handled EDNS, SERVFAIL is just that.
func (u *upstream) mayLackEDNS(m *dns.Msg) bool {
	switch m.Rcode {
	case dns.RcodeFormatError, dns.RcodeNotImplemented, dns.RcodeBadVers:
		return true
	case dns.RcodeServerFailure:
		return !u.ednsWorks.Load()
	}
	return false
}

// askPlain repeats a question without EDNS and records whether that helps. If it does not, the first reply is used.
func (f *Forwarder) askPlain(ctx context.Context, u *upstream, q *wire.Query, how manner, first *dns.Msg) *dns.Msg {
	how.edns = false
	m, err := f.askWhole(ctx, u, q, how)
	if err != nil || m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		return first
	}
	u.plainUntil.Store(time.Now().Add(lackFor).UnixNano())
	f.log.Info("upstream does not understand EDNS", "upstream", u.name, "rcode", dns.RcodeToString[first.Rcode])
	return m
}
