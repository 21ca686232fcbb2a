package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"bonsai/dnsaddon/feed"
	"bonsai/dnsaddon/forward"
	"bonsai/dnsaddon/zone"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait in these tests; nothing waits that long unless it has failed.
const patience = 20 * time.Second

var (
	loopback = netip.MustParsePrefix("127.0.0.0/8")
	hostAddr = netip.MustParseAddr("10.201.0.1")
	nodeAddr = netip.MustParseAddr("10.201.0.11")
	anyPort  = netip.MustParseAddrPort("127.0.0.1:0")
)

// fixture is a server at work, with real records, a real forwarder and an upstream of its own.
type fixture struct {
	*Server
	store    *zone.Store
	forward  *forward.Forwarder
	feed     *feed.Feed
	registry *prometheus.Registry
	// cluster and node are the addresses of the two views.
	cluster, node string
	stop          func()
}

// records make a small cluster.
func records(t testing.TB) *zone.Store {
	t.Helper()
	store := zone.NewStore(zone.Options{
		TTL:     30,
		Reverse: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16"), netip.MustParsePrefix("10.244.0.0/16")},
	})
	store.SetNamespace("default")
	store.SetService(zone.Service{Namespace: "default", Name: "kubernetes", ClusterIPs: []string{"10.96.0.1"},
		Ports: []zone.Port{{Name: "https", Protocol: "TCP", Number: 443}}})
	store.SetService(zone.Service{Namespace: "default", Name: "outside", Type: "ExternalName", ExternalName: "www.example.com"})
	store.SetService(zone.Service{Namespace: "default", Name: "nowhere", Type: "ExternalName", ExternalName: "missing.example.com"})
	store.SetService(zone.Service{Namespace: "default", Name: "broken", Type: "ExternalName", ExternalName: "broken.example.com"})
	for name, n := range map[string]int{"few": 3, "many": 60} {
		store.SetService(zone.Service{Namespace: "default", Name: name, ClusterIPs: []string{"None"},
			Ports: []zone.Port{{Name: "http", Protocol: "TCP", Number: 80}}})
		slice := zone.Slice{Namespace: "default", Name: name + "-1", Service: name,
			Ports: []zone.Port{{Name: "http", Protocol: "TCP", Number: 80}}}
		for i := range n {
			slice.Endpoints = append(slice.Endpoints, zone.Endpoint{
				Addresses: []string{fmt.Sprintf("10.244.%d.%d", n, i)}, Hostname: fmt.Sprintf("pod-%d", i)})
		}
		store.SetSlice(slice)
	}
	return store
}

// start runs a server until the test ends. edit may change its options and limits before.
func start(t testing.TB, edit func(*Options, *Server)) *fixture {
	t.Helper()
	f := &fixture{store: records(t), feed: feed.New("node-1"), registry: prometheus.NewRegistry()}
	f.store.SetSynced()
	f.forward = forward.New(forward.Options{Log: slog.New(slog.DiscardHandler)})
	f.forward.Configure([]forward.Zone{{Name: ".", Upstreams: []string{upstream(t)}, MaxFails: -1}})
	opts := Options{
		Zone: f.store, Forward: f.forward, Feed: f.feed,
		Listen: []netip.AddrPort{anyPort}, NodeListen: []netip.AddrPort{anyPort},
		Allow: []netip.Prefix{loopback}, Host: hostAddr, Node: Node{Name: "dev-2", Zone: "b", Address: nodeAddr},
		Log: slog.New(slog.NewTextHandler(testLog{t}, nil)), Registry: f.registry,
	}
	limits := &Server{tcpLimits: defaultTCPLimits(), slow: newPool(poolLimits{maxWorkers, maxWaiting, maxPerSource, maxWait})}
	if edit != nil {
		edit(&opts, limits)
	}
	f.Server = New(opts)
	f.tcpLimits, f.slow = limits.tcpLimits, limits.slow
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	var err error
	running.Go(func() { err = f.Run(ctx) })
	running.Go(func() { f.forward.Run(ctx) })
	f.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(f.stop)
	select {
	case <-f.Ready():
	case <-time.After(patience):
		t.Fatal("the server does not listen")
	}
	addrs := f.Listening()
	f.cluster, f.node = addrs[0].String(), addrs[1].String()
	return f
}

// testLog writes what is logged to the test's output.
type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// upstream is a resolver that knows example.com.
func upstream(t testing.TB) string {
	t.Helper()
	zone := map[string][]string{
		"www.example.com.":   {"cdn.example.com. 60 IN A 192.0.2.1", "www.example.com. 60 IN CNAME cdn.example.com."},
		"one.example.com.":   {"one.example.com. 60 IN A 192.0.2.2"},
		"other.example.com.": {"other.example.com. 60 IN A 192.0.2.3"},
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		m := new(dns.Msg).SetReply(r)
		m.RecursionAvailable, m.Authoritative = true, true
		name := r.Question[0].Name
		rrs, known := zone[name]
		for _, text := range rrs {
			rr, err := dns.NewRR(text)
			if err != nil {
				panic(err)
			}
			if rr.Header().Rrtype == r.Question[0].Qtype || rr.Header().Rrtype == dns.TypeCNAME {
				m.Answer = append(m.Answer, rr)
			}
		}
		if len(m.Answer) == 0 {
			soa, _ := dns.NewRR("example.com. 60 IN SOA ns.example.com. admin.example.com. 1 60 60 60 60")
			m.Ns = []dns.RR{soa}
		}
		switch {
		case name == "broken.example.com.":
			m.Rcode, m.Ns = dns.RcodeServerFailure, nil
		case !known:
			m.Rcode = dns.RcodeNameError
		}
		_ = w.WriteMsg(m)
	})
	return serveDNS(t, handler)
}

// serveDNS answers at an address of its own, over UDP and TCP, until the test ends.
func serveDNS(t testing.TB, handler dns.Handler) string {
	t.Helper()
	var servers sync.WaitGroup
	var conn net.PacketConn
	var ln net.Listener
	for { // until a port is free for both
		var err error
		if conn, err = net.ListenPacket("udp4", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if ln, err = net.Listen("tcp4", conn.LocalAddr().String()); err == nil {
			break
		}
		_ = conn.Close()
	}
	t.Cleanup(servers.Wait)
	for _, s := range []*dns.Server{{PacketConn: conn, Handler: handler}, {Listener: ln, Handler: handler}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		servers.Go(func() { _ = s.ActivateAndServe() })
		<-started
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	return conn.LocalAddr().String()
}

// msg is a question as a resolver would put it.
func msg(name string, qtype uint16, edits ...func(*dns.Msg)) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(name, qtype)
	for _, edit := range edits {
		edit(m)
	}
	return m
}

func edns(size uint16, do bool) func(*dns.Msg) { return func(m *dns.Msg) { m.SetEdns0(size, do) } }

// ask sends one question over a connection of its own. A reply that came is returned even if it is an error.
func ask(t testing.TB, proto, addr string, m *dns.Msg) *dns.Msg {
	t.Helper()
	c := dns.Client{Net: proto, Timeout: patience, UDPSize: dns.MaxMsgSize}
	r, _, err := c.Exchange(m, addr)
	if err != nil {
		t.Fatalf("%s %v over %s: %v", m.Question[0].Name, dns.Type(m.Question[0].Qtype), proto, err)
	}
	return r
}

// both runs a test over UDP and over TCP.
func both(t *testing.T, test func(t *testing.T, proto string)) {
	for _, proto := range []string{"udp", "tcp"} {
		t.Run(proto, func(t *testing.T) { test(t, proto) })
	}
}

func addresses(rrs []dns.RR) (list []string) {
	for _, rr := range rrs {
		switch rr := rr.(type) {
		case *dns.A:
			list = append(list, rr.A.String())
		case *dns.AAAA:
			list = append(list, rr.AAAA.String())
		default:
			list = append(list, dns.TypeToString[rr.Header().Rrtype])
		}
	}
	return list
}

func TestRunEndsQuicklyWhileQuestionsWait(t *testing.T) {
	silentUpstream := serveDNS(t, dns.HandlerFunc(func(dns.ResponseWriter, *dns.Msg) {}))
	f := start(t, nil)
	f.forward.Configure([]forward.Zone{{Name: ".", Upstreams: []string{silentUpstream}, MaxFails: -1}})
	tcp, err := dns.DialTimeout("tcp", f.cluster, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := dns.DialTimeout("udp", f.cluster, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	for _, c := range []*dns.Conn{tcp, udp} {
		if err := c.WriteMsg(msg("one.example.com.", dns.TypeMX)); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "both questions to be worked on", func() bool { return f.slow.bySourceCount() == 2 })
	began := time.Now()
	f.stop()
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("the end took %v", took)
	}
	// The client must not get a failure only because the server is stopping.
	_ = tcp.SetReadDeadline(time.Now().Add(patience))
	if m, err := tcp.ReadMsg(); err == nil {
		t.Errorf("a last answer over TCP: %v", m)
	}
	if n := received(t, udp.Conn.(*net.UDPConn)); n > 0 { // all that was sent has arrived
		t.Errorf("a last answer over UDP, of %d bytes", n)
	}
}

func TestRunNamesTheAddressItCannotListenAt(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := netip.MustParseAddrPort(taken.Addr().String())
	for name, edit := range map[string]func(*Options){
		"dns":     func(o *Options) { o.Listen = []netip.AddrPort{anyPort, addr} },
		"node":    func(o *Options) { o.NodeListen = []netip.AddrPort{addr} },
		"metrics": func(o *Options) { o.Metrics = addr },
	} {
		t.Run(name, func(t *testing.T) {
			opts := Options{
				Zone: records(t), Feed: feed.New("n"), Listen: []netip.AddrPort{anyPort},
				Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(),
			}
			edit(&opts)
			s := New(opts)
			err := s.Run(t.Context())
			if err == nil || !strings.Contains(err.Error(), addr.String()) {
				t.Errorf("Run = %v, want an error that names %s", err, addr)
			}
			if s.Listening() != nil {
				t.Errorf("Listening() = %v", s.Listening())
			}
		})
	}
}

// TestEveryProcessorReads: the kernel deals clients out to the readers, so none of the sockets stays without.
func TestEveryProcessorReads(t *testing.T) {
	f := start(t, nil)
	readers := min(runtime.GOMAXPROCS(0), maxSockets)
	if n := len(f.listeners[0].udp); n != readers {
		t.Fatalf("%d sockets, want %d", n, readers)
	}
	for range 32 * readers { // each from a port of its own
		ask(t, "udp", f.cluster, msg(kubernetes, dns.TypeA))
	}
	for i, c := range f.listeners[0].counts[:readers] {
		waitFor(t, fmt.Sprintf("reader %d to count answers", i), func() bool {
			var sum counters
			c.addTo(&sum)
			return sum.requests[0][0][countedType(dns.TypeA)] > 0
		})
	}
}

func TestASecondServerOnTheSameAddressFails(t *testing.T) {
	f := start(t, nil)
	opts := f.opts
	opts.Registry = prometheus.NewRegistry()
	opts.Listen, opts.NodeListen = f.Listening()[:1], nil
	if err := New(opts).Run(t.Context()); err == nil {
		t.Error("it shares the sockets of the first")
	}
}

// TestASocketSurvivesItsErrors: the kernel reports an error of each UDP socket, here because a client has gone.
func TestASocketSurvivesItsErrors(t *testing.T) {
	f := start(t, nil)
	for _, conn := range f.listeners[0].udp {
		raw, err := conn.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		if e := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVERR, 1) }); e != nil || err != nil {
			t.Fatal(e, err)
		}
		gone, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		to := gone.LocalAddr().(*net.UDPAddr).AddrPort()
		if err := gone.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.WriteToUDPAddrPort([]byte("too late"), to); err != nil {
			t.Fatal(err)
		}
	}
	// Every client's port leads to one of the sockets.
	for range 20 {
		if r := ask(t, "udp", f.cluster, msg("kubernetes.default.svc.cluster.local.", dns.TypeA)); len(r.Answer) != 1 {
			t.Fatalf("afterwards: %v", r)
		}
	}
}

func TestForeignersGetNoAnswer(t *testing.T) {
	f := start(t, func(o *Options, _ *Server) { o.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/30")} })
	testForeigner(t, f, net.IPv4(127, 0, 0, 4))
}

// TestTheMachineGetsNoAnswer: its address is the first of the nodes' subnet.
func TestTheMachineGetsNoAnswer(t *testing.T) {
	f := start(t, func(o *Options, _ *Server) { o.Except = netip.MustParseAddr("127.0.0.4") })
	testForeigner(t, f, net.IPv4(127, 0, 0, 4))
}

func testForeigner(t *testing.T, f *fixture, foreign net.IP) {
	if r := ask(t, "udp", f.cluster, msg("kubernetes.default.svc.cluster.local.", dns.TypeA)); len(r.Answer) != 1 {
		t.Fatalf("127.0.0.1 gets %v", r)
	}
	c, err := net.DialUDP("udp4", &net.UDPAddr{IP: foreign}, net.UDPAddrFromAddrPort(f.Listening()[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, name := range []string{"kubernetes.default.svc.cluster.local.", "one.example.com."} {
		packed, _ := msg(name, dns.TypeA).Pack()
		if _, err := c.Write(packed); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Write([]byte("rubbish")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "three drops", func() bool { return f.listeners[0].drops.foreign.Load() == 3 })
	// All three are dealt with, so an answer would be here.
	if n := received(t, c); n > 0 {
		t.Errorf("a foreigner got %d bytes", n)
	}
	// Over TCP the connection ends without a word.
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: foreign}}).Dial("tcp4", f.cluster)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if n, err := conn.Read(make([]byte, 1)); n > 0 || isTimeout(err) {
		t.Errorf("read %d bytes, %v; want a closed connection", n, err)
	}
}

// received is the length of a message that waits to be read, without waiting for it.
func received(t *testing.T, c *net.UDPConn) (n int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { n, _, _ = unix.Recvfrom(int(fd), make([]byte, 2048), unix.MSG_DONTWAIT) }); err != nil {
		t.Fatal(err)
	}
	return n
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// waitFor polls a counter, of which there is no notification.
func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("timed out after %s waiting for: %s", patience, what)
		}
	}
}

func TestIPv6(t *testing.T) {
	six := netip.MustParseAddr("::1")
	probe, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 here: %v", err)
	}
	_ = probe.Close()
	f := start(t, func(o *Options, _ *Server) {
		o.Listen = []netip.AddrPort{netip.AddrPortFrom(six, 0)}
		o.Allow = []netip.Prefix{netip.PrefixFrom(six, 128)}
	})
	both(t, func(t *testing.T, proto string) {
		for name, want := range map[string]string{kubernetes: "10.96.0.1", "one.example.com.": "192.0.2.2", "localhost.": "127.0.0.1"} {
			if r := ask(t, proto, f.cluster, msg(name, dns.TypeA)); len(r.Answer) != 1 || addresses(r.Answer)[0] != want {
				t.Errorf("%s: %v", name, r)
			}
		}
	})
}
