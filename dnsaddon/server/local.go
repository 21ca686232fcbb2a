package server

import (
	"bytes"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"bonsai/bootstrap/cluster"
)

// localTTL is how long answers about local names may be cached, in seconds. They never change while the node runs.
const localTTL = 300

// hostNames are the names of the machine that the nodes run on: ours, and the one that people know from Docker.
func hostNames() []string { return []string{"host.bonsai.internal.", "host.docker.internal."} }

// nodeName is that of the node on which the server runs: its address, and what a pod may want to know about it, as texts such as
// "name=dev-2".
const nodeName = "node.bonsai.internal."

// locals are the names that every resolver has to answer itself (RFC 6761, 6.3), the host's, and the node's.
type locals struct {
	host netip.Addr
	node Node
	// wire are the names of host and node in wire form.
	wire [][]byte
}

func newLocals(host netip.Addr, node Node) locals {
	l := locals{host: host.Unmap(), node: node}
	var names []string
	if host.IsValid() {
		names = hostNames()
	}
	if node.Name != "" {
		names = append(names, nodeName)
	}
	for _, name := range names {
		var w []byte
		for label := range strings.SplitSeq(name, ".") {
			w = append(append(w, byte(len(label))), label...)
		}
		l.wire = append(l.wire, w)
	}
	return l
}

// maybe reports whether a name in wire form and lower case could be local. It is exact except for names with odd bytes.
func (l *locals) maybe(folded []byte) bool {
	if bytes.HasSuffix(folded, []byte("\x09localhost\x00")) {
		return true
	}
	for _, w := range l.wire {
		if bytes.Equal(folded, w) {
			return true
		}
	}
	return false
}

// answer answers if the question is about a local name.
func (l *locals) answer(q dns.Question) (answer, bool) {
	var addrs []netip.Addr
	var texts []string
	rule := "localhost is always this machine itself"
	switch {
	case q.Name == "localhost." || strings.HasSuffix(q.Name, ".localhost."):
		addrs = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	case l.host.IsValid() && (q.Name == hostNames()[0] || q.Name == hostNames()[1]):
		addrs, rule = []netip.Addr{l.host}, "the machine that the nodes run on"
	case l.node.Name != "" && q.Name == nodeName:
		addrs, texts, rule = []netip.Addr{l.node.Address}, l.node.texts(), "the node of this DNS server"
	default:
		return answer{}, false
	}
	a := answer{source: cluster.DNSFromLocal, rule: rule, authoritative: true}
	header := dns.RR_Header{Name: q.Name, Class: dns.ClassINET, Rrtype: q.Qtype, Ttl: localTTL}
	for _, addr := range addrs {
		switch {
		case q.Qtype == dns.TypeA && addr.Is4():
			a.answer = append(a.answer, &dns.A{Hdr: header, A: addr.AsSlice()})
		case q.Qtype == dns.TypeAAAA && addr.Is6():
			a.answer = append(a.answer, &dns.AAAA{Hdr: header, AAAA: addr.AsSlice()})
		}
	}
	if q.Qtype == dns.TypeTXT {
		for _, text := range texts {
			a.answer = append(a.answer, &dns.TXT{Hdr: header, Txt: []string{text}})
		}
	}
	if a.answer == nil {
		header.Rrtype = dns.TypeSOA
		a.ns = []dns.RR{&dns.SOA{Hdr: header, Ns: q.Name, Mbox: "nobody.invalid.", Serial: 1,
			Refresh: 7200, Retry: 1800, Expire: 86400, Minttl: localTTL}}
	}
	return a, true
}

// texts are the node's TXT records.
func (n Node) texts() []string {
	texts := []string{"name=" + n.Name}
	if n.Zone != "" {
		texts = append(texts, "zone="+n.Zone)
	}
	return texts
}
