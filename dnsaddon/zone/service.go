package zone

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// kind is the kind of a service.
type kind uint8

const (
	orphan    kind = iota // slices only, no Service; its endpoints still have reverse names
	clusterIP             // has addresses of its own, perhaps none yet
	headless              // has those of its endpoints
	alias                 // ExternalName
)

// maxPacked is how many records of one type are kept packed in one answer. More do not fit into any UDP message, and
// keeping them would make changes to a large headless service expensive.
const maxPacked = 1024

// service is what is kept of a Service and the slices of its endpoints. It is immutable; a change creates a new one
// that shares the equal parts.
type service struct {
	key  string // see serviceKey
	kind kind
	// literal means that the target of an alias is an address, for which there is no CNAME; broken, that it is not a
	// valid name.
	literal, broken bool
	// wide means that a and aaaa are missing because there are too many of them.
	wide   bool
	target string // of an alias, fully qualified
	ports  []port
	slices []*slice // in order of names
	// a and aaaa answer questions for the service's own addresses.
	a, aaaa []byte
}

// newService returns the service for a Service, without slices.
func newService(key string, in Service, o *config) *service {
	s := &service{key: key, kind: clusterIP, ports: newPorts(in.Ports)}
	switch {
	case in.Type == "ExternalName":
		s.kind = alias
		_, s.literal = parseAddr(in.ExternalName)
		s.target = dns.Fqdn(strings.Clone(in.ExternalName))
		_, ok := packName(s.target)
		s.broken = !s.literal && (!ok || s.target == ".")
	case len(in.ClusterIPs) > 0 && in.ClusterIPs[0] == "None":
		s.kind = headless
	default:
		var addrs []netip.Addr
		for _, text := range in.ClusterIPs {
			if addr, ok := parseAddr(text); ok && !slices.Contains(addrs, addr) {
				addrs = append(addrs, addr)
			}
		}
		s.setVIPs(addrs, o)
	}
	return s
}

func (s *service) setVIPs(addrs []netip.Addr, o *config) {
	s.a, s.aaaa = nil, nil
	for _, addr := range addrs {
		if addr.Is4() {
			s.a = appendRecord(s.a, addr, o.TTL)
		} else {
			s.aaaa = appendRecord(s.aaaa, addr, o.TTL)
		}
	}
}

// vips are the cluster IPs.
func (s *service) vips() []netip.Addr {
	if s.kind != clusterIP {
		return nil
	}
	addrs := make([]netip.Addr, 0, 2)
	for r := range slices.Chunk(s.a, size4) {
		addrs = append(addrs, recordAddr(r))
	}
	for r := range slices.Chunk(s.aaaa, size6) {
		addrs = append(addrs, recordAddr(r))
	}
	return addrs
}

// withSlices returns s with other slices.
func (s *service) withSlices(all []*slice) *service {
	fresh := *s
	fresh.slices = all
	if s.kind == headless {
		fresh.a, fresh.aaaa, fresh.wide = nil, nil, false
		fresh.a = fresh.merge(false)
		fresh.aaaa = fresh.merge(true)
	}
	return &fresh
}

// merge packs the addresses of all slices, each once. It uses a slice's own records if there is nothing to merge.
func (s *service) merge(v6 bool) []byte {
	total, several := 0, false
	var one *slice
	for _, sl := range s.slices {
		n := sl.family(v6).len()
		if n == 0 {
			continue
		}
		several = several || one != nil || sl.doubled
		total += n
		one = sl
	}
	if total == 0 {
		return nil
	}
	if total > maxPacked {
		s.wide = true
		return nil
	}
	if !several {
		return one.packed(one.family(v6))
	}
	size := recordSize(v6)
	records := make([][]byte, 0, total)
	for _, sl := range s.slices {
		records = slices.AppendSeq(records, slices.Chunk(sl.packed(sl.family(v6)), size))
	}
	slices.SortFunc(records, bytes.Compare)
	return slices.Concat(slices.CompactFunc(records, bytes.Equal)...)
}

func recordSize(v6 bool) int {
	if v6 {
		return size6
	}
	return size4
}

// own is the packed answer for the service's own name.
func (s *service) own(v6 bool) []byte {
	if v6 {
		return s.aaaa
	}
	return s.a
}

// endpoints is the number of addresses in all slices.
func (s *service) endpoints() int {
	n := 0
	for _, sl := range s.slices {
		n += sl.len()
	}
	return n
}

// isVIP reports whether addr is one of the cluster IPs.
func (s *service) isVIP(addr netip.Addr) bool {
	return s.kind == clusterIP && slices.Contains(s.vips(), addr)
}

// has reports whether addr is one of the service's addresses, so that its reverse name leads here.
func (s *service) has(addr netip.Addr) bool {
	return s.isVIP(addr) || slices.ContainsFunc(s.slices, func(sl *slice) bool { return sl.has(addr) })
}

// sameRecords reports whether s and o give the same answers, apart from their slices.
func (s *service) sameRecords(o *service) bool {
	return s.kind == o.kind && s.target == o.target && slices.Equal(s.ports, o.ports) &&
		(s.kind != clusterIP || bytes.Equal(s.a, o.a) && bytes.Equal(s.aaaa, o.aaaa))
}

// rebuilt returns s with other options; all are its rebuilt slices.
func (s *service) rebuilt(all []*slice, o *config) *service {
	fresh := *s
	if s.kind == clusterIP {
		fresh.setVIPs(s.vips(), o)
	}
	return fresh.withSlices(all)
}
