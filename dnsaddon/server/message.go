package server

import (
	"context"
	"encoding/binary"
	"runtime/debug"
	"slices"
	"time"

	"github.com/miekg/dns"

	"bonsai/bootstrap/cluster"
	"bonsai/dnsaddon/wire"
)

const (
	headerLen = 12
	// answerLimit limits the time for one question, including everything it leads to. Resolvers wait for 5 seconds.
	answerLimit = 8 * time.Second
)

// silent reports whether a message gets no answer: it has no header to answer to, or it is an answer itself.
func silent(msg []byte) bool { return len(msg) < headerLen || msg[2]&0x80 != 0 }

// handle returns the complete answer to a message, in wire form, and counts and publishes it. Nil means no answer. ctx
// ends with the server.
func (l *listener) handle(ctx context.Context, msg []byte, from client) (reply []byte) {
	s := l.server
	if silent(msg) {
		l.drops.malformed.Add(1)
		return nil
	}
	e := event{tcp: from.tcp, ipv6: from.addr.Is6(), size: len(msg)}
	var a answer
	defer func() {
		if p := recover(); p != nil {
			s.panicked(p)
			reply, a = failure(nil, msg), answer{}
		}
		if reply == nil {
			return
		}
		e.rcode, e.reply, e.source = max(int(reply[3]&0xF), a.rcode), len(reply), a.source
		l.slowCounts().add(time.Since(from.arrived), e)
		if l.watched() {
			l.publish(from, reply, a.source, a.upstream)
		}
	}()
	limited, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()

	m, rcode := understand(msg)
	if m == nil {
		a = answer{rcode: rcode, source: cluster.DNSRefused}
		return headerOnly(nil, msg, rcode)
	}
	q := m.Question[0]
	opt := m.IsEdns0()
	e.qtype, e.do = q.Qtype, opt != nil && opt.Do()
	if rcode != dns.RcodeSuccess {
		a = answer{rcode: rcode, source: cluster.DNSRefused}
	} else {
		a = s.resolve(limited, &asking{
			listener: l, proto: from.proto(),
			rd: m.RecursionDesired, ad: m.AuthenticatedData, cd: m.CheckingDisabled, do: e.do,
		}, dns.Question{Name: dns.CanonicalName(q.Name), Qtype: q.Qtype, Qclass: q.Qclass})
	}
	// If the server is stopping, no answer makes the client try again, perhaps another server; a failure would be
	// final.
	if a.rcode == dns.RcodeServerFailure && ctx.Err() != nil {
		return nil
	}
	limit := maxTCPSize
	if !from.tcp {
		limit = wire.MinUDPSize
		if opt != nil {
			limit = min(max(int(opt.UDPSize()), wire.MinUDPSize), wire.UDPSize)
		}
	}
	packed, err := a.message(m, opt, int(s.turn.Add(1)), limit).Pack()
	if err != nil {
		s.opts.Log.Warn("answer cannot be packed", "name", q.Name, "type", dns.Type(q.Qtype), "err", err)
		a = answer{rcode: dns.RcodeServerFailure, source: a.source, upstream: a.upstream}
		return failure(nil, msg)
	}
	return packed
}

// understand parses a message. A message that cannot be parsed, or asks for something unsupported, gets its rcode at
// once; m is nil then if the question could not be parsed.
func understand(msg []byte) (m *dns.Msg, rcode int) {
	count := func(off int) int { return int(binary.BigEndian.Uint16(msg[off:])) }
	questions, answers, authority, additional := count(4), count(6), count(8), count(10)
	if opcode := msg[2] >> 3 & 0xF; opcode != dns.OpcodeQuery {
		return nil, dns.RcodeNotImplemented
	}
	// IXFR comes with a SOA record; OPT may be accompanied by a signature. Nobody asks with more records, and unpacking
	// takes time.
	if questions != 1 || answers > 0 || authority > 1 || additional > 2 {
		return nil, dns.RcodeFormatError
	}
	m = new(dns.Msg)
	// The library accepts counts that are too high, and questions without a type.
	if err := m.Unpack(msg); err != nil || len(m.Question) != 1 || m.Question[0].Qclass == 0 ||
		len(m.Ns) != authority || len(m.Extra) != additional {
		return nil, dns.RcodeFormatError
	}
	var opt *dns.OPT
	for _, rr := range m.Extra {
		if o, ok := rr.(*dns.OPT); ok {
			if opt != nil || o.Hdr.Name != "." {
				return nil, dns.RcodeFormatError
			}
			opt = o
		}
	}
	switch q := m.Question[0]; {
	case opt != nil && opt.Version() != 0:
		return m, dns.RcodeBadVers
	case q.Qclass != dns.ClassINET:
		return m, dns.RcodeRefused
	case q.Qtype == dns.TypeAXFR, q.Qtype == dns.TypeIXFR:
		return m, dns.RcodeRefused
	case q.Qtype == dns.TypeOPT:
		return m, dns.RcodeFormatError
	}
	return m, dns.RcodeSuccess
}

// headerOnly appends an answer without even the question.
func headerOnly(dst, msg []byte, rcode int) []byte {
	const opcode, rd = 0x78, 0x01
	return append(dst, msg[0], msg[1], 0x80|msg[2]&(opcode|rd), byte(rcode&0xF), 0, 0, 0, 0, 0, 0, 0, 0)
}

// failure appends SERVFAIL, with the question if it can be parsed; nil if there is nothing to answer.
func failure(dst, msg []byte) []byte {
	if silent(msg) {
		return nil
	}
	var q wire.Query
	if !wire.Parse(msg, make([]byte, wire.MaxName), &q) {
		return headerOnly(dst, msg, dns.RcodeServerFailure)
	}
	dst, _ = wire.Append(dst, &q, wire.Packed{Rcode: dns.RcodeServerFailure}, 0, false, wire.MinUDPSize)
	return dst
}

// panicked counts a panic, which is a bug, and logs its stack.
func (s *Server) panicked(p any) {
	s.panics.Add(1)
	s.opts.Log.Error("panic while answering a DNS question", "panic", p, "stack", string(debug.Stack()))
}

// message builds the complete reply to m from an answer, cut to limit bytes. opt is m's.
func (a *answer) message(m *dns.Msg, opt *dns.OPT, turn, limit int) *dns.Msg {
	asked := m.Question[0]
	r := &dns.Msg{Compress: true, Question: m.Question}
	r.Id, r.Response = m.Id, true
	r.RecursionDesired, r.CheckingDisabled = m.RecursionDesired, m.CheckingDisabled
	r.Rcode, r.Truncated, r.Authoritative, r.RecursionAvailable = a.rcode, a.truncated, a.authoritative, a.recursive
	r.AuthenticatedData = a.authentic && (m.AuthenticatedData || opt != nil && opt.Do())
	r.Answer = spelled(rotated(a.answer, turn), asked.Name)
	r.Ns = spelled(a.ns, asked.Name)
	r.Extra = spelled(a.extra, asked.Name)
	if opt != nil {
		reply := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
		reply.SetUDPSize(wire.UDPSize)
		reply.SetDo(opt.Do())
		r.Extra = append(r.Extra, reply)
	}
	truncate(r, limit)
	return r
}

// spelled gives the records of the requested name the client's spelling. Records are shared and therefore not changed.
func spelled(rrs []dns.RR, asked string) []dns.RR {
	canonical := dns.CanonicalName(asked)
	list := make([]dns.RR, 0, len(rrs)+1)
	for _, rr := range rrs {
		if owner := rr.Header().Name; owner != asked && dns.CanonicalName(owner) == canonical {
			rr = dns.Copy(rr)
			rr.Header().Name = asked
		}
		list = append(list, rr)
	}
	return list
}

// rotated makes the addresses, which are together at the end of an answer, begin with a different one each time.
func rotated(rrs []dns.RR, turn int) []dns.RR {
	first := len(rrs)
	for first > 0 && isAddress(rrs[first-1]) && rrs[first-1].Header().Name == rrs[len(rrs)-1].Header().Name {
		first--
	}
	n := len(rrs) - first
	if n < 2 {
		return rrs
	}
	list := make([]dns.RR, 0, len(rrs))
	list = append(list, rrs[:first]...)
	turn = int(uint(turn) % uint(n))
	list = append(list, rrs[first+turn:]...)
	return append(list, rrs[first:first+turn]...)
}

func isAddress(rr dns.RR) bool {
	t := rr.Header().Rrtype
	return t == dns.TypeA || t == dns.TypeAAAA
}

// truncate cuts a reply to limit bytes. Additional records go first, by whole RRsets and without setting TC, because
// nobody needs them. If answers have to go, TC is set; those that fit stay (RFC 2181, 9), because the libc of older
// Alpine images does not support TCP and depends on them.
func truncate(m *dns.Msg, limit int) {
	if m.Len() <= limit {
		return
	}
	truncated := m.Truncated
	answers, authority := len(m.Answer), len(m.Ns)
	additional := slices.Clone(m.Extra) // Truncate moves the OPT record, which is the last, in the slice itself
	m.Truncate(limit)
	m.Compress = true
	if len(m.Answer) < answers || len(m.Ns) < authority {
		m.Truncated = true
		return
	}
	m.Truncated = truncated
	kept := len(m.Extra)
	if m.IsEdns0() != nil {
		kept--
	}
	for kept > 0 && kept < len(additional) && sameSet(additional[kept-1], additional[kept]) {
		kept--
	}
	opt := m.IsEdns0()
	m.Extra = additional[:kept]
	if opt != nil {
		m.Extra = append(m.Extra, opt)
	}
}

func sameSet(a, b dns.RR) bool {
	return a.Header().Rrtype == b.Header().Rrtype && a.Header().Name == b.Header().Name
}
