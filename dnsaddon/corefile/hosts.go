package corefile

import (
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// hostsDirective reads: hosts [FILE [ZONES...]] { [INLINE] … }
func (b *builder) hostsDirective(s *block, n node) {
	h := s.out.Hosts
	if h == nil {
		h = &Hosts{Zones: s.out.Zones, TTL: defaultHostsTTL}
	}
	if len(n.words) > 1 {
		b.hostsFile(h, n)
		h.Zones = b.zones(n, n.words[2:], h.Zones)
	}
	for _, o := range n.body {
		b.hostsOption(h, n, o)
	}
	if h.FallthroughUnsupported && h.Fallthrough == nil {
		b.problems.add(n.where, "add fallthrough", "hosts: fallthrough_unsupported does nothing without fallthrough")
		h.FallthroughUnsupported = false
	}
	everything := func(zone string) bool { return within(b.defaults.Zone.Domain, zone) }
	if h.Fallthrough == nil && slices.ContainsFunc(h.Zones, everything) {
		b.problems.add(n.where, "add fallthrough", "hosts: without fallthrough all names that have no entry are SERVFAIL, the cluster's too")
	}
	s.out.Hosts = h
}

func (b *builder) hostsOption(h *Hosts, n, o node) {
	switch o.name() {
	case "ttl":
		if ttl, ok := b.number(n, o, 1, 65535); ok {
			h.TTL = uint32(ttl)
		}
	case "no_reverse":
		h.NoReverse = true
	case "fallthrough":
		h.Fallthrough = b.fallthroughZones(o)
	case "fallthrough_unsupported":
		h.FallthroughUnsupported = true
	case "reload":
		// There is no file to reload; a changed ConfigMap is applied at once.
	default:
		entry, err := hostEntry(o.words)
		if err != "" {
			b.problems.add(o.where, "a line is an address and its names", "hosts: %s: %s; it is ignored", o, err)
			return
		}
		h.Entries = append(h.Entries, entry)
	}
}

// hostsFile reads the file that hosts names. The only files are the other keys of the ConfigMap, which CoreDNS has
// mounted beside its Corefile; k3s keeps the addresses of nodes in one.
func (b *builder) hostsFile(h *Hosts, n node) {
	key := path.Base(n.words[1])
	text, ok := b.src.Corefile[key]
	if !ok || key == corefileKey {
		b.problems.add(n.where, "write the entries into the braces after hosts", "hosts: the file %s does not exist here; only entries in the Corefile count", shorten(n.words[1]))
		return
	}
	at := place{source: sourceCoreDNS, key: key}
	for line := range strings.Lines(text) {
		at.line++
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		entry, err := hostEntry(words)
		if err != "" {
			b.problems.add(at, "a line is an address and its names", "hosts: %s: %s; it is ignored", shorten(line), err)
			continue
		}
		h.Entries = append(h.Entries, entry)
	}
}

// hostEntry reads one line; problem describes what is wrong with it.
func hostEntry(words []string) (entry HostEntry, problem string) {
	addr, err := netip.ParseAddr(words[0])
	if err != nil {
		return entry, "neither an address nor an option"
	}
	if len(words) < 2 {
		return entry, "there is not a name behind the address"
	}
	entry.Addr = addr.Unmap().WithZone("")
	for _, word := range words[1:] {
		name, err := parseName(word)
		if err != nil || strings.Contains(strings.TrimPrefix(name, "*."), "*") || dns.CountLabel(name) == 0 {
			return entry, "a name is not valid"
		}
		entry.Names = append(entry.Names, name)
	}
	return entry, ""
}
