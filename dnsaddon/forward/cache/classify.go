package cache

import (
	"time"

	"github.com/miekg/dns"
)

// maxChain is how many CNAMEs are followed; resolvers give up at about as many.
const maxChain = 16

// classify decides whether a reply is cached, as what and for how long. name is the question's, in lower case.
func classify(m *dns.Msg, name string, qtype uint16, o Options) (Kind, time.Duration, bool) {
	// A truncated reply is incomplete, and a meta type asks for something else each time.
	if m.Truncated || qtype == dns.TypeOPT || qtype >= 128 && qtype <= 255 {
		return 0, 0, false
	}
	switch m.Rcode {
	case dns.RcodeServerFailure:
		return Denial, o.ServFail, o.ServFail >= time.Second
	case dns.RcodeSuccess, dns.RcodeNameError:
	default:
		return 0, 0, false
	}
	end, found := chase(m.Answer, name, qtype)
	if found && m.Rcode == dns.RcodeSuccess {
		if o.Success.Disabled {
			return 0, 0, false
		}
		ttl := minTTL(maxTTL, m.Answer, m.Ns, m.Extra)
		return Success, o.Success.clamp(ttl), true
	}
	soa := soaOf(m.Ns, end)
	if found || soa == nil || o.Denial.Disabled {
		return 0, 0, false
	}
	// The SOA record's own TTL counts too, because it comes from the authority as well.
	ttl := minTTL(soa.Minttl, m.Answer, m.Ns, m.Extra)
	return Denial, o.Denial.clamp(ttl), true
}

func (l Limits) clamp(ttl uint32) time.Duration {
	return min(max(time.Duration(ttl)*time.Second, l.Min), l.Max).Truncate(time.Second)
}

// chase follows the CNAMEs from name and returns where they end, and whether there is a record of the type there. A
// reply whose records belong to other names does not answer the question.
func chase(answer []dns.RR, name string, qtype uint16) (end string, found bool) {
	for range maxChain {
		next := ""
		for _, rr := range answer {
			h := rr.Header()
			if dns.CanonicalName(h.Name) != name {
				continue
			}
			if h.Rrtype == qtype {
				return name, true
			}
			if cname, ok := rr.(*dns.CNAME); ok {
				next = dns.CanonicalName(cname.Target)
			}
		}
		if next == "" {
			return name, false
		}
		name = next
	}
	return name, false
}

// soaOf finds the SOA record of a zone that can contain name.
func soaOf(authority []dns.RR, name string) *dns.SOA {
	for _, rr := range authority {
		if soa, ok := rr.(*dns.SOA); ok && dns.IsSubDomain(dns.CanonicalName(soa.Hdr.Name), name) {
			return soa
		}
	}
	return nil
}

func minTTL(ttl uint32, sections ...[]dns.RR) uint32 {
	for _, section := range sections {
		for _, rr := range section {
			ttl = min(ttl, rr.Header().Ttl)
		}
	}
	return ttl
}
