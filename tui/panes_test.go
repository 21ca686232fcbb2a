package tui

import (
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

// widePods is the list of pods where there is room for panes, with the cursor on the pod that fails.
func widePods(t *testing.T) (*rig, *panes) {
	t.Helper()
	r := newRig(t, shop(), 180, 50)
	r.keys("3", "/", `"x2k"`, "enter")
	r.shows("POD ", "LOGS ", "starting cart", "cart:1.4.2")
	p, ok := r.u.frame().(*panes)
	if !ok {
		t.Fatalf("the screen of pods is %T", r.u.frame())
	}
	return r, p
}

func TestPanesFollowTheCursor(t *testing.T) {
	r, _ := widePods(t)
	r.keys("esc", "/", `"lm2"`, "enter")
	r.until("the other pod", func(s string) bool {
		return strings.Contains(s, "shop/web-9cc6f-lm2") && !strings.Contains(s, "shop/cart-7d9f4-x2k")
	})
}

func TestPanesWaitForTheCursorToRest(t *testing.T) {
	now := fakeNow
	r := newRig(t, shop(), 180, 50, func(o *Options) { o.Now = func() time.Time { return now } })
	r.u.restFor = restFor
	r.keys("3")
	r.shows("LOGS ")
	p := r.u.frame().(*panes)
	first := p.about
	r.keys("j")
	r.screen()
	if p.about != first {
		t.Fatal("an object is read while the cursor moves")
	}
	now = now.Add(restFor / 2)
	r.keys("j")
	r.screen()
	now = now.Add(restFor * 3 / 4)
	r.screen()
	if p.about != first {
		t.Fatal("the cursor has not rested on this object for long enough")
	}
	now = now.Add(restFor / 4)
	r.screen()
	if list := p.list.subjects(); p.about == first || p.about != list[0].ref.Key() {
		t.Fatalf("the cursor rests, and %q is shown", p.about)
	}
}

func TestPanesHaveTheKeysInTurn(t *testing.T) {
	r, p := widePods(t)
	for _, want := range []int{1, 2, 0} {
		if r.keys("tab"); p.focus != want {
			t.Fatalf("the keys are with pane %d, want %d", p.focus, want)
		}
	}
	r.keys("shift+tab")
	if _, ok := r.u.page().(*logsPage); !ok {
		t.Fatalf("the keys are with %T", r.u.page())
	}
	// In the log, keys of lists that mean nothing in a text are for the pod; those that mean something are the log's.
	r.keys("y")
	r.shows("kind: Pod")
	r.keys("w", "delete")
	r.shows("Cancel", "cart-7d9f4-x2k")
	r.keys("esc", "esc")
	if p.focus != 0 || r.u.frame() != page(p) {
		t.Errorf("esc gave the keys to pane %d", p.focus)
	}
	r.keys("enter")
	if _, ok := r.u.frame().(*subjectPage); !ok {
		t.Errorf("enter opened %T", r.u.frame())
	}
}

func TestPanesChangeTheirSize(t *testing.T) {
	r, p := widePods(t)
	const w = 180
	for _, c := range []struct {
		key    string
		widths [3]int
	}{
		{"z", [3]int{w, 0, 0}}, {"tab", [3]int{0, w, 0}}, {"tab", [3]int{0, 0, w}}, {"tab", [3]int{w, 0, 0}},
		{"z", [3]int{71, 53, 50}}, {">", [3]int{88, 43, 43}}, {"tab", [3]int{43, 88, 43}}, {"<", [3]int{69, 55, 50}},
	} {
		r.keys(c.key)
		if got := [3]int(p.widths(w)); got != c.widths {
			t.Errorf("after %s the widths are %v, want %v", c.key, got, c.widths)
		}
		r.frame(180, 50)
	}
	r.send(tea.WindowSizeMsg{Width: 120, Height: 40})
	r.frame(120, 40)
	if len(p.sides) != 0 || r.u.page() != page(p.list) {
		t.Error("a terminal that has become small still has panes")
	}
	r.send(tea.WindowSizeMsg{Width: 180, Height: 50})
	r.shows("LOGS ", "starting cart")
}

func TestPanesKnowTheMouse(t *testing.T) {
	r, p := widePods(t)
	click := func(x, y int) {
		r.send(tea.MouseMsg{X: x, Y: y, Button: tea.MouseButtonLeft, Action: tea.MouseActionPress})
	}
	click(100, 20)
	if p.focus != 1 {
		t.Errorf("a click on the object gives the keys to pane %d", p.focus)
	}
	click(170, 20)
	if p.focus != 2 {
		t.Errorf("a click on the log gives the keys to pane %d", p.focus)
	}
	click(5, 4)
	if p.focus != 0 {
		t.Errorf("a click on the list gives the keys to pane %d", p.focus)
	}
}
