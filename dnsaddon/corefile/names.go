package corefile

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// defaultPort is used by a server block that names none.
const defaultPort = "53"

// parseZone reads a zone of a server block or plugin: a domain or a range of addresses, which means its reverse zones,
// with an optional port and scheme. The returned names are fully qualified and in lower case.
func parseZone(s string) (zones []string, port string, err error) {
	if scheme, rest, ok := strings.Cut(s, "://"); ok {
		if scheme != "dns" {
			return nil, "", fmt.Errorf("%s:// is not supported, only plain DNS over UDP and TCP", shorten(scheme))
		}
		s = rest
	}
	port = defaultPort
	if _, err := netip.ParsePrefix(s); err != nil {
		if i := strings.LastIndexByte(s, ':'); i >= 0 {
			if _, err := strconv.ParseUint(s[i+1:], 10, 16); err != nil {
				return nil, "", fmt.Errorf("%q has no port after the colon", shorten(s))
			}
			s, port = s[:i], s[i+1:]
		}
	}
	if prefix, err := netip.ParsePrefix(s); err == nil {
		return reverseZones(prefix), port, nil
	}
	name, err := parseName(s)
	if err != nil {
		return nil, "", err
	}
	return []string{name}, port, nil
}

// parseName reads a domain name.
func parseName(s string) (string, error) {
	if s == "" {
		return "", fmt.Errorf("the name is empty")
	}
	name := strings.ToLower(dns.Fqdn(s))
	if _, ok := dns.IsDomainName(name); !ok {
		return "", fmt.Errorf("%q is not a domain name", shorten(s))
	}
	// Odd bytes can be written in several ways; none of them is useful here.
	if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' }) {
		return "", fmt.Errorf("%q is not a domain name", shorten(s))
	}
	return name, nil
}

// reverseZones are the names below which the addresses of a range have their PTR records: one, if the range ends at a
// label, otherwise as many as needed.
func reverseZones(prefix netip.Prefix) []string {
	prefix = prefix.Masked()
	bits, step := prefix.Bits(), 8
	if prefix.Addr().Is6() {
		step = 4
	}
	whole := (bits + step - 1) / step * step
	var zones []string
	addr := prefix.Addr().AsSlice()
	for i := range 1 << (whole - bits) {
		a := append([]byte(nil), addr...)
		if whole > bits {
			// The bits between the range's end and the label's end take all values.
			at, shift := (whole-1)/8, 0
			if step == 4 && whole%8 == 4 {
				shift = 4
			}
			a[at] |= byte(i << shift)
		}
		zones = append(zones, reverseName(a, whole, step))
	}
	return zones
}

func reverseName(addr []byte, bits, step int) string {
	var labels []string
	for i := range bits / step {
		if step == 8 {
			labels = append(labels, strconv.Itoa(int(addr[i])))
			continue
		}
		nibble := addr[i/2] >> 4
		if i%2 == 1 {
			nibble = addr[i/2] & 0xf
		}
		labels = append(labels, strconv.FormatUint(uint64(nibble), 16))
	}
	var b strings.Builder
	for _, l := range slices.Backward(labels) {
		b.WriteString(l + ".")
	}
	if step == 8 {
		return b.String() + "in-addr.arpa."
	}
	return b.String() + "ip6.arpa."
}

// isReverse distinguishes zones of PTR records from others.
func isReverse(zone string) bool {
	return dns.IsSubDomain("in-addr.arpa.", zone) || dns.IsSubDomain("ip6.arpa.", zone)
}

// parseUpstream reads the address of a plain DNS server and gives it a port if it has none.
func parseUpstream(s string) (string, error) {
	if scheme, rest, ok := strings.Cut(s, "://"); ok {
		if scheme != "dns" {
			return "", fmt.Errorf("%s is not supported, only plain DNS over UDP and TCP", shorten(scheme+"://"))
		}
		s = rest
	}
	if addr, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return netip.AddrPortFrom(addr, 53).String(), nil
	}
	if ap, err := netip.ParseAddrPort(s); err == nil && ap.Port() != 0 {
		return ap.String(), nil
	}
	return "", fmt.Errorf("%q is not an address", shorten(s))
}
