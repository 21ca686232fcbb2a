package textview

import "strings"

// pattern is what is searched, or filtered, for. Upper-case letters in it count; without any, case does not. A filter
// that begins with "!" wants the lines that do not have the rest.
type pattern struct {
	text string // lower case if it folds
	fold bool
	not  bool
}

func newPattern(text string, filter bool) pattern {
	var p pattern
	if rest, ok := strings.CutPrefix(text, "!"); ok && filter {
		p.not, text = true, rest
	}
	p.text = text
	p.fold = text == strings.ToLower(text)
	return p
}

func (p pattern) empty() bool { return p.text == "" }

// index returns where the pattern occurs in s first, -1 if it does not. Case is folded for ASCII only: other letters
// are as long in bytes as they are, so that nothing has to be allocated.
func (p pattern) index(s string) int {
	if !p.fold {
		return strings.Index(s, p.text)
	}
	n := len(p.text)
	if n == 0 || len(s) < n {
		return -1
	}
	first := p.text[0]
	if first >= 0x80 {
		// The bytes of other letters are never those of ASCII letters; look for the first one as it is.
		for from := 0; ; {
			i := strings.IndexByte(s[from:], first)
			if i < 0 || from+i+n > len(s) {
				return -1
			}
			if foldEqual(s[from+i:from+i+n], p.text) {
				return from + i
			}
			from += i + 1
		}
	}
	upper := first
	if first >= 'a' && first <= 'z' {
		upper = first - 'a' + 'A'
	}
	for i := 0; i+n <= len(s); i++ {
		if c := s[i]; (c == first || c == upper) && foldEqual(s[i:i+n], p.text) {
			return i
		}
	}
	return -1
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

// narrows says that whatever matches p has matched old as well.
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
