package paint

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// Clean makes text that comes out of a cluster harmless for a terminal and for columns: escape sequences and control
// characters go, and so do characters that reorder text or join others into one sign, whose width terminals do not
// agree on. Tabs and line breaks become spaces, invalid bytes the replacement character.
func Clean(s string) string {
	if plain(s) {
		return s
	}
	if strings.IndexByte(s, 0x1b) >= 0 {
		s = ansi.Strip(s)
	}
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range s {
		switch {
		case r == '\t':
			b.WriteString("  ")
		case r == '\n':
			b.WriteByte(' ')
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r >= 0xFE00 && r <= 0xFE0F, r >= 0xE0100 && r <= 0xE01EF:
			// Controls; format characters (bidi, joiners); variation selectors.
		case unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			b.WriteByte(' ')
		case r >= 0x1F3FB && r <= 0x1F3FF, r >= 0x1F1E6 && r <= 0x1F1FF:
			// Skin tones and the letters of flags join with their neighbours in some terminals only.
			b.WriteRune(utf8.RuneError)
		default:
			b.WriteRune(r) // a RuneError stands for an invalid byte
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
	if plain(s) {
		return len(s)
	}
	return ansi.StringWidth(s)
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
	if Width(s) <= w {
		return []string{s}
	}
	return strings.Split(ansi.Wrap(s, w, ""), "\n")
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
