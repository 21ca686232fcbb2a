// Package termsafe makes text from a cluster (names, reasons, log lines) harmless for a terminal: nothing in it can
// move the cursor, set a title, reverse the reading direction, or be invisible.
//
// String is for one value inside a line, LogLine for a line of a log, Typed for input, Quote for one argument of a command that people
// copy, Writer for whole streams.
package termsafe

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// String returns s with every character that a terminal would interpret or that a reader would not see written as \xNN
// or \u{NNNN}, and line breaks and tabs replaced by spaces.
func String(s string) string {
	if strings.IndexFunc(s, escaped) < 0 {
		return s
	}
	return replaced(s, func(r rune) (string, bool) { return " ", r == '\n' || r == '\t' })
}

// LogLine is String for a line that a program wrote for people: what only lays text out is replaced by spaces, and the
// variation selectors after emoji are omitted. Escape sequences have to be removed first where they are not worth a look.
func LogLine(s string) string {
	if strings.IndexFunc(s, escaped) < 0 {
		return s
	}
	return replaced(s, func(r rune) (string, bool) {
		if r == '\uFE0E' || r == '\uFE0F' {
			return "", true
		}
		return layout(r)
	})
}

// Typed is LogLine for text that a person enters or pastes: what would not be seen is omitted.
func Typed(s string) string {
	return replaced(s, func(r rune) (string, bool) {
		text, _ := layout(r)
		return text, true
	})
}

// layout is what stands for a character that only lays text out, as spaces of a log line.
func layout(r rune) (string, bool) {
	switch {
	case r == '\t':
		return "  ", true
	case r == '\n', r == '\r', unicode.In(r, unicode.Zs, unicode.Zl, unicode.Zp):
		return " ", true
	}
	return "", false
}

// Escape is how String shows a character that cannot be shown as itself.
func Escape(r rune) string {
	if r < utf8.RuneSelf {
		return fmt.Sprintf(`\x%02x`, r)
	}
	return fmt.Sprintf(`\u{%04x}`, r)
}

// JSON returns valid JSON that says the same and in which everything that String would escape is escaped as JSON does.
func JSON(text []byte) []byte {
	hidden := func(r rune) bool { return r >= 0x7f && escaped(r) }
	if bytes.IndexFunc(text, hidden) < 0 {
		return text
	}
	var out []byte
	for _, r := range string(text) {
		if !hidden(r) {
			out = utf8.AppendRune(out, r)
			continue
		}
		for _, u := range utf16.Encode([]rune{r}) {
			out = fmt.Appendf(out, `\u%04x`, u)
		}
	}
	return out
}

// replaced is s with escapes, but for the characters that other replaces.
func replaced(s string, other func(rune) (string, bool)) string {
	var b strings.Builder
	b.Grow(len(s) + 16)
	for i, r := range s {
		if !escaped(r) {
			b.WriteRune(r)
		} else if r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD") {
			fmt.Fprintf(&b, `\x%02x`, s[i])
		} else if text, ok := other(r); ok {
			b.WriteString(text)
		} else {
			b.WriteString(Escape(r))
		}
	}
	return b.String()
}

// escaped reports whether a character is not shown as itself: controls, characters that reorder text (Cf), other spaces
// than the usual one, invisible characters, and the replacement character, which stands for invalid bytes. Letters and
// symbols of all languages, and combining accents, are shown.
func escaped(r rune) bool {
	if r < utf8.RuneSelf {
		return r < 0x20 || r == 0x7f
	}
	switch {
	case r >= 0x4E00 && r <= 0x9FFF: // Han; the tables take a while
		return false
	case r == utf8.RuneError, !unicode.IsPrint(r):
		return true
	case r == '\u2800': // a Braille sign without dots
		return true
	}
	return unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// Writer passes text on to w with a '?' in place of each control character except line feed and tab. It keeps one byte
// of state between writes and is not safe for concurrent use.
func Writer(w io.Writer) io.Writer { return &writer{w: w} }

type writer struct {
	w    io.Writer
	lead bool // the last byte was 0xC2, the first byte of the controls U+0080 to U+009F in UTF-8
}

func (w *writer) Write(p []byte) (int, error) {
	clean := make([]byte, len(p))
	for i, c := range p {
		control := c < 0x20 && c != '\n' && c != '\t' || c == 0x7f || w.lead && c >= 0x80 && c < 0xa0
		w.lead = c == 0xc2
		if clean[i] = c; control {
			clean[i] = '?'
		}
	}
	if _, err := w.w.Write(clean); err != nil {
		return 0, err
	}
	return len(p), nil
}
