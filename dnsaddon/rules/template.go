package rules

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	text "text/template"

	"github.com/miekg/dns"

	"bonsai/dnsaddon/corefile"
)

const (
	// maxRecord limits one record that a template writes, in characters.
	maxRecord = 8 << 10
	// maxFollowed is how many aliases of one answer are looked up.
	maxFollowed = 4
)

// template creates answers to the questions in its zones.
type template struct {
	qtype                          uint16 // dns.TypeANY for all
	zones                          []templateZone
	match                          []*regexp.Regexp
	rcode                          int
	answers, additional, authority []*text.Template
	fall                           [][]byte
}

type templateZone struct {
	name string
	wire []byte
}

// data is what the texts of a template can use. CompileTemplate of package corefile lists its fields.
type data struct {
	Zone, Name, Class, Type string
	Match                   []string
	Group                   map[string]string
	Question                question
}

type question struct {
	Name          string
	Qtype, Qclass uint16
}

func newTemplate(c corefile.Template) *template {
	t := &template{qtype: c.Type, rcode: c.Rcode, fall: wireNames(c.Fallthrough)}
	for _, zone := range c.Zones {
		t.zones = append(t.zones, templateZone{zone, wireName(zone)})
	}
	for _, pattern := range c.Match {
		t.match = append(t.match, regexp.MustCompile(pattern))
	}
	for _, section := range []struct {
		from []string
		to   *[]*text.Template
	}{{c.Answer, &t.answers}, {c.Additional, &t.additional}, {c.Authority, &t.authority}} {
		for _, from := range section.from {
			*section.to = append(*section.to, text.Must(corefile.CompileTemplate(from)))
		}
	}
	return t
}

// zoneOf returns the longest of the template's zones that contains the name.
func (t *template) zoneOf(folded []byte) (best *templateZone) {
	for i := range t.zones {
		z := &t.zones[i]
		if isBelow(folded, z.wire) && (best == nil || len(z.wire) > len(best.wire)) {
			best = z
		}
	}
	return best
}

// concerns reports whether answer has one, even if only a SERVFAIL. text is that of folded.
func (t *template) concerns(folded, text []byte, qtype uint16) bool {
	if t.qtype != dns.TypeANY && qtype != dns.TypeANY && qtype != t.qtype || t.zoneOf(folded) == nil {
		return false
	}
	for _, pattern := range t.match {
		if pattern.Match(text) {
			return true
		}
	}
	return len(t.match) == 0 || !within(folded, t.fall)
}

// answer returns the template's answer, or nil if it has none.
func (t *template) answer(folded []byte, q dns.Question, next func(dns.Question) *dns.Msg) (m *dns.Msg, rule string) {
	if !t.concerns(folded, []byte(q.Name), q.Qtype) {
		return nil, ""
	}
	zone := t.zoneOf(folded)
	rule = "a template for " + zone.name
	d := &data{
		Zone: zone.name, Name: q.Name, Class: "IN", Type: dns.Type(q.Qtype).String(),
		Question: question{q.Name, q.Qtype, q.Qclass},
	}
	if q.Qtype == dns.TypeANY {
		d.Type = dns.Type(t.qtype).String()
	}
	if !t.groups(d) {
		return failed(), rule + " does not match, and has no fallthrough"
	}
	if t.rcode == dns.RcodeServerFailure {
		return failed(), rule
	}
	m = reply()
	m.Rcode = t.rcode
	for _, section := range []struct {
		from []*text.Template
		to   *[]dns.RR
	}{{t.answers, &m.Answer}, {t.additional, &m.Extra}, {t.authority, &m.Ns}} {
		for _, from := range section.from {
			rr, err := record(from, d)
			if err != nil {
				return failed(), rule + ": " + err.Error()
			}
			*section.to = append(*section.to, rr)
		}
	}
	follow(m, q, next)
	return m, rule
}

// groups takes the name apart by the first regex that matches it.
func (t *template) groups(d *data) bool {
	d.Match, d.Group = []string{d.Name}, map[string]string{"0": d.Name}
	if len(t.match) == 0 {
		return true
	}
	for _, pattern := range t.match {
		found := pattern.FindStringSubmatch(d.Name)
		if found == nil {
			continue
		}
		d.Match = found
		for i, group := range found {
			d.Group[strconv.Itoa(i)] = group
		}
		for i, name := range pattern.SubexpNames() {
			if name != "" {
				d.Group[name] = found[i]
			}
		}
		return true
	}
	return false
}

// record runs one text and parses what it wrote.
func record(t *text.Template, d *data) (dns.RR, error) {
	var out limited
	if err := t.Execute(&out, d); err != nil {
		return nil, fmt.Errorf("it cannot be run: %w", err)
	}
	rr, err := dns.NewRR(out.String())
	if err != nil {
		return nil, fmt.Errorf("it does not produce a record: %w", err)
	}
	if rr == nil {
		return nil, errors.New("it does not produce a record")
	}
	return rr, nil
}

// limited is a buffer that stops a template whose text grows too long.
type limited struct{ bytes.Buffer }

var errTooLong = fmt.Errorf("a record is longer than %d characters", maxRecord)

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > maxRecord {
		return 0, errTooLong
	}
	return l.Buffer.Write(p)
}

// follow looks up the targets of aliases in an answer.
func follow(m *dns.Msg, q dns.Question, next func(dns.Question) *dns.Msg) {
	if q.Qtype != dns.TypeA && q.Qtype != dns.TypeAAAA {
		return
	}
	followed := 0
	for _, rr := range m.Answer {
		alias, ok := rr.(*dns.CNAME)
		if !ok || followed == maxFollowed {
			continue
		}
		followed++
		end := next(dns.Question{Name: dns.CanonicalName(alias.Target), Qtype: q.Qtype, Qclass: q.Qclass})
		if end == nil {
			continue
		}
		m.Truncated = m.Truncated || end.Truncated
		m.Answer = append(m.Answer, end.Answer...)
	}
}
