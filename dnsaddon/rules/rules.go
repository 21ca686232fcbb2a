// Package rules applies what a Corefile says about single names: rewrites, templates and hosts.
//
// A question belongs to the server block with the longest zone that contains its name; no other block's rules see it.
// There it is processed as in CoreDNS. Rewrites change it, or record what has to be changed in its answer. A template
// or the hosts may answer it. Otherwise the server does, from the cluster's records or by asking upstreams, with the
// question as rewritten. Finally, the rewrites' changes to the answer are made, including restoring the names that were
// rewritten.
//
// No rule applies to most questions. Rules.Plain detects these without allocating anything, so that they stay on the
// fast path; without any rule, which Rules.Empty reports, even that call is unnecessary. Package corefile limits what
// rules may cost when it reads them: there are no loops in templates, and regexes are small.
//
// Log, beside the rules, is the Corefile's directive log. Begin reading at Rules.Serve.
package rules

import (
	"strings"
	"sync"

	"github.com/miekg/dns"

	"bonsai/dnsaddon/corefile"
)

// Rules are the rules of one configuration. They are immutable; any number of goroutines may use them.
type Rules struct {
	// blocks are all server blocks by zone, in wire form: one without rules keeps names from those of a shorter zone.
	// They are nil if no block has any.
	blocks map[string]*block
	// only is the block of all names, if there is no other.
	only  *block
	texts sync.Pool // of *[]byte, for names that are compared as text
}

// block is one server block's rules, in the order in which they are applied.
type block struct {
	rewrites  []*rewrite
	templates []*template
	hosts     *hosts
	// byText reports that some rewrite compares names as text.
	byText bool
}

// New returns the rules of a configuration that package corefile has created; it panics on one with regexes or
// templates that do not compile.
func New(c corefile.Config) *Rules {
	r := &Rules{texts: sync.Pool{New: func() any { b := make([]byte, 0, maxText); return &b }}}
	blocks := map[string]*block{}
	found := false
	for _, from := range c.Blocks {
		b := &block{hosts: newHosts(from.Hosts)}
		for _, from := range from.Rewrites {
			w := newRewrite(from)
			b.rewrites = append(b.rewrites, w)
			b.byText = b.byText || w.Field != corefile.FieldType
		}
		for _, from := range from.Templates {
			t := newTemplate(from)
			b.templates = append(b.templates, t)
			b.byText = b.byText || len(t.match) > 0
		}
		found = found || b.hosts != nil || len(b.rewrites) > 0 || len(b.templates) > 0
		for _, zone := range from.Zones {
			blocks[string(wireName(zone))] = b
		}
	}
	if found {
		r.blocks = blocks
		if len(blocks) == 1 {
			r.only = blocks["\x00"]
		}
	}
	return r
}

// Empty reports whether there are no rules: Serve would always call next and do nothing else.
func (r *Rules) Empty() bool { return r.blocks == nil }

// Plain reports whether no rule applies to a question, so that Serve would only call next. folded is the name in wire
// form and in lower case. It neither blocks nor allocates, except for an occasional buffer.
func (r *Rules) Plain(folded []byte, qtype uint16) bool {
	b := r.blockOf(folded)
	if b == nil {
		return true
	}
	var text []byte
	if b.byText {
		buf, ok := r.texts.Get().(*[]byte)
		if !ok {
			return false
		}
		defer r.texts.Put(buf)
		if text, ok = appendText((*buf)[:0], folded); !ok {
			return false // too rare to optimise; Serve finds out
		}
	}
	for _, w := range b.rewrites {
		if w.matches(text, qtype) {
			return false
		}
	}
	for _, t := range b.templates {
		if t.concerns(folded, text, qtype) {
			return false
		}
	}
	return b.hosts == nil || !b.hosts.concerns(folded, qtype)
}

// Serve answers q, whose name is fully qualified and in lower case, by a rule, or by calling next with q or with the
// question that a rule turns it into. rule describes what a rule did. The message that next returns is not changed; m
// is a reply as far as its header's flags and rcode and the sections after the question are concerned. It is nil only
// if next's is.
func (r *Rules) Serve(q dns.Question, next func(dns.Question) *dns.Msg) (m *dns.Msg, rule string) {
	folded := packName(q.Name)
	b := r.blockOf(folded)
	if folded == nil || b == nil {
		return next(q), ""
	}
	asked := q
	q, undo, err := b.rewrite(q)
	if err != nil {
		return failed(), "rewrite: " + err.Error()
	}
	var words []string
	if q != asked {
		folded = packName(q.Name)
		words = append(words, "rewritten to "+q.Name+" "+dns.Type(q.Qtype).String())
	}
	m, rule = b.answer(folded, q, next)
	if m == nil {
		m = next(q)
	}
	if rule != "" {
		words = append(words, rule)
	}
	if m != nil && len(undo) > 0 {
		m = undo.apply(m)
	}
	return m, strings.Join(words, "; ")
}

// answer asks templates and hosts; m is nil if none of them answers.
func (b *block) answer(folded []byte, q dns.Question, next func(dns.Question) *dns.Msg) (m *dns.Msg, rule string) {
	for _, t := range b.templates {
		if m, rule := t.answer(folded, q, next); m != nil {
			return m, rule
		}
	}
	if b.hosts == nil {
		return nil, ""
	}
	return b.hosts.answer(folded, q)
}

// blockOf returns the server block that a name belongs to, or nil.
func (r *Rules) blockOf(folded []byte) *block {
	if r.blocks == nil || r.only != nil {
		return r.only
	}
	for off := 0; off < len(folded); off += 1 + int(folded[off]) {
		if b, ok := r.blocks[string(folded[off:])]; ok {
			return b
		}
		if folded[off] == 0 {
			break
		}
	}
	return nil
}

// reply is an empty authoritative reply.
func reply() *dns.Msg {
	m := &dns.Msg{}
	m.Response, m.Authoritative = true, true
	return m
}

// failed is the reply for a client that should ask another server.
func failed() *dns.Msg {
	m := reply()
	m.Authoritative, m.Rcode = false, dns.RcodeServerFailure
	return m
}
