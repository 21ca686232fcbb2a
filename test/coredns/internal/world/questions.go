package world

import (
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// Domain is the cluster's.
const Domain = "cluster.local."

// Question is one message to send.
type Question struct {
	Msg *dns.Msg
	TCP bool
}

// Questions generates questions about one world.
type Questions struct {
	g *Generator
	// names are of everything that is in the world or looks like it, reversed the reverse names of its addresses.
	names, reversed []string
}

// Questions looks through w once.
func (g *Generator) Questions(w *World) *Questions {
	q := &Questions{g: g}
	for _, key := range slices.Sorted(maps.Keys(w.Namespaces)) {
		q.names = append(q.names, key+".svc."+Domain, key+".pod."+Domain)
	}
	addresses := []string{"10.96.255.1", "10.244.200.1", "192.0.2.1", "fd00::dead", "2001:db8::1", "127.0.0.1"}
	for _, key := range slices.Sorted(maps.Keys(w.Services)) {
		svc := w.Services[key]
		name := svc.Name + "." + svc.Namespace + ".svc." + Domain
		q.names = append(q.names, slices.Repeat([]string{name}, 6)...)
		for _, p := range svc.Spec.Ports {
			q.names = append(q.names, slices.Repeat([]string{port(p.Name, string(p.Protocol)) + name}, 3)...)
		}
		if len(svc.Spec.ClusterIPs) == 0 {
			addresses = append(addresses, svc.Spec.ClusterIP)
		}
		addresses = append(addresses, svc.Spec.ClusterIPs...)
		addresses = append(addresses, svc.Spec.ExternalIPs...)
		if svc.Spec.ExternalName != "" {
			q.names = append(q.names, dns.Fqdn(svc.Spec.ExternalName))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(w.Slices)) {
		slice := w.Slices[key]
		name := slice.Labels[discoveryv1.LabelServiceName] + "." + slice.Namespace + ".svc." + Domain
		for _, e := range slice.Endpoints {
			if e.Hostname != nil {
				q.names = append(q.names, *e.Hostname+"."+name)
			}
			if e.TargetRef != nil && g.one(4) {
				q.names = append(q.names, e.TargetRef.Name+"."+name)
			}
			for _, address := range e.Addresses {
				q.names = append(q.names, dashed(address)+"."+name)
				if g.one(4) {
					q.names = append(q.names, dashed(address)+"."+slice.Namespace+".pod."+Domain)
				}
			}
			addresses = append(addresses, e.Addresses...)
		}
		for _, p := range slice.Ports {
			if p.Name != nil && p.Protocol != nil {
				q.names = append(q.names, port(*p.Name, string(*p.Protocol))+name)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(w.Pods)) {
		pod := w.Pods[key]
		for _, ip := range pod.Status.PodIPs {
			q.names = append(q.names, dashed(ip.IP)+"."+pod.Namespace+".pod."+Domain)
			addresses = append(addresses, ip.IP)
		}
	}
	slices.Sort(addresses)
	for _, address := range slices.Compact(addresses) {
		if name, err := dns.ReverseAddr(address); err == nil {
			q.reversed = append(q.reversed, name)
		}
	}
	return q
}

func port(name, protocol string) string { return "_" + name + "._" + strings.ToLower(protocol) + "." }

func dashed(address string) string {
	out := strings.NewReplacer(".", "-", ":", "-").Replace(address)
	if strings.HasSuffix(out, "-") {
		out += "0"
	}
	return out
}

// types are drawn as often as they are listed.
var types = slices.Concat(
	slices.Repeat([]uint16{dns.TypeA}, 34), slices.Repeat([]uint16{dns.TypeAAAA}, 20),
	slices.Repeat([]uint16{dns.TypeSRV}, 16), slices.Repeat([]uint16{dns.TypePTR}, 4),
	slices.Repeat([]uint16{dns.TypeCNAME, dns.TypeTXT, dns.TypeSOA, dns.TypeNS}, 4),
	slices.Repeat([]uint16{dns.TypeHTTPS, dns.TypeMX}, 2),
	[]uint16{dns.TypeSVCB, dns.TypeHINFO, dns.TypeDS, dns.TypeDNSKEY, dns.TypeCAA, dns.TypeNAPTR, dns.TypeLOC, dns.TypeANY, 65280},
)

// Next draws a question.
func (q *Questions) Next() Question {
	g := q.g
	m := new(dns.Msg)
	m.Id = uint16(g.Uint32())
	kind := pick(g, types...)
	name := q.name(&kind)
	m.Question = []dns.Question{{Name: g.respell(name), Qtype: kind, Qclass: dns.ClassINET}}
	m.RecursionDesired = !g.one(8)
	m.CheckingDisabled = g.one(12)
	m.AuthenticatedData = g.one(12)
	if g.one(3) {
		m.SetEdns0(pick[uint16](g, 0, 512, 800, 1232, 1232, 1232, 4096), g.one(4))
		opt := m.IsEdns0()
		switch g.IntN(6) {
		case 0:
			opt.Option = append(opt.Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: hex.EncodeToString([]byte("12345678"))})
		case 1:
			opt.Option = append(opt.Option, &dns.EDNS0_PADDING{Padding: make([]byte, g.IntN(40))})
		}
	}
	return Question{Msg: m, TCP: g.one(25)}
}

// name draws one; it may choose a type that suits.
func (q *Questions) name(kind *uint16) string {
	g := q.g
	switch n := g.IntN(100); {
	case n < 48:
		return pick(g, q.names...)
	case n < 66:
		return q.neighbour(pick(g, q.names...))
	case n < 77:
		if !g.one(6) {
			*kind = dns.TypePTR
		}
		name := pick(g, q.reversed...)
		if g.one(4) {
			return q.neighbour(name)
		}
		return name
	case n < 84: // a pod's name, whether there is such a pod or not
		return g.podLabel() + "." + pick(g, namespaces...) + ".pod." + Domain
	case n < 92:
		return pick(g,
			Domain, "svc."+Domain, "pod."+Domain, "dns-version."+Domain, "ns.dns."+Domain, "dns."+Domain, "apex.dns."+Domain,
			"a.dns-version."+Domain, "x.ns.dns."+Domain, "hostmaster."+Domain, "_dns._udp."+Domain, "*."+Domain, "*.svc."+Domain,
			"any.any.svc."+Domain, "in-addr.arpa.", "ip6.arpa.", "10.in-addr.arpa.", "96.10.in-addr.arpa.", "0.0.d.f.ip6.arpa.",
			"svc.in-addr.arpa.", "default.svc.ip6.arpa.", "arpa.", "local.", "xcluster.local.", "x.local.", ".")
	case n < 97: // a walk of the search path
		return pick(g, "www.example.test.", "kubernetes.", "web.", "web.default.", "a.b.", "kubernetes.default.svc.") +
			pick(g, searched...)
	default:
		return pick(g, "www.example.test.", "many.example.test.", "x.alias.example.test.", "nx.example.test.", "nodata.example.test.", "fail.example.test.")
	}
}

var searched = []string{"default.svc." + Domain, "a.svc." + Domain, "absent.svc." + Domain, "svc." + Domain, Domain}

// neighbour is a name that differs from the given one in one or two places.
func (q *Questions) neighbour(name string) string {
	g := q.g
	labels := dns.SplitDomainName(name)
	for range 1 + g.IntN(2) {
		if len(labels) == 0 {
			break
		}
		at := g.IntN(len(labels))
		if g.one(2) { // the leftmost labels are those that matter
			at = g.IntN(min(3, len(labels)))
		}
		switch g.IntN(8) {
		case 0:
			labels = slices.Delete(labels, at, at+1)
		case 1, 2:
			labels = slices.Insert(labels, at, g.label())
		case 3:
			labels = slices.Insert(labels, 0, "_"+pick(g, portNames...), pick(g, "_tcp", "_udp", "_sctp", "tcp", "_http", "__tcp", "_", "*"))
		case 4:
			labels[at] = pick(g, labels...)
		default:
			labels[at] = g.label()
		}
	}
	out := dns.Fqdn(strings.Join(labels, "."))
	if _, ok := dns.IsDomainName(out); !ok {
		return name
	}
	return out
}

func (g *Generator) label() string {
	switch g.IntN(7) {
	case 0:
		return pick(g, namespaces...)
	case 1:
		return pick(g, serviceNames...)
	case 2:
		return pick(g, hostnames...)
	case 3:
		return dashed(g.endpointAddress(g.one(3)))
	case 4:
		return pick(g, "_"+pick(g, portNames...), pick(g, portNames...), "_tcp", "_udp", "_sctp", "tcp", "udp", "_TCP")
	case 5:
		return pick(g, "svc", "pod", "cluster", "local", "in-addr", "arpa", "ip6", "0", "10", "f")
	default:
		return pick(g, "*", "any", "-", "_", "absent", "_zone", "pin", "xn--bcher-kva", `a\.b`, `\000`, `\255`, `a\\b`, `a b`, "a/b", "192.0.2.1", "1")
	}
}

// podLabel is a dashed address in one of the spellings that a parser of addresses may or may not accept.
func (g *Generator) podLabel() string {
	switch g.IntN(8) {
	case 0:
		return pick(g, "10-244-0", "10-244-0-1-1", "256-0-0-1", "01-2-3-4", "1--2-3", "-", "--", "---", "a-b-c-d", "0-0-0-0", "255-255-255-255", "web-0", "1-2-3-4-", "-1-2-3-4")
	case 1:
		return pick(g, "--1", "1--", "fd00--1-0", "FD00--A", "fd00-0-0-0-0-0-0-1", "--ffff-10-1", "--ffff-a00-1", "--FFFF-0a00-0001", "0--0", "fd00----1", "1-2-3-4-5-6-7-8", "1-2-3-4-5-6-7-8-9", "fe80--1%eth0", "64-ff9b--1.2.3.4", "12345--1")
	case 2:
		address := netip.MustParseAddr(g.endpointAddress(true))
		return strings.ReplaceAll(address.StringExpanded(), ":", "-")
	default:
		return dashed(g.endpointAddress(g.one(2)))
	}
}

// respell mixes the case of letters, as resolvers do against forged answers.
func (g *Generator) respell(name string) string {
	if !g.one(4) {
		return name
	}
	out := []byte(name)
	for i, c := range out {
		if 'a' <= c && c <= 'z' && g.one(2) {
			out[i] = c - 'a' + 'A'
		}
	}
	return string(out)
}

// String returns the question in the notation of dig.
func (q Question) String() string {
	m := q.Msg
	out := fmt.Sprintf("%s %s rd=%v cd=%v ad=%v", m.Question[0].Name, dns.Type(m.Question[0].Qtype), m.RecursionDesired, m.CheckingDisabled, m.AuthenticatedData)
	if opt := m.IsEdns0(); opt != nil {
		out += fmt.Sprintf(" edns size=%d do=%v options=%v", opt.UDPSize(), opt.Do(), opt.Option)
	}
	if q.TCP {
		out += " tcp"
	}
	return out
}
