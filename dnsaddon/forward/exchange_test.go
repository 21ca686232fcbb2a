package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"

	"github.com/miekg/dns"
)

// closedPort is a loopback address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().String()
}

func TestWithoutUpstreamTheAnswerIsImmediate(t *testing.T) {
	for what, zones := range map[string][]Zone{
		"no zone":        nil,
		"other zone":     {{Name: "corp.test.", Upstreams: []string{"192.0.2.1"}}},
		"no upstream":    {{Name: "."}},
		"no address":     {{Name: ".", Upstreams: []string{"dns.test"}}},
		"nobody listens": {{Name: ".", Upstreams: []string{closedPort(t), closedPort(t)}}},
		// The socket cannot even be connected: as on a machine without a network.
		"unreachable": {{Name: ".", Upstreams: []string{"[fe80::1%nosuchlink]:53"}}},
	} {
		t.Run(what, func(t *testing.T) {
			f, _ := start(t, zones...)
			began := time.Now()
			m, _, err := f.Exchange(t.Context(), question("www.test.", dns.TypeA), "udp")
			if m == nil || m.Rcode != dns.RcodeServerFailure || err == nil {
				t.Errorf("got %v, %v; want SERVFAIL and why", m, err)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestOddQuestions(t *testing.T) {
	up := newResolver(t, nil)
	f, _ := start(t, root(up))
	if m, _, err := f.Exchange(t.Context(), new(dns.Msg), "udp"); m != nil || err == nil {
		t.Errorf("no question: %v, %v", m, err)
	}
	chaos := question("www.test.", dns.TypeA)
	chaos.Question[0].Qclass = dns.ClassCHAOS
	if m, _, err := f.Exchange(t.Context(), chaos, "udp"); m == nil || m.Rcode != dns.RcodeRefused || err == nil {
		t.Errorf("class CHAOS: %v, %v", m, err)
	}
	if n := len(up.questions()); n != 0 {
		t.Errorf("upstream was asked %d times", n)
	}
}

func TestAnotherUpstreamIsAskedWhenOneFails(t *testing.T) {
	good := newResolver(t, answerA("192.0.2.2"))
	f, _ := start(t, Zone{Name: ".", Policy: Sequential, Upstreams: []string{closedPort(t), good.addr}})
	if m, res := lookup(t, f, "www.test."); address(m) != "192.0.2.2" || res.Upstream != good.addr {
		t.Errorf("got %v, %+v", m, res)
	}
	if s := phase(f, 0); s.Failures != 1 {
		t.Errorf("got %+v", s)
	}
}

func TestPolicies(t *testing.T) {
	for policy, want := range map[Policy]string{Sequential: "30 0 0", RoundRobin: "10 10 10", Random: "some", "": "some"} {
		var ups []*resolver
		for range 3 {
			ups = append(ups, newResolver(t, nil))
		}
		z := root(ups...)
		z.Policy = policy
		f, _ := start(t, z)
		for i := range 30 {
			lookup(t, f, fmt.Sprintf("n%d.test.", i))
		}
		a, b, c := len(ups[0].questions()), len(ups[1].questions()), len(ups[2].questions())
		got := fmt.Sprint(a, b, c)
		if want == "some" && a > 0 && b > 0 && c > 0 { // misses one of them in 30 once in 60000 runs
			got = want
		}
		if got != want {
			t.Errorf("%s: asked %d, %d, %d times", policy, a, b, c)
		}
	}
}

func TestFailover(t *testing.T) {
	bad, worse := newResolver(t, answerRcode(dns.RcodeServerFailure)), newResolver(t, answerRcode(dns.RcodeRefused))
	good := newResolver(t, nil)
	for _, tc := range []struct {
		failover []int
		ups      []*resolver
		want     string
	}{
		{nil, []*resolver{worse, good}, "REFUSED"},
		{[]int{dns.RcodeRefused}, []*resolver{worse, good}, "192.0.2.1"},
		{[]int{dns.RcodeRefused, dns.RcodeServerFailure}, []*resolver{bad, worse, good}, "192.0.2.1"},
		{[]int{dns.RcodeRefused, dns.RcodeServerFailure}, []*resolver{worse, bad}, "SERVFAIL"},
		{[]int{dns.RcodeRefused}, []*resolver{worse}, "REFUSED"},
	} {
		z := root(tc.ups...)
		z.Failover = tc.failover
		f, _ := start(t, z)
		if m, _ := lookup(t, f, "www.test."); address(m) != tc.want {
			t.Errorf("failover %v: got %s, want %s", tc.failover, address(m), tc.want)
		}
	}
}

func TestIdenticalQuestionsAreAskedOnce(t *testing.T) {
	release := make(chan struct{})
	up := newResolver(t, func(w dns.ResponseWriter, r *dns.Msg) {
		<-release
		answerA("192.0.2.1")(w, r)
	})
	f, _ := start(t, root(up))
	const n = 50
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			name := "www.test."
			if i%2 == 1 {
				name = "WWW.test."
			}
			r := question(name, dns.TypeA)
			m, _, err := f.Exchange(t.Context(), r, "udp")
			if err != nil || address(m) != "192.0.2.1" || m.Id != r.Id || m.Question[0].Name != name || m.Answer[0].Header().Name != name {
				t.Errorf("asked for %s: %v, %v", name, m, err)
			}
			m.Answer[0].Header().Ttl = 1 // a client's answer is its own
		})
	}
	z := f.table.Load().zones[0]
	eventually(t, "all wait", func() bool { return z.waiting.Load() == n })
	close(release)
	wg.Wait()
	if got := len(up.questions()); got != 1 {
		t.Errorf("%d clients made %d questions", n, got)
	}
	if got := z.waiting.Load(); got != 0 {
		t.Errorf("%d still counted as waiting", got)
	}
}

func TestDifferentQuestionsAreNotJoined(t *testing.T) {
	release := make(chan struct{})
	up := newResolver(t, func(w dns.ResponseWriter, r *dns.Msg) {
		<-release
		answerA("192.0.2.1")(w, r)
	})
	f, _ := start(t, root(up))
	var wg sync.WaitGroup
	ask := func(change func(*dns.Msg), proto string) {
		wg.Go(func() {
			r := question("www.test.", dns.TypeA)
			change(r)
			if _, _, err := f.Exchange(t.Context(), r, proto); err != nil {
				t.Error(err)
			}
		})
	}
	ask(func(*dns.Msg) {}, "udp")
	ask(func(*dns.Msg) {}, "tcp")
	ask(func(r *dns.Msg) { r.SetEdns0(1232, true) }, "udp")
	ask(func(r *dns.Msg) { r.CheckingDisabled = true }, "udp")
	ask(func(r *dns.Msg) { r.RecursionDesired = false }, "udp")
	ask(func(r *dns.Msg) { r.Question[0].Qtype = dns.TypeAAAA }, "udp")
	eventually(t, "six questions", func() bool { return len(up.questions()) == 6 })
	close(release)
	wg.Wait()
}

func TestQuestionsWithoutRecursionAreNotKept(t *testing.T) {
	up := newResolver(t, nil)
	f, _ := start(t, root(up))
	r := question("www.test.", dns.TypeA)
	r.RecursionDesired = false
	for range 2 {
		if _, res, err := f.Exchange(t.Context(), r, "udp"); err != nil || res.Source != cluster.DNSFromForward {
			t.Errorf("%+v, %v", res, err)
		}
	}
	if q := up.questions()[0].msg; q.RecursionDesired {
		t.Error("the upstream was asked to recurse")
	}
}

func TestTooManyQuestionsAreRefused(t *testing.T) {
	release := make(chan struct{})
	up := newResolver(t, func(w dns.ResponseWriter, r *dns.Msg) {
		<-release
		answerA("192.0.2.1")(w, r)
	})
	z := root(up)
	z.MaxConcurrent = 3
	f, _ := start(t, z)
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			if m, _ := lookup(t, f, fmt.Sprintf("n%d.test.", i)); address(m) != "192.0.2.1" {
				t.Errorf("got %v", m)
			}
		})
	}
	eventually(t, "three wait", func() bool { return len(up.questions()) == 3 })
	m, res, err := f.Exchange(t.Context(), question("n4.test.", dns.TypeA), "udp")
	if m.Rcode != dns.RcodeRefused || res.Source != cluster.DNSRefused || !errors.Is(err, ErrTooMany) {
		t.Errorf("got %v, %+v, %v", m, res, err)
	}
	close(release)
	wg.Wait()
	if m, _ := lookup(t, f, "n5.test."); address(m) != "192.0.2.1" {
		t.Errorf("afterwards: %v", m)
	}
	if st := f.Stats(); st.Refused != 1 {
		t.Errorf("refused %d", st.Refused)
	}
}

func TestClientThatGivesUpDoesNotEndTheQuestion(t *testing.T) {
	release := make(chan struct{})
	up := newResolver(t, func(w dns.ResponseWriter, r *dns.Msg) {
		<-release
		answerA("192.0.2.1")(w, r)
	})
	f, _ := start(t, root(up))
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		m, _, err := f.Exchange(ctx, question("www.test.", dns.TypeA), "udp")
		if m.Rcode != dns.RcodeServerFailure || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, %v", m, err)
		}
	})
	eventually(t, "asked", func() bool { return len(up.questions()) == 1 })
	cancel()
	wg.Wait()
	close(release)
	eventually(t, "kept", func() bool {
		_, ok := f.AppendCached(nil, plain(t, "www.test.", dns.TypeA), 512, time.Now())
		return ok
	})
}

func TestDenialsAreKept(t *testing.T) {
	up := newResolver(t, func(w dns.ResponseWriter, r *dns.Msg) {
		m := new(dns.Msg).SetReply(r)
		if r.Question[0].Qtype == dns.TypeA {
			m.Rcode = dns.RcodeNameError
		}
		if r.Question[0].Qtype != dns.TypeMX {
			soa, _ := dns.NewRR("test. 300 IN SOA ns.test. me.test. 1 2 3 4 60")
			m.Ns = append(m.Ns, soa)
		}
		_ = w.WriteMsg(m)
	})
	f, clock := start(t, root(up))
	for _, tc := range []struct {
		qtype uint16
		rcode int
		kept  bool
	}{{dns.TypeA, dns.RcodeNameError, true}, {dns.TypeAAAA, dns.RcodeSuccess, true}, {dns.TypeMX, dns.RcodeSuccess, false}} {
		for i, want := range []cluster.DNSSource{cluster.DNSFromForward, cluster.DNSFromCache} {
			if !tc.kept {
				want = cluster.DNSFromForward
			}
			m, res, err := f.Exchange(t.Context(), question("no.test.", tc.qtype), "udp")
			if err != nil || m.Rcode != tc.rcode || res.Source != want {
				t.Errorf("%s, time %d: %v, %+v, %v", dns.TypeToString[tc.qtype], i, m, res, err)
			}
		}
	}
	clock.advance(time.Minute)
	if _, ok := f.AppendCached(nil, plain(t, "no.test.", dns.TypeA), 512, clock.now()); ok {
		t.Error("the denial outlives the SOA record's minimum")
	}
}

func TestCacheCanBeSwitchedOff(t *testing.T) {
	up := newResolver(t, nil)
	z := root(up)
	z.Cache.Success.Disabled = true
	f, _ := start(t, z)
	for range 2 {
		if m, res := lookup(t, f, "www.test."); res.Source != cluster.DNSFromForward || m.Answer[0].Header().Ttl != 60 {
			t.Errorf("got %v, %+v", m, res)
		}
	}
}
