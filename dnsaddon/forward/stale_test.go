package forward

import (
	"sync/atomic"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"

	"github.com/miekg/dns"
)

// switched is a resolver whose behaviour a test changes.
func switched(t *testing.T) (*resolver, *atomic.Pointer[func(dns.ResponseWriter, *dns.Msg)]) {
	var now atomic.Pointer[func(dns.ResponseWriter, *dns.Msg)]
	good := answerA("192.0.2.1")
	now.Store(&good)
	return newResolver(t, func(w dns.ResponseWriter, r *dns.Msg) { (*now.Load())(w, r) }), &now
}

func TestStaleAnswerIfUpstreamIsGone(t *testing.T) {
	up := newResolver(t, nil)
	f, clock := start(t, root(up))
	lookup(t, f, "www.test.")
	up.stop()
	clock.advance(30 * time.Minute)
	began := time.Now()
	m, res := lookup(t, f, "WWW.test.")
	if address(m) != "192.0.2.1" || res.Source != cluster.DNSFromStale || m.Answer[0].Header().Ttl != 30 || m.Question[0].Name != "WWW.test." {
		t.Errorf("got %v, %+v", m, res)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("took %v", took)
	}
	if _, ok := f.AppendCached(nil, plain(t, "www.test.", dns.TypeA), 512, clock.now()); ok {
		t.Error("the fast path gives out what has expired")
	}
	if _, c := f.Status(); c.Stale != 1 {
		t.Errorf("counted %d stale answers", c.Stale)
	}
	clock.advance(time.Hour)
	if m, _ := lookup(t, f, "www.test."); m.Rcode != dns.RcodeServerFailure {
		t.Errorf("after more than an hour: %v", m)
	}
}

func TestStaleAnswerIsBetterThanAFailure(t *testing.T) {
	for _, rcode := range []int{dns.RcodeServerFailure, dns.RcodeRefused} {
		up, behaviour := switched(t)
		f, clock := start(t, root(up))
		lookup(t, f, "www.test.")
		behaviour.Store(new(answerRcode(rcode)))
		clock.advance(2 * time.Minute)
		if m, res := lookup(t, f, "www.test."); address(m) != "192.0.2.1" || res.Source != cluster.DNSFromStale {
			t.Errorf("%s: got %v, %+v", dns.RcodeToString[rcode], m, res)
		}
		// The upstream is spared for a moment, and then asked again.
		asked := len(up.questions())
		lookup(t, f, "www.test.")
		if n := len(up.questions()); n != asked {
			t.Errorf("%s: upstream was asked again at once", dns.RcodeToString[rcode])
		}
		behaviour.Store(new(answerA("192.0.2.9")))
		clock.advance(6 * time.Second)
		if m, res := lookup(t, f, "www.test."); address(m) != "192.0.2.9" || res.Source != cluster.DNSFromForward {
			t.Errorf("%s, later: got %v, %+v", dns.RcodeToString[rcode], m, res)
		}
	}
}

func TestFreshDenialReplacesAStaleAnswer(t *testing.T) {
	up, behaviour := switched(t)
	f, clock := start(t, root(up))
	lookup(t, f, "www.test.")
	behaviour.Store(new(answerRcode(dns.RcodeNameError)))
	clock.advance(2 * time.Minute)
	if m, res := lookup(t, f, "www.test."); m.Rcode != dns.RcodeNameError || res.Source != cluster.DNSFromForward {
		t.Errorf("got %v, %+v", m, res)
	}
}

func TestStaleAnswerWhileUpstreamThinks(t *testing.T) {
	up, behaviour := switched(t)
	f, clock := start(t, root(up))
	f.limits.patience = 20 * time.Millisecond
	lookup(t, f, "www.test.")
	release := make(chan struct{})
	behaviour.Store(new(func(w dns.ResponseWriter, r *dns.Msg) {
		<-release
		answerA("192.0.2.9")(w, r)
	}))
	clock.advance(2 * time.Minute)
	if m, res := lookup(t, f, "www.test."); address(m) != "192.0.2.1" || res.Source != cluster.DNSFromStale {
		t.Errorf("got %v, %+v", m, res)
	}
	close(release)
	eventually(t, "the new answer is kept", func() bool {
		out, ok := f.AppendCached(nil, plain(t, "www.test.", dns.TypeA), 512, clock.now())
		m := new(dns.Msg)
		return ok && m.Unpack(out) == nil && address(m) == "192.0.2.9"
	})
}

func TestFailureOfAnUpstreamIsKeptForAMoment(t *testing.T) {
	up, behaviour := switched(t)
	behaviour.Store(new(answerRcode(dns.RcodeServerFailure)))
	f, clock := start(t, root(up))
	lookup(t, f, "www.test.")
	asked := len(up.questions())
	if m, res := lookup(t, f, "www.test."); m.Rcode != dns.RcodeServerFailure || res.Source != cluster.DNSFromCache || len(up.questions()) != asked {
		t.Errorf("got %v, %+v", m, res)
	}
	clock.advance(5 * time.Second)
	behaviour.Store(new(answerA("192.0.2.1")))
	if m, _ := lookup(t, f, "www.test."); address(m) != "192.0.2.1" {
		t.Errorf("five seconds later: %v", m)
	}
}
