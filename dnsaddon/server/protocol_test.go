package server

import (
	"encoding/binary"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"bonsai/dnsaddon/wire"
)

const kubernetes = "kubernetes.default.svc.cluster.local."

func TestAnswers(t *testing.T) {
	f := start(t, nil)
	both(t, func(t *testing.T, proto string) {
		for _, tt := range []struct {
			name   string
			qtype  uint16
			rcode  int
			want   []string
			aa, ra bool
		}{
			{kubernetes, dns.TypeA, dns.RcodeSuccess, []string{"10.96.0.1"}, true, false},
			{kubernetes, dns.TypeAAAA, dns.RcodeSuccess, nil, true, false},
			{kubernetes, dns.TypeHTTPS, dns.RcodeSuccess, nil, true, false},
			{kubernetes, 4711, dns.RcodeSuccess, nil, true, false},
			{kubernetes, dns.TypeTXT, dns.RcodeSuccess, nil, true, false},
			{"one.example.com.default.svc.cluster.local.", dns.TypeA, dns.RcodeNameError, nil, true, false},
			{"nobody.default.svc.cluster.local.", dns.TypeSRV, dns.RcodeNameError, nil, true, false},
			{"_https._tcp." + kubernetes, dns.TypeSRV, dns.RcodeSuccess, []string{"SRV"}, true, false},
			{"1.0.96.10.in-addr.arpa.", dns.TypePTR, dns.RcodeSuccess, []string{"PTR"}, true, false},
			{"cluster.local.", dns.TypeSOA, dns.RcodeSuccess, []string{"SOA"}, true, false},
			{"one.example.com.", dns.TypeA, dns.RcodeSuccess, []string{"192.0.2.2"}, false, true},
			{"one.example.com.", dns.TypeA, dns.RcodeSuccess, []string{"192.0.2.2"}, false, true}, // from the cache
			{"one.example.com.", dns.TypeAAAA, dns.RcodeSuccess, nil, false, true},
			{"none.example.com.", dns.TypeA, dns.RcodeNameError, nil, false, true},
			{"broken.example.com.", dns.TypeA, dns.RcodeServerFailure, nil, false, true},
			{"localhost.", dns.TypeA, dns.RcodeSuccess, []string{"127.0.0.1"}, true, false},
			{"localhost.", dns.TypeAAAA, dns.RcodeSuccess, []string{"::1"}, true, false},
			{"a.b.localhost.", dns.TypeA, dns.RcodeSuccess, []string{"127.0.0.1"}, true, false},
			{"localhost.", dns.TypeMX, dns.RcodeSuccess, nil, true, false},
			{"host.bonsai.internal.", dns.TypeA, dns.RcodeSuccess, []string{hostAddr.String()}, true, false},
			{"host.docker.internal.", dns.TypeA, dns.RcodeSuccess, []string{hostAddr.String()}, true, false},
			{"host.docker.internal.", dns.TypeAAAA, dns.RcodeSuccess, nil, true, false},
			{"node.bonsai.internal.", dns.TypeA, dns.RcodeSuccess, []string{nodeAddr.String()}, true, false},
			{"node.bonsai.internal.", dns.TypeAAAA, dns.RcodeSuccess, nil, true, false},
			{"node.bonsai.internal.", dns.TypeTXT, dns.RcodeSuccess, []string{"TXT", "TXT"}, true, false},
			{"a.host.docker.internal.", dns.TypeA, dns.RcodeNameError, nil, false, true},
			{"xlocalhost.", dns.TypeA, dns.RcodeNameError, nil, false, true},
		} {
			r := ask(t, proto, f.cluster, msg(tt.name, tt.qtype))
			if r.Rcode != tt.rcode || !slices.Equal(addresses(r.Answer), tt.want) {
				t.Errorf("%s %v: %s %v, want %s %v", tt.name, dns.Type(tt.qtype),
					dns.RcodeToString[r.Rcode], r.Answer, dns.RcodeToString[tt.rcode], tt.want)
			}
			if r.Authoritative != tt.aa || r.RecursionAvailable != tt.ra || !r.RecursionDesired || r.AuthenticatedData || r.Zero {
				t.Errorf("%s %v: flags %+v, want AA %v, RA %v", tt.name, dns.Type(tt.qtype), r.MsgHdr, tt.aa, tt.ra)
			}
			if negative := len(r.Answer) == 0 && r.Rcode != dns.RcodeServerFailure; negative != (len(r.Ns) == 1) {
				t.Errorf("%s %v: authority %v", tt.name, dns.Type(tt.qtype), r.Ns)
			}
			if len(r.Question) != 1 || r.Question[0].Name != tt.name || r.Question[0].Qtype != tt.qtype {
				t.Errorf("%s %v: question %v", tt.name, dns.Type(tt.qtype), r.Question)
			}
		}
	})
}

func TestProtocolRules(t *testing.T) {
	f := start(t, nil)
	both(t, func(t *testing.T, proto string) {
		for name, tt := range map[string]struct {
			edit  func(*dns.Msg)
			rcode int
		}{
			"class CH":       {func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }, dns.RcodeRefused},
			"class ANY":      {func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassANY }, dns.RcodeRefused},
			"notify":         {func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }, dns.RcodeNotImplemented},
			"update":         {func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate }, dns.RcodeNotImplemented},
			"status":         {func(m *dns.Msg) { m.Opcode = dns.OpcodeStatus }, dns.RcodeNotImplemented},
			"AXFR":           {func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAXFR }, dns.RcodeRefused},
			"AXFR elsewhere": {func(m *dns.Msg) { m.SetAxfr("example.com.") }, dns.RcodeRefused},
			"IXFR":           {func(m *dns.Msg) { m.SetIxfr("cluster.local.", 1, "ns.", "mbox.") }, dns.RcodeRefused},
			"type OPT":       {func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeOPT }, dns.RcodeFormatError},
			"no question":    {func(m *dns.Msg) { m.Question = nil }, dns.RcodeFormatError},
			"two questions":  {func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }, dns.RcodeFormatError},
			"an answer": {func(m *dns.Msg) {
				m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeA, Class: 1}, A: net.IPv4(1, 2, 3, 4)}}
			}, dns.RcodeFormatError},
			"two OPT":     {func(m *dns.Msg) { m.SetEdns0(512, false); m.Extra = append(m.Extra, m.Extra[0]) }, dns.RcodeFormatError},
			"OPT of name": {func(m *dns.Msg) { m.SetEdns0(512, false); m.Extra[0].Header().Name = "a." }, dns.RcodeFormatError},
			"EDNS 1":      {func(m *dns.Msg) { m.SetEdns0(512, false).IsEdns0().SetVersion(1) }, dns.RcodeBadVers},
			"EDNS 1, CH": {func(m *dns.Msg) {
				m.SetEdns0(512, false).IsEdns0().SetVersion(1)
				m.Question[0].Qclass = dns.ClassCHAOS
			}, dns.RcodeBadVers},
		} {
			m := msg(kubernetes, dns.TypeA, tt.edit)
			c := dns.Client{Net: proto, Timeout: patience}
			r, _, err := c.Exchange(m, f.cluster)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if r.Rcode != tt.rcode || len(r.Answer) > 0 || r.Authoritative || !r.Response || r.Opcode != m.Opcode || r.Id != m.Id {
				t.Errorf("%s: %v, want %s", name, r, dns.RcodeToString[tt.rcode])
			}
			if tt.rcode == dns.RcodeBadVers && (r.IsEdns0() == nil || r.IsEdns0().Version() != 0) {
				t.Errorf("%s: OPT %v, want one with our version", name, r.IsEdns0())
			}
		}
	})
}

func TestAnyGetsAMinimalAnswer(t *testing.T) {
	f := start(t, nil)
	for name, rcode := range map[string]int{
		kubernetes: dns.RcodeSuccess, "nobody.default.svc.cluster.local.": dns.RcodeNameError,
		"one.example.com.": dns.RcodeSuccess, "localhost.": dns.RcodeSuccess,
	} {
		r := ask(t, "udp", f.cluster, msg(name, dns.TypeANY))
		if want := 1 - min(rcode, 1); r.Rcode != rcode || len(r.Answer) != want {
			t.Errorf("%s: %v", name, r)
		}
		if len(r.Answer) == 1 && (r.Answer[0].(*dns.HINFO).Cpu != "RFC8482" || r.Answer[0].Header().Name != name) {
			t.Errorf("%s: %v", name, r.Answer[0])
		}
	}
}

func TestEDNS(t *testing.T) {
	f := start(t, nil)
	both(t, func(t *testing.T, proto string) {
		for _, name := range []string{kubernetes, "one.example.com.", "_https._tcp." + kubernetes, "localhost."} {
			qtype := dns.TypeA
			if name[0] == '_' {
				qtype = dns.TypeSRV
			}
			if r := ask(t, proto, f.cluster, msg(name, qtype)); r.IsEdns0() != nil {
				t.Errorf("%s: OPT unasked: %v", name, r)
			}
			for _, do := range []bool{false, true} {
				r := ask(t, proto, f.cluster, msg(name, qtype, edns(4096, do)))
				opt := r.IsEdns0()
				if opt == nil || opt.Do() != do || opt.UDPSize() != wire.UDPSize || len(r.Answer) == 0 {
					t.Errorf("%s, DO %v: %v", name, do, r)
				}
			}
			withOption := msg(name, qtype, edns(1232, false))
			withOption.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "24a5ac1223344556"},
				&dns.EDNS0_LOCAL{Code: dns.EDNS0LOCALSTART, Data: []byte("x")}}
			r := ask(t, proto, f.cluster, withOption)
			if opt := r.IsEdns0(); opt == nil || len(opt.Option) != 0 || len(r.Answer) == 0 {
				t.Errorf("%s with options: %v, want none of them back", name, r)
			}
		}
	})
}

func TestTheSpellingOfTheClientIsReturned(t *testing.T) {
	f := start(t, nil)
	both(t, func(t *testing.T, proto string) {
		for name, qtype := range map[string]uint16{
			"KuberNetes.dEfault.svc.cluster.LOCAL.": dns.TypeA, "KuberNetes.DEFAULT.svc.cluster.LOCAL.": dns.TypeSRV,
			"Pod-1.Few.default.svc.Cluster.local.": dns.TypeA,
			"ONE.Example.com.":                     dns.TypeA, "LocalHost.": dns.TypeA, "OutSide.default.svc.cluster.local.": dns.TypeA,
		} {
			for range 2 { // the second one may come from the cache
				r := ask(t, proto, f.cluster, msg(name, qtype))
				if r.Question[0].Name != name || len(r.Answer) == 0 || r.Answer[0].Header().Name != name {
					t.Errorf("%s: %v", name, r)
				}
			}
		}
	})
}

func TestRubbish(t *testing.T) {
	f := start(t, nil)
	good, _ := msg(kubernetes, dns.TypeA).Pack()
	with := func(edit func(b []byte) []byte) []byte { return edit(slices.Clone(good)) }
	for name, tt := range map[string]struct {
		msg   []byte
		rcode int // -1 is silence
	}{
		"empty":             {nil, -1},
		"half a header":     {good[:6], -1},
		"a response":        {with(func(b []byte) []byte { b[2] |= 0x80; return b }), -1},
		"a broken response": {with(func(b []byte) []byte { b[2] |= 0x80; return b[:13] }), -1},
		"header only":       {good[:12], dns.RcodeFormatError},
		"cut":               {good[:20], dns.RcodeFormatError},
		"no type":           {good[:len(good)-4], dns.RcodeFormatError},
		"no class":          {good[:len(good)-2], dns.RcodeFormatError},
		"a promised record": {with(func(b []byte) []byte { b[11] = 1; return b }), dns.RcodeFormatError},
		"pointer to itself": {with(func(b []byte) []byte { b[12], b[13] = 0xC0, 12; return b }), dns.RcodeFormatError},
		"too long":          {append(slices.Clone(good), make([]byte, maxQuestion)...), -1},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(f.Listening()[0]))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			malformed := f.listeners[0].drops.malformed.Load()
			if _, err := c.Write(tt.msg); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 512)
			if tt.rcode < 0 {
				waitFor(t, "drop", func() bool { return f.listeners[0].drops.malformed.Load() == malformed+1 })
				if n := received(t, c); n > 0 {
					t.Errorf("an answer of %d bytes", n)
				}
				return
			}
			_ = c.SetReadDeadline(time.Now().Add(patience))
			n, err := c.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			var r dns.Msg
			if err := r.Unpack(buf[:n]); err != nil || r.Rcode != tt.rcode || r.Id != binary.BigEndian.Uint16(good) || !r.Response {
				t.Errorf("%v (%v), want %s", &r, err, dns.RcodeToString[tt.rcode])
			}
		})
	}
}

func TestTruncation(t *testing.T) {
	f := start(t, nil)
	const many = "many.default.svc.cluster.local."
	whole := ask(t, "tcp", f.cluster, msg(many, dns.TypeA))
	if len(whole.Answer) != 60 || whole.Truncated {
		t.Fatalf("over TCP: %d answers, TC %v", len(whole.Answer), whole.Truncated)
	}
	for _, tt := range []struct{ size, limit int }{{0, 512}, {100, 512}, {600, 600}, {1232, 1232}, {65535, 1232}} {
		m := msg(many, dns.TypeA)
		if tt.size > 0 {
			m.SetEdns0(uint16(tt.size), false)
		}
		first := map[string]bool{}
		for range 20 {
			r := ask(t, "udp", f.cluster, m)
			packed := *r
			packed.Compress = true
			// One more answer would not have fitted.
			if n := packed.Len(); n > tt.limit || n+16 <= tt.limit && len(r.Answer) < 60 {
				t.Fatalf("size %d: %d bytes, limit %d", tt.size, n, tt.limit)
			}
			if r.Truncated != (len(r.Answer) < 60) || (r.IsEdns0() != nil) != (tt.size > 0) || !r.Authoritative {
				t.Fatalf("size %d: %d answers, %v", tt.size, len(r.Answer), r.MsgHdr)
			}
			first[addresses(r.Answer)[0]] = true
		}
		if len(first) < 10 {
			t.Errorf("size %d: the addresses are not rotated: first were %v", tt.size, first)
		}
	}
}

func TestAdditionalRecordsGoFirst(t *testing.T) {
	header := func(name string, t uint16) dns.RR_Header {
		return dns.RR_Header{Name: name, Rrtype: t, Class: 1, Ttl: 30}
	}
	var a answer
	for i := range 10 {
		host := string(rune('a'+i)) + ".example."
		a.answer = append(a.answer, &dns.SRV{Hdr: header("srv.example.", dns.TypeSRV), Target: host})
		for last := range byte(3) {
			a.extra = append(a.extra, &dns.A{Hdr: header(host, dns.TypeA), A: net.IPv4(10, 0, byte(i), last)})
		}
	}
	m := msg("srv.example.", dns.TypeSRV, edns(4096, false))
	for limit := 512; limit < 1100; limit++ {
		r := a.message(m, m.IsEdns0(), 0, limit)
		packed, err := r.Pack()
		if err != nil || len(packed) > limit {
			t.Fatalf("limit %d: %d bytes, %v", limit, len(packed), err)
		}
		if len(r.Answer) != 10 || r.Truncated || r.IsEdns0() == nil {
			t.Fatalf("limit %d: %d answers, TC %v, OPT %v", limit, len(r.Answer), r.Truncated, r.IsEdns0())
		}
		if glue := len(r.Extra) - 1; glue%3 != 0 {
			t.Fatalf("limit %d: %d additional records, a part of an RRset", limit, glue)
		}
	}
	a.answer = slices.Concat(a.answer, a.answer, a.answer)
	if r := a.message(m, m.IsEdns0(), 0, 512); !r.Truncated || len(r.Answer) == len(a.answer) || len(r.Extra) > 1 || r.IsEdns0() == nil {
		t.Errorf("answers that do not fit: %v", r)
	}
}

func TestSRVTargetsAreNotCompressed(t *testing.T) {
	f := start(t, nil)
	c, err := dns.DialTimeout("udp", f.cluster, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if err := c.WriteMsg(msg("_https._tcp."+kubernetes, dns.TypeSRV)); err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, 1500)
	n, err := c.Read(raw)
	if err != nil {
		t.Fatal(err)
	}
	target := make([]byte, 255)
	size, err := dns.PackDomainName(kubernetes, target, 0, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(indexes(n-size), func(i int) bool { return string(raw[i:i+size]) == string(target[:size]) && i > 50 }) {
		t.Errorf("no uncompressed target in %x", raw[:n])
	}
}

func indexes(n int) (list []int) {
	for i := range n + 1 {
		list = append(list, i)
	}
	return list
}
