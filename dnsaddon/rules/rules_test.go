package rules

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"bonsai/bootstrap/cluster"
	"bonsai/dnsaddon/corefile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// parse reads the inside of the default server block, or whole blocks if there is a brace at the start of a line.
func parse(t testing.TB, text string) corefile.Config {
	t.Helper()
	if !strings.Contains(text, "{ #block") {
		text = ".:53 {\n" + text + "\n}"
	}
	c, problems := corefile.Parse(corefile.Sources{Corefile: map[string]string{"Corefile": text}}, corefile.Defaults{})
	for _, p := range problems {
		if !strings.Contains(p.Summary, "kubernetes") {
			t.Fatalf("problem: %s", p.Summary)
		}
	}
	return c
}

// world is what is behind the rules: records by question.
type world map[string][]string

func (w world) next(asked *[]string) func(dns.Question) *dns.Msg {
	return func(q dns.Question) *dns.Msg {
		key := q.Name + " " + dns.Type(q.Qtype).String()
		*asked = append(*asked, key)
		m := &dns.Msg{}
		m.Response = true
		records, ok := w[key]
		if !ok {
			m.Rcode = dns.RcodeNameError
			return m
		}
		for _, text := range records {
			if rcode, ok := dns.StringToRcode[text]; ok {
				m.Rcode = rcode
				continue
			}
			rr, err := dns.NewRR(text)
			if err != nil {
				panic(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		m.SetEdns0(1232, true)
		return m
	}
}

// describe is a message in few words: rcode, then records without spaces between.
func describe(m *dns.Msg) string {
	if m == nil {
		return "nothing"
	}
	var b strings.Builder
	b.WriteString(dns.RcodeToString[m.Rcode])
	for i, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			if rr.Header().Rrtype != dns.TypeOPT {
				b.WriteString([]string{" | ", " ns ", " + "}[i] + strings.Join(strings.Fields(rr.String()), " "))
			}
		}
	}
	return b.String()
}

func ask(text string) dns.Question {
	name, qtype, _ := strings.Cut(text, " ")
	return dns.Question{Name: name, Qtype: dns.StringToType[qtype], Qclass: dns.ClassINET}
}

// TestServe asks one question of one Corefile. Asked is what gets through to the server.
func TestServe(t *testing.T) {
	records := world{
		"new.example. A":                     {"new.example. 30 IN A 10.0.0.1", "www.new.example. 30 IN A 10.0.0.2"},
		"old.example. A":                     {"old.example. 30 IN A 10.0.0.9"},
		"web.default.svc.cluster.local. A":   {"web.default.svc.cluster.local. 30 IN A 10.96.0.5"},
		"web.default.svc.cluster.local. SRV": {"web.default.svc.cluster.local. 30 IN SRV 0 50 80 a.web.default.svc.cluster.local."},
		"ftp.service.us-west-1.consul. A":    {"ftp.service.us-west-1.consul. 0 IN A 10.10.10.10"},
		"bar.example.com. A":                 {"BAR.example.com. 5 IN CNAME x.bar.example.com.", "x.bar.example.com. 600 IN A 10.0.0.3"},
		"a.west.example. A":                  {"a.west.example. 30 IN A 10.0.0.4"},
		"30.30.30.10.in-addr.arpa. PTR":      {"30.30.30.10.in-addr.arpa. 60 IN PTR ftp-us-west-1.service.consul."},
		"new.example.net. A":                 {"new.example.net. 30 IN CNAME brandnew.example.net."},
		"new.example. HINFO":                 {"new.example. 1 IN HINFO \"a\" \"b\""},
		"broken.rocks. A":                    {"SERVFAIL"},
		"two.example. A":                     {"two.example. 30 IN A 10.0.0.22"},
		"target.example. A":                  {"target.example. 30 IN A 10.0.0.7"},
		"svc.example.svc.cluster.local. A":   {"svc.example.svc.cluster.local. 30 IN A 10.96.0.7"},
	}
	hosts := "hosts {\n 192.168.1.10 nas.home NAS\n 192.168.1.11 nas.home\n fd00::10 nas.home\n 10.0.0.5 *.apps.home exact.apps.home\n ttl 60\n fallthrough\n}"
	nip := `template IN A nip.example {
		match "(^|[.])ip-(?P<a>[0-9]+)-(?P<b>[0-9]+)[.]nip[.]example[.]$"
		match ^second[.]nip
		answer "{{ .Name }} 60 IN A 10.0.{{ .Group.a }}.{{ .Group.b }}"
		additional "{{ .Zone }} 60 IN TXT {{ .Type }}"
		authority "{{ .Zone }} 60 IN NS ns.{{ .Zone }}"
		fallthrough
	}`
	for _, tc := range []struct {
		name, corefile, question string
		want, asked              string
	}{
		// Rewrites of names, and back.
		{"exact also rewrites the answer", "rewrite name old.example new.example", "old.example. A",
			"NOERROR | old.example. 30 IN A 10.0.0.1 | www.old.example. 30 IN A 10.0.0.2", "new.example. A"},
		{"exact is not below", "rewrite name old.example new.example", "x.old.example. A", "NXDOMAIN", "x.old.example. A"},
		{"suffix keeps the new name", "rewrite name suffix .corp.example .default.svc.cluster.local", "web.corp.example. A",
			"NOERROR | web.default.svc.cluster.local. 30 IN A 10.96.0.5", "web.default.svc.cluster.local. A"},
		{"suffix with answer auto", "rewrite name suffix .corp.example .default.svc.cluster.local answer auto", "web.corp.example. SRV",
			"NOERROR | web.corp.example. 30 IN SRV 0 50 80 a.web.corp.example.", "web.default.svc.cluster.local. SRV"},
		{"prefix is a label", "rewrite name prefix foo bar answer auto", "foo.example.com. A",
			"NOERROR | foo.example.com. 5 IN CNAME x.foo.example.com. | x.foo.example.com. 600 IN A 10.0.0.3", "bar.example.com. A"},
		{"prefix of a label is none", "rewrite name prefix foo bar", "foobar.example.com. A", "NXDOMAIN", "foobar.example.com. A"},
		{"substring", "rewrite name substring east west answer auto", "a.east.example. A", "NOERROR | a.east.example. 30 IN A 10.0.0.4", "a.west.example. A"},
		{"regex with groups", `rewrite name regex (.*)-(us-west-1)\.coredns\.rocks {1}.service.{2}.consul`, "ftp-us-west-1.coredns.rocks. A",
			"NOERROR | ftp.service.us-west-1.consul. 0 IN A 10.10.10.10", "ftp.service.us-west-1.consul. A"},
		{"regex, answer name", "rewrite stop {\n name regex (.*)-(us-west-1)\\.coredns\\.rocks {1}.service.{2}.consul\n answer name (.*)\\.service\\.(us-west-1)\\.consul {1}-{2}.coredns.rocks\n}",
			"ftp-us-west-1.coredns.rocks. A", "NOERROR | ftp-us-west-1.coredns.rocks. 0 IN A 10.10.10.10", "ftp.service.us-west-1.consul. A"},
		{"answer value", "rewrite stop {\n name suffix .arpa .arpa answer auto\n answer value (.*)\\.service\\.consul\\. {1}.coredns.rocks.\n}",
			"30.30.30.10.in-addr.arpa. PTR", "NOERROR | 30.30.30.10.in-addr.arpa. 60 IN PTR ftp-us-west-1.coredns.rocks.", "30.30.30.10.in-addr.arpa. PTR"},
		{"whole match is {0}", "rewrite name regex ^old {0}er.example", "old.example. A", "NXDOMAIN", "older.example. A"},
		{"a result that is not a name", "rewrite name regex ^(.*)$ {1}.{1}.{1}.{1}.{1}", strings.Repeat("a", 60) + "." + strings.Repeat("b", 60) + ". A", "SERVFAIL", ""},
		{"stop is the default", "rewrite name old.example new.example\nrewrite name new.example newer.example", "old.example. A",
			"NOERROR | old.example. 30 IN A 10.0.0.1 | www.old.example. 30 IN A 10.0.0.2", "new.example. A"},
		{"continue, and back in reverse", "rewrite continue name older.example old.example\nrewrite continue name old.example new.example", "older.example. A",
			"NOERROR | older.example. 30 IN A 10.0.0.1 | www.older.example. 30 IN A 10.0.0.2", "new.example. A"},

		{"the root", "rewrite name . new.example", ". A", "NOERROR | . 30 IN A 10.0.0.1 | www. 30 IN A 10.0.0.2", "new.example. A"},
		{"a name that only ends alike", "rewrite name prefix short new answer auto", "short.example.net. A",
			"NOERROR | short.example.net. 30 IN CNAME brandnew.example.net.", "new.example.net. A"},

		// Rewrites of other fields.
		{"type", "rewrite type ANY HINFO", "new.example. ANY", `NOERROR | new.example. 1 IN HINFO "a" "b"`, "new.example. HINFO"},
		{"ttl up and down", "rewrite ttl suffix example.com. 30-300", "bar.example.com. A",
			"NOERROR | BAR.example.com. 30 IN CNAME x.bar.example.com. | x.bar.example.com. 300 IN A 10.0.0.3", "bar.example.com. A"},
		{"ttl exactly", "rewrite ttl old.example. 7", "old.example. A", "NOERROR | old.example. 7 IN A 10.0.0.9", "old.example. A"},
		{"rcode", `rewrite rcode regex (.*)\.rocks SERVFAIL NOERROR`, "broken.rocks. A", "NOERROR", "broken.rocks. A"},
		{"rcode of others", `rewrite rcode regex (.*)\.rocks SERVFAIL NOERROR`, "old.example. A", "NOERROR | old.example. 30 IN A 10.0.0.9", "old.example. A"},

		// Hosts.
		{"hosts A", hosts, "nas.home. A", "NOERROR | nas.home. 60 IN A 192.168.1.10 | nas.home. 60 IN A 192.168.1.11", ""},
		{"hosts AAAA", hosts, "nas.home. AAAA", "NOERROR | nas.home. 60 IN AAAA fd00::10", ""},
		{"hosts has the name, not the type", hosts, "nas.home. TXT", "NOERROR", ""},
		{"hosts has one family only", hosts, "nas. AAAA", "NOERROR", ""},
		{"hosts falls through", hosts, "old.example. A", "NOERROR | old.example. 30 IN A 10.0.0.9", "old.example. A"},
		{"hosts wildcard", hosts, "shop.apps.home. A", "NOERROR | shop.apps.home. 60 IN A 10.0.0.5", ""},
		{"hosts wildcard is one label", hosts, "a.shop.apps.home. A", "NXDOMAIN", "a.shop.apps.home. A"},
		{"hosts wildcard is not its parent", hosts, "apps.home. A", "NXDOMAIN", "apps.home. A"},
		{"hosts PTR", hosts, "10.1.168.192.in-addr.arpa. PTR", "NOERROR | 10.1.168.192.in-addr.arpa. 60 IN PTR nas.home. | 10.1.168.192.in-addr.arpa. 60 IN PTR nas.", ""},
		{"hosts PTR of IPv6", hosts, "0.1." + strings.Repeat("0.", 28) + "d.f.ip6.arpa. PTR", "NOERROR | 0.1." + strings.Repeat("0.", 28) + "d.f.ip6.arpa. 60 IN PTR nas.home.", ""},
		{"hosts PTR of others falls through", hosts, "30.30.30.10.in-addr.arpa. PTR", "NOERROR | 30.30.30.10.in-addr.arpa. 60 IN PTR ftp-us-west-1.service.consul.", "30.30.30.10.in-addr.arpa. PTR"},
		{"hosts without PTR", "hosts {\n 192.168.1.10 nas.home\n no_reverse\n fallthrough\n}", "10.1.168.192.in-addr.arpa. PTR", "NXDOMAIN", "10.1.168.192.in-addr.arpa. PTR"},
		{"hosts that keeps its zone", "hosts {\n 192.168.1.10 nas.home\n fallthrough example\n}", "other.home. A", "SERVFAIL", ""},
		{"hosts that keeps its zone, elsewhere", "hosts {\n 192.168.1.10 nas.home\n fallthrough example\n}", "old.example. A", "NOERROR | old.example. 30 IN A 10.0.0.9", "old.example. A"},
		{"hosts and unsupported types", "hosts {\n 192.168.1.10 new.example\n fallthrough\n fallthrough_unsupported\n}", "new.example. HINFO", `NOERROR | new.example. 1 IN HINFO "a" "b"`, "new.example. HINFO"},

		// Templates.
		{"template", nip, "x.ip-1-2.nip.example. A", "NOERROR | x.ip-1-2.nip.example. 60 IN A 10.0.1.2 ns nip.example. 60 IN NS ns.nip.example. + nip.example. 60 IN TXT \"A\"", ""},
		{"template for another type", nip, "x.ip-1-2.nip.example. AAAA", "NXDOMAIN", "x.ip-1-2.nip.example. AAAA"},
		{"template that does not match", nip, "other.nip.example. A", "NXDOMAIN", "other.nip.example. A"},
		{"template whose record is none", nip, "second.nip.example. A", "SERVFAIL", ""},
		{"template without fallthrough", "template IN A nip.example {\n match ^a\n rcode REFUSED\n}", "b.nip.example. A", "SERVFAIL", ""},
		{"template without a regex", "template ANY ANY invalid {\n rcode NXDOMAIN\n authority \"invalid. 60 {{ .Class }} SOA ns.invalid. hostmaster.invalid. (1 60 60 60 60)\"\n}",
			"x.invalid. TXT", "NXDOMAIN ns invalid. 60 IN SOA ns.invalid. hostmaster.invalid. 1 60 60 60 60", ""},
		{"template's longest zone", "template IN A example sub.example . {\n answer \"{{ .Zone }} 1 IN A 10.1.1.1\"\n}", "x.sub.example. A", "NOERROR | sub.example. 1 IN A 10.1.1.1", ""},
		{"first template that fits", "template IN A example {\n match ^a\n answer \"{{ .Name }} 1 IN A 10.1.1.1\"\n fallthrough\n}\ntemplate IN A example {\n answer \"{{ .Name }} 1 IN A 10.2.2.2\"\n}",
			"b.example. A", "NOERROR | b.example. 1 IN A 10.2.2.2", ""},
		{"template's alias is followed", "template IN ANY foogle.com {\n answer \"foogle.com 60 IN CNAME Target.example.\"\n}", "foogle.com. A",
			"NOERROR | foogle.com. 60 IN CNAME Target.example. | target.example. 30 IN A 10.0.0.7", "target.example. A"},
		{"template's alias is enough for others", "template IN ANY foogle.com {\n answer \"foogle.com 60 IN CNAME target.example.\"\n}", "foogle.com. TXT",
			"NOERROR | foogle.com. 60 IN CNAME target.example.", ""},
		{"template before hosts", hosts + "\ntemplate IN A home {\n answer \"{{ .Name }} 1 IN A 10.1.1.1\"\n}", "nas.home. A", "NOERROR | nas.home. 1 IN A 10.1.1.1", ""},

		// What works together.
		{"hosts sees the rewritten name", hosts + "\nrewrite name storage.example nas.home", "storage.example. A",
			"NOERROR | storage.example. 60 IN A 192.168.1.10 | storage.example. 60 IN A 192.168.1.11", ""},
		{"the longest zone has the name", ". { #block\n rewrite name two.example old.example\n forward . 1.1.1.1\n}\ntwo.example {\n forward . 1.1.1.1\n}", "two.example. A",
			"NOERROR | two.example. 30 IN A 10.0.0.22", "two.example. A"},
		{"a block's rules are for its zones", ". { #block\n forward . 1.1.1.1\n}\nexample {\n rewrite name regex .* old.example\n forward . 1.1.1.1\n}", "x.other. A", "NXDOMAIN", "x.other. A"},
		{"a rewrite into another block", ". { #block\n forward . 1.1.1.1\n rewrite name two.test two.example\n}\nexample {\n hosts {\n 10.9.9.9 two.example\n }\n}", "two.test. A",
			"NOERROR | two.test. 30 IN A 10.0.0.22", "two.example. A"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := tc.corefile
			if !strings.Contains(text, "#block") {
				text += "\nforward . 1.1.1.1"
			}
			r := New(parse(t, text))
			if r.Empty() {
				t.Fatal("the rules are empty")
			}
			q := ask(tc.question)
			var asked []string
			m, rule := r.Serve(q, records.next(&asked))
			if got := describe(m); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if got := strings.Join(asked, ", "); got != tc.asked {
				t.Errorf("asked the server %q, want %q", got, tc.asked)
			}
			touched := rule != "" || describe(m) != describe(records.next(&asked)(q))
			if plain := r.Plain(packName(q.Name), q.Qtype); plain && touched {
				t.Errorf("Plain says that nothing happens; got rule %q", rule)
			} else if !plain && !touched && !strings.Contains(tc.name, "rcode") && !strings.Contains(tc.name, "ttl") {
				t.Error("Plain says that something happens")
			}
		})
	}
}

func TestEmpty(t *testing.T) {
	for _, text := range []string{"forward . 1.1.1.1\nlog\ncache", "hosts {\n 10.0.0.1 a\n fallthrough\n}\nforward . 1.1.1.1"} {
		r := New(parse(t, text))
		if want := !strings.Contains(text, "hosts"); r.Empty() != want {
			t.Errorf("%q: got Empty %v, want %v", text, r.Empty(), want)
		}
	}
	c, _ := corefile.Parse(corefile.Sources{}, corefile.Defaults{})
	r := New(c)
	if !r.Empty() || !r.Plain(packName("a.example."), dns.TypeA) {
		t.Error("the default configuration has rules")
	}
	sent := &dns.Msg{}
	if m, rule := r.Serve(ask("a.example. A"), func(dns.Question) *dns.Msg { return sent }); m != sent || rule != "" {
		t.Errorf("got %v, %q, want what next gave", m, rule)
	}
}

// TestServeSaysWhy has the words that "dns query --trace" shows.
func TestServeSaysWhy(t *testing.T) {
	r := New(parse(t, "rewrite name a.example nas.home\nhosts {\n 10.0.0.1 nas.home\n fallthrough\n}\nforward . 1.1.1.1"))
	var asked []string
	_, rule := r.Serve(ask("a.example. A"), world{}.next(&asked))
	if want := "rewritten to nas.home. A; hosts in the Corefile has this name"; rule != want {
		t.Errorf("got %q, want %q", rule, want)
	}
}

// TestTemplateIsCutOff asks for a record that would be long.
func TestTemplateIsCutOff(t *testing.T) {
	r := New(parse(t, "template IN TXT example {\n answer \"x. 60 IN TXT a"+strings.Repeat("{{ .Name }}", 40)+"\"\n}\nforward . 1.1.1.1"))
	name := strings.Repeat(strings.Repeat("a", 57)+".", 4) + "example. TXT"
	m, rule := r.Serve(ask(name), world{}.next(new([]string)))
	if m.Rcode != dns.RcodeServerFailure || !strings.Contains(rule, "longer than") {
		t.Errorf("got %s, %q", describe(m), rule)
	}
}

// TestServeLeavesMessagesAlone: what next gives may be in a cache.
func TestServeLeavesMessagesAlone(t *testing.T) {
	r := New(parse(t, "rewrite continue name old.example new.example\nrewrite ttl old.example 5\nrewrite ttl new.example 5\nforward . 1.1.1.1"))
	rr, err := dns.NewRR("new.example. 30 IN CNAME x.new.example.")
	if err != nil {
		t.Fatal(err)
	}
	shared := &dns.Msg{Answer: []dns.RR{rr}}
	shared.SetEdns0(1232, true)
	before := shared.String()
	m, _ := r.Serve(ask("old.example. A"), func(dns.Question) *dns.Msg { return shared })
	if got, want := describe(m), "NOERROR | old.example. 5 IN CNAME x.old.example."; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if opt := m.IsEdns0(); opt == nil || !opt.Do() || opt.UDPSize() != 1232 {
		t.Errorf("got OPT %v", opt)
	}
	if shared.String() != before {
		t.Errorf("next's message was changed:\n%s", shared)
	}
	if m, _ := r.Serve(ask("old.example. A"), func(dns.Question) *dns.Msg { return nil }); m != nil {
		t.Errorf("got %v of nothing", m)
	}
}

// TestOddNames have bytes in them that text needs escapes for.
func TestOddNames(t *testing.T) {
	r := New(parse(t, "rewrite name suffix .corp.example .example answer auto\nhosts {\n 10.0.0.1 nas.home\n fallthrough\n}\nforward . 1.1.1.1"))
	for _, name := range []string{`a\.b.corp.example.`, `\000\255.corp.example.`, `a\ b.corp.example.`, ".", `\\.corp.example.`} {
		var asked []string
		q := ask(name + " A")
		q.Name, q.Qtype = name, dns.TypeA
		m, _ := r.Serve(q, func(q dns.Question) *dns.Msg {
			asked = append(asked, q.Name)
			return world{}.next(&asked)(q)
		})
		if want := strings.Replace(name, ".corp.", ".", 1); asked[0] != want || m.Rcode != dns.RcodeNameError {
			t.Errorf("%s: asked for %s, want %s", name, asked[0], want)
		}
		if name != "." && r.Plain(packName(name), dns.TypeA) {
			t.Errorf("%s: Plain is true", name)
		}
	}
}

func TestPlainAllocatesNothing(t *testing.T) {
	r := New(parse(t, `rewrite name suffix .corp.example .example answer auto
		rewrite name regex ^(.*)[.]rocks[.]$ {1}.consul
		template IN A nip.example {
			match "ip-(?P<a>[0-9]+)"
			answer "{{ .Name }} 60 IN A 10.0.0.1"
			fallthrough
		}
		hosts {
			10.0.0.1 nas.home *.apps.home
			fallthrough
		}
		forward . 1.1.1.1`))
	names := [][]byte{packName("web.default.svc.cluster.local."), packName("x.nip.example."), packName("5.4.3.10.in-addr.arpa.")}
	for _, name := range names {
		if !r.Plain(name, dns.TypeA) {
			t.Errorf("%q is not plain", name)
		}
	}
	if raceEnabled {
		return
	}
	if n := testing.AllocsPerRun(1000, func() {
		for _, name := range names {
			r.Plain(name, dns.TypeA)
			r.Plain(name, dns.TypePTR)
		}
	}); n >= 1 { // a pool may lose its buffer to the garbage collector now and then
		t.Errorf("got %v allocations", n)
	}
}

func TestReverseAddr(t *testing.T) {
	for _, text := range []string{"10.0.0.1", "255.255.255.255", "0.0.0.0", "fd00::1", "2001:db8:1234:5678:9abc:def0:1:2", "::"} {
		addr := netip.MustParseAddr(text)
		name, err := dns.ReverseAddr(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := reverseAddr(packName(name)); !ok || got != addr {
			t.Errorf("%s: got %v (%v)", name, got, ok)
		}
	}
	for _, name := range []string{"in-addr.arpa.", "1.in-addr.arpa.", "1.2.3.in-addr.arpa.", "1.2.3.4.5.in-addr.arpa.", "256.0.0.1.in-addr.arpa.", "01.0.0.1.in-addr.arpa.",
		"a.0.0.1.in-addr.arpa.", "1.0.0.1.in-addr.arpa.example.", "ip6.arpa.", "1.ip6.arpa.", strings.Repeat("g.", 32) + "ip6.arpa.", strings.Repeat("1.", 31) + "ip6.arpa.",
		strings.Repeat("1.", 30) + "11.1.ip6.arpa.", "."} {
		if got, ok := reverseAddr(packName(name)); ok {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestLog(t *testing.T) {
	c := parse(t, ". { #block\n log\n forward . 1.1.1.1\n}\nquiet.example {\n forward . 1.1.1.1\n}\nerrors.example {\n log a.errors.example b.errors.example {\n class error denial\n }\n forward . 1.1.1.1\n}")
	var out bytes.Buffer
	l := NewLog(c, slog.New(slog.NewTextHandler(&out, nil)))
	if !l.Active() {
		t.Error("the log is not active")
	}
	var want []string
	for _, tc := range []struct {
		name, rcode string
		count       int
		logged      bool
	}{
		{"x.example.", "NOERROR", 1, true}, {"X.Quiet.Example.", "NOERROR", 1, false},
		{"a.errors.example.", "NOERROR", 1, false}, {"a.errors.example.", "NOERROR", 0, true}, {"b.errors.example.", "NXDOMAIN", 0, true},
		{"b.errors.example.", "SERVFAIL", 0, true}, {"c.errors.example.", "SERVFAIL", 0, false}, {".", "REFUSED", 0, true},
	} {
		l.Publish(cluster.DNSQuery{Name: tc.name, Type: "A", Rcode: tc.rcode, Count: tc.count, Proto: "udp"})
		if tc.logged {
			want = append(want, fmt.Sprintf("name=%s type=A rcode=%s answers=%d", tc.name, tc.rcode, tc.count))
		}
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		_, line, _ = strings.Cut(line, "proto=udp ")
		line, _, _ = strings.Cut(line, " source=")
		got = append(got, line)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if NewLog(parse(t, "forward . 1.1.1.1"), slog.New(slog.DiscardHandler)).Active() {
		t.Error("a log without the directive is active")
	}
}

// FuzzServe looks for configurations and names that a server does not survive, and for names that Plain and Serve see
// differently.
func FuzzServe(f *testing.F) {
	f.Add("rewrite name suffix .a .b answer auto\nrewrite name regex (.*)x {1}.{1}", "foo.a", uint16(1))
	f.Add("template IN A a {\n match ^(?P<x>.*)$\n answer \"{{ .Group.x }} 1 IN A 1.2.3.4\"\n}", "foo.a", uint16(1))
	f.Add("hosts {\n 10.0.0.1 foo.a *.b\n fd00::1 x\n}", "1.0.0.10.in-addr.arpa", uint16(12))
	f.Add("rewrite continue ttl substring a 5-\nrewrite continue rcode regex . 3 0\nrewrite type A AAAA", `a\.b.\000`, uint16(28))
	f.Fuzz(func(t *testing.T, text, name string, qtype uint16) {
		c, _ := corefile.Parse(corefile.Sources{Corefile: map[string]string{"Corefile": ".:53 {\n" + text + "\n}"}}, corefile.Defaults{})
		r := New(c)
		folded := packName(strings.ToLower(dns.Fqdn(name)))
		if folded == nil {
			return
		}
		name, _, err := dns.UnpackDomainName(folded, 0)
		if err != nil {
			return
		}
		q := dns.Question{Name: strings.ToLower(name), Qtype: qtype, Qclass: dns.ClassINET}
		folded = packName(q.Name)
		sent := &dns.Msg{Question: []dns.Question{q}}
		sent.Answer = []dns.RR{&dns.CNAME{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: 7}, Target: "x." + q.Name}}
		if packName("x."+q.Name) == nil {
			sent.Answer = nil
		}
		calls := 0
		m, rule := r.Serve(q, func(got dns.Question) *dns.Msg {
			calls++
			if packName(got.Name) == nil || got.Qclass != dns.ClassINET {
				t.Errorf("next is asked for %+v", got)
			}
			return sent
		})
		if m == nil || calls > 1+maxFollowed {
			t.Fatalf("got %v after %d questions", m, calls)
		}
		if r.Plain(folded, qtype) && (m != sent || rule != "" || calls != 1) {
			t.Errorf("plain, but got %v (%s) after %d questions", m, rule, calls)
		}
		if _, err := m.Pack(); err != nil && sent.Answer != nil {
			t.Errorf("the answer cannot be packed: %v\n%v", err, m)
		}
	})
}

func BenchmarkPlain(b *testing.B) {
	for name, text := range map[string]string{
		"hosts": "hosts {\n 192.168.1.10 host.minikube.internal\n fallthrough\n}",
		"exact": "rewrite name old.example new.example",
		"regex": `rewrite name regex (.*)-(us-west-1)\.coredns\.rocks {1}.service.{2}.consul`,
	} {
		b.Run(name, func(b *testing.B) {
			r := New(parse(b, text+"\nforward . 1.1.1.1"))
			folded := packName("web.default.svc.cluster.local.")
			for b.Loop() {
				r.Plain(folded, dns.TypeA)
			}
		})
	}
}
