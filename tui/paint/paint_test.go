package paint

import (
	"strings"
	"testing"
	"unicode"

	"github.com/charmbracelet/x/ansi"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"web-0":                     "web-0",
		"größe 漢字":                  "größe 漢字",
		"a\x1b[31mred\x1b[0m":       "ared",
		"title\x1b]0;owned\x07!":    "title!",
		"clip\x1b]52;c;aGk=\x1b\\!": "clip!",
		"a\tb\nc\rd":                "a  b cd",
		"rtl\u202eevil\u202c":       "rtlevil",
		"join\u200dme\ufe0f":        "joinme",
		"bad\xff":                   "bad\ufffd",
		"c1\u009b31mx":              "c131mx",
		"\x00\x7f":                  "",
	} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"web", "\x1b[2J", "漢\u202e", "\xff\xfe", "\u009d0;x\u009c", "👩‍👩‍👧"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Clean(s)
		for _, r := range got {
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
				t.Fatalf("Clean(%q) = %q has %U", s, got, r)
			}
		}
		if again := Clean(got); again != got {
			t.Fatalf("Clean(%q) = %q, and again %q", s, got, again)
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
