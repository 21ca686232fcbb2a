package textview

import "strings"

// pattern is what is searched, or filtered, for. Upper-case letters in it count; without any, case does not. A filter
// that begins with "!" wants the lines that do not have the rest.
type pattern struct {
	text   string // lower case if it folds
	fold   bool
	not    bool
	anchor int // where its rarest byte is
}

func newPattern(text string, filter bool) pattern {
	var p pattern
	if rest, ok := strings.CutPrefix(text, "!"); ok && filter {
		p.not, text = true, rest
	}
	p.text = text
	p.fold = text == strings.ToLower(text)
	p.anchor = rarest(text)
	return p
}

func (p pattern) empty() bool { return p.text == "" }

// index returns where the pattern occurs in s first, -1 if it does not. Case is folded for ASCII only: other letters
// are as long in bytes as they are, so that nothing has to be allocated. It looks for the byte of the pattern that is
// likely to be the rarest, in both cases, and compares the rest where it finds one.
func (p pattern) index(s string) int {
	if !p.fold {
		return strings.Index(s, p.text)
	}
	n := len(p.text)
	if n == 0 || len(s) < n {
		return -1
	}
	lower := p.text[p.anchor]
	upper := lower
	if lower >= 'a' && lower <= 'z' {
		upper -= 'a' - 'A'
	}
	const unknown = -1
	nextLower, nextUpper := unknown, unknown
	if upper == lower {
		nextUpper = len(s)
	}
	for from := p.anchor; from < len(s); {
		if nextLower < from {
			nextLower = indexByte(s, lower, from)
		}
		if nextUpper < from {
			nextUpper = indexByte(s, upper, from)
		}
		at := min(nextLower, nextUpper)
		start := at - p.anchor
		if start+n > len(s) {
			return -1
		}
		if foldEqual(s[start:start+n], p.text) {
			return start
		}
		from = at + 1
	}
	return -1
}

// indexByte returns where c occurs from a place on, len(s) if it does not.
func indexByte(s string, c byte, from int) int {
	if i := strings.IndexByte(s[from:], c); i >= 0 {
		return from + i
	}
	return len(s)
}

// common are the bytes of logs from the most common one down, roughly; all others are rare.
const common = " etaonisr0l12dc/hum=p3.:45-6789gfybwvk\"_,"

// rarest is where in a text the byte is that is likely to occur most seldom.
func rarest(text string) int {
	best, rank := 0, -1
	for i := range len(text) {
		r := strings.IndexByte(common, text[i])
		if r < 0 {
			r = len(common)
		}
		if r > rank {
			best, rank = i, r
		}
	}
	return best
}

// foldEqual compares with lower-case text.
func foldEqual(s, lower string) bool {
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// passes says whether a filter shows a line.
func (p pattern) passes(s string) bool { return p.empty() || (p.index(s) >= 0) != p.not }

// narrows says that everything that matches p has matched old as well.
func (p pattern) narrows(old pattern) bool {
	if old.empty() || p.empty() || p.not || old.not {
		return false
	}
	switch {
	case old.fold && !p.fold:
		return strings.Contains(strings.ToLower(p.text), old.text)
	case !old.fold && p.fold:
		return false
	}
	return strings.Contains(p.text, old.text)
}

// all returns where the pattern occurs between from and to, also what only begins or ends there.
func (p pattern) all(s string, from, to int) []Span {
	if p.empty() || p.not {
		return nil
	}
	var list []Span
	n := len(p.text)
	begin, end := max(0, from-n+1), min(len(s), to+n-1)
	for begin < end {
		i := p.index(s[begin:end])
		if i < 0 {
			break
		}
		list = append(list, Span{begin + i, begin + i + n, 0})
		begin += i + n
	}
	return list
}
