package termsafe

import (
	"encoding/json"
	"reflect"
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
		"zero\u200bwidth":    `zero\u{200b}width`,
		"a\u00a0b\u3000c":    `a\u{00a0}b\u{3000}c`,
		"fill\u3164er\u2800": `fill\u{3164}er\u{2800}`,
		"vs\ufe0f \u2028":    `vs\u{fe0f} \u{2028}`,
		"tag\U000e0041":      `tag\u{e0041}`,
		"é e\u0301":          "é e\u0301",
	} {
		if got := String(in); got != want {
			t.Errorf("String(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestLogLineAndTyped(t *testing.T) {
	for in, want := range map[string][2]string{
		"größe 漢字":           {"größe 漢字", "größe 漢字"},
		"a\tb\rc\nd":         {"a  b c d", "a  b c d"},
		"a\u00a0b\u3000c":    {"a b c", "a b c"},
		"✔\ufe0f ok":         {"✔ ok", "✔ ok"},
		"rtl\u202ex\u200b":   {`rtl\u{202e}x\u{200b}`, "rtlx"},
		"bell\x07 \x1b[2J":   {`bell\x07 \x1b[2J`, "bell [2J"},
		"gr\xf6\xdfe \uFFFD": {`gr\xf6\xdfe \u{fffd}`, `gr\xf6\xdfe `},
	} {
		if got := LogLine(in); got != want[0] {
			t.Errorf("LogLine(%q) = %q, want %q", in, got, want[0])
		}
		if got := Typed(in); got != want[1] {
			t.Errorf("Typed(%q) = %q, want %q", in, got, want[1])
		}
	}
}

func TestJSONHidesNothing(t *testing.T) {
	in := "{\n  \"a\": \"größe 漢 \u202e\u200b\U000e0041\x7f\"\n}\n"
	want := "{\n  \"a\": \"größe 漢 " + `\u202e\u200b\udb40\udc41\u007f` + "\"\n}\n"
	if got := string(JSON([]byte(in))); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var before, after any
	if json.Unmarshal([]byte(in), &before) != nil || json.Unmarshal([]byte(want), &after) != nil || !reflect.DeepEqual(before, after) {
		t.Errorf("%v became %v", before, after)
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

func TestQuoteIsWhatIsShown(t *testing.T) {
	for in, want := range map[string]string{
		"web-1_a.b/c:d@e,f+g%h=i": "web-1_a.b/c:d@e,f+g%h=i",
		"":                        "''",
		"a b":                     "'a b'",
		"it's":                    `'it'\''s'`,
		"=ls":                     "'=ls'",
		"~":                       "'~'",
		"größe":                   "'größe'",
		"x\u202ey":                `"$(printf 'x\342\200\256y')"`,
		"-%\\'!\x1b":              `"$(printf '\055%%\\\047\041\033')"`,
		"bad \xff":                `"$(printf 'bad \377')"`,
		"\x00-a":                  "-a",
	} {
		got := Quote(in)
		if got != want {
			t.Errorf("Quote(%q) = %s, want %s", in, got, want)
		}
		if String(got) != got {
			t.Errorf("Quote(%q) is shown as %s", in, String(got))
		}
	}
}
