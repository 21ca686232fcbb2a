package tui

import (
	"context"
	"strings"
	"time"

	"bonsai/bootstrap/kube"
	"bonsai/tui/keymap"
	"bonsai/tui/paint"
	"bonsai/tui/textview"
)

// secretShown is how long values of Secrets stay on the screen.
const secretShown = 30 * time.Second

// reveal is whether values of Secrets are shown now. They are hidden again after a while, and when they are left. They are asked for
// each time, kept nowhere else, and written to no file.
type reveal struct {
	on    bool
	until time.Time
	turn  int // counts, so that an old timer hides nothing newer
}

// show shows them for a while; hide is called when that is over.
func (r *reveal) show(u *ui, hide func()) {
	r.turn++
	turn := r.turn
	r.on, r.until = true, u.clock.now().Add(secretShown)
	u.after(secretShown, func() {
		if r.on && r.turn == turn {
			hide()
		}
	})
}

// note says how long they are still shown, or which key shows them.
func (r *reveal) note(u *ui) (paint.Role, string) {
	key := u.keyIn(u.chain(), "values.show")
	if !r.on {
		return paint.Dim, u.T("values of Secrets are hidden; %s shows them for %d s", key, int(secretShown.Seconds()))
	}
	u.clock.changesIn(time.Second)
	left := max(0, r.until.Sub(u.clock.now()))
	return paint.Warn, u.T("values of Secrets are shown for another %d s; %s hides them", int(left.Round(time.Second).Seconds()), key)
}

// secrets is a text that may have values of Secrets in it.
type secrets struct {
	*textTab
	reveal  reveal
	visible bool
	// some says that there is something to show, again reads all of it.
	some  bool
	again func()
}

func (t *secrets) contexts() []keymap.Context {
	return append([]keymap.Context{keymap.Values}, t.textTab.contexts()...)
}

func (t *secrets) show() {
	t.visible = true
	t.again()
}

func (t *secrets) hide() {
	t.visible = false
	t.cover()
}

func (t *secrets) changed() { t.again() }

// cover hides what is shown, and forgets it.
func (t *secrets) cover() {
	if t.reveal.on {
		t.reveal.on = false
		t.known = false
		t.view.SetText(nil)
		if t.visible {
			t.again()
		}
		t.u.touch()
	}
}

func (t *secrets) act(id string) bool {
	switch {
	case id == "values.show" && t.reveal.on:
		t.cover()
	case id == "values.show" && !t.some:
		t.u.toast.say(paint.Dim, t.u.T("there are no values of Secrets here"))
	case id == "values.show":
		t.reveal.show(t.u, t.cover)
		t.again()
	case id == "text.save" && t.reveal.on:
		t.u.toast.say(paint.Warn, t.u.T("values of Secrets are not saved to a file"))
	default:
		return t.textTab.act(id)
	}
	return true
}

func (t *secrets) hints() []hint {
	ids := []string{"text.filter", "text.wrap", "text.copy"}
	if t.some {
		ids = append([]string{"values.show"}, ids...)
	}
	return t.hintsOf(ids...)
}

func (t *secrets) draw(w, h int) []string {
	if !t.some || h < 4 {
		return t.textTab.draw(w, h)
	}
	role, text := t.reveal.note(t.u)
	return append([]string{t.u.line(w).Add(paint.Plain, " ").Add(role, text).String()}, t.textTab.draw(w, h-1)...)
}

func (t *secrets) click(x, y int) {
	if t.some {
		y--
	}
	t.textTab.click(x, y)
}

// askValues reads what is shown; an answer that comes after the values were hidden is dropped.
func askValues[T any](t *secrets, ask func(ctx context.Context, reveal bool) (T, error), lines func(T) []textview.Line) {
	t.asking.run(func(done func()) {
		on, turn := t.reveal.on, t.reveal.turn
		fetch(t.u, func(ctx context.Context) (T, error) { return ask(ctx, on) }, func(v T, err error) {
			defer done()
			if on != t.reveal.on || turn != t.reveal.turn {
				t.asking.again = true
				return
			}
			if t.err = err; err == nil {
				t.known = true
				t.view.SetText(lines(v))
			}
		})
	})
}

// valuesTab lists the entries of a Secret or ConfigMap.
type valuesTab struct {
	secrets
	ref kube.Ref
}

func newValuesTab(u *ui, ref kube.Ref) *valuesTab {
	t := &valuesTab{ref: ref, secrets: secrets{textTab: newTextTab(u, ref.Name+"-values", nil), some: ref.Type.Resource == "secrets"}}
	t.again = func() {
		askValues(&t.secrets, func(ctx context.Context, reveal bool) ([]kube.Value, error) {
			return u.session.Values(ctx, ref, reveal)
		}, t.lines)
	}
	return t
}

// hasValues says that objects of a type are entries with values.
func hasValues(t kube.ResourceType) bool {
	return t.Group == "" && (t.Resource == "secrets" || t.Resource == "configmaps")
}

func needsValues(u *ui, s *subject) string {
	if !hasValues(s.ref.Type) {
		return u.T("only Secrets and ConfigMaps have values")
	}
	return ""
}

func (t *valuesTab) lines(list []kube.Value) []textview.Line {
	u := t.u
	var r rich
	for i, v := range list {
		if i > 0 {
			r.end()
		}
		r.add(paint.Accent, v.Key).add(paint.Dim, "  "+size(uint64(v.Size))).end()
		switch {
		case v.Hidden:
			r.add(paint.Dim, "  "+hiddenValue).end()
		case v.Binary:
			r.add(paint.Dim, "  "+u.T("not a text")).end()
		default:
			for line := range strings.SplitSeq(strings.TrimRight(v.Text, "\n"), "\n") {
				r.add(paint.Plain, "  "+line).end()
			}
		}
	}
	if len(list) == 0 {
		r.add(paint.Dim, u.T("it has no values")).end()
	}
	return r.lines
}

// hiddenValue stands for a value that is not shown, whatever its length.
const hiddenValue = "********"
