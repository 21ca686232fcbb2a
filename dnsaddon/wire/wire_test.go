package wire_test

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"bonsai/dnsaddon/wire"
)

// question packs a question as a resolver would send it.
func question(t testing.TB, name string, qtype uint16, edit func(*dns.Msg)) []byte {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, qtype)
	m.Id = 0x1234
	if edit != nil {
		edit(m)
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatalf("pack %s: %v", name, err)
	}
	return b
}

func parse(msg []byte) (wire.Query, bool) {
	var q wire.Query
	ok := wire.Parse(msg, make([]byte, wire.MaxName), &q)
	return q, ok
}

func TestParseReadsWhatResolversSend(t *testing.T) {
	for _, tt := range []struct {
		name  string
		edit  func(*dns.Msg)
		check func(wire.Query) bool
	}{
		{"plain", nil, func(q wire.Query) bool {
			return q.ID == 0x1234 && q.RD && !q.CD && !q.AD && !q.HasOPT && q.Type == dns.TypeAAAA && q.MaxUDP() == 512
		}},
		{"no recursion", func(m *dns.Msg) { m.RecursionDesired = false }, func(q wire.Query) bool { return !q.RD }},
		{"AD and CD", func(m *dns.Msg) { m.AuthenticatedData, m.CheckingDisabled = true, true },
			func(q wire.Query) bool { return q.AD && q.CD }},
		{"EDNS", func(m *dns.Msg) { m.SetEdns0(1000, false) },
			func(q wire.Query) bool { return q.HasOPT && !q.DO && q.UDPSize == 1000 && q.MaxUDP() == 1000 }},
		{"DO", func(m *dns.Msg) { m.SetEdns0(4096, true) },
			func(q wire.Query) bool { return q.DO && q.UDPSize == 4096 && q.MaxUDP() == wire.UDPSize }},
		{"absurd size", func(m *dns.Msg) { m.SetEdns0(0, false) },
			func(q wire.Query) bool { return q.UDPSize == 0 && q.MaxUDP() == wire.MinUDPSize }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q, ok := parse(question(t, "KuberneteS.Default.svc.cluster.local.", dns.TypeAAAA, tt.edit))
			if !ok || !tt.check(q) {
				t.Fatalf("Parse = %+v, %v", q, ok)
			}
			if want := "\nKuberneteS\aDefault\x03svc\acluster\x05local\x00"; string(q.Name) != want {
				t.Errorf("Name = %q, want %q", q.Name, want)
			}
			if want := "\nkubernetes\adefault\x03svc\acluster\x05local\x00"; string(q.Folded) != want {
				t.Errorf("Folded = %q, want %q", q.Folded, want)
			}
		})
	}
}

func TestParseLeavesTheRestToOthers(t *testing.T) {
	plain := question(t, "a.example.", dns.TypeA, nil)
	with := func(i int, b byte) []byte {
		m := bytes.Clone(plain)
		m[i] = b
		return m
	}
	typeAt := len(plain) - 4
	for name, msg := range map[string][]byte{
		"empty":             nil,
		"header only":       plain[:12],
		"cut in the name":   plain[:15],
		"cut in the type":   plain[:len(plain)-3],
		"a byte more":       append(bytes.Clone(plain), 0),
		"a response":        with(2, 0x81),
		"a notify":          with(2, 0x21),
		"authoritative":     with(2, 0x05),
		"truncated":         with(2, 0x03),
		"RA":                with(3, 0x80),
		"Z":                 with(3, 0x40),
		"rcode":             with(3, 0x01),
		"no question":       with(5, 0),
		"two questions":     with(5, 2),
		"an answer":         with(7, 1),
		"authority":         with(9, 1),
		"missing OPT":       with(11, 1),
		"two more records":  with(11, 2),
		"pointer":           with(12, 0xC0),
		"reserved label":    with(12, 0x41),
		"class CH":          with(len(plain)-1, 3),
		"class ANY":         with(len(plain)-1, 255),
		"type ANY":          with(typeAt+1, 255),
		"type AXFR":         with(typeAt+1, 252),
		"type OPT":          with(typeAt+1, 41),
		"EDNS version 1":    question(t, "a.example.", dns.TypeA, func(m *dns.Msg) { m.SetEdns0(512, false).IsEdns0().SetVersion(1) }),
		"EDNS unknown flag": question(t, "a.example.", dns.TypeA, func(m *dns.Msg) { m.SetEdns0(512, false).IsEdns0().SetZ(1) }),
		"EDNS option": question(t, "a.example.", dns.TypeA, func(m *dns.Msg) {
			o := m.SetEdns0(512, false).IsEdns0()
			o.Option = append(o.Option, &dns.EDNS0_LOCAL{Code: dns.EDNS0LOCALSTART, Data: []byte{1}})
		}),
		"another record instead of OPT": question(t, "a.example.", dns.TypeA, func(m *dns.Msg) {
			m.Extra = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeA, Class: 1}, A: net.IPv4(1, 2, 3, 4)}}
		}),
		"name too long": func() []byte {
			long := bytes.Clone(plain[:12])
			for range 64 {
				long = append(long, 3, 'a', 'b', 'c') // 256 bytes and the final zero
			}
			return append(long, 0, 0, 1, 0, 1)
		}(),
	} {
		if q, ok := parse(msg); ok {
			t.Errorf("%s: accepted as %+v", name, q)
		}
	}
	if _, ok := parse(plain); !ok {
		t.Error("the message that the others were made of is refused")
	}
	var q wire.Query
	if wire.Parse(plain, make([]byte, wire.MaxName-1), &q) {
		t.Error("accepted a buffer that a name may not fit into")
	}
}

func TestParseAcceptsTheLongestName(t *testing.T) {
	name := strings.Repeat(strings.Repeat("a", 63)+".", 3) + strings.Repeat("b", 61) + "."
	q, ok := parse(question(t, name, dns.TypeA, nil))
	if !ok || len(q.Name) != wire.MaxName {
		t.Fatalf("Parse = %v, name of %d bytes, want %d", ok, len(q.Name), wire.MaxName)
	}
}

// answerA is an A record whose owner is the question.
func answerA(last byte) []byte {
	return []byte{0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 10, 96, 0, last}
}

func packedSOA(t testing.TB) []byte {
	t.Helper()
	rr, err := dns.NewRR("cluster.local. 30 IN SOA ns.dns.cluster.local. hostmaster.cluster.local. 1 7200 1800 86400 30")
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 256)
	n, err := dns.PackRR(rr, b, 0, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

func TestAppendRotates(t *testing.T) {
	q, _ := parse(question(t, "Web.example.", dns.TypeA, nil))
	p := wire.Packed{Answer: bytes.Join([][]byte{answerA(0), answerA(1), answerA(2)}, nil), Count: 3, RRSize: 16}
	for rotate, want := range map[int]string{0: "012", 1: "120", 2: "201", 3: "012", -1: "012"} {
		out, ok := wire.Append(nil, &q, p, rotate, true, 512)
		var m dns.Msg
		if err := m.Unpack(out); !ok || err != nil {
			t.Fatalf("Append: ok %v, unpack: %v", ok, err)
		}
		got := ""
		for _, rr := range m.Answer {
			got += fmt.Sprint(rr.(*dns.A).A.To4()[3])
		}
		if rotate < 0 {
			if len(got) != 3 {
				t.Errorf("rotated by %d: %s", rotate, got)
			}
			continue
		}
		if got != want {
			t.Errorf("rotated by %d: %s, want %s", rotate, got, want)
		}
	}
	p.RRSize = 0
	out, _ := wire.Append(nil, &q, p, 1, true, 512)
	var m dns.Msg
	if err := m.Unpack(out); err != nil || m.Answer[0].(*dns.A).A.To4()[3] != 0 {
		t.Errorf("records of unknown size must keep their order, got %v (%v)", m.Answer, err)
	}
}

func TestAppendStopsAtTheLimit(t *testing.T) {
	q, _ := parse(question(t, "web.example.", dns.TypeA, nil))
	p := wire.Packed{Answer: answerA(1), Count: 1, RRSize: 16}
	dst := []byte("before")
	out, ok := wire.Append(dst, &q, p, 0, true, 1000)
	if !ok {
		t.Fatal("does not fit 1000 bytes")
	}
	size := len(out) - len(dst)
	if out, ok := wire.Append(dst, &q, p, 0, true, size); !ok || len(out)-len(dst) != size {
		t.Errorf("with a limit of exactly %d bytes: ok %v, %d bytes", size, ok, len(out)-len(dst))
	}
	if out, ok := wire.Append(dst, &q, p, 0, true, size-1); ok || string(out) != "before" {
		t.Errorf("with a byte less: ok %v, %q", ok, out)
	}
}

func TestFastPathDoesNotAllocate(t *testing.T) {
	msg := question(t, "Web.default.svc.cluster.local.", dns.TypeA, func(m *dns.Msg) { m.SetEdns0(1232, true) })
	p := wire.Packed{Answer: bytes.Join([][]byte{answerA(0), answerA(1)}, nil), Count: 2, RRSize: 16}
	fold, out := make([]byte, wire.MaxName), make([]byte, 0, wire.UDPSize)
	var q wire.Query
	if n := testing.AllocsPerRun(100, func() {
		if !wire.Parse(msg, fold, &q) {
			t.Fatal("not accepted")
		}
		out, _ = wire.Append(out[:0], &q, p, 1, true, q.MaxUDP())
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func seeds(f *testing.F) {
	f.Helper()
	for _, name := range []string{".", "a.", "kubernetes.default.svc.cluster.local.", "Ex-Ample_1.COM.", `a\.b\000\255.c.`} {
		f.Add(question(f, name, dns.TypeA, nil))
		f.Add(question(f, name, dns.TypeSRV, func(m *dns.Msg) { m.SetEdns0(4096, true) }))
	}
	f.Add(question(f, "a.", dns.TypeA, func(m *dns.Msg) {
		o := m.SetEdns0(512, false).IsEdns0()
		o.Option = append(o.Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "24a5ac1223344556"})
	}))
}

// FuzzParse: what Parse accepts, the complete library accepts and understands the same way.
func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, msg []byte) {
		q, ok := parse(msg)
		if !ok {
			return
		}
		var m dns.Msg
		if err := m.Unpack(msg); err != nil {
			t.Fatalf("accepted what miekg/dns rejects: %v", err)
		}
		name, _, err := dns.UnpackDomainName(q.Name, 0)
		if err != nil {
			t.Fatalf("name %q: %v", q.Name, err)
		}
		folded, _, err := dns.UnpackDomainName(q.Folded, 0)
		if err != nil {
			t.Fatalf("folded name %q: %v", q.Folded, err)
		}
		if len(m.Question) != 1 || len(m.Answer) != 0 || len(m.Ns) != 0 || m.Response || m.Opcode != dns.OpcodeQuery ||
			m.Rcode != 0 || m.Authoritative || m.Truncated || m.RecursionAvailable || m.Zero {
			t.Fatalf("accepted an odd message: %v", &m)
		}
		asked := m.Question[0]
		if asked.Name != name || dns.CanonicalName(asked.Name) != folded || asked.Qtype != q.Type || asked.Qclass != dns.ClassINET {
			t.Errorf("question: %v, want %s %s %d", asked, name, folded, q.Type)
		}
		if m.Id != q.ID || m.RecursionDesired != q.RD || m.CheckingDisabled != q.CD || m.AuthenticatedData != q.AD {
			t.Errorf("header: %+v, want %+v", m.MsgHdr, q)
		}
		opt := m.IsEdns0()
		if (opt != nil) != q.HasOPT || len(m.Extra) > 0 && opt == nil {
			t.Fatalf("OPT: %v, want %v", m.Extra, q.HasOPT)
		}
		if opt != nil && (opt.UDPSize() != q.UDPSize || opt.Do() != q.DO || opt.Version() != 0 || len(opt.Option) != 0) {
			t.Errorf("OPT: %v, want %+v", opt, q)
		}
	})
}

// FuzzAppend: every reply to every plain question can be read, and says what was to be said.
func FuzzAppend(f *testing.F) {
	f.Add(question(f, "Web.Example.", dns.TypeA, nil), uint8(0), uint8(3), 1, true, false, 512)
	f.Add(question(f, "Web.Example.", dns.TypeA, func(m *dns.Msg) { m.SetEdns0(4096, true) }), uint8(3), uint8(0), 0, true, true, 1232)
	f.Fuzz(func(t *testing.T, msg []byte, rcode, count uint8, rotate int, aa, negative bool, limit int) {
		q, ok := parse(msg)
		if !ok {
			return
		}
		p := wire.Packed{Rcode: rcode & 0xF, Count: int(count), RRSize: 16}
		for i := range count {
			p.Answer = append(p.Answer, answerA(i)...)
		}
		if negative {
			p.SOA = packedSOA(t)
		}
		out, ok := wire.Append([]byte("xy"), &q, p, rotate, aa, limit)
		if !ok {
			if string(out) != "xy" {
				t.Fatalf("left %q behind", out)
			}
			return
		}
		out = out[2:]
		if len(out) > limit {
			t.Fatalf("%d bytes, limit %d", len(out), limit)
		}
		var m dns.Msg
		if err := m.Unpack(out); err != nil {
			t.Fatalf("unreadable reply %x: %v", out, err)
		}
		name, _, _ := dns.UnpackDomainName(q.Name, 0)
		if m.Question[0].Name != name || m.Question[0].Qtype != q.Type || m.Question[0].Qclass != dns.ClassINET {
			t.Errorf("question %v, want %s %d", m.Question, name, q.Type)
		}
		if !m.Response || m.Id != q.ID || m.RecursionDesired != q.RD || m.CheckingDisabled != q.CD || m.Authoritative != aa ||
			m.Truncated || m.RecursionAvailable || m.AuthenticatedData || m.Zero || m.Rcode != int(rcode&0xF) {
			t.Errorf("header %+v", m.MsgHdr)
		}
		seen := map[byte]bool{}
		for _, rr := range m.Answer {
			if rr.Header().Name != name {
				t.Errorf("owner %s, want %s", rr.Header().Name, name)
			}
			seen[rr.(*dns.A).A.To4()[3]] = true
		}
		if len(m.Answer) != int(count) || len(seen) != int(count) {
			t.Errorf("%d answers, %d different, want %d", len(m.Answer), len(seen), count)
		}
		if (len(m.Ns) == 1) != negative {
			t.Errorf("authority %v, want one: %v", m.Ns, negative)
		}
		opt := m.IsEdns0()
		if (opt != nil) != q.HasOPT {
			t.Fatalf("OPT %v, asked with: %v", opt, q.HasOPT)
		}
		if opt != nil && (opt.Do() != q.DO || opt.UDPSize() != wire.UDPSize || opt.Version() != 0 || len(opt.Option) > 0) {
			t.Errorf("OPT %v", opt)
		}
	})
}

func BenchmarkParseAppend(b *testing.B) {
	msg := question(b, "kubernetes.default.svc.cluster.local.", dns.TypeA, nil)
	p := wire.Packed{Answer: answerA(1), Count: 1, RRSize: 16}
	fold, out := make([]byte, wire.MaxName), make([]byte, 0, wire.UDPSize)
	var q wire.Query
	b.ReportAllocs()
	for b.Loop() {
		if !wire.Parse(msg, fold, &q) {
			b.Fatal("not accepted")
		}
		out, _ = wire.Append(out[:0], &q, p, 1, true, q.MaxUDP())
	}
}
