package termsafe

import (
	"strings"
	"testing"
)

func TestStringSpellsOutWhatATerminalWouldObey(t *testing.T) {
	for in, want := range map[string]string{
		"nginx:alpine":       "nginx:alpine",
		"größe 漢":            "größe 漢",
		"a\x1b[2Jb":          `a\x1b[2Jb`,
		"title\x1b]0;x\x07":  `title\x1b]0;x\x07`,
		"c1 \u009b31m":       `c1 \u{009b}31m`,
		"rtl \u202egnp.exe":  `rtl \u{202e}gnp.exe`,
		"two\nlines\tand\rc": `two lines and\x0dc`,
		"bad \xff byte":      `bad \xff byte`,
		"sign \uFFFD":        `sign \u{fffd}`,
	} {
		if got := String(in); got != want {
			t.Errorf("String(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestWriterKeepsLinesAndNothingElse(t *testing.T) {
	var b strings.Builder
	w := Writer(&b)
	// The escape sequence and the two-byte control are cut in the middle.
	for _, chunk := range []string{"one\ttwo\n\x1b", "[31mred\xc2", "\x9b\r\nend ä"} {
		if n, err := w.Write([]byte(chunk)); n != len(chunk) || err != nil {
			t.Fatalf("Write(%q) = %d, %v", chunk, n, err)
		}
	}
	if got, want := b.String(), "one\ttwo\n?[31mred\xc2??\nend ä"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
