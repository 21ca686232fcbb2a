package forward

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"bonsai/bootstrap/cluster"

	"github.com/miekg/dns"
)

// Time in these tests is simulated, and so upstreams are at the other end of a pipe instead of a socket.

// remote is such an upstream. Its state may be changed at any time.
type remote struct {
	silent, back  atomic.Bool // back sends loop probes to the forwarder
	truncates     atomic.Bool
	health, loops []time.Time
	asked         atomic.Int64
	lose          atomic.Int64 // so many questions do not arrive
	delay         atomic.Int64
	tcp           atomic.Int64 // connections; nothing is ever said on them
}

type network struct {
	remotes map[netip.AddrPort]*remote
	self    *Forwarder
	mu      sync.Mutex // of the times in remotes
	serving sync.WaitGroup
}

func (n *network) dial(_ context.Context, proto string, addr netip.AddrPort) (net.Conn, error) {
	re := n.remotes[addr]
	if re == nil {
		return nil, &net.OpError{Op: "dial", Err: syscall.ENETUNREACH}
	}
	near, far := net.Pipe()
	if proto == "tcp" {
		re.tcp.Add(1)
		n.serving.Go(func() { _, _ = io.Copy(io.Discard, far) })
		return near, nil
	}
	n.serving.Go(func() { n.serve(re, far) })
	return near, nil
}

func (n *network) serve(re *remote, c net.Conn) {
	defer c.Close()
	buf := make([]byte, 4096)
	for {
		size, err := c.Read(buf)
		if err != nil {
			return
		}
		r := new(dns.Msg)
		if r.Unpack(buf[:size]) != nil {
			continue
		}
		n.mu.Lock()
		switch q := r.Question[0]; q.Qtype {
		case dns.TypeHINFO:
			re.loops = append(re.loops, time.Now())
			if re.back.Load() {
				n.self.IsProbe(q.Name)
			}
		case dns.TypeNS:
			re.health = append(re.health, time.Now())
		default:
			re.asked.Add(1)
		}
		n.mu.Unlock()
		if re.silent.Load() || re.lose.Add(-1) >= 0 {
			continue
		}
		time.Sleep(time.Duration(re.delay.Load()))
		m := withA(r, "192.0.2.1")
		m.Truncated = re.truncates.Load()
		_, _ = c.Write(pack(m))
	}
}

// counts are the health checks and loop probes so far.
func (n *network) counts(re *remote) (health, loops int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(re.health), len(re.loops)
}

var first, second = netip.MustParseAddrPort("192.0.2.1:53"), netip.MustParseAddrPort("192.0.2.2:53")

// simulate runs test in simulated time, with a running forwarder for both addresses in order; only the remotes given exist.
func simulate(t *testing.T, remotes map[netip.AddrPort]*remote, change func(*Zone), test func(f *Forwarder, n *network)) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{remotes: remotes}
		n.self = New(Options{Dial: n.dial})
		z := Zone{Name: ".", Policy: Sequential}
		for _, addr := range []netip.AddrPort{first, second} {
			if remotes[addr] != nil {
				z.Upstreams = append(z.Upstreams, addr.String())
			}
		}
		if change != nil {
			change(&z)
		}
		n.self.Configure([]Zone{z})
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() { n.self.Run(ctx) })
		defer n.serving.Wait()
		defer wg.Wait()
		defer cancel()
		test(n.self, n)
	})
}

// timed asks and returns how long the answer took.
func timed(t *testing.T, f *Forwarder, name string) (*dns.Msg, Result, time.Duration) {
	t.Helper()
	return timedOver(t, f, name, "udp")
}

func timedOver(t *testing.T, f *Forwarder, name, proto string) (*dns.Msg, Result, time.Duration) {
	t.Helper()
	began := time.Now()
	m, res, _ := f.Exchange(context.Background(), question(name, dns.TypeA), proto)
	return m, res, time.Since(began)
}

func TestNobodyAsksUpstreamsThatWork(t *testing.T) {
	up := &remote{}
	simulate(t, map[netip.AddrPort]*remote{first: up}, nil, func(f *Forwarder, n *network) {
		timed(t, f, "www.test.")
		time.Sleep(time.Hour)
		if health, loops := n.counts(up); health != 0 || loops != 1 {
			t.Errorf("%d health checks and %d loop probes in an hour; want 0 and the one at the start", health, loops)
		}
	})
}

func TestHealthChecksEndWhenTheUpstreamAnswers(t *testing.T) {
	up, other := &remote{}, &remote{}
	up.silent.Store(true)
	simulate(t, map[netip.AddrPort]*remote{first: up, second: other}, nil, func(f *Forwarder, n *network) {
		began := time.Now()
		if m, res, took := timed(t, f, "a.test."); address(m) != "192.0.2.1" || res.Upstream != second.String() || took != 2*time.Second {
			t.Errorf("got %v, %+v after %v; want it of the second after 2s", m, res, took)
		}
		// The health check at 2s fails at 3s; that is the second failure.
		time.Sleep(time.Until(began.Add(2900 * time.Millisecond)))
		if s := phase(f, 0); s.Phase != cluster.PhaseRunning {
			t.Errorf("after one failure: %+v", s)
		}
		time.Sleep(time.Until(began.Add(3100 * time.Millisecond)))
		if s := phase(f, 0); s.Phase != cluster.PhaseFailed || s.Reason == "" {
			t.Errorf("after two failures: %+v", s)
		}
		if _, res, took := timed(t, f, "b.test."); res.Upstream != second.String() || took != 0 {
			t.Errorf("%+v after %v; want the second at once", res, took)
		}
		time.Sleep(time.Until(began.Add(31900 * time.Millisecond)))
		health, loops := n.counts(up)
		if health != 20 { // 1s to wait and 0.5s of pause, from 2s on
			t.Errorf("%d health checks in 30s", health)
		}
		if loops < 2 || loops > 3 {
			t.Errorf("%d loop probes in 32s", loops)
		}

		up.silent.Store(false)
		time.Sleep(1500 * time.Millisecond)
		if s := phase(f, 0); s.Phase != cluster.PhaseRunning {
			t.Errorf("1.5s after it came back: %+v", s)
		}
		if _, res, _ := timed(t, f, "c.test."); res.Upstream != first.String() {
			t.Errorf("asked %s, want the first again", res.Upstream)
		}
		// It may be another one now: it is probed for a loop once more, and left alone then.
		time.Sleep(time.Second)
		health, loops = n.counts(up)
		time.Sleep(time.Hour)
		if h, l := n.counts(up); h != health || l != loops {
			t.Errorf("%d health checks and %d loop probes while it works", h-health, l-loops)
		}
		if st := f.Stats().Upstreams[0]; st.HealthFailures != 20 || st.Failures != 1 {
			t.Errorf("counted %d and %d failures", st.HealthFailures, st.Failures)
		}
	})
}

func TestQuestionsAreBounded(t *testing.T) {
	up, other := &remote{}, &remote{}
	up.silent.Store(true)
	other.silent.Store(true)
	simulate(t, map[netip.AddrPort]*remote{first: up, second: other}, nil, func(f *Forwarder, _ *network) {
		if m, _, took := timed(t, f, "a.test."); m.Rcode != dns.RcodeServerFailure || took != 4500*time.Millisecond {
			t.Errorf("got %v after %v, want SERVFAIL after 4.5s", m, took)
		}
		time.Sleep(time.Second)
		if m, _, took := timed(t, f, "b.test."); m.Rcode != dns.RcodeServerFailure || took != 500*time.Millisecond {
			t.Errorf("all down: got %v after %v, want SERVFAIL after 0.5s", m, took)
		}
		if asked := up.asked.Load() + other.asked.Load(); asked != 4 {
			t.Errorf("asked %d times, want 3 and then 1", asked)
		}
		if st := f.Stats(); st.Broken != 1 {
			t.Errorf("counted %d questions without hope", st.Broken)
		}
		// One that is down may answer all the same, if it just does not like the health check.
		up.silent.Store(false)
		if m, _, _ := timed(t, f, "c.test."); address(m) != "192.0.2.1" {
			t.Errorf("got %v", m)
		}
	})
}

func TestUpstreamThatGotLessTimeDidNotFail(t *testing.T) {
	mute, slow := &remote{}, &remote{}
	mute.silent.Store(true)
	slow.delay.Store(int64(time.Second))
	patient := func(z *Zone) { z.ReadTimeout = 4 * time.Second }
	simulate(t, map[netip.AddrPort]*remote{first: mute, second: slow}, patient, func(f *Forwarder, _ *network) {
		if m, _, took := timed(t, f, "a.test."); m.Rcode != dns.RcodeServerFailure || took != 4500*time.Millisecond {
			t.Errorf("got %v after %v", m, took)
		}
		if a, b := phase(f, 0), phase(f, 1); a.Failures != 1 || b.Failures != 0 {
			t.Errorf("failures: %d, %d; want 1, 0", a.Failures, b.Failures)
		}
	})
}

func TestLostDatagramIsSentAgain(t *testing.T) {
	up := &remote{}
	simulate(t, map[netip.AddrPort]*remote{first: up}, nil, func(f *Forwarder, _ *network) {
		synctest.Wait() // the loop probe is through
		up.lose.Store(1)
		if m, _, took := timed(t, f, "www.test."); address(m) != "192.0.2.1" || took != 2*time.Second || up.asked.Load() != 2 {
			t.Errorf("got %v after %v and %d questions", m, took, up.asked.Load())
		}
	})
}

func TestUpstreamThatSaysNothingOverTCP(t *testing.T) {
	up := &remote{}
	simulate(t, map[netip.AddrPort]*remote{first: up}, nil, func(f *Forwarder, _ *network) {
		for _, step := range []struct {
			name, proto string
			truncated   bool
			tcp         int64 // connections so far
			took        time.Duration
		}{
			{"a.test.", "tcp", false, 1, time.Second},
			{"b.test.", "tcp", false, 1, 0},                // remembered
			{"big.test.", "udp", true, 1, 0},               // the client can come back over TCP
			{"big.test.", "tcp", true, 2, 2 * time.Second}, // and then it is tried
		} {
			up.truncates.Store(step.truncated)
			m, _, took := timedOver(t, f, step.name, step.proto)
			if address(m) != "192.0.2.1" || m.Truncated != step.truncated || took != step.took || up.tcp.Load() != step.tcp {
				t.Errorf("%+v: %v after %v, %d TCP connections", step, m, took, up.tcp.Load())
			}
		}
		if s := phase(f, 0); s.Failures != 0 || s.Phase != cluster.PhaseRunning {
			t.Errorf("upstream: %+v; it does answer", s)
		}
		up.truncates.Store(false)
		time.Sleep(11 * time.Minute)
		timedOver(t, f, "c.test.", "tcp")
		if n := up.tcp.Load(); n != 3 {
			t.Errorf("%d TCP connections, want another attempt after a while", n)
		}
	})
}

func TestFailFast(t *testing.T) {
	up := &remote{}
	up.silent.Store(true)
	failFast := func(z *Zone) { z.FailFast = true }
	simulate(t, map[netip.AddrPort]*remote{first: up}, failFast, func(f *Forwarder, _ *network) {
		timed(t, f, "a.test.")
		m, _, took := timed(t, f, "b.test.")
		if m.Rcode != dns.RcodeServerFailure || took != 0 {
			t.Errorf("got %v after %v, want SERVFAIL at once", m, took)
		}
	})
}

func TestUpstreamsThatNeverCountAsDown(t *testing.T) {
	up := &remote{}
	up.silent.Store(true)
	never := func(z *Zone) { z.MaxFails = -1 }
	simulate(t, map[netip.AddrPort]*remote{first: up}, never, func(f *Forwarder, n *network) {
		for range 3 {
			if _, _, took := timed(t, f, "a.test."); took != 4500*time.Millisecond {
				t.Errorf("took %v", took)
			}
		}
		if health, _ := n.counts(up); health != 0 || phase(f, 0).Phase != cluster.PhaseRunning {
			t.Errorf("%d health checks, %+v", health, phase(f, 0))
		}
	})
}

func TestStaleAnswersDoNotWait(t *testing.T) {
	up := &remote{}
	simulate(t, map[netip.AddrPort]*remote{first: up}, nil, func(f *Forwarder, _ *network) {
		timed(t, f, "www.test.")
		time.Sleep(5 * time.Minute)
		up.silent.Store(true)
		if _, res, took := timed(t, f, "www.test."); res.Source != cluster.DNSFromStale || took != 1800*time.Millisecond {
			t.Errorf("%+v after %v, want stale after 1.8s", res, took)
		}
		time.Sleep(10 * time.Second)
		if _, res, took := timed(t, f, "www.test."); res.Source != cluster.DNSFromStale || took != 0 {
			t.Errorf("all down: %+v after %v, want stale at once", res, took)
		}
	})
}

func TestLoopIsLookedForAgain(t *testing.T) {
	up := &remote{}
	up.back.Store(true)
	simulate(t, map[netip.AddrPort]*remote{first: up}, nil, func(f *Forwarder, n *network) {
		time.Sleep(95 * time.Second)
		if _, loops := n.counts(up); loops != 4 || phase(f, 0).Phase != cluster.PhaseDegraded {
			t.Errorf("%d loop probes in 95s, want one each 30s; %+v", loops, phase(f, 0))
		}
		up.back.Store(false)
		time.Sleep(30 * time.Second)
		if s := phase(f, 0); s.Phase != cluster.PhaseRunning {
			t.Errorf("half a minute after the loop ended: %+v", s)
		}
		time.Sleep(time.Hour)
		if _, loops := n.counts(up); loops != 5 {
			t.Errorf("%d loop probes, want none after the one that did not come back", loops)
		}
		n.self.Configure([]Zone{{Name: ".", Upstreams: []string{first.String()}, Policy: RoundRobin}})
		time.Sleep(time.Second)
		if _, loops := n.counts(up); loops != 6 {
			t.Errorf("%d loop probes, want one for the new configuration", loops)
		}
	})
}

// A loop that arises later shows as an upstream that does not answer, which is then probed.
func TestLateLoopIsFound(t *testing.T) {
	up := &remote{}
	simulate(t, map[netip.AddrPort]*remote{first: up}, nil, func(f *Forwarder, _ *network) {
		time.Sleep(time.Minute)
		up.back.Store(true)
		up.silent.Store(true)
		timed(t, f, "www.test.")
		if s := phase(f, 0); s.Phase != cluster.PhaseDegraded {
			t.Errorf("got %+v", s)
		}
	})
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	up := &remote{}
	simulate(t, map[netip.AddrPort]*remote{first: up}, nil, func(f *Forwarder, _ *network) {
		synctest.Wait()
		near, far := net.Pipe()
		u := f.table.Load().zones[0].upstreams[0]
		if u.putIdle(near, time.Now().Add(10*time.Second)) {
			f.poke()
		}
		_ = far.SetReadDeadline(time.Now().Add(time.Minute))
		began := time.Now()
		if _, err := far.Read(make([]byte, 1)); err == nil || time.Since(began) != 10*time.Second {
			t.Errorf("ended with %v after %v, want it closed after 10s", err, time.Since(began))
		}
	})
}
