package zone

import (
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

const (
	maxName  = 255 // of a name in wire form
	maxLabel = 63
)

// packName converts a name from text into folded wire form.
func packName(name string) ([]byte, bool) {
	buf := make([]byte, maxName+1)
	n, err := dns.PackDomainName(name, buf, 0, nil, false)
	if err != nil || n > maxName || n == 0 {
		return nil, false
	}
	for i, c := range buf[:n] { // lengths are below 64, and so no letters
		if 'A' <= c && c <= 'Z' {
			buf[i] = c + 'a' - 'A'
		}
	}
	return buf[:n:n], true
}

// cleanLabel folds s and reports whether it is a label that needs no escaping. Everything that the API server accepts
// as a name is; anything else must not appear in an answer.
func cleanLabel(s string) (string, bool) {
	if len(s) == 0 || len(s) > maxLabel {
		return "", false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return "", false
		}
	}
	return strings.ToLower(s), true
}

// serviceKey is the two labels of a service as they appear in the wire form of its names, which is how a question
// contains them.
func serviceKey(namespace, name string) (key string, ok bool) {
	name, ok1 := cleanLabel(name)
	namespace, ok2 := cleanLabel(namespace)
	if !ok1 || !ok2 {
		return "", false
	}
	wire := make([]byte, 0, 2+len(name)+len(namespace))
	wire = append(append(wire, byte(len(name))), name...)
	wire = append(append(wire, byte(len(namespace))), namespace...)
	return string(wire), true
}

// splitKey reverses serviceKey. The strings share the key's memory.
func splitKey(key string) (namespace, name string) {
	n := 1 + int(key[0])
	return key[n+1:], key[1:n]
}

// keyName is the name of a service below the zone: "web.default.svc.".
func keyName(key string) string {
	namespace, name := splitKey(key)
	return name + "." + namespace + ".svc."
}

// keyObject is the service as kubectl writes it: "default/web".
func keyObject(key string) string {
	namespace, name := splitKey(key)
	return namespace + "/" + name
}

// labels are those of a question below the top of its zone.
type labels struct {
	name []byte // the whole name, in folded wire form
	at   [128]uint8
	n    int
}

// split finds the labels of name below a. False means that name is not in the zone, or not a name.
func (l *labels) split(name []byte, a *apex) bool {
	rest := len(name) - len(a.wire)
	if rest < 0 || len(name) > maxName || string(name[rest:]) != string(a.wire) {
		return false
	}
	l.name, l.n = name, 0
	i := 0
	for i < rest {
		size := int(name[i])
		if size == 0 || size > maxLabel {
			return false
		}
		l.at[l.n] = uint8(i)
		l.n++
		i += 1 + size
	}
	return i == rest
}

// label is the one at position i from the left.
func (l *labels) label(i int) []byte {
	at := int(l.at[i])
	return l.name[at+1 : at+1+int(l.name[at])]
}

// fromTop is the label that has i others between it and the top.
func (l *labels) fromTop(i int) []byte { return l.label(l.n - 1 - i) }

// serviceKey is the part of the name that corresponds to serviceKey; there must be three labels.
func (l *labels) serviceKey() []byte { return l.name[l.at[l.n-3]:l.at[l.n-1]] }

// parseDashed parses the address in a label: an IPv4 address with dashes for dots, or an IPv6 address with dashes for
// colons. It accepts exactly what CoreDNS does.
func parseDashed(label []byte) (netip.Addr, bool) {
	dashes, colons, double := 0, 0, false
	for i, c := range label {
		switch {
		case c == '-':
			dashes++
			double = double || i > 0 && label[i-1] == '-'
		case c == ':':
			colons++
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
		default:
			return netip.Addr{}, false
		}
	}
	if dashes != 3 || double {
		return parse6(label)
	}
	if colons == 0 {
		return parse4(label)
	}
	// An IPv4 address within an IPv6 one, written with literal colons: nobody asks for that.
	addr, err := netip.ParseAddr(strings.ReplaceAll(string(label), "-", "."))
	return addr.Unmap(), err == nil
}

func parse4(label []byte) (netip.Addr, bool) {
	var out [4]byte
	field, digits, value := 0, 0, 0
	for _, c := range label {
		if c == '-' {
			if digits == 0 || field == 3 {
				return netip.Addr{}, false
			}
			out[field] = byte(value)
			field, digits, value = field+1, 0, 0
			continue
		}
		if c > '9' || digits > 0 && value == 0 { // leading zeros might mean octal
			return netip.Addr{}, false
		}
		digits, value = digits+1, value*10+int(c-'0')
		if value > 255 {
			return netip.Addr{}, false
		}
	}
	if field != 3 || digits == 0 {
		return netip.Addr{}, false
	}
	out[3] = byte(value)
	return netip.AddrFrom4(out), true
}

// parse6 parses hexadecimal groups between dashes or colons, with at most one gap.
func parse6(label []byte) (netip.Addr, bool) {
	var out [16]byte
	n, gap := 0, -1 // bytes in out, and where the gap is among them
	i := 0
	if len(label) >= 2 && separator(label[0]) && separator(label[1]) {
		gap, i = 0, 2
	}
	for i < len(label) {
		digits, value := 0, 0
		for ; i < len(label) && !separator(label[i]); i++ {
			digits, value = digits+1, value<<4|int(hexDigit(label[i]))
			if digits > 4 {
				return netip.Addr{}, false
			}
		}
		if digits == 0 || n == 16 {
			return netip.Addr{}, false
		}
		out[n], out[n+1] = byte(value>>8), byte(value)
		n += 2
		if i == len(label) {
			break
		}
		if i++; i == len(label) { // ends with a single separator
			return netip.Addr{}, false
		}
		if separator(label[i]) {
			if gap >= 0 {
				return netip.Addr{}, false
			}
			gap = n
			i++
		}
	}
	if gap < 0 && n < 16 || gap >= 0 && n == 16 {
		return netip.Addr{}, false
	}
	if gap >= 0 {
		copy(out[16-(n-gap):], out[gap:n])
		clear(out[gap : 16-(n-gap)])
	}
	return netip.AddrFrom16(out).Unmap(), true
}

func separator(c byte) bool { return c == '-' || c == ':' }

// hexDigit is the value of a digit; parseDashed has checked that it is one.
func hexDigit(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}

// appendDashed appends the label that an endpoint without a hostname has.
func appendDashed(dst []byte, addr netip.Addr) []byte {
	dst = appendSpelt(dst, addr)
	if dst[len(dst)-1] == '-' { // a label must not end with a dash
		dst = append(dst, '0')
	}
	return dst
}

// appendSpelt appends addr with dashes for dots and colons.
func appendSpelt(dst []byte, addr netip.Addr) []byte {
	from := len(dst)
	dst = addr.AppendTo(dst)
	for i, c := range dst[from:] {
		if c == '.' || c == ':' {
			dst[from+i] = '-'
		}
	}
	return dst
}

// spells reports whether label, from which addr was parsed, is the usual spelling of addr.
func spells(label []byte, addr netip.Addr) bool {
	var buf [64]byte
	usual := appendSpelt(buf[:0], addr)
	if len(usual) != len(label) {
		return false
	}
	for i, c := range label {
		if c != usual[i] && (c != ':' || usual[i] != '-') {
			return false
		}
	}
	return true
}

// parseAddr parses an address as the API returns it; strings that CoreDNS takes for names are not addresses.
func parseAddr(s string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(s)
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}, false
	}
	return addr.Unmap(), true
}
