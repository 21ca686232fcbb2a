package server

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"bonsai/bootstrap/cluster"
	"bonsai/dnsaddon/wire"
)

// maxSearch limits the names that one Lookup asks for; Kubernetes allows a pod 32 search domains.
const maxSearch = 33

// Lookup asks this server as glibc in a pod would, and returns every step: the search path, both address types if the
// question names none, and again over TCP after a truncated answer. It asks the cluster's view on behalf of l.Client,
// and is neither counted nor published to watchers. An invalid name or type is a step that says so.
func (s *Server) Lookup(ctx context.Context, l cluster.DNSLookup) cluster.DNSLookupResult {
	var result cluster.DNSLookupResult
	types := []string{"A", "AAAA"}
	if l.Type != "" {
		types = []string{strings.ToUpper(l.Type)}
	}
	for _, name := range searchNames(l) {
		found := false
		for _, t := range types {
			steps := s.steps(ctx, l, name, t)
			result.Steps = append(result.Steps, steps...)
			found = found || len(steps[len(steps)-1].Answers) > 0
		}
		if found || ctx.Err() != nil {
			break
		}
	}
	return result
}

// searchNames are the names that a resolver tries, in order.
func searchNames(l cluster.DNSLookup) []string {
	asIs := dns.Fqdn(l.Name)
	if dns.IsFqdn(l.Name) || len(l.Search) == 0 {
		return []string{asIs}
	}
	var names []string
	for _, domain := range l.Search[:min(len(l.Search), maxSearch-1)] {
		// A domain may be written with a leading dot, or be the root.
		domain = strings.Trim(domain, ".")
		if domain == "" {
			names = append(names, asIs)
			continue
		}
		names = append(names, asIs+domain+".")
	}
	// Zero means not given: use a resolver's default.
	ndots := l.Ndots
	if ndots == 0 {
		ndots = 1
	}
	if strings.Count(l.Name, ".") >= ndots {
		return append([]string{asIs}, names...)
	}
	return append(names, asIs)
}

// steps asks one question, over UDP and then, if necessary, over TCP.
func (s *Server) steps(ctx context.Context, l cluster.DNSLookup, name, qtype string) []cluster.DNSStep {
	step := s.step(ctx, l.Client, name, qtype, l.TCP)
	if !step.Truncated || l.TCP {
		return []cluster.DNSStep{step}
	}
	again := s.step(ctx, l.Client, name, qtype, true)
	again.Rule = join("asked again over TCP, because the answer was truncated", again.Rule)
	return []cluster.DNSStep{step, again}
}

func (s *Server) step(ctx context.Context, client netip.Addr, name, qtype string, tcp bool) cluster.DNSStep {
	started := time.Now()
	step := cluster.DNSStep{Name: name, Type: qtype, Source: cluster.DNSRefused}
	t, known := typeOf(qtype)
	_, valid := dns.IsDomainName(name)
	switch {
	case !known:
		step.Rule = fmt.Sprintf("there is not a type %q", qtype)
		return step
	case !valid:
		step.Rule = "not a domain name"
		return step
	case client.IsValid() && !s.allowed(client):
		step.Rule = fmt.Sprintf("%s is not a source that gets answers", client)
		return step
	}
	m := new(dns.Msg)
	m.SetQuestion(name, t)
	if _, err := m.Pack(); err != nil {
		step.Rule = "not a domain name: " + err.Error()
		return step
	}
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	view := &listener{server: s, cluster: true, forward: s.opts.Forward}
	by := &asking{listener: view, proto: "udp", rd: true, explain: true}
	limit := wire.MinUDPSize
	if tcp {
		by.proto, limit = "tcp", maxTCPSize
	}
	a := answer{rcode: dns.RcodeRefused, source: cluster.DNSRefused, rule: "zone transfers are not supported"}
	if t != dns.TypeAXFR && t != dns.TypeIXFR {
		a = s.resolve(ctx, by, dns.Question{Name: dns.CanonicalName(name), Qtype: t, Qclass: dns.ClassINET})
	}
	r := a.message(m, nil, 0, limit)
	step.Rcode, step.Source, step.Upstream, step.Rule = rcodeName(r.Rcode), a.source, a.upstream, a.rule
	step.Truncated = r.Truncated
	step.Answers, step.Authority = presented(r.Answer), presented(r.Ns)
	step.Took = time.Since(started)
	return step
}

// typeOf reads "AAAA" and "TYPE28".
func typeOf(name string) (uint16, bool) {
	if t, ok := dns.StringToType[name]; ok {
		return t, true
	}
	var n uint16
	if _, err := fmt.Sscanf(name, "TYPE%d", &n); err != nil || name != fmt.Sprintf("TYPE%d", n) {
		return 0, false
	}
	return n, true
}

func presented(rrs []dns.RR) (list []string) {
	for _, rr := range rrs {
		list = append(list, rr.String())
	}
	return list
}
