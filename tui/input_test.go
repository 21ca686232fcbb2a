package tui

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"bonsai/tui/paint"
)

// typeIn gives keys to an input: names of keys, and words in quotes.
func typeIn(t *testing.T, i *input, keys ...string) {
	t.Helper()
	for _, k := range keys {
		if text, ok := strings.CutPrefix(k, `"`); ok {
			for _, c := range strings.TrimSuffix(text, `"`) {
				i.key(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{c}})
			}
			continue
		}
		if rest, ok := strings.CutPrefix(k, "alt+"); ok && len(rest) == 1 {
			i.key(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(rest), Alt: true})
			continue
		}
		i.key(keyMsg(t, k))
	}
}

func TestInputEdits(t *testing.T) {
	r := newRig(t, healthy(), 80, 24)
	for name, c := range map[string]struct {
		text string
		keys []string
		want string // with | where the cursor is
	}{
		"at the end":               {"ab", []string{`"c"`}, "abc|"},
		"in the middle":            {"ac", []string{"left", `"b"`}, "ab|c"},
		"at the beginning":         {"bc", []string{"home", `"a"`}, "a|bc"},
		"and back to the end":      {"ab", []string{"home", "end", `"c"`}, "abc|"},
		"a space":                  {"ab", []string{"left", " "}, "a |b"},
		"no further than the ends": {"a", []string{"left", "left", "right", "right", "right"}, "a|"},
		"words to the left":        {"get pods web", []string{"ctrl+left", "alt+b"}, "get |pods web"},
		"a word to the right":      {"get pods web", []string{"home", "alt+f"}, "get| pods web"},
		"backspace":                {"abc", []string{"left", "backspace"}, "a|c"},
		"what others send for it":  {"abc", []string{"left", "ctrl+h"}, "a|c"},
		"delete":                   {"abc", []string{"home", "delete"}, "|bc"},
		"nothing to delete":        {"", []string{"backspace", "delete", "ctrl+w", "ctrl+u", "ctrl+k"}, "|"},
		"cut a word":               {"get pods web", []string{"ctrl+w"}, "get pods |"},
		"cut the word ahead":       {"get pods web", []string{"home", "alt+d"}, "| pods web"},
		"cut the last character":   {"ab", []string{"left", "alt+d"}, "a|"},
		"cut the end of a word":    {"ab cd", []string{"home", "right", "alt+d"}, "a| cd"},
		"cut blanks ahead":         {"ab  ", []string{"left", "left", "alt+d", "left", "ctrl+y"}, "a  |b"},
		"cut to the begin":         {"get pods web", []string{"ctrl+left", "ctrl+u"}, "|web"},
		"cut to the end":           {"get pods web", []string{"home", "alt+f", "ctrl+k"}, "get|"},
		"move a word":              {"pods get ", []string{"home", "alt+d", "end", "ctrl+y"}, " get pods|"},
		"insert twice":             {"ab", []string{"ctrl+u", "ctrl+y", "ctrl+y"}, "abab|"},
		"one character is not cut": {"ab", []string{"ctrl+u", "ctrl+y", "backspace", "ctrl+y"}, "aab|"},
		"wide characters":          {"购物车", []string{"left", "left", "backspace"}, "|物车"},
		"two code points":          {"e\u0301x", []string{"left", "left", `"a"`}, "a|e\u0301x"},
		"deleted as one":           {"xe\u0301", []string{"backspace"}, "x|"},
		"deleted as one, ahead":    {"e\u0301x", []string{"home", "delete"}, "|x"},
		"keys of others":           {"ab", []string{"f1", "pgdown", "alt+x", "ctrl+t"}, "ab|"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newInput(r.u, c.text)
			typeIn(t, &i, c.keys...)
			before, after := i.parts()
			if got := before + "|" + after; got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestInputMakesOneHarmlessLineOfWhatIsPasted(t *testing.T) {
	r := newRig(t, healthy(), 80, 24)
	for text, want := range map[string]string{
		"get pods\r-A\r":               "get pods -A",
		"one\r\ntwo\nthree\n\n":        "one two three",
		"tab\there":                    "tab  here",
		"\x1b[31mred\x1b[0m\x07":       "red",
		"购物车 \u202eabc":                "购物车 abc",
		strings.Repeat("x", 3_000_000): strings.Repeat("x", mostTyped),
	} {
		i := newInput(r.u, "")
		i.key(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(text), Paste: true})
		if i.text() != want {
			t.Errorf("%.40q became %.40q of %d", text, i.text(), len(i.text()))
		}
	}
	// A line end that was pasted does not end a prompt.
	r.keys("3", ":")
	r.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("nodes\r"), Paste: true})
	r.shows("[3 Pods]", ":nodes")
	r.keys("enter")
	r.shows("[2 Nodes]")
}

// TestInputIsDrawnAroundItsCursor: in any width, with the cursor anywhere in any text, the picture is as wide as the
// terminal at most and has the character under the cursor.
func TestInputIsDrawnAroundItsCursor(t *testing.T) {
	r := newRig(t, healthy(), 80, 24)
	for _, text := range []string{"", "a", "get pods --namespace shop", strings.Repeat("购物车漢字", 12), "e\u0301e\u0301 " + strings.Repeat("mixed 购物 ", 9)} {
		i := newInput(r.u, text)
		for n := 0; ; n++ {
			for _, w := range []int{3, 4, 7, 20, 39, 40, 80} {
				l := r.u.theme.Line(w)
				i.draw(l, w, paint.Plain, "ghost")
				line := l.String()
				if got := ansi.StringWidth(line); got != w {
					t.Fatalf("%q at %d is %d wide: %q", text, w, got, line)
				}
				_, after := i.parts()
				under := character(after + "g") // of the ghost
				if !strings.Contains(line, "\x1b[7m"+under) {
					t.Fatalf("%q at %d, %d from its end, does not show %q: %q", text, w, n, under, line)
				}
			}
			if before, _ := i.parts(); before == "" {
				break
			}
			typeIn(t, &i, "left")
		}
	}
}

func TestNarrowPromptsShowWhatIsTyped(t *testing.T) {
	r := newRig(t, shop(), 40, 12)
	r.keys("3", "/", `"a very long filter for the carts of 购物车"`)
	r.frame(40, 12)
	r.shows("购物车")
	r.keys("home")
	r.frame(40, 12)
	r.shows("/a very long filter")
	r.keys("esc", "ctrl+k", `"nothing at all has such a long name"`, "ctrl+left")
	r.frame(40, 12)
	r.shows("long name")
	r.keys("esc", "2", "D", `"dev-1 or whatever this is"`, "home")
	r.frame(40, 12)
	r.shows("dev-1 o")
}

func TestPromptsRecallWhatWasTyped(t *testing.T) {
	r := newRig(t, shop(), 100, 24)
	prompt := func(want string) {
		t.Helper()
		if got := r.u.prompt.input.text(); got != want {
			t.Errorf("the prompt has %q, want %q", got, want)
		}
	}
	r.keys("3")
	for _, text := range []string{"web", "cart", "web"} {
		r.keys("/", "ctrl+u", `"`+text+`"`, "enter")
	}
	r.keys("/", "ctrl+u", `"new"`, "up")
	prompt("web")
	r.shows("1/2 (8)") // the list follows
	r.keys("up")
	prompt("cart")
	r.keys("up", "up")
	prompt("cart")
	r.keys("down", "down")
	prompt("new")
	r.keys("down")
	prompt("new")
	// What was recalled can be edited, and is the newest then.
	r.keys("up", "up", `"x"`, "up")
	prompt("web")
	r.keys("down")
	prompt("cartx")
	r.keys("esc")
	// Every kind has a history of its own.
	r.keys(":", "up")
	prompt("")
	r.keys(`"nodes"`, "enter", ":", "up")
	prompt("nodes")
	r.keys("ctrl+u", `"no"`, "tab")
	prompt("nodes")
	r.keys("esc")

	for n := range 3 * mostRecalled {
		r.u.typed.add("kind", fmt.Sprint(n))
	}
	r.u.typed.add("kind", "  ")
	if list := r.u.typed["kind"]; len(list) != mostRecalled || list[len(list)-1] != fmt.Sprint(3*mostRecalled-1) {
		t.Errorf("%d are kept, the newest is %q", len(list), list[len(list)-1])
	}
}

func TestMenusAndQuestionsAreTypedIntoLikePrompts(t *testing.T) {
	r := newRig(t, shop(), 100, 24)
	r.keys("3", "ctrl+k", `"cale"`, "home", `"s"`)
	r.shows("> scale")
	r.keys("ctrl+k", `"tart"`, "home", `"re"`)
	if got := r.u.dialogs[0].(*menu).input.text(); got != "restart" {
		t.Errorf("the query is %q", got)
	}
	r.keys("esc", "2", "D", `"ev-1"`, "home", `"d"`, "enter")
	r.until("it drains", func(string) bool { return len(r.u.dialogs) == 0 })
	if !slices.ContainsFunc(r.u.actions.entries, func(e *actionEntry) bool { return strings.Contains(e.command, "drain dev-1") }) {
		t.Errorf("nothing drains")
	}
}

// TestKeysOfTheInputAreTheUsers: the file of keys counts for them, too.
func TestKeysOfTheInputAreTheUsers(t *testing.T) {
	r := newRig(t, shop(), 100, 24, func(o *Options) { o.Keys = []byte("input.home: ctrl-t\nprompt.older: ctrl-g") })
	r.keys("3", "/", `"eb"`, "ctrl+t", `"w"`, "home", "enter")
	r.shows("/web")
	r.keys("/", "ctrl+u", "ctrl+g")
	r.shows("/web")
}
