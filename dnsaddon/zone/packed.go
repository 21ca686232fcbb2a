package zone

import (
	"github.com/miekg/dns"

	"bonsai/dnsaddon/wire"
)

// Packed answers the frequent questions without allocating: addresses of services and endpoints, and everything that
// does not exist or has no records of the type. The name is folded and in wire form; an invalid one is not found. If ok
// is false, call Lookup. Otherwise the answer is the same as Lookup's. The bytes must not be changed.
func (v *View) Packed(folded []byte, qtype uint16) (p wire.Packed, ok bool) {
	var l labels
	i := v.apex(&l, folded)
	if i < 0 || v.apexes[i].reverse {
		return p, false
	}
	if !v.synced {
		return wire.Packed{Rcode: dns.RcodeServerFailure}, true
	}
	a := &v.apexes[i]
	nodata := wire.Packed{SOA: v.soas[i]}
	switch qtype {
	case dns.TypeAXFR, dns.TypeIXFR:
		return p, false
	case dns.TypeSOA:
		return nodata, l.n > 0
	case dns.TypeNS:
		if l.n == 0 {
			return p, false
		}
	case dns.TypeTXT:
		if isVersion(&l) {
			return p, false
		}
	}
	if isNameServer(folded, a) {
		return p, false
	}
	var f found
	v.find(&f, &l, a)
	if f.standing == absent || f.standing == hollow && qtype == dns.TypeTXT {
		return wire.Packed{Rcode: dns.RcodeNameError, SOA: v.soas[i]}, !v.fallInside
	}
	switch {
	case f.standing == hollow:
		return nodata, true
	case qtype == dns.TypeA || qtype == dns.TypeAAAA:
		return f.pack(qtype == dns.TypeAAAA, nodata)
	case qtype == dns.TypeSRV:
		return nodata, f.standing == named && f.service.kind == alias
	case qtype == dns.TypeCNAME:
		return nodata, f.standing != named || f.service.kind != alias
	}
	return nodata, true
}

// pack returns the answer for the addresses of f.
func (f *found) pack(v6 bool, nodata wire.Packed) (wire.Packed, bool) {
	if f.standing == podName {
		return nodata, f.pod.Is6() != v6
	}
	s := f.service
	switch {
	case s.kind == alias:
		return wire.Packed{}, false
	case f.endpoint != nil:
		return f.packEndpoint(v6, nodata)
	case s.wide:
		return wire.Packed{}, false
	}
	records := s.own(v6)
	if len(records) == 0 {
		return nodata, true
	}
	if s.kind == headless && len(f.port)+len(f.protocol) > 0 {
		return wire.Packed{}, false // only those of some slices
	}
	return pack(records, v6), true
}

// packEndpoint leaves the answer to Lookup if the addresses are not contiguous.
func (f *found) packEndpoint(v6 bool, nodata wire.Packed) (wire.Packed, bool) {
	var records []byte
	for _, sl := range f.service.slices {
		hosted, unhosted := f.spans(sl, v6)
		for _, r := range [2]span{hosted, unhosted} {
			if r.len() == 0 {
				continue
			}
			if records != nil || sl.doubled {
				return wire.Packed{}, false
			}
			records = sl.packed(r)
		}
	}
	if records == nil {
		return nodata, true
	}
	return pack(records, v6), true
}

func pack(records []byte, v6 bool) wire.Packed {
	size := recordSize(v6)
	return wire.Packed{Answer: records, Count: len(records) / size, RRSize: size}
}
