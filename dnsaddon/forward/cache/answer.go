package cache

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"bonsai/dnsaddon/wire"

	"github.com/miekg/dns"
)

const (
	headerSize = 12
	optSize    = 11
	// maxTTL is the largest number that is a TTL (RFC 2181); what is above counts as zero.
	maxTTL = 1<<31 - 1
)

// Kind distinguishes answers with data from those that say that there is none.
type Kind uint8

// The kinds. A SERVFAIL is a denial here.
const (
	Success Kind = iota
	Denial
	kinds
)

// Answer is a reply in wire form, without id and OPT, its question in lower case. It is not changed once it is created,
// except for fields that are atomic or marked as the cache's.
type Answer struct {
	// data is the message and after it the offsets of its TTL fields, two bytes each: one allocation.
	data []byte
	size int // of the message

	name         int // length of the name in the question
	qtype        uint16
	do, cd       bool
	kind         Kind
	rcode        int
	truncated    bool
	cacheable    bool
	stored, ends int64 // wall clock in nanoseconds
	staleEnds    int64
	staleTTL     uint32

	owner uint32
	hash  uint64 // the cache's
	pos   int    // in the ring; under the shard's lock
	// used is set by readers and reset by the clock that evicts.
	used atomic.Bool
	// held is the time until which an expired answer is served without asking upstreams again.
	held atomic.Int64
}

// NewAnswer creates an answer from an upstream's reply to q; the library must be able to write m and read it again. It
// takes ownership of m. AA, OPT, transaction signatures and extended rcodes are dropped, because they are between the
// upstream and us.
func NewAnswer(m *dns.Msg, q *wire.Query, o Options, now time.Time) (*Answer, error) {
	name, _, err := dns.UnpackDomainName(q.Folded, 0)
	if err != nil {
		return nil, fmt.Errorf("name of the question: %w", err)
	}
	tidy(m, name, q)
	a := &Answer{
		name: len(q.Folded), qtype: q.Type, do: q.DO, cd: q.CD,
		rcode: m.Rcode, truncated: m.Truncated,
		stored:   now.UnixNano(),
		staleTTL: uint32(max(o.StaleTTL/time.Second, 1)),
	}
	if kind, life, ok := classify(m, name, q.Type, o); ok {
		a.kind, a.cacheable = kind, true
		a.ends = now.Add(life).UnixNano()
		a.staleEnds = a.ends
		if !a.failure() {
			a.staleEnds += int64(o.Stale)
		}
		limits := o.Success
		if kind == Denial {
			limits = o.Denial
		}
		bound(m, kind, life, max(limits.Max, life))
	}
	packed, err := m.Pack()
	if err != nil {
		return nil, fmt.Errorf("pack the reply for %s: %w", name, err)
	}
	// The patching below relies on it.
	if len(packed) < headerSize+a.name+4 || !bytes.Equal(packed[headerSize:headerSize+a.name], q.Folded) {
		return nil, errors.New("the packed reply does not begin with the question")
	}
	if len(packed) > maxAnswer {
		a.cacheable = false
	}
	a.size = len(packed)
	a.data, err = appendTTLOffsets(packed, headerSize+a.name+4)
	if err != nil {
		return nil, fmt.Errorf("records for %s: %w", name, err)
	}
	// Capacity left over from appending must not stay in memory for an hour.
	a.data = bytes.Clone(a.data)
	return a, nil
}

// tidy removes from m what a client must not get.
func tidy(m *dns.Msg, name string, q *wire.Query) {
	m.Id = 0
	m.Compress = true
	m.Response = true
	m.Authoritative = false
	m.Zero = false
	m.RecursionDesired = false
	m.CheckingDisabled = false
	if m.Rcode > 0xF { // it cannot be sent without OPT
		m.Rcode = dns.RcodeServerFailure
	}
	m.Question = []dns.Question{{Name: name, Qtype: q.Type, Qclass: dns.ClassINET}}
	m.Answer = keep(m.Answer, name)
	m.Ns = keep(m.Ns, name)
	m.Extra = keep(m.Extra, name)
	if m.Rcode == dns.RcodeServerFailure {
		m.Answer, m.Ns, m.Extra = nil, nil, nil
	}
}

// keep leaves only data records of class IN. Those of the queried name get exactly the spelling of the question, so
// that they are packed as a pointer to it and every client sees its own spelling.
func keep(rrs []dns.RR, name string) []dns.RR {
	kept := rrs[:0]
	for _, rr := range rrs {
		h := rr.Header()
		if h.Class != dns.ClassINET {
			continue
		}
		switch h.Rrtype {
		case dns.TypeOPT, dns.TypeTSIG, dns.TypeSIG, dns.TypeTKEY:
			continue
		}
		if h.Ttl > maxTTL {
			h.Ttl = 0
		}
		if len(h.Name) == len(name) && dns.CanonicalName(h.Name) == name {
			h.Name = name
		}
		kept = append(kept, rr)
	}
	return kept
}

// bound limits the TTLs to the life of the answer: none ends before it, none is above the limit, and the SOA record of
// a denial says how long the denial holds.
func bound(m *dns.Msg, kind Kind, life, limit time.Duration) {
	low, high := uint32(life/time.Second), uint32(limit/time.Second)
	for _, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			h := rr.Header()
			h.Ttl = min(max(h.Ttl, low), high)
			if kind == Denial && h.Rrtype == dns.TypeSOA {
				h.Ttl = low
			}
		}
	}
}

// Rcode returns the reply's rcode.
func (a *Answer) Rcode() int { return a.rcode }

func (a *Answer) failure() bool { return a.rcode == dns.RcodeServerFailure }

// Truncated reports that the reply of the upstream was incomplete.
func (a *Answer) Truncated() bool { return a.truncated }

// Fresh composes the answer as of now for the client that sent q: with its id, its spelling, its RD and CD, with AD
// only if the client asked for it, and with an OPT record if it sent one.
func (a *Answer) Fresh(dst []byte, q *wire.Query, now time.Time) []byte {
	age := max(now.UnixNano()-a.stored, 0) / int64(time.Second)
	return a.compose(dst, q, uint32(min(age, maxTTL)), 0)
}

// Stale composes the answer with the short TTL of one that has expired.
func (a *Answer) Stale(dst []byte, q *wire.Query) []byte { return a.compose(dst, q, 0, a.staleTTL) }

// compose reduces the TTLs by age, or sets all of them to set if it is not zero.
func (a *Answer) compose(dst []byte, q *wire.Query, age, set uint32) []byte {
	start := len(dst)
	dst = append(dst, a.data[:a.size]...)
	m := dst[start:]
	binary.BigEndian.PutUint16(m, q.ID)
	if q.RD {
		m[2] |= 0x01
	}
	if q.CD {
		m[3] |= 0x10
	}
	if !q.AD && !q.DO {
		m[3] &^= 0x20
	}
	copy(m[headerSize:headerSize+a.name], q.Name)
	for at := a.size; at < len(a.data); at += 2 {
		field := m[binary.BigEndian.Uint16(a.data[at:]):]
		ttl := set
		if set == 0 {
			ttl = binary.BigEndian.Uint32(field)
			ttl -= min(ttl, age)
		}
		binary.BigEndian.PutUint32(field, ttl)
	}
	if !q.HasOPT {
		return dst
	}
	binary.BigEndian.PutUint16(m[10:], binary.BigEndian.Uint16(m[10:])+1)
	return wire.AppendOPT(dst, q.DO)
}

// length is the length of compose's result.
func (a *Answer) length(q *wire.Query) int {
	if q.HasOPT {
		return a.size + optSize
	}
	return a.size
}

func (a *Answer) folded() []byte { return a.data[headerSize : headerSize+a.name] }

func (a *Answer) answers(q *wire.Query) bool {
	return a.qtype == q.Type && a.do == q.DO && a.cd == q.CD && bytes.Equal(a.folded(), q.Folded)
}

// freshAt rejects a time before the answer was stored: the clock was set back, by an unknown amount.
func (a *Answer) freshAt(now int64) bool { return a.stored <= now && now < a.ends }

func (a *Answer) staleAt(now int64) bool { return a.stored <= now && now < a.staleEnds }

// bytes is roughly the memory that the answer takes: itself, its data, and its entries in map and ring.
func (a *Answer) bytes() int { return len(a.data) + 200 }

// appendTTLOffsets walks the records of msg, which begin at off, and appends the offsets of their TTLs.
func appendTTLOffsets(msg []byte, off int) ([]byte, error) {
	count := 0
	for i := 6; i < headerSize; i += 2 {
		count += int(binary.BigEndian.Uint16(msg[i:]))
	}
	end := len(msg)
	for range count {
		var ok bool
		if off, ok = skipName(msg[:end], off); !ok || off+10 > end {
			return nil, errors.New("cut short")
		}
		msg = binary.BigEndian.AppendUint16(msg, uint16(off+4))
		off += 10 + int(binary.BigEndian.Uint16(msg[off+8:]))
	}
	if off != end {
		return nil, errors.New("length is not that of the records")
	}
	return msg, nil
}

func skipName(msg []byte, off int) (int, bool) {
	for off < len(msg) {
		switch n := int(msg[off]); {
		case n == 0:
			return off + 1, true
		case n >= 0xC0:
			return off + 2, true
		default:
			off += 1 + n
		}
	}
	return off, false
}
