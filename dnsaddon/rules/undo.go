package rules

import (
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// undo is what rewrites do to an answer, in the order of the directives; the last is applied first.
type undo []step

// step is one change to an answer.
type step struct {
	// owners and values say where rename is used: on records' own names, or on names in their data.
	owners, values bool
	rename         func(name string) string

	ttl            bool
	minTTL, maxTTL uint32

	rcode              bool
	fromRcode, toRcode int
}

// apply makes the changes in a copy, because others use the records too.
func (u undo) apply(m *dns.Msg) *dns.Msg {
	m = m.Copy()
	for _, s := range slices.Backward(u) {
		if s.rcode && m.Rcode == s.fromRcode {
			m.Rcode = s.toRcode
		}
		for _, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
			for _, rr := range section {
				s.apply(rr)
			}
		}
	}
	return m
}

func (s *step) apply(rr dns.RR) {
	h := rr.Header()
	if h.Rrtype == dns.TypeOPT {
		return // what looks like its name and TTL is something else
	}
	if s.ttl {
		h.Ttl = min(max(h.Ttl, s.minTTL), s.maxTTL)
	}
	if s.owners {
		s.replace(&h.Name)
	}
	if s.values {
		if name := nameIn(rr); name != nil {
			s.replace(name)
		}
	}
}

// replace renames a name, unless the result is not valid.
func (s *step) replace(name *string) {
	folded := strings.ToLower(*name)
	if renamed := s.rename(folded); renamed != folded && packName(renamed) != nil {
		*name = renamed
	}
}

// nameIn returns the name in the data of a record that counts as its value.
func nameIn(rr dns.RR) *string {
	switch rr := rr.(type) {
	case *dns.CNAME:
		return &rr.Target
	case *dns.SRV:
		return &rr.Target
	case *dns.PTR:
		return &rr.Ptr
	case *dns.MX:
		return &rr.Mx
	case *dns.NS:
		return &rr.Ns
	case *dns.DNAME:
		return &rr.Target
	case *dns.NAPTR:
		return &rr.Replacement
	case *dns.SOA:
		return &rr.Ns
	}
	return nil
}
