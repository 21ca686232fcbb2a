package corefile

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// rewriteDirective reads: rewrite [continue|stop] FIELD … or the same in braces, over several lines.
func (b *builder) rewriteDirective(s *block, n node) {
	args := slices.Clone(n.args())
	for _, line := range n.body {
		args = append(args, line.words...)
	}
	var r Rewrite
	if len(args) > 0 && (args[0] == "continue" || args[0] == "stop") {
		r.Continue = args[0] == "continue"
		args = args[1:]
	}
	if len(args) == 0 {
		b.problems.add(n.where, "", "rewrite: needs a field; the directive is ignored")
		return
	}
	var err error
	switch field, rest := Field(strings.ToLower(args[0])), args[1:]; field {
	case FieldName:
		err = b.rewriteName(&r, rest)
	case FieldType:
		err = rewriteType(&r, rest)
	case FieldTTL:
		err = b.rewriteTTL(&r, rest)
	case FieldRcode:
		err = b.rewriteRcode(&r, rest)
	default:
		b.problems.add(n.where, "fields are name, type, ttl and rcode", "%s: %q cannot be rewritten here; the directive is ignored", n, shorten(args[0]))
		return
	}
	if err != nil {
		b.problems.add(n.where, "", "%s: %v; the directive is ignored", n, err)
		return
	}
	s.out.Rewrites = append(s.out.Rewrites, r)
}

// rewriteName reads: [exact|prefix|suffix|substring|regex] FROM TO [answer …]
func (b *builder) rewriteName(r *Rewrite, args []string) error {
	r.Field = FieldName
	args, err := b.matcher(r, args, 2)
	if err != nil {
		return err
	}
	if r.To, err = b.target(args[0], r.From, r.Match == MatchRegex); err != nil {
		return err
	}
	if r.Match == MatchExact {
		if _, err := parseName(r.To); err != nil {
			return err
		}
		r.Auto = true
	}
	return b.answers(r, args[1:])
}

// matcher reads how names are compared, and with what, and returns the remaining arguments, of which there are at least
// want-1.
func (b *builder) matcher(r *Rewrite, args []string, want int) ([]string, error) {
	r.Match = MatchExact
	if len(args) > want {
		r.Match = Match(strings.ToLower(args[0]))
		args = args[1:]
	}
	if len(args) < want {
		return nil, fmt.Errorf("an argument is missing after %s", r.Field)
	}
	switch r.Match {
	case MatchRegex:
		r.From = args[0]
		return args[1:], b.regex(r.From)
	case MatchExact, MatchPrefix, MatchSuffix, MatchSubstring:
		// CoreDNS gives these a final dot, too: "prefix foo" is the label foo.
		r.From = strings.ToLower(dns.Fqdn(args[0]))
		return args[1:], nil
	}
	return nil, fmt.Errorf("names match exact, prefix, suffix, substring or regex, not %q", shorten(string(r.Match)))
}

// target reads the new name, with {1} for the first group of the regex from.
func (b *builder) target(to, from string, isRegex bool) (string, error) {
	if len(to) > maxRegex {
		return "", fmt.Errorf("the new name is too long")
	}
	to = strings.ToLower(dns.Fqdn(to))
	if !isRegex {
		return to, nil
	}
	pattern, err := regexp.Compile(from)
	if err != nil {
		return "", err
	}
	for i := pattern.NumSubexp() + 1; i <= 100; i++ {
		if strings.Contains(to, "{"+strconv.Itoa(i)+"}") {
			return "", fmt.Errorf("{%d} has no group in %s", i, shorten(from))
		}
	}
	return to, nil
}

// answers reads the rewrites of the answer: answer (auto | (name|value) FROM TO) [answer] …
func (b *builder) answers(r *Rewrite, args []string) error {
	named := false
	for first := true; len(args) > 0; first = false {
		if args[0] == "answer" {
			args = args[1:]
		} else if first {
			return fmt.Errorf("%q is not known after the new name", shorten(args[0]))
		}
		switch {
		case len(args) > 0 && args[0] == "auto":
			r.Auto, args = true, args[1:]
		case len(args) > 1 && args[0] == "name" && args[1] == "auto":
			r.Auto, args = true, args[2:]
		case len(args) > 2 && (args[0] == "name" || args[0] == "value"):
			if err := b.regex(args[1]); err != nil {
				return err
			}
			to, err := b.target(args[2], args[1], true)
			if err != nil {
				return err
			}
			named = named || args[0] == "name"
			r.Answers = append(r.Answers, AnswerRewrite{Value: args[0] == "value", From: args[1], To: to})
			args = args[3:]
		default:
			return fmt.Errorf("answer must be followed by auto, or by name or value and two names")
		}
	}
	if named && r.Auto && r.Match != MatchExact {
		return fmt.Errorf("answer auto and answer name exclude each other")
	}
	return nil
}

// rewriteType reads: FROM TO
func rewriteType(r *Rewrite, args []string) error {
	r.Field = FieldType
	if len(args) != 2 {
		return fmt.Errorf("needs two types")
	}
	for i, dst := range []*uint16{&r.FromType, &r.ToType} {
		t, ok := dns.StringToType[strings.ToUpper(args[i])]
		if !ok {
			return fmt.Errorf("%q is not a type", shorten(args[i]))
		}
		*dst = t
	}
	return nil
}

// rewriteTTL reads: [exact|…] NAME SECONDS|MIN-MAX
func (b *builder) rewriteTTL(r *Rewrite, args []string) error {
	r.Field = FieldTTL
	args, err := b.matcher(r, args, 2)
	if err != nil {
		return err
	}
	if len(args) != 1 {
		return fmt.Errorf("needs a name and seconds")
	}
	low, high, isRange := strings.Cut(args[0], "-")
	if !isRange {
		high = low
	}
	r.MinTTL, r.MaxTTL = 0, math.MaxInt32 // RFC 2181 section 8
	for _, bound := range []struct {
		text string
		dst  *uint32
	}{{low, &r.MinTTL}, {high, &r.MaxTTL}} {
		if bound.text == "" && isRange {
			continue
		}
		v, err := strconv.ParseUint(bound.text, 10, 31)
		if err != nil {
			return fmt.Errorf("%q is not a number of seconds", shorten(args[0]))
		}
		*bound.dst = uint32(v)
	}
	if r.MinTTL > r.MaxTTL || low == "" && high == "" {
		return fmt.Errorf("%q is not a range of seconds", shorten(args[0]))
	}
	return nil
}

// rewriteRcode reads: [exact|…] NAME FROM TO
func (b *builder) rewriteRcode(r *Rewrite, args []string) error {
	r.Field = FieldRcode
	args, err := b.matcher(r, args, 3)
	if err != nil {
		return err
	}
	if len(args) != 2 {
		return fmt.Errorf("needs a name and two rcodes")
	}
	for i, dst := range []*int{&r.FromRcode, &r.ToRcode} {
		code, ok := dns.StringToRcode[strings.ToUpper(args[i])]
		if !ok {
			v, err := strconv.ParseUint(args[i], 10, 4)
			if err != nil {
				return fmt.Errorf("%q is not an rcode", shorten(args[i]))
			}
			code = int(v)
		}
		if code > 0xf {
			return fmt.Errorf("%q needs an extended header", shorten(args[i]))
		}
		*dst = code
	}
	return nil
}
