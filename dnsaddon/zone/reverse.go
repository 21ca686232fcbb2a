package zone

import (
	"bytes"
	"hash/maphash"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// pointers answers PTR: the service of a cluster IP, or otherwise the name of the endpoint in each service that has the
// address.
func (v *View) pointers(q *question) Answer {
	addr, ok := netip.Addr{}, false
	if q.apex.reverse {
		addr, ok = reverseAddr(&q.labels, q.apex.name == zone6)
	}
	if !ok {
		var f found
		if v.find(&f, &q.labels, q.apex); f.standing == absent {
			return v.denied(q)
		}
		return v.nodata(q)
	}
	var names []string
	owners := v.ownersOf(addr)
	for _, s := range owners {
		if s.isVIP(addr) {
			names = []string{keyName(s.key)}
			break
		}
		for _, sl := range s.slices {
			for i := range sl.len() {
				if sl.addr(i) == addr {
					names = append(names, sl.label(i)+"."+keyName(s.key))
				}
			}
		}
	}
	slices.Sort(names)
	a := Answer{In: true}
	for _, name := range slices.Compact(names) {
		if name += v.Domain; fits(name) {
			a.Answer = append(a.Answer, &dns.PTR{Hdr: v.header(q.name, dns.TypePTR), Ptr: name})
		}
	}
	if len(a.Answer) == 0 {
		return v.denied(q)
	}
	return a
}

// ownersOf are the services that have addr: first those with it as a cluster IP, each group in order of keys.
func (v *View) ownersOf(addr netip.Addr) []*service {
	key := addr.As16()
	var all []*service
	for rest := v.owners[maphash.Bytes(v.seed, key[:])%tableShards][key]; rest != ""; {
		var service string
		service, rest = rest.next()
		all = append(all, v.services[v.shardOf(service)][service])
	}
	slices.SortFunc(all, func(a, b *service) int {
		if a.isVIP(addr) != b.isVIP(addr) {
			if a.isVIP(addr) {
				return -1
			}
			return 1
		}
		return strings.Compare(a.key, b.key)
	})
	return all
}

// reverseAddr is the address in a reverse name, parsed as leniently as CoreDNS does: up to three labels too many on the
// left of an IPv6 name make no difference.
func reverseAddr(l *labels, v6 bool) (netip.Addr, bool) {
	for i := range l.n {
		if bytes.ContainsRune(l.label(i), '.') {
			return netip.Addr{}, false
		}
	}
	var text []byte
	n := l.n
	if v6 {
		n -= n % 4
	}
	for i := range n {
		if i > 0 {
			switch {
			case !v6:
				text = append(text, '.')
			case i%4 == 0:
				text = append(text, ':')
			}
		}
		text = append(text, l.fromTop(i)...)
	}
	addr, ok := parseAddr(string(text))
	return addr, ok && (v6 || addr.Is4())
}

// place is where a reverse name is, relative to the cluster's address ranges.
type place uint8

const (
	elsewhere place = iota
	vacant          // in a range, but there is no such name
	inhabited       // in a range, with a name or with names below
)

// ownRange determines the place of the name with labels l below a.
func (v *View) ownRange(l *labels, a *apex) place {
	v6 := a.name == zone6
	var bytes [16]byte
	bits, whole := 0, 32
	if v6 {
		whole = 128
	}
	n := 0
	for ; n < l.n && bits < whole; n++ {
		value, ok := digits(l.fromTop(n), v6)
		if !ok {
			break
		}
		if v6 {
			bytes[bits/8] |= value << (4 - bits%8)
			bits += 4
		} else {
			bytes[bits/8] = value
			bits += 8
		}
	}
	addr := netip.AddrFrom16(bytes)
	if !v6 {
		addr = netip.AddrFrom4([4]byte(bytes[:4]))
	}
	switch {
	case !slices.ContainsFunc(v.Reverse, func(p netip.Prefix) bool { return p.Bits() <= bits && p.Contains(addr) }):
		return elsewhere
	case n < l.n:
		return vacant
	case bits < whole || len(v.ownersOf(addr.Unmap())) > 0:
		return inhabited
	}
	return vacant
}

// digits is the value of a label of a reverse name: a byte in decimal, or four bits in hexadecimal.
func digits(label []byte, v6 bool) (byte, bool) {
	if v6 {
		c := label[0]
		if len(label) != 1 || !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return 0, false
		}
		return hexDigit(c), true
	}
	if len(label) > 3 || len(label) > 1 && label[0] == '0' {
		return 0, false
	}
	value := 0
	for _, c := range label {
		if c < '0' || c > '9' {
			return 0, false
		}
		value = value*10 + int(c-'0')
	}
	return byte(value), value <= 255
}

// server is a name server of the zone.
type server struct {
	name string
	addr netip.Addr
}

// nameServers are the services that have this server as an endpoint; if there are none, its own addresses.
func (v *View) nameServers(a *apex) []server {
	var servers []server
	add := func(name string, addr netip.Addr) {
		if s := (server{name + a.name, addr}); fits(s.name) && !slices.Contains(servers, s) {
			servers = append(servers, s)
		}
	}
	known := false
	for _, local := range v.Local {
		for _, s := range v.ownersOf(local) {
			if v.NameServer != "" && v.NameServer != keyObject(s.key) {
				continue
			}
			for _, sl := range s.slices {
				if !sl.has(local) {
					continue
				}
				known = true
				if s.kind == headless {
					for i := range sl.len() {
						add(sl.label(i)+"."+keyName(s.key), sl.addr(i))
					}
				}
				for _, vip := range s.vips() {
					add(keyName(s.key), vip)
				}
			}
		}
	}
	if !known {
		for _, local := range v.Local {
			add("ns.dns.", local)
		}
	}
	return servers
}

func (v *View) ns(q *question) Answer {
	a := Answer{In: true}
	for _, s := range v.nameServers(q.apex) {
		if !slices.ContainsFunc(a.Answer, func(rr dns.RR) bool { return rr.(*dns.NS).Ns == s.name }) {
			a.Answer = append(a.Answer, &dns.NS{Hdr: v.header(q.name, dns.TypeNS), Ns: s.name})
		}
		a.Extra = append(a.Extra, v.address(s.name, s.addr))
	}
	if len(a.Answer) == 0 {
		return v.nodata(q)
	}
	return a
}
