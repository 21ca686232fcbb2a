// Package termsafe makes text that comes out of a cluster (names, reasons, log lines) harmless for a terminal:
// nothing in it can move the cursor, set a title, or turn the reading direction around.
//
// String is for one value inside a line, Writer for whole streams.
package termsafe

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// String returns s with every control, formatting and invalid character spelled out as \xNN or \u{NNNN}, and
// line breaks and tabs turned into spaces.
func String(s string) string {
	if strings.IndexFunc(s, unsafe) < 0 {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == '\n' || r == '\t':
			b.WriteByte(' ')
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r < 0x80 && unsafe(r):
			fmt.Fprintf(&b, `\x%02x`, r)
		case unsafe(r):
			fmt.Fprintf(&b, `\u{%04x}`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// unsafe also names the replacement character, so that invalid bytes are looked at. Format characters (Cf)
// include the ones that reorder text.
func unsafe(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == utf8.RuneError
}

// Writer passes text on to w with a '?' in place of each control character but line feed and tab. It keeps one
// byte of state between writes and is not safe for concurrent use.
func Writer(w io.Writer) io.Writer { return &writer{w: w} }

type writer struct {
	w    io.Writer
	lead bool // the last byte was 0xC2, with which the UTF-8 form of the controls U+0080 to U+009F begins
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
