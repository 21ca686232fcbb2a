package zone

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"sort"
	"strings"

	"github.com/miekg/dns"
)

// An address record in a packed answer: a pointer to the name in the question, type, class, TTL, length, address.
const (
	recordHeader = 12
	size4        = recordHeader + 4
	size6        = recordHeader + 16
)

func appendRecord(dst []byte, addr netip.Addr, ttl uint32) []byte {
	rrtype := dns.TypeAAAA
	if addr.Is4() {
		rrtype = dns.TypeA
	}
	dst = binary.BigEndian.AppendUint16(dst, 0xC00C)
	dst = binary.BigEndian.AppendUint16(dst, rrtype)
	dst = binary.BigEndian.AppendUint16(dst, dns.ClassINET)
	dst = binary.BigEndian.AppendUint32(dst, ttl)
	dst = binary.BigEndian.AppendUint16(dst, uint16(addr.BitLen()/8))
	return append(dst, addr.AsSlice()...)
}

// port is a Port in the form in which it is compared with questions: in lower case, a missing number as -1.
type port struct {
	name     string
	number   int32
	protocol protocol
}

// protocol is that of a port. There are no others.
type protocol uint8

const (
	noProtocol protocol = iota
	tcp
	udp
	sctp
)

func (p protocol) String() string { return [...]string{"", "tcp", "udp", "sctp"}[p] }

func newPorts(in []Port) []port {
	if len(in) == 0 {
		return nil
	}
	ports := make([]port, len(in))
	for i, p := range in {
		ports[i] = port{name: strings.ToLower(p.Name), number: p.Number}
		if p.Number == 0 {
			ports[i].number = -1
		}
		for known := tcp; known <= sctp; known++ {
			if strings.EqualFold(p.Protocol, known.String()) {
				ports[i].protocol = known
			}
		}
	}
	return ports
}

// noPort stands for the ports of an object that has none: its addresses still count.
var noPort = [1]port{{number: -1}}

// orNoPort returns the ports to iterate over.
func orNoPort(ports []port) []port {
	if len(ports) == 0 {
		return noPort[:]
	}
	return ports
}

// slice is what is kept of an EndpointSlice. It is immutable.
type slice struct {
	name    string
	service string // the key of its service
	// records are the addresses as packed A and AAAA records, n4 of the former, then the latter. Both groups are sorted
	// by host, then by address.
	records []byte
	n4      int
	// hosts are the labels of the records' endpoints, "" for those whose label is derived from the address. Nil if all
	// are.
	hosts []string
	// pods are the names of the pods of those endpoints that have no hostname, one line for each record, kept in case
	// Options.EndpointPodNames changes. Empty if there is none.
	pods  string
	ports []port
	// unready is how many addresses were omitted.
	unready int32
	// doubled means that an address appears twice.
	doubled bool
}

// member is an address of a slice while the slice is being built.
type member struct {
	addr           netip.Addr
	hostname, host string // as given; the resulting label
	pod            string
}

func newSlice(in Slice, key string, o *config) *slice {
	s := &slice{name: strings.Clone(in.Name), service: key, ports: newPorts(in.Ports)}
	var members []member
	for _, e := range in.Endpoints {
		hostname, _ := cleanLabel(e.Hostname)
		pod := ""
		if hostname == "" {
			pod, _ = cleanLabel(e.Pod)
		}
		if e.Ready != nil && !*e.Ready {
			s.unready += int32(len(e.Addresses))
			continue
		}
		for _, text := range e.Addresses {
			addr, ok := parseAddr(text)
			if !ok {
				continue
			}
			m := member{addr: addr, hostname: hostname, pod: pod}
			if hostname == "" && text != addr.String() {
				// The label is the address as it is written, however odd that is.
				spelt, ok := cleanLabel(strings.NewReplacer(".", "-", ":", "-").Replace(text))
				if ok && spelt != string(appendDashed(nil, addr)) {
					m.hostname, m.pod = spelt, ""
				}
			}
			members = append(members, m)
		}
	}
	s.build(members, o)
	return s
}

// rebuilt returns s with other options.
func (s *slice) rebuilt(o *config) *slice {
	fresh := *s
	members := make([]member, s.len())
	pods := strings.Split(s.pods, "\n")
	for i := range members {
		m := &members[i]
		m.addr = s.addr(i)
		if s.pods != "" {
			m.pod = pods[i]
		}
		if m.pod == "" && s.hosts != nil {
			m.hostname = s.hosts[i]
		}
	}
	fresh.build(members, o)
	return &fresh
}

func (s *slice) build(members []member, o *config) {
	var dashed [64]byte
	for i := range members {
		m := &members[i]
		m.host = m.hostname
		if m.host == "" && o.EndpointPodNames {
			m.host = m.pod
		}
		if m.host == string(appendDashed(dashed[:0], m.addr)) {
			m.host = ""
		}
	}
	slices.SortFunc(members, func(a, b member) int {
		return cmp.Or(cmp.Compare(a.addr.BitLen(), b.addr.BitLen()), cmp.Compare(a.host, b.host), a.addr.Compare(b.addr))
	})
	s.n4, s.hosts, s.pods, s.doubled = 0, nil, "", false
	for s.n4 < len(members) && members[s.n4].addr.Is4() {
		s.n4++
	}
	s.records = make([]byte, 0, s.n4*size4+(len(members)-s.n4)*size6)
	hasHosts, hasPods := false, false
	seen := make(map[netip.Addr]bool, len(members))
	for _, m := range members {
		s.records = appendRecord(s.records, m.addr, o.TTL)
		hasHosts, hasPods = hasHosts || m.host != "", hasPods || m.pod != ""
		s.doubled = s.doubled || seen[m.addr]
		seen[m.addr] = true
	}
	if hasHosts {
		s.hosts = make([]string, len(members))
		for i, m := range members {
			s.hosts[i] = strings.Clone(m.host)
		}
	}
	if hasPods {
		pods := make([]string, len(members))
		for i, m := range members {
			pods[i] = m.pod
		}
		s.pods = strings.Join(pods, "\n")
	}
}

// aaaa is the records after the A records.
func (s *slice) aaaa() []byte { return s.records[s.n4*size4:] }

// len is the number of addresses.
func (s *slice) len() int { return s.n4 + len(s.aaaa())/size6 }

func (s *slice) addr(i int) netip.Addr {
	if i < s.n4 {
		return recordAddr(s.records[i*size4:][:size4])
	}
	return recordAddr(s.aaaa()[(i-s.n4)*size6:][:size6])
}

func recordAddr(record []byte) netip.Addr {
	if len(record) == size4 {
		return netip.AddrFrom4([4]byte(record[recordHeader:]))
	}
	return netip.AddrFrom16([16]byte(record[recordHeader:]))
}

func (s *slice) host(i int) string {
	if s.hosts == nil {
		return ""
	}
	return s.hosts[i]
}

// label is the name of endpoint i below its service.
func (s *slice) label(i int) string {
	if host := s.host(i); host != "" {
		return host
	}
	return string(appendDashed(nil, s.addr(i)))
}

// span is a run of records in a slice.
type span struct{ from, to int }

func (r span) len() int { return r.to - r.from }

// family is the span of all A or all AAAA records.
func (s *slice) family(v6 bool) span {
	if v6 {
		return span{s.n4, s.len()}
	}
	return span{0, s.n4}
}

// packed returns the records of r, which are of one type.
func (s *slice) packed(r span) []byte {
	if r.from < s.n4 {
		return s.records[r.from*size4 : r.to*size4]
	}
	return s.aaaa()[(r.from-s.n4)*size6 : (r.to-s.n4)*size6]
}

// hosted is the span in r, a family, of the endpoints whose hostname is label.
func (s *slice) hosted(r span, label []byte) span {
	if s.hosts == nil {
		return span{}
	}
	hosts := s.hosts[r.from:r.to]
	from := sort.Search(len(hosts), func(i int) bool { return hosts[i] >= string(label) })
	n := sort.Search(len(hosts)-from, func(i int) bool { return hosts[from+i] > string(label) })
	return span{r.from + from, r.from + from + n}
}

// unhosted is the span in r, a family, of the endpoints without a hostname that have the address.
func (s *slice) unhosted(r span, addr netip.Addr) span {
	if s.hosts != nil {
		hosts := s.hosts[r.from:r.to]
		r.to = r.from + sort.Search(len(hosts), func(i int) bool { return hosts[i] != "" })
	}
	from := sort.Search(r.len(), func(i int) bool { return !s.addr(r.from + i).Less(addr) })
	n := sort.Search(r.len()-from, func(i int) bool { return addr.Less(s.addr(r.from + from + i)) })
	return span{r.from + from, r.from + from + n}
}

// has reports whether addr is one of the addresses.
func (s *slice) has(addr netip.Addr) bool {
	r := s.family(addr.Is6())
	if s.hosts == nil {
		return s.unhosted(r, addr).len() > 0
	}
	for i := r.from; i < r.to; i++ {
		if s.addr(i) == addr {
			return true
		}
	}
	return false
}

// sameRecords reports whether s and o give the same answers.
func (s *slice) sameRecords(o *slice) bool {
	return s.service == o.service && s.n4 == o.n4 && bytes.Equal(s.records, o.records) &&
		slices.Equal(s.hosts, o.hosts) && slices.Equal(s.ports, o.ports)
}
