package dnslog

import (
	"strings"
)

// Filter chooses questions. Its answers for each text are kept, so that a new one over a full Ring takes milliseconds.
// The zero value lets everything pass.
type Filter struct {
	text      string
	failures  bool
	namespace string
	terms     []filterTerm
	inSpace   map[Text]bool
}

type filterTerm struct {
	not   bool
	field string // "" is any
	want  string
	seen  map[Text]bool
}

// fields by the names that people give them.
var fields = map[string]string{
	"from": "from", "pod": "from", "asker": "from", "name": "name", "type": "type", "result": "result", "rcode": "result", "via": "via",
	"source": "via", "node": "node",
}

// NewFilter reads a filter. Words are parted by spaces, and all have to match:
//
//	redis       in the name, the client, the result, or the type
//	!redis      not there
//	pod:cart    the client; also name:, result:, via: and node:, and type:, which has to be equal
//
// failures chooses what failed, namespace what its pods asked; empty is all.
func NewFilter(text string, failures bool, namespace string) *Filter {
	f := &Filter{text: text, failures: failures, namespace: namespace, inSpace: map[Text]bool{}}
	for word := range strings.FieldsSeq(strings.ToLower(text)) {
		t := filterTerm{seen: map[Text]bool{}}
		if rest, ok := strings.CutPrefix(word, "!"); ok && rest != "" {
			t.not, word = true, rest
		}
		t.want = word
		if key, value, ok := strings.Cut(word, ":"); ok && fields[key] != "" {
			if value == "" {
				continue // not typed yet
			}
			t.field, t.want = fields[key], value
		}
		f.terms = append(f.terms, t)
	}
	return f
}

// Text is what the filter was made of.
func (f *Filter) Text() string { return f.text }

// Failures says whether only failures pass.
func (f *Filter) Failures() bool { return f.failures }

// Match says whether a question passes.
func (f *Filter) Match(q *Query) bool {
	if f.failures && !q.Verdict.Failed() {
		return false
	}
	if f.namespace != "" {
		in, ok := f.inSpace[q.Client]
		if !ok {
			in = strings.HasPrefix(q.Client.Value(), f.namespace+"/")
			f.inSpace[q.Client] = in
		}
		if !in {
			return false
		}
	}
	for i := range f.terms {
		if t := &f.terms[i]; t.match(q) == t.not {
			return false
		}
	}
	return true
}

func (t *filterTerm) match(q *Query) bool {
	switch t.field {
	case "from":
		return t.has(q.Client)
	case "name":
		return t.has(q.Name)
	case "type":
		return strings.EqualFold(q.Type.Value(), t.want)
	case "result":
		return t.has(q.Result) || t.has(q.Rcode)
	case "via":
		return t.has(q.Source) || t.has(q.Upstream)
	case "node":
		return t.has(q.Node)
	}
	return t.has(q.Name) || t.has(q.Client) || t.has(q.Result) || t.has(q.Type)
}

// mostSeen bounds what is remembered: a flood of names that come once must not be kept for ever.
const mostSeen = 20_000

func (t *filterTerm) has(text Text) bool {
	has, ok := t.seen[text]
	if !ok {
		has = strings.Contains(strings.ToLower(text.Value()), t.want)
		if len(t.seen) >= mostSeen {
			clear(t.seen)
		}
		t.seen[text] = has
	}
	return has
}
