package server

import (
	"context"
	"fmt"
	"slices"

	"github.com/miekg/dns"

	"bonsai/bootstrap/cluster"
)

const (
	// maxChain is how many names may lead to each other, from Service to name to Service.
	maxChain = 10
	// anyTTL is how long the answer to ANY may be cached, in seconds.
	anyTTL = 3600
)

// asking is the context of a question.
type asking struct {
	listener       *listener
	proto          string
	rd, ad, cd, do bool
	// explain requests rules in words, which takes time.
	explain bool
	// chain counts the names that led to the current question.
	chain int
}

// answer is the answer to a question, and where it comes from.
type answer struct {
	rcode             int
	answer, ns, extra []dns.RR
	// authoritative is AA, recursive RA, authentic AD, truncated TC.
	authoritative, recursive, authentic, truncated bool

	source   cluster.DNSSource
	upstream string
	// rule explains the answer in words.
	rule string
}

// resolve answers a question of class IN, its name in lower case: by the rules, as a local name, from the cluster's
// records, or by asking upstreams, in this order.
func (s *Server) resolve(ctx context.Context, by *asking, q dns.Question) answer {
	if q.Qtype == dns.TypeANY {
		return s.resolveAny(by, q)
	}
	rules := s.rules.Load()
	if !by.listener.cluster || rules == nil {
		return s.lookup(ctx, by, q)
	}
	var inner answer
	asked := false
	m, rule := (*rules).Serve(q, func(q dns.Question) *dns.Msg {
		asked = true
		inner = s.lookup(ctx, by, q)
		m := &dns.Msg{Question: []dns.Question{q}, Answer: inner.answer, Ns: inner.ns, Extra: inner.extra}
		m.Response, m.Rcode, m.Authoritative = true, inner.rcode, inner.authoritative
		m.Truncated, m.RecursionAvailable, m.AuthenticatedData = inner.truncated, inner.recursive, inner.authentic
		return m
	})
	if m == nil {
		return failed(cluster.DNSFromLocal, "a rule left the question without an answer")
	}
	a := answer{
		rcode: m.Rcode, answer: m.Answer, ns: m.Ns, extra: m.Extra,
		authoritative: m.Authoritative, recursive: m.RecursionAvailable, authentic: m.AuthenticatedData, truncated: m.Truncated,
		source: cluster.DNSFromLocal, rule: rule,
	}
	switch {
	case asked:
		a.source, a.upstream = inner.source, inner.upstream
		a.rule = join(rule, inner.rule)
	case a.rcode == dns.RcodeRefused:
		a.source = cluster.DNSRefused
	}
	return a
}

// lookup is resolve without the rules.
func (s *Server) lookup(ctx context.Context, by *asking, q dns.Question) answer {
	if a, ok := s.locals.answer(q); ok {
		return a
	}
	view := s.opts.Zone.View()
	found := view.Lookup(q.Name, q.Qtype)
	switch {
	case found.In && !by.listener.cluster:
		return answer{
			rcode: dns.RcodeNameError, recursive: true, source: cluster.DNSFromLocal,
			rule: "this is the node's resolver, which does not have the names of the cluster",
		}
	case found.In:
		a := answer{
			rcode: found.Rcode, answer: found.Answer, ns: found.Ns, extra: found.Extra,
			authoritative: true, source: cluster.DNSFromCluster,
		}
		if by.explain {
			a.rule = view.Explain(q.Name, q.Qtype)
		}
		if found.External != "" {
			s.follow(ctx, by, q, found.External, &a)
		}
		return a
	}
	return s.ask(ctx, by, q)
}

// follow completes the answer to a question about a Service of type ExternalName with the records of its target.
func (s *Server) follow(ctx context.Context, by *asking, q dns.Question, target string, a *answer) {
	if by.chain >= maxChain {
		*a = failed(a.source, fmt.Sprintf("more than %d names lead to each other", maxChain))
		return
	}
	next := *by
	next.chain++
	end := s.resolve(ctx, &next, dns.Question{Name: dns.CanonicalName(target), Qtype: q.Qtype, Qclass: q.Qclass})
	a.upstream, a.rule = end.upstream, join(a.rule, end.rule)
	if end.rcode != dns.RcodeSuccess && end.rcode != dns.RcodeNameError {
		// An alias alone would mean that its target has no such record, and end the client's search.
		rule := a.rule
		*a = failed(a.source, rule)
		a.upstream = end.upstream
		return
	}
	a.truncated = a.truncated || end.truncated
	a.answer = append(slices.Clone(a.answer), end.answer...)
	// Some resolvers do not look back in the answer.
	slices.SortStableFunc(a.answer, func(x, y dns.RR) int { return order(x) - order(y) })
}

// order puts aliases before everything else.
func order(rr dns.RR) int {
	if rr.Header().Rrtype == dns.TypeCNAME {
		return 0
	}
	return 1
}

// ask forwards a question.
func (s *Server) ask(ctx context.Context, by *asking, q dns.Question) answer {
	m := &dns.Msg{Question: []dns.Question{q}}
	m.RecursionDesired, m.AuthenticatedData, m.CheckingDisabled = by.rd, by.ad, by.cd
	if by.do {
		m.SetEdns0(dns.DefaultMsgSize, true)
	}
	r, result, err := by.listener.forward.Exchange(ctx, m, by.proto)
	a := answer{rcode: dns.RcodeServerFailure, recursive: true, source: result.Source, upstream: result.Upstream}
	if r != nil {
		a.rcode, a.authentic, a.truncated = r.Rcode, r.AuthenticatedData, r.Truncated
		a.answer, a.ns, a.extra = r.Answer, r.Ns, r.Extra
	}
	if err != nil {
		a.rule = err.Error()
	}
	return a
}

// resolveAny gives the minimal answer to ANY (RFC 8482, 4.2): clients that send it want to explore, or to turn a small
// question into a large answer to somebody else. It never asks upstreams.
func (s *Server) resolveAny(by *asking, q dns.Question) answer {
	if by.listener.cluster {
		if found := s.opts.Zone.View().Lookup(q.Name, q.Qtype); found.In && found.Rcode != dns.RcodeSuccess {
			return answer{rcode: found.Rcode, ns: found.Ns, authoritative: true, source: cluster.DNSFromCluster}
		}
	}
	header := dns.RR_Header{Name: q.Name, Class: dns.ClassINET, Rrtype: dns.TypeHINFO, Ttl: anyTTL}
	return answer{
		answer: []dns.RR{&dns.HINFO{Hdr: header, Cpu: "RFC8482"}}, recursive: true,
		source: cluster.DNSFromLocal, rule: "questions for ANY get a minimal answer",
	}
}

func failed(source cluster.DNSSource, rule string) answer {
	return answer{rcode: dns.RcodeServerFailure, source: source, rule: rule}
}

// join concatenates two explanations.
func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}
