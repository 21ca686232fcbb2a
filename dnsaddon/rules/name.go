package rules

import (
	"bytes"
	"net/netip"

	"github.com/miekg/dns"
)

const (
	maxWire = 255
	maxText = 256 // of a name without escapes
)

// wireName is the wire form of a name of a configuration.
func wireName(name string) []byte {
	w := packName(name)
	if w == nil {
		panic("rules: " + name + " is not a name; corefile should have left it out")
	}
	return w
}

func wireNames(names []string) [][]byte {
	var all [][]byte
	for _, name := range names {
		all = append(all, wireName(name))
	}
	return all
}

// packName is the wire form of a name, or nil if it has none.
func packName(name string) []byte {
	buf := make([]byte, maxWire)
	n, err := dns.PackDomainName(name, buf, 0, nil, false)
	if err != nil {
		return nil
	}
	return buf[:n]
}

// within reports whether the name is one of zones or below one.
func within(folded []byte, zones [][]byte) bool {
	for _, zone := range zones {
		if isBelow(folded, zone) {
			return true
		}
	}
	return false
}

func isBelow(folded, zone []byte) bool {
	off := 0
	for len(folded)-off > len(zone) {
		off += 1 + int(folded[off])
	}
	return len(folded)-off == len(zone) && bytes.Equal(folded[off:], zone)
}

// appendText appends the name as text. It fails if that would need escapes.
func appendText(dst, folded []byte) ([]byte, bool) {
	if len(folded) <= 1 {
		return append(dst, '.'), true
	}
	for off := 0; off < len(folded) && folded[off] != 0; off += 1 + int(folded[off]) {
		label := folded[off+1:][:folded[off]]
		for _, c := range label {
			switch {
			case c <= ' ', c >= 0x7f:
				return dst, false
			case c == '.', c == '\'', c == '@', c == ';', c == '(', c == ')', c == '"', c == '\\':
				return dst, false
			}
		}
		dst = append(append(dst, label...), '.')
	}
	return dst, true
}

// reverseAddr is the address in the name of a PTR record.
func reverseAddr(folded []byte) (netip.Addr, bool) {
	const v4, v6 = "\x07in-addr\x04arpa\x00", "\x03ip6\x04arpa\x00"
	if labels, ok := bytes.CutSuffix(folded, []byte(v4)); ok {
		return reverseAddr4(labels)
	}
	labels, ok := bytes.CutSuffix(folded, []byte(v6))
	if !ok || len(labels) != 64 {
		return netip.Addr{}, false
	}
	var addr [16]byte
	for i := range 32 {
		size, digit := labels[2*i], labels[2*i+1]
		switch {
		case size != 1:
			return netip.Addr{}, false
		case '0' <= digit && digit <= '9':
			digit -= '0'
		case 'a' <= digit && digit <= 'f':
			digit -= 'a' - 10
		default:
			return netip.Addr{}, false
		}
		addr[15-i/2] |= digit << (4 * (i % 2))
	}
	return netip.AddrFrom16(addr), true
}

func reverseAddr4(labels []byte) (netip.Addr, bool) {
	var addr [4]byte
	for i := 3; i >= 0; i-- {
		if len(labels) == 0 || labels[0] == 0 || labels[0] > 3 || len(labels) <= int(labels[0]) {
			return netip.Addr{}, false
		}
		value := 0
		for _, c := range labels[1:][:labels[0]] {
			if c < '0' || c > '9' {
				return netip.Addr{}, false
			}
			value = value*10 + int(c-'0')
		}
		if value > 255 || labels[0] > 1 && labels[1] == '0' {
			return netip.Addr{}, false
		}
		addr[i] = byte(value)
		labels = labels[1+int(labels[0]):]
	}
	return netip.AddrFrom4(addr), len(labels) == 0
}
