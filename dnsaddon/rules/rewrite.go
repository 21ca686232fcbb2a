package rules

import (
	"bytes"
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"bonsai/dnsaddon/corefile"
)

// rewrite is one directive, compiled.
type rewrite struct {
	corefile.Rewrite
	from    []byte
	pattern *regexp.Regexp
	to      replacement
	answers []step
}

// replacement is a name with places for the groups of a regex.
type replacement []part

// part is a text or, if that is empty, a group.
type part struct {
	text  string
	group int
}

func newRewrite(c corefile.Rewrite) *rewrite {
	w := &rewrite{Rewrite: c, from: []byte(c.From)}
	if c.Match == corefile.MatchRegex {
		w.pattern = regexp.MustCompile(c.From)
		w.to = newReplacement(c.To, w.pattern.NumSubexp())
	}
	for _, a := range c.Answers {
		pattern := regexp.MustCompile(a.From)
		to := newReplacement(a.To, pattern.NumSubexp())
		w.answers = append(w.answers, step{owners: !a.Value, values: a.Value, rename: func(name string) string {
			if found := pattern.FindStringSubmatch(name); found != nil {
				return to.fill(found)
			}
			return name
		}})
	}
	return w
}

// newReplacement finds the placeholders of groups, "{1}"; CoreDNS supports them up to 100.
func newReplacement(text string, groups int) replacement {
	var all replacement
	for text != "" {
		open := strings.IndexByte(text, '{')
		if open < 0 {
			break
		}
		digits, rest, closed := strings.Cut(text[open+1:], "}")
		group, err := strconv.Atoi(digits)
		if !closed || err != nil || group < 0 || group > groups || strconv.Itoa(group) != digits {
			// A brace like any other character.
			all = append(all, part{text: text[:open+1]})
			text = text[open+1:]
			continue
		}
		if open > 0 {
			all = append(all, part{text: text[:open]})
		}
		all = append(all, part{group: group})
		text = rest
	}
	if text != "" {
		all = append(all, part{text: text})
	}
	return all
}

func (r replacement) fill(groups []string) string {
	var b strings.Builder
	for _, p := range r {
		if p.text != "" {
			b.WriteString(p.text)
		} else {
			b.WriteString(groups[p.group])
		}
	}
	return b.String()
}

// matches reports whether the directive applies to a question. text is its name.
func (w *rewrite) matches(name []byte, qtype uint16) bool {
	if w.Field == corefile.FieldType {
		return qtype == w.FromType
	}
	switch w.Match {
	case corefile.MatchExact:
		return bytes.Equal(name, w.from)
	case corefile.MatchPrefix:
		return bytes.HasPrefix(name, w.from)
	case corefile.MatchSuffix:
		return bytes.HasSuffix(name, w.from)
	case corefile.MatchSubstring:
		return bytes.Contains(name, w.from)
	}
	return w.pattern.Match(name)
}

var errInvalid = errors.New("the new name is none")

// rewrite applies the block's rewrites to a question. undo is what has to be done to its answer.
func (b *block) rewrite(q dns.Question) (_ dns.Question, undo undo, err error) {
	text := []byte(q.Name)
	for _, w := range b.rewrites {
		if !w.matches(text, q.Qtype) {
			continue
		}
		switch w.Field {
		case corefile.FieldName:
			was := q.Name
			q.Name = w.rename(was)
			text = []byte(q.Name)
			if packName(q.Name) == nil {
				return q, nil, errInvalid
			}
			undo = append(undo, w.undo(was, q.Name)...)
		case corefile.FieldType:
			q.Qtype = w.ToType
		case corefile.FieldTTL:
			undo = append(undo, step{ttl: true, minTTL: w.MinTTL, maxTTL: w.MaxTTL})
		case corefile.FieldRcode:
			undo = append(undo, step{rcode: true, fromRcode: w.FromRcode, toRcode: w.ToRcode})
		}
		if !w.Continue {
			break
		}
	}
	return q, undo, nil
}

// rename returns the new name for one that matches.
func (w *rewrite) rename(name string) string {
	switch w.Match {
	case corefile.MatchExact:
		return w.To
	case corefile.MatchPrefix:
		return w.To + name[len(w.From):]
	case corefile.MatchSuffix:
		return name[:len(name)-len(w.From)] + w.To
	case corefile.MatchSubstring:
		return strings.ReplaceAll(name, w.From, w.To)
	}
	return strings.ToLower(w.to.fill(w.pattern.FindStringSubmatch(name)))
}

// undo is what has to be done to the answer of a question whose name was rewritten.
func (w *rewrite) undo(was, is string) undo {
	var all undo
	if w.Auto {
		back := func(name string) string { return swap(name, is, was) }
		if w.Match == corefile.MatchSuffix {
			back = func(name string) string {
				if before, ok := strings.CutSuffix(name, w.To); ok {
					return before + w.From
				}
				return name
			}
		}
		all = append(all, step{owners: true, values: true, rename: back})
	}
	return append(all, w.answers...)
}

// swap replaces a name, and the same name at the end of longer ones.
func swap(name, from, to string) string {
	before, ok := strings.CutSuffix(name, from)
	switch {
	case !ok || before != "" && !strings.HasSuffix(before, "."):
		return name
	case before != "" && to == ".":
		return before
	}
	return before + to
}
