package server

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"bonsai/dnsaddon/corefile"
	"bonsai/dnsaddon/forward"
	"bonsai/dnsaddon/rules"
	"bonsai/dnsaddon/zone"
)

func TestTheNodesViewHasNoNamesOfTheCluster(t *testing.T) {
	f := start(t, nil)
	both(t, func(t *testing.T, proto string) {
		for name, want := range map[string][]string{
			"one.example.com.":         {"192.0.2.2"},
			"localhost.":               {"127.0.0.1"},
			"host.docker.internal.":    {hostAddr.String()},
			kubernetes:                 nil,
			"svc.cluster.local.":       nil,
			"1.0.96.10.in-addr.arpa.":  nil, // an address of a Service
			"9.9.244.10.in-addr.arpa.": nil, // one that nobody has, in the pods' range
		} {
			qtype := dns.TypeA
			if strings.HasSuffix(name, "arpa.") {
				qtype = dns.TypePTR
			}
			r := ask(t, proto, f.node, msg(name, qtype))
			rcode := dns.RcodeSuccess
			if want == nil {
				rcode = dns.RcodeNameError
			}
			if !slices.Equal(addresses(r.Answer), want) || r.Rcode != rcode {
				t.Errorf("%s: %v", name, r)
			}
		}
	})
}

// TestNamesOfTheClusterAreNeverForwarded asks both views for names at, below and beside the cluster's.
func TestNamesOfTheClusterAreNeverForwarded(t *testing.T) {
	var forwarded atomic.Pointer[string]
	spy := serveDNS(t, dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		if q := r.Question[0]; q.Qtype != dns.TypeHINFO { // that is a probe for loops
			forwarded.Store(&q.Name)
		}
		_ = w.WriteMsg(new(dns.Msg).SetRcode(r, dns.RcodeNameError))
	}))
	f := start(t, nil)
	f.forward.Configure([]forward.Zone{{Name: ".", Upstreams: []string{spy}, MaxFails: -1}})
	for _, addr := range []string{f.cluster, f.node} {
		for _, name := range []string{
			"cluster.local.", "CLUSTER.local.", "a.cluster.local.", "a.b.c.d.e.f.g.cluster.local.", kubernetes,
			"www.example.com.default.svc.cluster.local.", "9.9.244.10.in-addr.arpa.", "1.0.96.10.in-addr.arpa.",
		} {
			for _, qtype := range []uint16{dns.TypeA, dns.TypePTR, dns.TypeSOA, dns.TypeNS, dns.TypeANY, dns.TypeDS, dns.TypeTXT} {
				ask(t, "udp", addr, msg(name, qtype))
				ask(t, "udp", addr, msg(name, qtype, edns(4096, true)))
			}
		}
	}
	if name := forwarded.Load(); name != nil {
		t.Errorf("%s went upstream", *name)
	}
	ask(t, "udp", f.cluster, msg("other.example.", dns.TypeA))
	if forwarded.Load() == nil {
		t.Error("and neither does anything else")
	}
}

// An address that belongs to nobody today may be an endpoint's tomorrow; what upstreams said meanwhile must not hide it.
func TestTheClustersAddressesComeBeforeTheCache(t *testing.T) {
	foreign := serveDNS(t, dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		m := new(dns.Msg).SetReply(r)
		m.Answer = []dns.RR{&dns.PTR{Hdr: dns.RR_Header{Name: r.Question[0].Name, Rrtype: dns.TypePTR, Class: dns.ClassINET, Ttl: 300}, Ptr: "elsewhere.example."}}
		_ = w.WriteMsg(m)
	}))
	f := start(t, nil)
	f.forward.Configure([]forward.Zone{{Name: ".", Upstreams: []string{foreign}, MaxFails: -1}})
	const name = "7.2.0.192.in-addr.arpa."
	pointer := func() string {
		m := ask(t, "udp", f.cluster, msg(name, dns.TypePTR))
		if len(m.Answer) != 1 {
			t.Fatalf("no answer:\n%s", m)
		}
		return m.Answer[0].(*dns.PTR).Ptr
	}
	for range 2 { // by the upstream, from the cache
		if got := pointer(); got != "elsewhere.example." {
			t.Fatalf("the address leads to %s", got)
		}
	}
	f.store.SetSlice(zone.Slice{Namespace: "default", Name: "few-2", Service: "few",
		Endpoints: []zone.Endpoint{{Addresses: []string{"192.0.2.7"}, Hostname: "late"}}})
	if got := pointer(); got != "late.few.default.svc.cluster.local." {
		t.Errorf("the cluster's own address leads to %s", got)
	}
}

func TestExternalNames(t *testing.T) {
	f := start(t, nil)
	both(t, func(t *testing.T, proto string) {
		for _, tt := range []struct {
			service string
			qtype   uint16
			rcode   int
			want    []string
		}{
			// The upstream answers in another order.
			{"outside", dns.TypeA, dns.RcodeSuccess, []string{"CNAME", "CNAME", "192.0.2.1"}},
			{"outside", dns.TypeAAAA, dns.RcodeSuccess, []string{"CNAME", "CNAME"}},
			{"outside", dns.TypeCNAME, dns.RcodeSuccess, []string{"CNAME"}},
			{"outside", dns.TypeSRV, dns.RcodeSuccess, nil},
			{"nowhere", dns.TypeA, dns.RcodeSuccess, []string{"CNAME"}},
			{"broken", dns.TypeA, dns.RcodeServerFailure, nil},
		} {
			name := tt.service + ".default.svc.cluster.local."
			r := ask(t, proto, f.cluster, msg(name, tt.qtype))
			if r.Rcode != tt.rcode || !slices.Equal(addresses(r.Answer), tt.want) {
				t.Errorf("%s %v: %v, want %v", name, dns.Type(tt.qtype), r, tt.want)
			}
			if len(r.Answer) > 0 && r.Answer[0].Header().Name != name {
				t.Errorf("%s: begins with %v", name, r.Answer[0])
			}
		}
	})
}

// ruleFuncs are rules made of two functions.
type ruleFuncs struct {
	plain func(folded []byte, qtype uint16) bool
	serve func(q dns.Question, next func(dns.Question) *dns.Msg) (*dns.Msg, string)
}

func (r ruleFuncs) Plain(folded []byte, qtype uint16) bool { return r.plain(folded, qtype) }

func (r ruleFuncs) Serve(q dns.Question, next func(dns.Question) *dns.Msg) (*dns.Msg, string) {
	return r.serve(q, next)
}

// rewriting sends all questions for one name to another, and answers for a third.
var rewriting = ruleFuncs{
	plain: func(folded []byte, _ uint16) bool { return !bytes.Contains(folded, []byte("rule")) },
	serve: func(q dns.Question, next func(dns.Question) *dns.Msg) (*dns.Msg, string) {
		asked := q.Name
		switch {
		case asked == "refused.rule.":
			return &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeRefused}}, "no block"
		case asked == "nothing.rule.":
			return nil, ""
		case strings.HasSuffix(asked, "external.rule."):
			q.Name = "outside.default.svc.cluster.local."
		case strings.HasSuffix(asked, "rule."):
			q.Name = kubernetes
		default:
			return next(q), ""
		}
		m := next(q)
		for _, rr := range m.Answer {
			if rr.Header().Name == q.Name {
				rr.Header().Name = asked
			}
		}
		return m, "rewritten"
	},
}

func TestRulesComeFirst(t *testing.T) {
	f := start(t, nil)
	f.SetRules(rewriting, nil)
	both(t, func(t *testing.T, proto string) {
		for name, want := range map[string][]string{
			"My.Rule.": {"10.96.0.1"}, "external.rule.": {"CNAME", "CNAME", "192.0.2.1"}, kubernetes: {"10.96.0.1"},
			"one.example.com.": {"192.0.2.2"},
		} {
			r := ask(t, proto, f.cluster, msg(name, dns.TypeA))
			if !slices.Equal(addresses(r.Answer), want) || r.Question[0].Name != name || r.Answer[0].Header().Name != name {
				t.Errorf("%s: %v", name, r)
			}
		}
		if r := ask(t, proto, f.cluster, msg("refused.rule.", dns.TypeA)); r.Rcode != dns.RcodeRefused {
			t.Errorf("refused by a rule: %v", r)
		}
		if r := ask(t, proto, f.cluster, msg("nothing.rule.", dns.TypeA)); r.Rcode != dns.RcodeServerFailure {
			t.Errorf("no answer from a rule: %v", r)
		}
		if r := ask(t, proto, f.node, msg("my.rule.", dns.TypeA)); r.Rcode != dns.RcodeNameError {
			t.Errorf("the node's view has no rules, and yet: %v", r)
		}
	})
	f.SetRules(nil, nil)
	if r := ask(t, "udp", f.cluster, msg("my.rule.", dns.TypeA)); r.Rcode != dns.RcodeNameError {
		t.Errorf("after the rules were taken away: %v", r)
	}
}

func TestAChainOfNamesHasAnEnd(t *testing.T) {
	f := start(t, nil)
	var turns atomic.Int32
	f.SetRules(ruleFuncs{
		plain: func([]byte, uint16) bool { return false },
		serve: func(q dns.Question, next func(dns.Question) *dns.Msg) (*dns.Msg, string) {
			turns.Add(1)
			return next(dns.Question{Name: "outside.default.svc.cluster.local.", Qtype: q.Qtype, Qclass: q.Qclass}), ""
		},
	}, nil)
	r := ask(t, "udp", f.cluster, msg("outside.default.svc.cluster.local.", dns.TypeA))
	if r.Rcode != dns.RcodeServerFailure || turns.Load() != maxChain+1 {
		t.Errorf("%d turns: %v", turns.Load(), r)
	}
}

func TestAPanicIsAFailedAnswer(t *testing.T) {
	for name, r := range map[string]ruleFuncs{
		"fast path": {plain: func([]byte, uint16) bool { panic("a bug in the fast path") }},
		"slow path": {
			plain: func([]byte, uint16) bool { return false },
			serve: func(dns.Question, func(dns.Question) *dns.Msg) (*dns.Msg, string) { panic("a bug in the slow path") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, nil)
			both(t, func(t *testing.T, proto string) {
				before := f.panics.Load()
				f.SetRules(r, nil)
				for _, m := range []*dns.Msg{msg(kubernetes, dns.TypeA), msg("x.example.", dns.TypeTXT, edns(512, true))} {
					r := ask(t, proto, f.cluster, m)
					if r.Rcode != dns.RcodeServerFailure || r.Question[0] != m.Question[0] {
						t.Errorf("%v", r)
					}
				}
				if n := f.panics.Load() - before; n != 2 {
					t.Errorf("%d panics counted, want 2", n)
				}
				f.SetRules(nil, nil)
				if r := ask(t, proto, f.cluster, msg(kubernetes, dns.TypeA)); len(r.Answer) != 1 {
					t.Errorf("after the panics: %v", r)
				}
			})
		})
	}
}

// TestLocalNamesComeBeforeTheCluster: a cluster whose domain takes them in does not get them.
func TestLocalNamesComeBeforeTheCluster(t *testing.T) {
	for domain, want := range map[string]struct{ name, addr string }{
		"docker.internal": {"host.docker.internal.", hostAddr.String()},
		"my.localhost":    {"nobody.my.localhost.", "127.0.0.1"},
	} {
		f := start(t, func(o *Options, _ *Server) {
			o.Zone = zone.NewStore(zone.Options{Domain: domain})
			o.Zone.SetSynced()
		})
		both(t, func(t *testing.T, proto string) {
			if r := ask(t, proto, f.cluster, msg(want.name, dns.TypeA)); !slices.Equal(addresses(r.Answer), []string{want.addr}) {
				t.Errorf("%s: %v", want.name, r)
			}
		})
	}
}

func TestBeforeTheRecordsAreComplete(t *testing.T) {
	f := start(t, func(o *Options, _ *Server) { o.Zone = records(t) })
	for _, name := range []string{kubernetes, "nobody.default.svc.cluster.local."} {
		if r := ask(t, "udp", f.cluster, msg(name, dns.TypeA)); r.Rcode != dns.RcodeServerFailure {
			t.Errorf("%s: %v", name, r)
		}
	}
	if r := ask(t, "udp", f.cluster, msg("one.example.com.", dns.TypeA)); len(r.Answer) != 1 {
		t.Errorf("names of the world must not wait: %v", r)
	}
}

// TestRealRules: what the user's configuration makes fits.
func TestRealRules(t *testing.T) {
	config, problems := corefile.Parse(corefile.Sources{Corefile: map[string]string{"Corefile": `.:53 {
		log . {
			class denial
		}
		hosts {
			192.0.2.77 written.example.com
			fallthrough
		}
		rewrite name short.example.com kubernetes.default.svc.cluster.local
		kubernetes cluster.local
	}`}}, corefile.Defaults{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	f := start(t, nil)
	var log lockedBuffer
	f.SetRules(rules.New(config), rules.NewLog(config, slog.New(slog.NewTextHandler(&log, nil))))
	both(t, func(t *testing.T, proto string) {
		for name, want := range map[string][]string{
			"Written.example.com.": {"192.0.2.77"}, "Short.example.com.": {"10.96.0.1"}, kubernetes: {"10.96.0.1"},
			"one.example.com.": {"192.0.2.2"}, "absent.example.com.": nil,
		} {
			r := ask(t, proto, f.cluster, msg(name, dns.TypeA))
			if !slices.Equal(addresses(r.Answer), want) || want != nil && r.Answer[0].Header().Name != name {
				t.Errorf("%s: %v", name, r)
			}
			ask(t, proto, f.node, msg(name, dns.TypeA)) // is not logged
		}
	})
	f.stop() // after which nobody logs
	if text := log.String(); strings.Count(text, "\n") != 2 || strings.Count(text, "name=absent.example.com.") != 2 {
		t.Errorf("logged:\n%s\nwant the two denials", text)
	}
}

// lockedBuffer is a buffer for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
