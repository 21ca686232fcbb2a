package paint

import (
	"strings"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"

	"bonsai/bootstrap/termsafe"
)

// Clean makes a name or a message that comes out of a cluster harmless for a terminal and for columns: what a terminal
// would obey and what nobody would see is shown as an escape, as termsafe.String does, and so are characters that join
// with others into one sign, whose width terminals do not agree on. Tabs and line breaks become spaces.
func Clean(s string) string {
	if plain(s) {
		return s
	}
	return apart(termsafe.String(s))
}

// CleanLog is Clean for a line of a log or of another program's output: colours and other escape sequences are removed, and
// what only lays text out becomes spaces, as termsafe.LogLine does. What is invisible is shown as an escape here, too.
func CleanLog(s string) string {
	if plain(s) {
		return s
	}
	if strings.IndexByte(s, 0x1b) >= 0 {
		s = ansi.Strip(s)
	}
	return apart(termsafe.LogLine(s))
}

// CleanTyped is CleanLog for what the user types or pastes: what is invisible is removed.
func CleanTyped(s string) string { return apart(termsafe.Typed(ansi.Strip(s))) }

// apart shows skin tones and the letters of flags as escapes: they join with their neighbours in some terminals only.
func apart(s string) string {
	joins := func(r rune) bool { return r >= 0x1F3FB && r <= 0x1F3FF || r >= 0x1F1E6 && r <= 0x1F1FF }
	if strings.IndexFunc(s, joins) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if joins(r) {
			b.WriteString(termsafe.Escape(r))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// plain says that s is printable ASCII.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f {
			return false
		}
	}
	return true
}

// Width is the number of cells that clean text takes. Codes of a Theme take none.
func Width(s string) int {
	n := 0
	for i := 0; i < len(s); {
		if c := s[i]; c >= 0x20 && c < 0x7f {
			i++
			n++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		w := cells(r)
		if w == 0 {
			return ansi.StringWidth(s)
		}
		i += size
		n += w
	}
	return n
}

// cells is the width of characters that never join their neighbours, which are those of most languages. It is 0 for all
// others, which need the rules of grapheme clusters; those take a hundred times as long.
func cells(r rune) int {
	switch {
	case r < 0xA1 || r == 0xAD: // ASCII is not asked about; controls, a space that does not break, a hyphen that is not seen
		return 0
	case r < 0x300: // Latin
		return 1
	case r >= 0x391 && r <= 0x3FF, r >= 0x400 && r <= 0x482, r >= 0x48A && r <= 0x52F: // Greek, Cyrillic
		return 1
	case r >= 0x2010 && r <= 0x2027, r >= 0x2500 && r <= 0x259F: // dashes and quotes; boxes and blocks
		return 1
	case r >= 0x3001 && r <= 0x3029, r >= 0x3041 && r <= 0x3096, r >= 0x309D && r <= 0x30FF: // punctuation, kana
		return 2
	case r >= 0x4E00 && r <= 0x9FFF, r >= 0xAC00 && r <= 0xD7A3, r >= 0xFF01 && r <= 0xFF60: // Han, Hangul, wide forms
		return 2
	}
	return 0
}

// Character is the length in bytes and the width of the first character of clean text that is not empty; the widths of
// all characters add up to Width.
func Character(s string) (bytes, width int) {
	if s[0] < utf8.RuneSelf {
		return 1, 1
	}
	r, n := utf8.DecodeRuneInString(s)
	if w := cells(r); w > 0 {
		if n == len(s) || s[n] < utf8.RuneSelf {
			return n, w
		}
		if next, _ := utf8.DecodeRuneInString(s[n:]); cells(next) > 0 {
			return n, w
		}
	}
	cluster, _, width, _ := ansi.FirstGraphemeCluster(s, -1)
	return len(cluster), width
}

// Cut shortens clean, unpainted text to at most w cells; more, of one cell, stands for what was cut off.
func Cut(s string, w int, more string) string {
	if len(s) <= w && plain(s) || Width(s) <= w {
		return s
	}
	if w <= 0 {
		return ""
	}
	if plain(s) {
		return s[:w-1] + more
	}
	return ansi.Truncate(s, w, more)
}

// CutLeft is Cut that keeps the end.
func CutLeft(s string, w int, more string) string {
	have := Width(s)
	if have <= w {
		return s
	}
	if w <= 0 {
		return ""
	}
	cut := ansi.TruncateLeft(s, have-w+1, more)
	if Width(cut) > w { // a wide character stood on the edge
		cut = ansi.TruncateLeft(s, have-w+2, more)
	}
	return cut
}

// Wrap breaks clean, unpainted text into lines of at most w cells, at spaces where there are any.
func Wrap(s string, w int) []string {
	if w <= 0 {
		return nil
	}
	var lines []string
	for {
		if Width(s) <= w {
			if s == "" && len(lines) > 0 {
				return lines
			}
			return append(lines, s)
		}
		head := ansi.Truncate(s, w, "")
		if head == "" { // one character is wider than a line
			n, _ := Character(s)
			head = s[:n]
		}
		end := len(head)
		if end < len(s) && s[end] != ' ' {
			if at := strings.LastIndexByte(head, ' '); at > 0 && strings.Trim(head[:at], " ") != "" {
				end = at
			}
		}
		lines = append(lines, strings.TrimRight(s[:end], " "))
		s = strings.TrimLeft(s[end:], " ")
	}
}

// spaces pads; no screen is wider.
var spaces = strings.Repeat(" ", 512)

// Spaces returns n of them.
func Spaces(n int) string {
	if n <= 0 {
		return ""
	}
	if n <= len(spaces) {
		return spaces[:n]
	}
	return strings.Repeat(" ", n)
}
