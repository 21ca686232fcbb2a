package paint

import (
	"strings"
	"testing"
	"unicode"

	"github.com/charmbracelet/x/ansi"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"web-0":               "web-0",
		"größe 漢字":            "größe 漢字",
		"a\x1b[31mred\x1b[0m": `a\x1b[31mred\x1b[0m`,
		"a\tb\nc\rd":          `a b c\x0dd`,
		"rtl\u202eevil\u202c": `rtl\u{202e}evil\u{202c}`,
		"join\u200dme\ufe0f":  `join\u{200d}me\u{fe0f}`,
		"soft\u00adhyphen":    `soft\u{00ad}hyphen`,
		"bad\xff":             `bad\xff`,
		"c1\u009b31mx":        `c1\u{009b}31mx`,
		"\x00\x7f":            `\x00\x7f`,
		"👍🏽 🇩🇪":               `👍\u{1f3fd} \u{1f1e9}\u{1f1ea}`,
	} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestCleanLog(t *testing.T) {
	for in, want := range map[string]string{
		"GET /":                     "GET /",
		"größe 漢字　Ω":                "größe 漢字 Ω",
		"a\x1b[31mred\x1b[0m":       "ared",
		"title\x1b]0;owned\x07!":    "title!",
		"clip\x1b]52;c;aGk=\x1b\\!": "clip!",
		"a\tb\nc\rd":                "a  b c d",
		"done ✔\ufe0f":              "done ✔",
		"rtl\u202eevil":             `rtl\u{202e}evil`,
		"zero\u200bwidth":           `zero\u{200b}width`,
		"gr\xf6\xdfe":               `gr\xf6\xdfe`,
		"c1\u009b31mx\x07":          `c1\u{009b}31mx\x07`,
	} {
		if got := CleanLog(in); got != want {
			t.Errorf("CleanLog(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"web", "\x1b[2J", "漢\u202e", "\xff\xfe", "\u009d0;x\u009c", "👩‍👩‍👧"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, log := Clean(s), CleanLog(s)
		for _, r := range got + log {
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
				t.Fatalf("Clean(%q) = %q, and as a log line %q, has %U", s, got, log, r)
			}
		}
		if again := Clean(got); again != got {
			t.Fatalf("Clean(%q) = %q, and again %q", s, got, again)
		}
		if again := CleanLog(log); again != log || Clean(log) != log {
			t.Fatalf("CleanLog(%q) = %q, and again %q, as a name %q", s, log, again, Clean(log))
		}
		for _, w := range []int{0, 1, 5, 20} {
			if cut := Cut(got, w, "…"); Width(cut) > w {
				t.Fatalf("Cut(%q, %d) = %q", got, w, cut)
			}
			if cut := CutLeft(got, w, "…"); Width(cut) > w {
				t.Fatalf("CutLeft(%q, %d) = %q is %d wide", got, w, cut, Width(cut))
			}
		}
	})
}

func theme(t *testing.T, name string, d Depth, ascii bool) *Theme {
	t.Helper()
	th, err := NewTheme(name, d, ascii, true)
	if err != nil {
		t.Fatal(err)
	}
	return th
}

func TestLineIsExactlyAsWideAsItShouldBe(t *testing.T) {
	th := theme(t, "dark", TrueColor, false)
	for w := range 60 {
		l := th.Line(w).State(StateBusy, 3).Add(Strong, "名前 name").Col(Plain, "a very long cell", 8).ColRight(Dim, "42", 6).
			Bar(OK, 0.4, 10).Spark(Busy, []float64{1, 2, 3}, 3, 5).Hint("q", "leave").Right(Dim, "end")
		if got := ansi.StringWidth(l.String()); got != w {
			t.Errorf("width %d: %d: %q", w, got, l.String())
		}
		if got := ansi.StringWidth(l.Select().String()); got != w {
			t.Errorf("width %d, selected: %d", w, got)
		}
	}
}

// TestNoStateByColourAlone: every state has a sign of its own, in every theme; and where a theme has colours none of its
// states looks like plain text.
func TestNoStateByColourAlone(t *testing.T) {
	for _, name := range Names() {
		for _, ascii := range []bool{false, true} {
			th := theme(t, name, TrueColor, ascii)
			seen := map[string]State{}
			for s := StateOK; s <= StateOff; s++ {
				g := th.Glyph(s, 0)
				if other, taken := seen[g]; taken || Width(g) != 1 {
					t.Errorf("%s: %q is the sign of %d and of %d", name, g, s, other)
				}
				seen[g] = s
			}
		}
	}
}

func TestDepths(t *testing.T) {
	for _, c := range []struct {
		theme string
		depth Depth
		want  string
	}{
		{"dark", TrueColor, "\x1b[38;2;"}, {"dark", Colors256, "\x1b[38;5;"}, {"dark", Colors16, "\x1b["}, {"dark", Mono, "x"}, {"mono", TrueColor, "x"}, {"auto", TrueColor, "\x1b[36m"},
	} {
		if got := theme(t, c.theme, c.depth, false).Paint(OK, "x"); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s at %d: %q", c.theme, c.depth, got)
		}
	}
	if got := theme(t, "mono", Mono, false).Paint(Selected, "x"); !strings.HasPrefix(got, "\x1b[7m") {
		t.Errorf("without colours the cursor is %q", got)
	}
	if _, err := NewTheme("pink", Mono, false, false); err == nil {
		t.Error("a theme that does not exist")
	}
}
