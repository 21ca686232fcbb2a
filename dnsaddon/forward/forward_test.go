package forward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/dnsaddon/wire"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// resolver is an upstream on loopback, UDP and TCP on one port. Loop probes and health checks are answered and counted
// apart from questions.
type resolver struct {
	addr   string
	handle func(w dns.ResponseWriter, r *dns.Msg)
	health atomic.Int64
	loops  atomic.Int64
	stop   func()

	mu    sync.Mutex
	asked []seen
}

// seen is one question as it arrived.
type seen struct {
	msg   *dns.Msg
	proto string
	from  string
}

// newResolver starts one. A nil handler answers every A question with 192.0.2.1, TTL 60.
func newResolver(t testing.TB, handle func(w dns.ResponseWriter, r *dns.Msg)) *resolver {
	t.Helper()
	if handle == nil {
		handle = answerA("192.0.2.1")
	}
	u, l := listen(t)
	return serve(t, u, l, handle)
}

// listen opens a port for both UDP and TCP.
func listen(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		u, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", u.LocalAddr().String())
		if err == nil {
			return u, l
		}
		_ = u.Close() // somebody else has the TCP port
	}
	t.Fatal("no port is free for both UDP and TCP")
	return nil, nil
}

// serve starts one on open sockets; l may be nil for UDP alone.
func serve(t testing.TB, u net.PacketConn, l net.Listener, handle func(w dns.ResponseWriter, r *dns.Msg)) *resolver {
	res := &resolver{addr: u.LocalAddr().String(), handle: handle}
	stops := []func(){activate(t, &dns.Server{PacketConn: u, Handler: dns.HandlerFunc(res.serve)})}
	if l != nil {
		stops = append(stops, activate(t, &dns.Server{Listener: l, Handler: dns.HandlerFunc(res.serve)}))
	}
	res.stop = func() {
		for _, stop := range stops {
			stop()
		}
	}
	return res
}

// activate runs a server until stop is called or the test ends.
func activate(t testing.TB, s *dns.Server) (stop func()) {
	started, ended := make(chan struct{}), make(chan struct{})
	s.NotifyStartedFunc = func() { close(started) }
	go func() {
		defer close(ended)
		_ = s.ActivateAndServe()
	}()
	<-started
	stop = sync.OnceFunc(func() {
		_ = s.Shutdown()
		<-ended
	})
	t.Cleanup(stop)
	return stop
}

func (res *resolver) serve(w dns.ResponseWriter, r *dns.Msg) {
	switch q := r.Question[0]; {
	case q.Qtype == dns.TypeHINFO:
		res.loops.Add(1)
		_ = w.WriteMsg(new(dns.Msg).SetRcode(r, dns.RcodeNameError))
	case q.Qtype == dns.TypeNS && q.Name == ".":
		res.health.Add(1)
		_ = w.WriteMsg(new(dns.Msg).SetReply(r))
	default:
		res.mu.Lock()
		res.asked = append(res.asked, seen{r.Copy(), w.RemoteAddr().Network(), w.RemoteAddr().String()})
		res.mu.Unlock()
		res.handle(w, r)
	}
}

func (res *resolver) questions() []seen {
	res.mu.Lock()
	defer res.mu.Unlock()
	return append([]seen(nil), res.asked...)
}

// answerA answers with one address, answerRcode without records.
func answerA(addr string) func(dns.ResponseWriter, *dns.Msg) {
	return func(w dns.ResponseWriter, r *dns.Msg) { _ = w.WriteMsg(withA(r, addr)) }
}

func withA(r *dns.Msg, addr string) *dns.Msg {
	m := new(dns.Msg).SetReply(r)
	m.RecursionAvailable = true
	m.Answer = append(m.Answer, &dns.A{
		Hdr: dns.RR_Header{Name: r.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60},
		A:   net.ParseIP(addr),
	})
	return m
}

func answerRcode(rcode int) func(dns.ResponseWriter, *dns.Msg) {
	return func(w dns.ResponseWriter, r *dns.Msg) { _ = w.WriteMsg(new(dns.Msg).SetRcode(r, rcode)) }
}

// clock is a time that tests move.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

// start runs a forwarder with limits that suit tests on loopback, until the test ends.
func start(t testing.TB, zones ...Zone) (*Forwarder, *clock) {
	t.Helper()
	c := &clock{}
	f := New(Options{Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Now: c.now})
	f.limits.loop, f.limits.linger = time.Second, time.Millisecond
	f.Configure(zones)
	run(t, f)
	return f, c
}

func run(t testing.TB, f *Forwarder) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { f.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
}

// root is the zone of everything, with the upstreams asked in order.
func root(upstreams ...*resolver) Zone {
	z := Zone{Name: ".", Policy: Sequential}
	for _, u := range upstreams {
		z.Upstreams = append(z.Upstreams, u.addr)
	}
	return z
}

func question(name string, qtype uint16) *dns.Msg { return new(dns.Msg).SetQuestion(name, qtype) }

// lookup asks over UDP and fails the test if there is no reply.
func lookup(t testing.TB, f *Forwarder, name string) (*dns.Msg, Result) {
	t.Helper()
	m, res, err := f.Exchange(t.Context(), question(name, dns.TypeA), "udp")
	if m == nil {
		t.Fatalf("no reply for %s: %v", name, err)
	}
	return m, res
}

// address is the first one in a reply, or its rcode.
func address(m *dns.Msg) string {
	for _, rr := range m.Answer {
		if a, ok := rr.(*dns.A); ok {
			return a.A.String()
		}
	}
	return dns.RcodeToString[m.Rcode]
}

// eventually waits for something that other goroutines bring about.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
		<-tick.C
	}
}

func phase(f *Forwarder, i int) cluster.DNSUpstream {
	upstreams, _ := f.Status()
	return upstreams[i]
}

// plain is a question as the fast path has it.
func plain(t testing.TB, name string, qtype uint16) *wire.Query {
	t.Helper()
	q, err := queryOf(question(name, qtype))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestAnswerComesFromUpstreamThenFromCache(t *testing.T) {
	up := newResolver(t, nil)
	f, clock := start(t, root(up))
	r := question("WWW.Example.COM.", dns.TypeA)
	r.SetEdns0(4096, false)
	m, res, err := f.Exchange(t.Context(), r, "udp")
	if err != nil || address(m) != "192.0.2.1" || res.Source != cluster.DNSFromForward || res.Upstream != up.addr || res.RTT <= 0 {
		t.Fatalf("got %v, %+v, %v", m, res, err)
	}
	if m.Id != r.Id || m.Question[0] != r.Question[0] || m.Answer[0].Header().Name != "WWW.Example.COM." || m.IsEdns0() != nil || !m.Response {
		t.Errorf("the reply is not the client's: %v", m)
	}
	asked := up.questions()
	if len(asked) != 1 {
		t.Fatalf("upstream was asked %d times", len(asked))
	}
	q := asked[0].msg
	if q.Question[0].Name != "www.example.com." || !q.RecursionDesired || q.IsEdns0() == nil || q.IsEdns0().UDPSize() != wire.UDPSize || q.Id == r.Id {
		t.Errorf("upstream was asked %v", q)
	}

	clock.advance(10 * time.Second)
	m, res = lookup(t, f, "www.example.com.")
	if res.Source != cluster.DNSFromCache || m.Answer[0].Header().Ttl != 50 || m.Answer[0].Header().Name != "www.example.com." {
		t.Errorf("ten seconds later: %+v, %v", res, m)
	}
	fast := plain(t, "www.eXample.com.", dns.TypeA)
	out, ok := f.AppendCached(nil, fast, 512, clock.now())
	if m := new(dns.Msg); !ok || m.Unpack(out) != nil || address(m) != "192.0.2.1" || m.Question[0].Name != "www.eXample.com." {
		t.Errorf("fast path: %v, %x", ok, out)
	}
	if n := len(up.questions()); n != 1 {
		t.Errorf("upstream was asked %d times", n)
	}
	if n := f.Flush(); n != 1 {
		t.Errorf("flushed %d, want 1", n)
	}
	if _, ok := f.AppendCached(nil, fast, 512, clock.now()); ok {
		t.Error("answered from a flushed cache")
	}
}

func TestLongestZoneWins(t *testing.T) {
	a, b, c := newResolver(t, answerA("192.0.2.1")), newResolver(t, answerA("192.0.2.2")), newResolver(t, answerA("192.0.2.3"))
	f, _ := start(t,
		Zone{Name: ".", Upstreams: []string{a.addr}, Except: []string{"blocked.test"}},
		Zone{Name: "Corp.Test", Upstreams: []string{b.addr}, Except: []string{"public.corp.test."}},
		Zone{Name: "deep.corp.test.", Upstreams: []string{c.addr}},
		Zone{Name: "corp.test.", Upstreams: []string{c.addr}}, // twice: left out
	)
	for name, want := range map[string]string{
		"example.com.":            "192.0.2.1",
		"corp.test.":              "192.0.2.2",
		"www.CORP.test.":          "192.0.2.2",
		"xcorp.test.":             "192.0.2.1",
		"public.corp.test.":       "192.0.2.1",
		"www.public.corp.test.":   "192.0.2.1",
		"notpublic.corp.test.":    "192.0.2.2",
		"www.deep.corp.test.":     "192.0.2.3",
		"blocked.test.":           "SERVFAIL",
		"www.blocked.test.":       "SERVFAIL",
		`dot\.corp.test.`:         "192.0.2.1",
		"public.corp.test.other.": "192.0.2.1",
	} {
		if m, _ := lookup(t, f, name); address(m) != want {
			t.Errorf("%s: got %s, want %s", name, address(m), want)
		}
	}
	if ups, _ := f.Status(); len(ups) != 3 || ups[0].Zone != "." || ups[1].Zone != "corp.test." || ups[2].Zone != "deep.corp.test." {
		t.Errorf("status: %+v", ups)
	}
}

func TestConfigureKeepsWhatDidNotChange(t *testing.T) {
	a, b := newResolver(t, answerA("192.0.2.1")), newResolver(t, answerA("192.0.2.2"))
	zones := []Zone{
		{Name: ".", Upstreams: []string{a.addr}},
		{Name: "corp.test.", Upstreams: []string{b.addr}},
	}
	f, _ := start(t, zones...)
	names := []string{"example.com.", "www.corp.test.", "x.new.test."}
	for _, name := range names {
		lookup(t, f, name)
	}
	cached := func() (in []string) {
		for _, name := range names {
			if _, ok := f.AppendCached(nil, plain(t, name, dns.TypeA), 512, time.Now()); ok {
				in = append(in, name)
			}
		}
		return in
	}

	zones[0].Policy, zones[0].MaxConcurrent = RoundRobin, 5
	f.Configure(zones)
	if got := cached(); len(got) != 3 {
		t.Errorf("cached after a change of policy: %v", got)
	}
	// A new zone takes its names out of the other's answers.
	zones = append(zones, Zone{Name: "new.test.", Upstreams: []string{b.addr}})
	f.Configure(zones)
	if got := fmt.Sprint(cached()); got != "[example.com. www.corp.test.]" {
		t.Errorf("cached after a new zone: %v", got)
	}
	zones[1].Upstreams = []string{b.addr, a.addr}
	f.Configure(zones)
	if got := fmt.Sprint(cached()); got != "[example.com.]" {
		t.Errorf("cached after other upstreams: %v", got)
	}
	if s := phase(f, 1); s.Address != b.addr || s.Queries != 1 {
		t.Errorf("the upstream that stayed lost its counters: %+v", s)
	}
	f.Configure([]Zone{{Name: ".", Upstreams: []string{a.addr}, Except: []string{"example.com"}}})
	if got := cached(); len(got) != 0 {
		t.Errorf("cached after an exception: %v", got)
	}
}

func TestUpstreamAddresses(t *testing.T) {
	many := Zone{Name: "many.test."}
	for i := range 20 {
		many.Upstreams = append(many.Upstreams, fmt.Sprintf("127.0.0.1:%d", 10000+i))
	}
	f := New(Options{})
	f.Configure([]Zone{{Name: ".", Upstreams: []string{"192.0.2.1", "[2001:db8::1]", "2001:db8::2", "192.0.2.1:53", "dns.example.com"}}, many})
	ups, _ := f.Status()
	var got []string
	for _, u := range ups[:4] {
		got = append(got, u.Address+" "+string(u.Phase))
	}
	want := "192.0.2.1:53 Running, [2001:db8::1]:53 Running, [2001:db8::2]:53 Running, dns.example.com Failed"
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
	if len(ups) != 4+MaxUpstreams {
		t.Errorf("%d upstreams of a zone with 20, want %d", len(ups)-4, MaxUpstreams)
	}
}

func TestEndOfRunEndsQuestions(t *testing.T) {
	arrived := make(chan struct{})
	up := newResolver(t, func(dns.ResponseWriter, *dns.Msg) { close(arrived) })
	f := New(Options{})
	f.Configure([]Zone{root(up)})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		f.Run(ctx)
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.flights) != 0 {
			t.Error("Run returned before the questions had ended")
		}
	})
	var m *dns.Msg
	wg.Go(func() { m, _, _ = f.Exchange(context.Background(), question("slow.test.", dns.TypeA), "udp") })
	<-arrived
	began := time.Now()
	cancel()
	wg.Wait()
	if m == nil || m.Rcode != dns.RcodeServerFailure || time.Since(began) > time.Second {
		t.Errorf("got %v after %v, want SERVFAIL at once", m, time.Since(began))
	}
	m, _, err := f.Exchange(t.Context(), question("late.test.", dns.TypeA), "udp")
	if m.Rcode != dns.RcodeServerFailure || !errors.Is(err, errStopped) {
		t.Errorf("after the end: %v, %v", m, err)
	}
}

func TestStatsAndStatus(t *testing.T) {
	up := newResolver(t, func(w dns.ResponseWriter, r *dns.Msg) {
		if strings.HasPrefix(r.Question[0].Name, "no.") {
			answerRcode(dns.RcodeNameError)(w, r)
			return
		}
		answerA("192.0.2.1")(w, r)
	})
	f, _ := start(t, root(up))
	for _, name := range []string{"a.test.", "b.test.", "b.test.", "no.test."} {
		lookup(t, f, name)
	}
	st := f.Stats()
	u := st.Upstreams[0]
	if u.Address != up.addr || u.Zone != "." || u.Replies["NOERROR"].Count != 2 || u.Replies["NXDOMAIN"].Count != 1 || len(u.Replies) != 2 || u.Failures != 0 {
		t.Errorf("upstream: %+v", u)
	}
	h := u.Replies["NOERROR"]
	if len(h.Buckets) != buckets || h.Buckets[8.192] != 2 || h.Sum <= 0 {
		t.Errorf("histogram: %+v", h)
	}
	ups, c := f.Status()
	if ups[0].Queries != 3 || ups[0].Phase != cluster.PhaseRunning || ups[0].Latency <= 0 {
		t.Errorf("status: %+v", ups[0])
	}
	if c.Entries != 2 || c.Hits != 1 || c.Misses != 3 || c.Capacity < 2*9984 {
		t.Errorf("cache: %+v", c)
	}
}
