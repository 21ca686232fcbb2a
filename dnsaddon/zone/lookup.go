package zone

import (
	"math"
	"net/netip"
	"slices"

	"github.com/miekg/dns"
)

// Answer is the zone's answer to a question.
type Answer struct {
	// In is false if the name is not the cluster's; then the rest is empty, and the question has to be forwarded.
	In                bool
	Rcode             int
	Answer, Ns, Extra []dns.RR
	// External is the target of an ExternalName service outside the zone. It has to be resolved for the same type, and
	// its answer appended.
	External string
}

const (
	schemaVersion    = "1.1.0" // of the specification
	schemaVersionTTL = 28800
	// maxChain is how many aliases are followed after the first.
	maxChain = 10
)

// question is a question about a name in one of the zones.
type question struct {
	name string // as asked, fully qualified
	wire []byte // folded
	apex *apex
	labels
}

// Lookup answers one question completely. The name is fully qualified, with special bytes escaped, in any case; the
// records carry it as their owner. The caller may change them.
func (v *View) Lookup(name string, qtype uint16) Answer {
	q, ok := v.question(name)
	if !ok {
		return Answer{}
	}
	if !v.synced {
		return v.unsynced(&q)
	}
	switch qtype {
	case dns.TypeAXFR, dns.TypeIXFR:
		return Answer{In: true, Rcode: dns.RcodeRefused}
	case dns.TypeSOA:
		if q.n == 0 {
			return Answer{In: true, Answer: []dns.RR{v.soa(q.apex)}}
		}
		return v.nodata(&q) // whether or not the name exists
	case dns.TypeA, dns.TypeAAAA:
		return v.addresses(&q, qtype)
	case dns.TypePTR:
		return v.pointers(&q)
	case dns.TypeTXT:
		return v.text(&q)
	case dns.TypeNS:
		if q.n == 0 {
			return v.ns(&q)
		}
	}
	f := v.meaning(&q)
	switch {
	case f.standing == absent:
		return v.denied(&q)
	case qtype == dns.TypeSRV:
		return v.srv(&q, &f)
	case qtype == dns.TypeCNAME && f.standing == named && f.service.kind == alias && !f.service.broken:
		return Answer{In: true, Answer: []dns.RR{v.cname(q.name, f.service.target)}}
	}
	return v.nodata(&q)
}

// question returns the question about name; it is not ok if the name is in none of the zones.
func (v *View) question(name string) (q question, ok bool) {
	q.name = name
	if q.wire, ok = packName(name); !ok {
		return q, false
	}
	i := v.apex(&q.labels, q.wire)
	if i < 0 {
		return q, false
	}
	q.apex = &v.apexes[i]
	return q, true
}

func (v *View) nodata(q *question) Answer {
	return Answer{In: true, Ns: []dns.RR{v.soa(q.apex)}}
}

// denied is the answer for a name that the cluster does not have.
func (v *View) denied(q *question) Answer {
	if v.falls(q.name) {
		if !q.apex.reverse {
			return Answer{}
		}
		switch v.ownRange(&q.labels, q.apex) {
		case elsewhere:
			return Answer{}
		case inhabited:
			return v.nodata(q)
		}
	}
	return Answer{In: true, Rcode: dns.RcodeNameError, Ns: []dns.RR{v.soa(q.apex)}}
}

// unsynced is the answer while the records are incomplete. A denial would stay in the client's cache after they are
// complete, and a reverse name might belong to another server.
func (v *View) unsynced(q *question) Answer {
	if q.apex.reverse && len(v.Reverse) > 0 && v.ownRange(&q.labels, q.apex) == elsewhere {
		return Answer{}
	}
	return Answer{In: true, Rcode: dns.RcodeServerFailure}
}

// meaning is find, including name servers.
func (v *View) meaning(q *question) (f found) {
	if isNameServer(q.wire, q.apex) {
		return found{standing: nameServer}
	}
	v.find(&f, &q.labels, q.apex)
	return f
}

// addresses answers A and AAAA. Aliases are followed within the zone; one that leads to nothing is not shown.
func (v *View) addresses(q *question, qtype uint16) Answer {
	var chain []dns.RR
	at := *q
	for {
		f := v.meaning(&at)
		if f.standing == absent && chain == nil {
			return v.denied(q)
		}
		if f.standing != named || f.service.kind != alias {
			records := v.addressRecords(&at, &f, qtype)
			if len(records) == 0 {
				return v.nodata(q)
			}
			return Answer{In: true, Answer: append(chain, records...)}
		}
		target := f.service.target
		if f.service.broken || len(chain) > maxChain { // a loop ends here, too
			return v.nodata(q)
		}
		chain = append(chain, v.cname(at.name, target))
		next := question{name: target, apex: q.apex}
		next.wire, _ = packName(target)
		if !next.split(next.wire, q.apex) {
			return Answer{In: true, Answer: chain, External: target}
		}
		at = next
	}
}

// addressRecords are the records of one type of a name that is not an alias.
func (v *View) addressRecords(q *question, f *found, qtype uint16) []dns.RR {
	v6 := qtype == dns.TypeAAAA
	var addrs []netip.Addr
	add := func(addr netip.Addr) {
		if addr.Is6() == v6 {
			addrs = append(addrs, addr)
		}
	}
	switch f.standing {
	case nameServer:
		for _, server := range v.nameServers(q.apex) {
			add(server.addr)
		}
	case podName:
		add(f.pod)
	case named:
		f.each(func(t target) { add(t.addr) })
	}
	// The same address on several ports, or in several slices, is one record.
	slices.SortFunc(addrs, netip.Addr.Compare)
	addrs = slices.Compact(addrs)
	records := make([]dns.RR, len(addrs))
	for i, addr := range addrs {
		records[i] = v.address(q.name, addr)
	}
	return records
}

func (v *View) srv(q *question, f *found) Answer {
	var targets []target
	name := func(t target) string { return "" }
	switch f.standing {
	case podName:
		// The service has no port, and still a record.
		label, namespace := string(q.fromTop(2)), string(q.fromTop(1))
		name = func(target) string { return label + "." + namespace + ".pod." + q.apex.name }
		for range f.pods {
			targets = append(targets, target{addr: f.pod})
		}
	case named:
		base := keyName(f.service.key) + q.apex.name
		name = func(t target) string {
			if t.slice == nil {
				return base
			}
			return t.slice.label(t.index) + "." + base
		}
		f.each(func(t target) { targets = append(targets, t) })
	}
	if len(targets) == 0 {
		return v.nodata(q)
	}
	// Every target has the same share of 100, including those without a port; the arithmetic is CoreDNS's.
	share := 100 / float64(100*len(targets))
	weight := max(1, uint16(math.Floor(share*100)))
	type pair struct {
		name string
		port uint16
		addr netip.Addr
	}
	seen := map[pair]bool{}
	a := Answer{In: true}
	for _, t := range targets {
		host := name(t)
		if t.port == -1 || !fits(host) {
			continue
		}
		if port := uint16(t.port); !seen[pair{name: host, port: port}] {
			seen[pair{name: host, port: port}] = true
			a.Answer = append(a.Answer, &dns.SRV{Hdr: v.header(q.name, dns.TypeSRV), Weight: weight, Port: port, Target: host})
		}
		if glue := (pair{name: host, addr: t.addr}); !seen[glue] {
			seen[glue] = true
			a.Extra = append(a.Extra, v.address(host, t.addr))
		}
	}
	if len(a.Answer) == 0 {
		return v.nodata(q)
	}
	return a
}

// text answers TXT, for which CoreDNS denies all names except those of services, endpoints and pods.
func (v *View) text(q *question) Answer {
	if isVersion(&q.labels) {
		hdr := v.header(q.name, dns.TypeTXT)
		hdr.Ttl = schemaVersionTTL
		return Answer{In: true, Answer: []dns.RR{&dns.TXT{Hdr: hdr, Txt: []string{schemaVersion}}}}
	}
	var f found
	v.find(&f, &q.labels, q.apex)
	if f.standing == absent || f.standing == hollow {
		return v.denied(q)
	}
	return v.nodata(q)
}

// isVersion reports whether l is dns-version below the top.
func isVersion(l *labels) bool { return l.n == 1 && string(l.label(0)) == "dns-version" }

// fits reports whether a name made of plain labels is short enough for a record; below a long domain some are not.
func fits(name string) bool { return len(name)+1 <= maxName }

func (v *View) header(name string, rrtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: rrtype, Class: dns.ClassINET, Ttl: v.TTL}
}

func (v *View) cname(name, target string) *dns.CNAME {
	return &dns.CNAME{Hdr: v.header(name, dns.TypeCNAME), Target: target}
}

func (v *View) address(name string, addr netip.Addr) dns.RR {
	if addr.Is4() {
		return &dns.A{Hdr: v.header(name, dns.TypeA), A: addr.AsSlice()}
	}
	return &dns.AAAA{Hdr: v.header(name, dns.TypeAAAA), AAAA: addr.AsSlice()}
}
