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

// Reasons for a SERVFAIL or REFUSED that no upstream sent.
var (
	ErrNoUpstream = errors.New("no upstream for this name")
	ErrCutOff     = errors.New("every upstream sends questions back to this server")
	ErrAllDown    = errors.New("every upstream is down")
	ErrTooMany    = errors.New("too many questions wait for upstreams")
	ErrLoop       = errors.New("a question of this server to find loops")
	errStopped    = errors.New("the forwarder has stopped")
)

// Result describes where a reply came from.
type Result struct {
	Source cluster.DNSSource
	// Upstream is the upstream that was asked, the last one if there were several, and RTT how long it took to answer.
	Upstream string
	RTT      time.Duration
}

// Exchange answers the question of r, which came over proto, "udp" or "tcp". It takes 4.5 seconds at most, because
// resolvers give up after five.
//
// If r has exactly one question there is always a reply: the error then says why it is SERVFAIL or REFUSED, for a log.
// The caller owns the reply, which repeats id, question and spelling of r, may be longer than the client's limit, and
// has no OPT record.
func (f *Forwarder) Exchange(ctx context.Context, r *dns.Msg, proto string) (*dns.Msg, Result, error) {
	if len(r.Question) != 1 {
		return nil, Result{}, fmt.Errorf("forward a message with %d questions", len(r.Question))
	}
	if f.IsProbe(r.Question[0].Name) {
		// A denial is final for every resolver on the way; another error could make them ask again.
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

// AppendCached appends the answer to q to dst if it is in the cache and at most limit bytes long. Otherwise it returns
// dst and false, and Exchange has to be called. It does not block, and does not allocate if dst has enough capacity.
func (f *Forwarder) AppendCached(dst []byte, q *wire.Query, limit int, now time.Time) (out []byte, ok bool) {
	return f.cache.Append(dst, q, limit, now)
}

// Flush empties the cache and returns the number of answers in it.
func (f *Forwarder) Flush() int { return f.cache.Flush() }

// fromUpstream waits for the upstreams' answer. With an old answer, it neither waits long nor fails.
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
	// The flight of the first client keeps the slot, even if the client does not wait for its end.
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

// hold keeps the upstreams that just failed from being asked the same question for a moment.
func (f *Forwarder) hold(old *cache.Answer) {
	if old != nil {
		f.cache.Hold(old, f.now().Add(f.limits.hold))
	}
}

// otherwise answers without an upstream: from the cache, or with an error.
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

// decode reads a composed answer. Each client gets a copy, which is simpler than sharing one that must not be changed.
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

// queryOf converts the question into the form of the fast path.
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
