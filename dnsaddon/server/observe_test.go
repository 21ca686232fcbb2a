package server

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"bonsai/bootstrap/cluster"
	"bonsai/dnsaddon/forward"
)

func TestTheFeedReportsEveryAnswer(t *testing.T) {
	f := start(t, nil)
	ask(t, "udp", f.cluster, msg("one.example.com.", dns.TypeA)) // into the cache, and not published
	ctx, cancel := context.WithCancel(t.Context())
	published := make(chan cluster.DNSQuery, 100)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	watching.Go(func() {
		_ = f.feed.Subscribe(ctx, false, func(q cluster.DNSQuery) error { published <- q; return nil })
	})
	waitFor(t, "the feed to be watched", f.feed.Active)
	for _, tt := range []struct {
		proto, addr, name string
		qtype             uint16
		want              string
	}{
		{"udp", f.cluster, "KuberNetes.default.svc.cluster.local.", dns.TypeA, "NOERROR cluster 1 [10.96.0.1]"},
		{"tcp", f.cluster, kubernetes, dns.TypeA, "NOERROR cluster 1 [10.96.0.1]"},
		{"udp", f.cluster, kubernetes, dns.TypeAAAA, "NOERROR cluster 0 []"},
		{"udp", f.cluster, "nobody.cluster.local.", dns.TypeAAAA, "NXDOMAIN cluster 0 []"},
		{"udp", f.cluster, "one.example.com.", dns.TypeA, "NOERROR cache 1 [192.0.2.2]"},
		{"tcp", f.cluster, "one.example.com.", dns.TypeA, "NOERROR cache 1 [192.0.2.2]"},
		{"udp", f.cluster, "other.example.com.", dns.TypeA, "NOERROR forward 1 [192.0.2.3]"},
		{"udp", f.node, "localhost.", dns.TypeA, "NOERROR local 1 [127.0.0.1]"},
		{"udp", f.cluster, "cluster.local.", dns.TypeAXFR, "REFUSED refused 0 []"},
		{"udp", f.cluster, "_https._tcp." + kubernetes, dns.TypeSRV, "NOERROR cluster 1 [0 100 443 " + kubernetes + "]"},
		{"tcp", f.cluster, "many.default.svc.cluster.local.", dns.TypeA, "NOERROR cluster 60 …"},
	} {
		before := time.Now()
		ask(t, tt.proto, tt.addr, msg(tt.name, tt.qtype))
		q := <-published
		got := fmt.Sprint(q.Rcode, " ", q.Source, " ", q.Count, " ", q.Answers)
		if q.Count > publishedAnswers && len(q.Answers) == publishedAnswers {
			got = fmt.Sprint(q.Rcode, " ", q.Source, " ", q.Count, " …")
		}
		if got != tt.want || q.Name != tt.name || q.Type != dns.Type(tt.qtype).String() || q.Proto != tt.proto {
			t.Errorf("%s %s: published %+v, want %s", tt.proto, tt.name, q, tt.want)
		}
		if q.Client != netip.MustParseAddr("127.0.0.1") || q.Node != "node-1" || q.Time.Before(before.Add(-time.Second)) ||
			q.Took <= 0 || q.Took > patience || (q.Upstream != "") != (q.Source == cluster.DNSFromForward) {
			t.Errorf("%s %s: published %+v", tt.proto, tt.name, q)
		}
	}
}

func TestMetrics(t *testing.T) {
	f := start(t, nil)
	for range 3 {
		ask(t, "udp", f.cluster, msg(kubernetes, dns.TypeA, edns(1232, true)))
	}
	ask(t, "tcp", f.cluster, msg(kubernetes, dns.TypeA))
	ask(t, "udp", f.cluster, msg("nobody.cluster.local.", dns.TypeAAAA))
	ask(t, "udp", f.cluster, msg("one.example.com.", dns.TypeA))
	ask(t, "udp", f.cluster, msg("one.example.com.", dns.TypeA))
	ask(t, "udp", f.cluster, msg(kubernetes, 4711, func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }))
	ask(t, "udp", f.node, msg("localhost.", dns.TypeA))
	s, n := "dns://"+f.cluster, "dns://"+f.node
	want := fmt.Sprintf(`
# HELP coredns_dns_requests_total Answered questions.
# TYPE coredns_dns_requests_total counter
coredns_dns_requests_total{family="1",proto="udp",server=%[1]q,type="A",view="",zone="."} 5
coredns_dns_requests_total{family="1",proto="tcp",server=%[1]q,type="A",view="",zone="."} 1
coredns_dns_requests_total{family="1",proto="udp",server=%[1]q,type="AAAA",view="",zone="."} 1
coredns_dns_requests_total{family="1",proto="udp",server=%[1]q,type="other",view="",zone="."} 1
coredns_dns_requests_total{family="1",proto="udp",server=%[2]q,type="A",view="",zone="."} 1
# HELP coredns_dns_responses_total Answers by rcode.
# TYPE coredns_dns_responses_total counter
coredns_dns_responses_total{plugin="kubernetes",rcode="NOERROR",server=%[1]q,view="",zone="."} 4
coredns_dns_responses_total{plugin="kubernetes",rcode="NXDOMAIN",server=%[1]q,view="",zone="."} 1
coredns_dns_responses_total{plugin="forward",rcode="NOERROR",server=%[1]q,view="",zone="."} 1
coredns_dns_responses_total{plugin="cache",rcode="NOERROR",server=%[1]q,view="",zone="."} 1
coredns_dns_responses_total{plugin="",rcode="REFUSED",server=%[1]q,view="",zone="."} 1
coredns_dns_responses_total{plugin="hosts",rcode="NOERROR",server=%[2]q,view="",zone="."} 1
# HELP coredns_dns_do_requests_total Answered questions with the DO bit.
# TYPE coredns_dns_do_requests_total counter
coredns_dns_do_requests_total{server=%[1]q,view="",zone="."} 3
coredns_dns_do_requests_total{server=%[2]q,view="",zone="."} 0
`, s, n)
	names := []string{"coredns_dns_requests_total", "coredns_dns_responses_total", "coredns_dns_do_requests_total"}
	// A reader counts after it has sent, so the last answer may be here before its count.
	waitFor(t, "the last count", func() bool { return testutil.GatherAndCompare(f.registry, strings.NewReader(want), names...) == nil })
	if err := testutil.GatherAndCompare(f.registry, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
	if q := f.Queries(); q["NOERROR"] != 7 || q["NXDOMAIN"] != 1 || q["REFUSED"] != 1 || len(q) != 3 {
		t.Errorf("Queries() = %v", q)
	}
	w := httptest.NewRecorder()
	f.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	text := w.Body.String()
	for _, line := range []string{
		`coredns_dns_request_duration_seconds_count{server=%q,view="",zone="."} 8`,
		`coredns_dns_request_duration_seconds_bucket{server=%q,view="",zone=".",le="0.00025"} `,
		`coredns_dns_request_duration_seconds_bucket{server=%q,view="",zone=".",le="8.192"} 8`,
		`coredns_dns_response_size_bytes_bucket{proto="udp",server=%q,view="",zone=".",le="0"} 0`,
		`coredns_dns_response_size_bytes_bucket{proto="udp",server=%q,view="",zone=".",le="511"} 7`,
		`coredns_dns_request_size_bytes_bucket{proto="tcp",server=%q,view="",zone=".",le="100"} 1`,
		`coredns_shed_dropped_total{reason="overload",server=%q} 0`,
		`coredns_acl_dropped_requests_total{server=%q,view="",zone="."} 0`,
		`coredns_cache_entries{server=%q,type="success",view="",zones="."} 1`,
		`coredns_cache_hits_total{server=%q,type="success",view="",zones="."} 1`,
		`coredns_cache_requests_total{server=%q,view="",zones="."} 2`,
	} {
		if line = fmt.Sprintf(line, s); !strings.Contains(text, "\n"+line) {
			t.Errorf("no line %s in\n%s", line, text)
		}
	}
	for _, name := range []string{
		"coredns_build_info{", "coredns_panics_total 0", "coredns_cache_misses_total{", "coredns_cache_evictions_total{",
		"coredns_forward_max_concurrent_rejects_total 0", "coredns_forward_healthcheck_broken_total 0",
		"coredns_proxy_request_duration_seconds_bucket{", "coredns_proxy_healthcheck_failures_total{",
	} {
		if !strings.Contains(text, "\n"+name) {
			t.Errorf("no metric %s", name)
		}
	}
}

// TestMetricsAreConsistent lets the registry check what it usually takes on trust, with views that have upstreams in
// common and upstreams with several zones.
func TestMetricsAreConsistent(t *testing.T) {
	f := start(t, func(o *Options, _ *Server) {
		o.Listen = append(o.Listen, anyPort)
		o.NodeForward = forward.New(forward.Options{Log: slog.New(slog.DiscardHandler)})
	})
	one := upstream(t)
	zones := []forward.Zone{{Name: "other.example.com.", Upstreams: []string{one}}, {Name: ".", Upstreams: []string{one}}}
	f.forward.Configure(zones)
	f.opts.NodeForward.(*forward.Forwarder).Configure(zones)
	for _, addr := range f.Listening() {
		for _, name := range []string{"one.example.com.", "other.example.com."} {
			ask(t, "udp", addr.String(), msg(name, dns.TypeA))
		}
	}
	pedantic := prometheus.NewPedanticRegistry()
	pedantic.MustRegister(newCollector(f.Server))
	if _, err := pedantic.Gather(); err != nil {
		t.Error(err)
	}
	w := httptest.NewRecorder()
	f.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, line := range []string{
		`coredns_proxy_request_duration_seconds_count{proxy_name="forward",rcode="NOERROR",to=%q} 2`,
		`coredns_proxy_request_duration_seconds_count{proxy_name="node",rcode="NOERROR",to=%q} 2`,
	} {
		if line = fmt.Sprintf(line, one); w.Code != 200 || !strings.Contains(w.Body.String(), "\n"+line+"\n") {
			t.Errorf("status %d, no line %s in\n%s", w.Code, line, w.Body)
		}
	}
}

func TestHealthReadyMetricsOverHTTP(t *testing.T) {
	var web netip.AddrPort
	f := start(t, func(o *Options, _ *Server) {
		probe := httptest.NewServer(http.NotFoundHandler())
		web = netip.MustParseAddrPort(probe.Listener.Addr().String())
		probe.Close()
		o.Metrics, o.Except = web, netip.MustParseAddr("127.0.0.4")
		o.Zone = records(t)
	})
	get := func(path string) (int, string) {
		t.Helper()
		r, err := http.Get("http://" + web.String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(body)
	}
	defer http.DefaultClient.CloseIdleConnections()
	if code, body := get("/health"); code != 200 || body != "OK" {
		t.Errorf("/health: %d %q", code, body)
	}
	if code, _ := get("/ready"); code != 503 {
		t.Errorf("/ready before the records are complete: %d", code)
	}
	f.opts.Zone.SetSynced()
	if code, body := get("/ready"); code != 200 || body != "OK" {
		t.Errorf("/ready: %d %q", code, body)
	}
	if code, body := get("/metrics"); code != 200 || !strings.Contains(body, "coredns_build_info{") {
		t.Errorf("/metrics: %d %s", code, body)
	}
	foreigner := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 4)}}).DialContext}}
	r, err := foreigner.Get("http://" + web.String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusForbidden {
		t.Errorf("/metrics for a foreigner: %s", r.Status)
	}
	if code, _ := get("/debug/pprof/"); code != 404 {
		t.Errorf("/debug/pprof/: %d", code)
	}
}

// TestOverload: with an upstream that never answers, the slow path fills up and everything else goes on.
func TestOverload(t *testing.T) {
	silentUpstream := serveDNS(t, dns.HandlerFunc(func(dns.ResponseWriter, *dns.Msg) {}))
	f := start(t, func(_ *Options, s *Server) {
		s.slow = newPool(poolLimits{workers: 2, waiting: 2, perSource: 3, wait: time.Minute})
	})
	f.forward.Configure([]forward.Zone{{Name: ".", Upstreams: []string{silentUpstream}, MaxFails: -1}})
	udp, err := dns.DialTimeout("udp", f.cluster, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	for i := range 10 {
		if err := udp.WriteMsg(msg(fmt.Sprintf("slow-%d.", i), dns.TypeA)); err != nil {
			t.Fatal(err)
		}
	}
	drops := func(why dropReason) uint64 { return f.listeners[0].drops.byReason[why].Load() }
	waitFor(t, "seven questions of one source to be dropped", func() bool { return drops(dropSource) == 7 })
	// Over TCP the client learns of it.
	if r := ask(t, "tcp", f.cluster, msg("slow-10.", dns.TypeA)); r.Rcode != dns.RcodeRefused || r.Response != true {
		t.Errorf("over TCP: %v", r)
	}
	// Two other sources fill the queue, and push out the oldest.
	for _, last := range []byte{2, 3} {
		c := &dns.Client{Net: "udp", Dialer: dialerFrom(last), Timeout: patience}
		conn, err := c.Dial(f.cluster)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.WriteMsg(msg("slow.", dns.TypeA)); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "a question to be dropped from the queue", func() bool { return drops(dropOverload) == 1 })
	both(t, func(t *testing.T, proto string) {
		if r := ask(t, proto, f.cluster, msg(kubernetes, dns.TypeA)); len(r.Answer) != 1 {
			t.Errorf("the fast path: %v", r)
		}
	})
}
