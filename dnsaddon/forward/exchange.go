package forward

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/dnsaddon/forward/cache"
	"bonsai/dnsaddon/wire"

	"github.com/miekg/dns"
)

// The reasons for a SERVFAIL or REFUSED that no upstream sent.
var (
	ErrNoUpstream = errors.New("no upstream for this name")
	ErrCutOff     = errors.New("every upstream sends questions back to this server")
	ErrAllDown    = errors.New("every upstream is down")
	ErrTooMany    = errors.New("too many questions wait for upstreams")
	ErrLoop       = errors.New("a question of this server to find loops")
	errStopped    = errors.New("the forwarder has stopped")
)

// Result tells where a reply came from.
type Result struct {
	Source cluster.DNSSource
	// Upstream is who was asked, the last one if it was several, and RTT how long the answer of that one took.
	Upstream string
	RTT      time.Duration
}

// Exchange answers the question of r, which came over proto, "udp" or "tcp". It takes 4.5 seconds at most, since
// resolvers give up after five.
//
// If r has exactly one question there is a reply, whatever happens: the error then says why that is SERVFAIL or
// REFUSED, for a log. The reply is the caller's to change, repeats id, question and spelling of r, may be longer than
// the asker's limit, and has no OPT record.
func (f *Forwarder) Exchange(ctx context.Context, r *dns.Msg, proto string) (*dns.Msg, Result, error) {
	if len(r.Question) != 1 {
		return nil, Result{}, fmt.Errorf("forward a message with %d questions", len(r.Question))
	}
	if f.IsProbe(r.Question[0].Name) {
		// A denial ends the matter at every resolver on the way; another error could make them ask again.
		return reply(r, dns.RcodeNameError), Result{Source: cluster.DNSRefused}, ErrLoop
	}
	q, err := queryOf(r)
	if err != nil {
		return reply(r, dns.RcodeRefused), Result{Source: cluster.DNSRefused}, err
	}
	answer, state := f.cache.Get(q, f.now())
	switch state {
	case cache.Fresh:
		return f.decode(r, answer.Fresh(nil, q, f.now()), Result{Source: cluster.DNSFromCache})
	case cache.Held:
		return f.stale(r, q, answer)
	}
	z := f.table.Load().route(q.Folded)
	if z == nil || len(z.upstreams) == 0 {
		return f.otherwise(r, q, answer, Result{Source: cluster.DNSFromForward}, ErrNoUpstream)
	}
	if answer != nil && z.allDown() {
		return f.stale(r, q, answer)
	}
	return f.fromUpstream(ctx, r, q, z, z.overTCP(proto == "tcp"), answer)
}

// AppendCached composes the answer to q if it is in the cache, after dst and in at most limit bytes. Otherwise it
// returns dst and false: Exchange will know. It does not block, and does not allocate if dst has room.
func (f *Forwarder) AppendCached(dst []byte, q *wire.Query, limit int, now time.Time) (out []byte, ok bool) {
	return f.cache.Append(dst, q, limit, now)
}

// Flush empties the cache and returns how many answers were in it.
func (f *Forwarder) Flush() int { return f.cache.Flush() }

// fromUpstream waits for the upstreams' answer. If there is an old one, it neither waits for long nor fails.
func (f *Forwarder) fromUpstream(ctx context.Context, r *dns.Msg, q *wire.Query, z *zone, tcp bool, old *cache.Answer) (*dns.Msg, Result, error) {
	if !z.admit() {
		if old != nil {
			return f.stale(r, q, old)
		}
		return reply(r, dns.RcodeRefused), Result{Source: cluster.DNSRefused}, ErrTooMany
	}
	fl, leads := f.join(z, q, tcp)
	if fl == nil {
		z.done()
		return f.otherwise(r, q, old, Result{Source: cluster.DNSFromForward}, errStopped)
	}
	// The flight of the first asker keeps the place, even if the asker does not wait for its end.
	if !leads {
		defer z.done()
	}
	var patience <-chan time.Time
	if old != nil {
		t := time.NewTimer(f.limits.patience)
		defer t.Stop()
		patience = t.C
	}
	select {
	case <-fl.done:
	case <-patience:
		return f.stale(r, q, old)
	case <-ctx.Done():
		return f.otherwise(r, q, old, Result{Source: cluster.DNSFromForward}, ctx.Err())
	}
	if fl.err != nil {
		f.hold(old)
		return f.otherwise(r, q, old, fl.result, fl.err)
	}
	if old != nil && fl.answer.Rcode() != dns.RcodeSuccess && fl.answer.Rcode() != dns.RcodeNameError {
		f.hold(old)
		return f.stale(r, q, old)
	}
	return f.decode(r, fl.answer.Fresh(nil, q, f.now()), fl.result)
}

// hold spares the upstreams that just failed the same question for a moment.
func (f *Forwarder) hold(old *cache.Answer) {
	if old != nil {
		f.cache.Hold(old, f.now().Add(f.limits.hold))
	}
}

// otherwise answers without an upstream: with what the cache still has, or not at all.
func (f *Forwarder) otherwise(r *dns.Msg, q *wire.Query, old *cache.Answer, res Result, why error) (*dns.Msg, Result, error) {
	if old != nil {
		return f.stale(r, q, old)
	}
	return reply(r, dns.RcodeServerFailure), res, why
}

func (f *Forwarder) stale(r *dns.Msg, q *wire.Query, a *cache.Answer) (*dns.Msg, Result, error) {
	f.cache.ServedStale()
	return f.decode(r, a.Stale(nil, q), Result{Source: cluster.DNSFromStale})
}

// decode reads a composed answer. That each asker gets one of its own is simpler than sharing one nobody may touch.
func (f *Forwarder) decode(r *dns.Msg, msg []byte, res Result) (*dns.Msg, Result, error) {
	m := new(dns.Msg)
	if err := m.Unpack(msg); err != nil {
		return reply(r, dns.RcodeServerFailure), res, fmt.Errorf("read the answer from the cache: %w", err)
	}
	m.Compress = true
	return m, res, nil
}

// reply is an answer without records.
func reply(r *dns.Msg, rcode int) *dns.Msg {
	m := new(dns.Msg).SetRcode(r, rcode)
	m.RecursionAvailable = true
	m.CheckingDisabled = r.CheckingDisabled
	return m
}

// queryOf brings the question into the form that the fast path knows.
func queryOf(r *dns.Msg) (*wire.Query, error) {
	question := r.Question[0]
	if question.Qclass != dns.ClassINET {
		return nil, fmt.Errorf("forward a question of class %d", question.Qclass)
	}
	name := make([]byte, 256)
	n, err := dns.PackDomainName(question.Name, name, 0, nil, false)
	if err != nil {
		return nil, fmt.Errorf("forward a question for %q: %w", question.Name, err)
	}
	q := &wire.Query{
		ID: r.Id, RD: r.RecursionDesired, CD: r.CheckingDisabled, AD: r.AuthenticatedData,
		Name: name[:n], Folded: make([]byte, n), Type: question.Qtype,
	}
	fold(q.Folded, q.Name)
	if opt := r.IsEdns0(); opt != nil {
		q.DO = opt.Do()
	}
	return q, nil
}
