package host

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"bonsai/bootstrap/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func addresses(texts ...string) (list []netip.Addr) {
	for _, t := range texts {
		list = append(list, netip.MustParseAddr(t))
	}
	return list
}

// shop is what a cluster named dev has.
func shop() cluster.HostDNS {
	return cluster.HostDNS{
		Domains: []string{"svc.cluster.local", "dev.bonsai.internal", "test", "shop.example.com"},
		Names: []cluster.HostName{
			{Name: "web.shop.svc.cluster.local", Addresses: addresses("10.201.3.1")},
			{Name: "web.shop.svc.dev.bonsai.internal", Addresses: addresses("10.201.3.1")},
			{Name: "db.shop.svc.cluster.local", Reason: "it has no address that this machine reaches"},
			{Name: "shop.test", Addresses: addresses("10.201.0.10", "10.201.0.11")},
			{Name: "six.test", Addresses: addresses("fd00::1")},
			{Name: "*.apps.test", Addresses: addresses("10.201.0.12")},
			{Name: "a.b.apps.test", Addresses: addresses("10.201.0.13")},
			{Name: "shop.example.com", Addresses: addresses("10.201.0.10")},
			{Name: "www.google.com", Addresses: addresses("10.201.0.66")},
		},
	}
}

// serve runs a resolver and returns where it answers.
func serve(t *testing.T, o Options, h cluster.HostDNS) netip.AddrPort {
	t.Helper()
	o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	r := New(o)
	r.Set(h)
	ctx, cancel := context.WithCancel(t.Context())
	listening, ended := make(chan int, 1), make(chan error, 1)
	go func() { ended <- r.Run(ctx, 0, func(port int) { listening <- port }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
	select {
	case port := <-listening:
		return netip.AddrPortFrom(loopback, uint16(port))
	case err := <-ended:
		ended <- nil
		t.Fatalf("it does not listen: %v", err)
	case <-time.After(10 * time.Second):
		t.Fatal("it does not listen")
	}
	return netip.AddrPort{}
}

// dig asks as programs do, and returns the answer as "RCODE addresses".
func dig(t *testing.T, at netip.AddrPort, network, name string, qtype uint16) string {
	t.Helper()
	client := dns.Client{Net: network, Timeout: 5 * time.Second}
	reply, _, err := client.ExchangeContext(t.Context(), new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype), at.String())
	if err != nil {
		t.Fatalf("%s %s %s: %v", network, name, dns.TypeToString[qtype], err)
	}
	words := []string{}
	for _, rr := range reply.Answer {
		if rr.Header().Name != dns.Fqdn(name) || rr.Header().Rrtype != qtype || rr.Header().Ttl != ttl {
			t.Errorf("%s: the record %s", name, rr)
		}
		switch rr := rr.(type) {
		case *dns.A:
			words = append(words, rr.A.String())
		case *dns.AAAA:
			words = append(words, rr.AAAA.String())
		}
	}
	if len(words) == 0 && reply.Rcode != dns.RcodeRefused && (len(reply.Ns) != 1 || reply.Ns[0].Header().Rrtype != dns.TypeSOA) {
		t.Errorf("%s: a denial without the SOA record that limits how long it is kept: %v", name, reply.Ns)
	}
	slices.Sort(words)
	return strings.Join(append([]string{dns.RcodeToString[reply.Rcode]}, words...), " ")
}

func TestWhatIsAnswered(t *testing.T) {
	at := serve(t, Options{Own: "dev.bonsai.internal"}, shop())
	for _, c := range []struct {
		name  string
		qtype uint16
		want  string
	}{
		{"web.shop.svc.cluster.local", dns.TypeA, "NOERROR 10.201.3.1"},
		{"WEB.Shop.svc.cluster.local", dns.TypeA, "NOERROR 10.201.3.1"},
		{"web.shop.svc.cluster.local", dns.TypeAAAA, "NOERROR"}, // no address of that family, and not "no such name"
		{"web.shop.svc.cluster.local", dns.TypeHTTPS, "NOERROR"},
		{"web.shop.svc.dev.bonsai.internal", dns.TypeA, "NOERROR 10.201.3.1"},
		{"db.shop.svc.cluster.local", dns.TypeA, "NOERROR"},
		{"shop.svc.cluster.local", dns.TypeA, "NOERROR"}, // it has names below it
		{"svc.cluster.local", dns.TypeA, "NOERROR"},
		{"nothing.shop.svc.cluster.local", dns.TypeA, "NXDOMAIN"},
		{"shop.test", dns.TypeA, "NOERROR 10.201.0.10 10.201.0.11"},
		{"six.test", dns.TypeA, "NOERROR"},
		{"six.test", dns.TypeAAAA, "NOERROR fd00::1"},
		{"x.apps.test", dns.TypeA, "NOERROR 10.201.0.12"},
		{"x.y.apps.test", dns.TypeA, "NOERROR 10.201.0.12"},
		{"apps.test", dns.TypeA, "NOERROR"},
		{"a.b.apps.test", dns.TypeA, "NOERROR 10.201.0.13"},
		{"b.apps.test", dns.TypeA, "NOERROR"},    // there is a.b.apps.test
		{"c.b.apps.test", dns.TypeA, "NXDOMAIN"}, // and so the wildcard does not count below it
		{"*.apps.test", dns.TypeA, "NOERROR 10.201.0.12"},
		{"shop.example.com", dns.TypeA, "NOERROR 10.201.0.10"},
		{"www.example.com", dns.TypeA, "REFUSED"},
		{"www.google.com", dns.TypeA, "REFUSED"}, // whatever an Ingress says
		{"cluster.local", dns.TypeA, "REFUSED"},
		{"notsvc.cluster.local", dns.TypeA, "REFUSED"},
		{"1.0.0.127.in-addr.arpa", dns.TypePTR, "REFUSED"},
		{".", dns.TypeNS, "REFUSED"},
		{"other.bonsai.internal", dns.TypeA, "REFUSED"},
	} {
		for _, network := range []string{"udp", "tcp"} {
			if got := dig(t, at, network, c.name, c.qtype); got != c.want {
				t.Errorf("%s %s %s: %s, want %s", network, c.name, dns.TypeToString[c.qtype], got, c.want)
			}
		}
	}
}

// TestAddressesBelowLocalhost: the names of Services below localhost, for machines whose own resolver does not know them.
func TestAddressesBelowLocalhost(t *testing.T) {
	at := serve(t, Options{}, shop())
	client := dns.Client{Timeout: 5 * time.Second}
	reply, _, err := client.ExchangeContext(t.Context(), new(dns.Msg).SetQuestion("web.shop.localhost.", dns.TypeA), at.String())
	if err != nil || len(reply.Answer) != 1 || !strings.HasSuffix(reply.Answer[0].String(), "127.0.0.1") {
		t.Errorf("got %v, %v", reply, err)
	}
}

// TestTransfersAreRefused: names cannot be listed.
func TestTransfersAreRefused(t *testing.T) {
	at := serve(t, Options{}, shop())
	client := dns.Client{Net: "tcp", Timeout: 5 * time.Second}
	reply, _, err := client.ExchangeContext(t.Context(), new(dns.Msg).SetAxfr("test."), at.String())
	if err != nil || reply.Rcode != dns.RcodeRefused || len(reply.Answer) != 0 {
		t.Errorf("got %v, %v", reply, err)
	}
}

func TestNamesChangeWhileItAnswers(t *testing.T) {
	r := New(Options{})
	ask := func() int {
		reply, _, _ := r.Exchange(t.Context(), new(dns.Msg).SetQuestion("new.test.", dns.TypeA), "udp")
		return reply.Rcode
	}
	if got := ask(); got != dns.RcodeRefused {
		t.Errorf("without a table: %s", dns.RcodeToString[got])
	}
	r.Set(cluster.HostDNS{Domains: []string{"test"}})
	if got := ask(); got != dns.RcodeNameError {
		t.Errorf("before it exists: %s", dns.RcodeToString[got])
	}
	r.Set(cluster.HostDNS{Domains: []string{"test"}, Names: []cluster.HostName{{Name: "new.test", Addresses: addresses("10.0.0.1")}}})
	if got := ask(); got != dns.RcodeSuccess {
		t.Errorf("when it exists: %s", dns.RcodeToString[got])
	}
}

// TestClustersAnswerForEachOther: whichever of them is asked, the answer is that of the first cluster that has the name.
func TestClustersAnswerForEachOther(t *testing.T) {
	of := func(name string, names ...cluster.HostName) cluster.HostDNS {
		return cluster.HostDNS{Domains: []string{"svc.cluster.local", name + ".bonsai.internal", "test"}, Names: names}
	}
	var second atomic.Pointer[netip.AddrPort] // which is not there yet when the first one serves
	a := serve(t, Options{Own: "a.bonsai.internal", Others: func() (before, after []netip.AddrPort) { return nil, []netip.AddrPort{*second.Load()} }},
		of("a", cluster.HostName{Name: "both.test", Addresses: addresses("10.0.0.1")}, cluster.HostName{Name: "a.test", Addresses: addresses("10.0.0.2")},
			cluster.HostName{Name: "x.up.test", Addresses: addresses("10.0.0.4")}, cluster.HostName{Name: "far.test"},
			cluster.HostName{Name: "w.svc.a.bonsai.internal", Addresses: addresses("10.0.0.3")}))
	b := serve(t, Options{Own: "b.bonsai.internal", Others: func() (before, after []netip.AddrPort) { return []netip.AddrPort{a}, nil }},
		of("b", cluster.HostName{Name: "both.test", Addresses: addresses("10.0.1.1")}, cluster.HostName{Name: "b.test", Addresses: addresses("10.0.1.2")},
			cluster.HostName{Name: "up.test", Addresses: addresses("10.0.1.4")}, cluster.HostName{Name: "far.test", Addresses: addresses("10.0.1.5")},
			cluster.HostName{Name: "w.svc.b.bonsai.internal", Addresses: addresses("10.0.1.3")}))
	second.Store(&b)
	for name, want := range map[string]string{
		"both.test": "NOERROR 10.0.0.1", "a.test": "NOERROR 10.0.0.2", "b.test": "NOERROR 10.0.1.2", "none.test": "NXDOMAIN",
		"up.test": "NOERROR 10.0.1.4", "far.test": "NOERROR 10.0.1.5",
	} {
		for at, which := range map[netip.AddrPort]string{a: "a", b: "b"} {
			if got := dig(t, at, "udp", name, dns.TypeA); got != want {
				t.Errorf("%s asked %s: %s, want %s", which, name, got, want)
			}
		}
	}
	for at, which := range map[netip.AddrPort]string{a: "a", b: "b"} {
		if got := dig(t, at, "udp", "b.test", dns.TypeAAAA); got != "NOERROR" {
			t.Errorf("%s asked for a type that there is not: %s", which, got)
		}
	}
	if got := dig(t, a, "udp", "w.svc.b.bonsai.internal", dns.TypeA); got != "REFUSED" {
		t.Errorf("a answers for what is b's alone: %s", got)
	}
}

// TestAPortThatIsTaken: the next one is used, unless that port was asked for.
func TestAPortThatIsTaken(t *testing.T) {
	first := serve(t, Options{}, shop())
	second := serve(t, Options{}, shop())
	if first == second {
		t.Errorf("both are at %s", first)
	}
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	port := taken.Addr().(*net.TCPAddr).Port
	r := New(Options{Log: slog.New(slog.DiscardHandler)})
	err = r.Run(t.Context(), port, func(int) { t.Error("it listens") })
	if err == nil || !strings.Contains(err.Error(), strconv.Itoa(port)) {
		t.Errorf("got %v", err)
	}
}

// FuzzQuestion: whatever is asked, there is one answer, and only names below the domains get an address.
func FuzzQuestion(f *testing.F) {
	for _, name := range []string{"shop.test.", "a.b.apps.test.", "*.test.", "www.google.com.", ".", `a\.test.`, `\000.shop.test.`} {
		f.Add(name, dns.TypeA)
	}
	r := New(Options{Own: "dev.bonsai.internal"})
	r.Set(shop())
	f.Fuzz(func(t *testing.T, name string, qtype uint16) {
		packed := make([]byte, 300)
		end, err := dns.PackDomainName(dns.Fqdn(name), packed, 0, nil, false)
		if err != nil {
			return
		}
		name, _, err = dns.UnpackDomainName(packed[:end], 0)
		if err != nil {
			t.Fatal(err)
		}
		m := &dns.Msg{Question: []dns.Question{{Name: name, Qtype: qtype, Qclass: dns.ClassINET}}}
		reply, _, _ := r.Exchange(t.Context(), m, "udp")
		if reply == nil {
			t.Fatal("no answer")
		}
		if _, err := reply.Pack(); err != nil {
			t.Errorf("%q: the answer cannot be sent: %v", name, err)
		}
		below := !strings.Contains(name, `\`) && slices.ContainsFunc(shop().Domains, func(d string) bool { return dns.IsSubDomain(dns.Fqdn(d), name) })
		if (reply.Rcode == dns.RcodeRefused) == below {
			t.Errorf("%q below a domain: %v, and the answer is %s", name, below, dns.RcodeToString[reply.Rcode])
		}
	})
}
