package cache

import (
	"testing"
	"time"

	"bonsai/dnsaddon/wire"

	"github.com/miekg/dns"
)

// FuzzAnswer makes an answer of any reply that the library can read, and compares what the patching of its wire form
// gives a client with what the library reads out of it: the same records, aged.
func FuzzAnswer(f *testing.F) {
	for _, records := range [][]string{
		{a20},
		{"www.example.com. 300 IN CNAME cdn.example.com.", "cdn.example.com. 20 IN A 192.0.2.1"},
		{"--", soa60},
		{"www.example.com. 20 IN MX 5 mail.example.com.", "www.example.com. 4294967295 IN TXT \"x\" \"y\"", "--", "com. 9 IN NS a.b."},
		{"www.example.com. 20 IN SRV 0 0 80 t.example.com.", "www.example.com. 20 IN HTTPS 1 . alpn=h2"},
	} {
		q := ask(f, "www.example.com.", dns.TypeA)
		m := says(f, q, 0, records...)
		m.SetEdns0(1232, true)
		packed, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed, uint32(7), true, false, true)
	}
	f.Fuzz(func(t *testing.T, reply []byte, age uint32, do, cd, opt bool) {
		m := new(dns.Msg)
		if m.Unpack(reply) != nil || len(m.Question) != 1 {
			t.Skip()
		}
		// Replies that do not survive this are refused where they come in.
		again, err := m.Pack()
		if err != nil || new(dns.Msg).Unpack(again) != nil {
			t.Skip()
		}
		name := make([]byte, 256)
		n, err := dns.PackDomainName(m.Question[0].Name, name, 0, nil, false)
		if err != nil {
			t.Skip()
		}
		q := &wire.Query{
			ID: 0x1234, RD: true, CD: cd, DO: do, HasOPT: opt || do,
			Name: name[:n], Folded: lowered(name[:n]), Type: m.Question[0].Qtype,
		}
		c := owned()
		a, err := NewAnswer(m, q, Options{}.WithDefaults(), start)
		if err != nil {
			return
		}
		var want dns.Msg
		if err := want.Unpack(a.data[:a.size]); err != nil {
			t.Fatalf("the stored form cannot be read: %v", err)
		}
		c.Put(a, 1, start)
		now := start.Add(time.Duration(age%3600) * time.Second)
		out, ok := c.Append([]byte("x"), q, 65535, now)
		if fresh := a.cacheable && a.freshAt(now.UnixNano()); ok != fresh {
			t.Fatalf("answered %v, want %v", ok, fresh)
		}
		if !ok {
			out = a.Stale([]byte("x"), q)
		}
		var got dns.Msg
		if err := got.Unpack(out[1:]); err != nil {
			t.Fatalf("what was composed cannot be read: %v", err)
		}
		if got.Id != 0x1234 || !got.RecursionDesired || got.CheckingDisabled != cd || got.Rcode != want.Rcode || !got.Response {
			t.Errorf("header: %v", got.MsgHdr.String())
		}
		if e := got.IsEdns0(); (e != nil) != q.HasOPT || e != nil && e.Do() != do {
			t.Errorf("OPT: %v", e)
		} else if e != nil {
			got.Extra = got.Extra[:len(got.Extra)-1]
		}
		age %= 3600
		for i, sections := range [][2][]dns.RR{{got.Answer, want.Answer}, {got.Ns, want.Ns}, {got.Extra, want.Extra}} {
			if len(sections[0]) != len(sections[1]) {
				t.Fatalf("section %d has %d records, want %d", i, len(sections[0]), len(sections[1]))
			}
			for j, rr := range sections[0] {
				w := sections[1][j]
				ttl := w.Header().Ttl - min(age, w.Header().Ttl)
				if !ok {
					ttl = 30
				}
				if !dns.IsDuplicate(rr, w) && !same(rr, w) || rr.Header().Ttl != ttl {
					t.Errorf("record is %v, want %v with TTL %d", rr, w, ttl)
				}
			}
		}
	})
}

// same compares records by their canonical form, for types that the library cannot compare.
func same(a, b dns.RR) bool {
	a, b = dns.Copy(a), dns.Copy(b)
	a.Header().Ttl, b.Header().Ttl = 0, 0
	return dns.CanonicalName(a.String()) == dns.CanonicalName(b.String())
}
