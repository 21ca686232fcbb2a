package forward

import (
	"testing"
	"time"

	"bonsai/dnsaddon/forward/cache"

	"github.com/miekg/dns"
)

// FuzzParseReply takes any bytes for a reply. What is accepted must be about the question, and can be handed on.
func FuzzParseReply(f *testing.F) {
	const id = 0x1234
	q := plain(f, "www.example.com.", dns.TypeA)
	r := question("www.example.com.", dns.TypeA)
	r.Id = id
	for _, forge := range forgeries {
		f.Add(forge(r))
	}
	f.Add(pack(withA(r, "192.0.2.1")))
	f.Add(pack(new(dns.Msg).SetRcode(r, dns.RcodeFormatError)))
	f.Fuzz(func(t *testing.T, msg []byte) {
		m, err := parseReply(msg, id, q)
		if err != nil {
			return
		}
		if m.Id != id || !m.Response {
			t.Errorf("accepted %v", m)
		}
		if len(m.Question) == 0 && m.Rcode != dns.RcodeFormatError && m.Rcode != dns.RcodeNotImplemented {
			t.Errorf("accepted without a question: %v", m)
		}
		if len(m.Question) > 0 && (dns.CanonicalName(m.Question[0].Name) != "www.example.com." || m.Question[0].Qtype != dns.TypeA) {
			t.Errorf("accepted %v", m.Question)
		}
		a, err := cache.NewAnswer(m, q, cache.Options{}.WithDefaults(), time.Now())
		if err != nil {
			t.Fatalf("accepted, and cannot be kept: %v", err)
		}
		if err := new(dns.Msg).Unpack(a.Fresh(nil, q, time.Now())); err != nil {
			t.Errorf("accepted, and cannot be read: %v", err)
		}
	})
}
