package rules

import (
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"bonsai/dnsaddon/corefile"
)

// hosts are the addresses in a Corefile.
type hosts struct {
	zones [][]byte
	// names and wild are in wire form; of wild it is the part after "*.".
	names, wild map[string]*host
	pointers    map[netip.Addr][]string // nil if there are to be none
	ttl         uint32
	// fall are the zones in which unknown names are passed on; fallTypes also passes on unknown types there.
	fall      [][]byte
	fallTypes bool
}

// host is what a name has.
type host struct{ v4, v6 []netip.Addr }

func newHosts(c *corefile.Hosts) *hosts {
	if c == nil {
		return nil
	}
	h := &hosts{
		zones: wireNames(c.Zones), names: map[string]*host{}, wild: map[string]*host{}, pointers: map[netip.Addr][]string{},
		ttl: c.TTL, fall: wireNames(c.Fallthrough), fallTypes: c.FallthroughUnsupported,
	}
	for _, entry := range c.Entries {
		for _, name := range entry.Names {
			h.add(name, entry.Addr)
		}
	}
	if c.NoReverse {
		h.pointers = nil
	}
	return h
}

func (h *hosts) add(name string, addr netip.Addr) {
	table, wire := h.names, wireName(name)
	if wire[0] == 1 && wire[1] == '*' {
		table, wire = h.wild, wire[2:]
	} else if !slices.Contains(h.pointers[addr], name) {
		h.pointers[addr] = append(h.pointers[addr], name)
	}
	e := table[string(wire)]
	if e == nil {
		e = &host{}
		table[string(wire)] = e
	}
	list := &e.v4
	if addr.Is6() {
		list = &e.v6
	}
	if !slices.Contains(*list, addr) {
		*list = append(*list, addr)
	}
}

// find looks for a name, first itself, then as a match of a wildcard.
func (h *hosts) find(folded []byte) *host {
	if e := h.names[string(folded)]; e != nil {
		return e
	}
	if parent := 1 + int(folded[0]); folded[0] > 0 && len(h.wild) > 0 {
		return h.wild[string(folded[parent:])]
	}
	return nil
}

// concerns reports whether answer has one.
func (h *hosts) concerns(folded []byte, qtype uint16) bool {
	if qtype == dns.TypePTR {
		addr, ok := reverseAddr(folded)
		return ok && len(h.pointers[addr]) > 0
	}
	if !within(folded, h.zones) {
		return false
	}
	known := h.find(folded) != nil
	if known && (qtype == dns.TypeA || qtype == dns.TypeAAAA || !h.fallTypes) {
		return true
	}
	return !within(folded, h.fall)
}

// answer returns the answer from the entries, or nil.
func (h *hosts) answer(folded []byte, q dns.Question) (m *dns.Msg, rule string) {
	if !h.concerns(folded, q.Qtype) {
		return nil, ""
	}
	header := dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET, Ttl: h.ttl}
	m = reply()
	if q.Qtype == dns.TypePTR {
		addr, _ := reverseAddr(folded)
		for _, name := range h.pointers[addr] {
			m.Answer = append(m.Answer, &dns.PTR{Hdr: header, Ptr: name})
		}
		return m, "hosts in the Corefile has this address"
	}
	e := h.find(folded)
	if e == nil {
		return failed(), "hosts in the Corefile does not have this name, and has no fallthrough"
	}
	switch q.Qtype {
	case dns.TypeA:
		for _, addr := range e.v4 {
			m.Answer = append(m.Answer, &dns.A{Hdr: header, A: addr.AsSlice()})
		}
	case dns.TypeAAAA:
		for _, addr := range e.v6 {
			m.Answer = append(m.Answer, &dns.AAAA{Hdr: header, AAAA: addr.AsSlice()})
		}
	}
	return m, "hosts in the Corefile has this name"
}
