package learn

import (
	"strings"
	"unicode/utf8"
)

func firstRune(s string) rune { r, _ := utf8.DecodeRuneInString(s); return r }
func lastRune(s string) rune  { r, _ := utf8.DecodeLastRuneInString(s); return r }

// wide reports whether a character takes two columns: those of Chinese, and its punctuation.
func wide(r rune) bool {
	return r >= 0x1100 && r <= 0x115f || r >= 0x2e80 && r <= 0xa4cf || r >= 0xac00 && r <= 0xd7a3 || r >= 0xf900 && r <= 0xfaff ||
		r >= 0xfe30 && r <= 0xfe6f || r >= 0xff00 && r <= 0xff60 || r >= 0xffe0 && r <= 0xffe6 || r >= 0x20000 && r <= 0x3fffd
}

// Width is how many columns a text takes in a terminal.
func Width(s string) int {
	n := 0
	for _, r := range s {
		n++
		if wide(r) {
			n++
		}
	}
	return n
}

// noStart are characters with which no line begins.
const noStart = "，。、：；！？）》」』”’…,.:;!?)"

// Wrap breaks a paragraph into lines of that many columns. Code between backticks is not broken, so that it can be copied; a
// word that is too long has a line of its own.
func Wrap(text string, columns int) []string {
	var lines []string
	var line strings.Builder
	used := 0
	space := false
	for _, piece := range pieces(text) {
		if piece == " " {
			space = used > 0
			continue
		}
		width := Width(piece)
		gap := 0
		if space {
			gap = 1
		}
		if used > 0 && used+gap+width > columns && !strings.ContainsRune(noStart, firstRune(piece)) {
			lines = append(lines, line.String())
			line.Reset()
			used, gap = 0, 0
		}
		line.WriteString(strings.Repeat(" ", gap))
		line.WriteString(piece)
		used, space = used+gap+width, false
	}
	if used > 0 {
		lines = append(lines, line.String())
	}
	return lines
}

// pieces cuts a text where lines may be broken: " ", words, code with its backticks, single wide characters.
func pieces(text string) []string {
	var all []string
	var word strings.Builder
	code := false
	flush := func() {
		if word.Len() > 0 {
			all = append(all, word.String())
			word.Reset()
		}
	}
	for _, r := range text {
		switch {
		case r == '`':
			word.WriteRune(r)
			code = !code
		case code:
			word.WriteRune(r)
		case r == ' ':
			flush()
			all = append(all, " ")
		case wide(r):
			flush()
			all = append(all, string(r))
		default:
			word.WriteRune(r)
		}
	}
	flush()
	return all
}
