package server

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/miekg/dns"

	"bonsai/dnsaddon/wire"
)

// FuzzServe: whatever bytes arrive, nothing panics, and what is answered can be read, belongs to the question, and
// fits. Where the fast path answers, the slow path says the same.
func FuzzServe(f *testing.F) {
	s := start(f, nil)
	for _, m := range []*dns.Msg{
		msg(kubernetes, dns.TypeA), msg(kubernetes, dns.TypeAAAA, edns(1232, true)), msg("nobody.default.svc.cluster.local.", dns.TypeA),
		msg("many.default.svc.cluster.local.", dns.TypeA, edns(4096, false)), msg("_https._tcp."+kubernetes, dns.TypeSRV),
		msg("1.0.96.10.in-addr.arpa.", dns.TypePTR), msg("localhost.", dns.TypeANY), msg(`a\.b\000.cluster.local.`, dns.TypeTXT),
		msg("cluster.local.", dns.TypeSOA), msg("cluster.local.", dns.TypeAXFR),
		msg("a.", dns.TypeA, edns(512, false), func(m *dns.Msg) { m.IsEdns0().SetVersion(3) }),
	} {
		packed, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed, false)
		f.Add(packed, true)
	}
	response, _ := new(dns.Msg).SetReply(msg(kubernetes, dns.TypeA)).Pack()
	f.Add(response, true)
	f.Add([]byte("short"), false)
	listener := s.listeners[0]
	f.Fuzz(func(t *testing.T, question []byte, tcp bool) {
		panics := s.panics.Load()
		from := client{alice, tcp, time.Now()}
		slow := listener.handle(t.Context(), question, from)
		if s.panics.Load() != panics {
			t.Fatal("panic")
		}
		limit := wire.UDPSize
		if tcp {
			limit = maxTCPSize
		}
		r := checkReply(t, question, slow, limit)
		fast := quick{listener: listener}
		reply, _, ok := fast.answer(nil, question, tcp, from.arrived)
		if !ok {
			return
		}
		q := checkReply(t, question, reply, limit)
		if q.MsgHdr != r.MsgHdr || len(q.Answer) != len(r.Answer) || len(q.Ns) != len(r.Ns) || len(q.Extra) != len(r.Extra) {
			t.Errorf("the fast path says %v, the slow path %v", q, r)
		}
	})
}

func checkReply(t *testing.T, question, reply []byte, limit int) *dns.Msg {
	t.Helper()
	if silent(question) {
		if reply != nil {
			t.Fatalf("answered %x with %x", question, reply)
		}
		return nil
	}
	r := new(dns.Msg)
	if err := r.Unpack(reply); err != nil || len(reply) > limit || len(reply) < headerLen {
		t.Fatalf("reply of %d bytes: %v", len(reply), err)
	}
	if !r.Response || r.Id != binary.BigEndian.Uint16(question) || r.Opcode != int(question[2]>>3&0xF) ||
		r.RecursionDesired != (question[2]&1 != 0) {
		t.Errorf("header %+v to %x", r.MsgHdr, question[:headerLen])
	}
	var asked dns.Msg
	if len(r.Question) > 0 && (asked.Unpack(question) != nil || asked.Question[0] != r.Question[0]) {
		t.Errorf("question %v, asked %v", r.Question, asked.Question)
	}
	for _, rr := range r.Answer {
		if owner := rr.Header().Name; owner != r.Question[0].Name && dns.CanonicalName(owner) == dns.CanonicalName(r.Question[0].Name) {
			t.Errorf("owner %s, asked %s", owner, r.Question[0].Name)
		}
	}
	return r
}
