package tui

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"bonsai/tui/keymap"
	"bonsai/tui/paint"
	"bonsai/tui/textview"
)

// textPane is text as a part of a page: what all text has in common, whether it is a log or YAML.
type textPane struct {
	u    *ui
	view *textview.View
	// what names the text, for the file that it is saved to.
	what string
	// narrowed says to which source it is narrowed down; empty for none.
	narrowed string
}

func (t *textPane) filterText() string   { return t.view.Search() }
func (t *textPane) filterPrompt() string { return "/" }

func (t *textPane) setFilter(text string) {
	t.view.SetSearch(text)
	t.u.touch()
}

func (t *textPane) click(_, y int) { t.view.Click(y) }
func (t *textPane) wheel(rows int) { t.view.Scroll(rows) }

// back clears the filter; a search is cleared first.
func (t *textPane) back() bool {
	if t.view.Search() == "" && t.view.Filter() != "" {
		t.view.SetFilter("")
		return true
	}
	return false
}

func (t *textPane) contexts() []keymap.Context { return t.contextsOf(keymap.Lines) }

// contextsOf are those of a kind of text, and those that count while something is searched.
func (t *textPane) contextsOf(c keymap.Context) []keymap.Context {
	if t.view.Search() != "" {
		return []keymap.Context{keymap.Search, c}
	}
	return []keymap.Context{c}
}

// act carries out what every text does alike.
func (t *textPane) act(id string) bool {
	v := t.view
	switch id {
	case "text.down":
		v.Move(1)
	case "text.up":
		v.Move(-1)
	case "text.top":
		v.Top()
	case "text.bottom":
		v.Bottom()
	case "text.page.down":
		v.Page(1)
	case "text.page.up":
		v.Page(-1)
	case "text.left":
		v.Right(-1)
	case "text.right":
		v.Right(1)
	case "text.next", "text.prev":
		if v.Search() == "" {
			return false
		}
		by := 1
		if id == "text.prev" {
			by = -1
		}
		if !v.NextMatch(by) {
			t.u.toast.say(paint.Warn, t.u.T("%q was not found", v.Search()))
		}
	case "text.filter":
		t.beginFilter()
	case "text.pause":
		v.Pause()
	case "text.wrap":
		v.ToggleWrap()
	case "text.time":
		v.Times = (v.Times + 1) % (textview.None + 1)
	case "text.raw":
		v.ToggleRaw()
	case "text.prev.run", "text.next.run":
		by := 1
		if id == "text.prev.run" {
			by = -1
		}
		if !v.NextRun(by) {
			t.u.toast.say(paint.Dim, t.u.T("there is no other run"))
		}
	case "text.copy":
		if l, ok := v.Current(); ok {
			t.u.copy(strings.TrimSpace(l.Text))
		}
	case "text.save":
		t.save()
	case "text.expand":
		t.expand()
	default:
		return false
	}
	return true
}

// hintsOf are the actions of a text that are worth a word: those given, and the next match while something is searched.
func (t *textPane) hintsOf(ids ...string) []hint {
	if t.view.Search() != "" {
		return append(hintsOf("text.next"), hintsOf(ids...)...)
	}
	return hintsOf(ids...)
}

func (t *textPane) beginFilter() {
	set := func(text string) {
		t.view.SetFilter(text)
		t.u.touch()
	}
	t.u.openPrompt(&prompt{label: "&", kind: "lines", changed: set, done: set, canceled: func() { set("") }}, t.view.Filter())
}

// expand shows the whole line under the cursor: JSON over several lines.
func (t *textPane) expand() {
	l, ok := t.view.Current()
	if !ok {
		return
	}
	title := strings.Trim(l.Source.Place()+"/"+l.Source.Container, "/")
	if !l.Time.IsZero() {
		title = strings.TrimSpace(l.Time.In(t.u.clock.now().Location()).Format("15:04:05.000") + "  " + title)
	}
	box, width := &textBox{u: t.u, title: title}, max(20, min(100, t.u.width-8))
	text := l.Text
	var out bytes.Buffer
	if json.Indent(&out, []byte(strings.TrimSpace(text)), "", "  ") == nil {
		text = out.String()
	}
	for part := range strings.SplitSeq(text, "\n") {
		for _, row := range paint.Wrap(part, width) {
			box.lines = append(box.lines, t.u.theme.Line(width).Add(paint.Plain, row).String())
		}
	}
	t.u.open(box)
}

// save writes what is shown to a file.
func (t *textPane) save() {
	lines := t.view.Shown()
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '-'
	}, t.what)
	path := filepath.Join(t.u.opts.SaveDir, fmt.Sprintf("%s-%s-%s.log", t.u.session.Name(), name, t.u.clock.now().Format("20060102-150405")))
	t.u.work(t.u.T("save %d lines", len(lines)), func(context.Context, func(string)) error {
		var b bytes.Buffer
		for i := range lines {
			b.WriteString(lines[i].Export())
			b.WriteByte('\n')
		}
		if abs, err := filepath.Abs(path); err == nil {
			path = abs // the user may look for it from elsewhere
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		return os.WriteFile(path, b.Bytes(), 0o600)
	}, func(err error) {
		if err != nil {
			t.u.fail(err)
			return
		}
		t.u.toast.say(paint.OK, t.u.T("saved %d lines: %s", len(lines), path))
	})
}

// drawText draws the text, and a line below it that says what is shown of it.
func (t *textPane) drawText(w, h int, pale bool) []string {
	u := t.u
	lines := t.view.Draw(textview.Look{
		Theme: u.theme, Age: u.clock.age, Zone: u.clock.now().Location(), Pale: pale,
		Dropped: func(n int64) string { return u.T("%s older lines were dropped", thousands(n)) },
	}, w, h-1)
	return append(lines, t.strip(w))
}

// strip says what is searched and filtered, whether the end is followed, and how lines are shown.
func (t *textPane) strip(w int) string {
	u, v := t.u, t.view
	l := u.theme.Line(w).Add(paint.Plain, " ")
	if text := v.Search(); text != "" {
		at, of := v.Match()
		found, role := u.T("%d of %d", at, of), paint.Strong
		switch {
		case of == 0:
			found, role = u.T("not found"), paint.Warn
		case at == 0:
			found = u.T("%d lines", of)
		}
		l.Add(paint.Key, "/").Add(paint.Plain, paint.Cut(paint.Clean(text), 24, u.theme.Glyphs.More)).Add(role, "  "+found+"   ")
	}
	if text := v.Filter(); text != "" {
		l.Add(paint.Key, "&").Add(paint.Plain, paint.Cut(paint.Clean(text), 24, u.theme.Glyphs.More)).
			Add(paint.Strong, "  "+u.T("%s of %s lines", thousands(int64(v.Count())), thousands(int64(v.Len())))+"   ")
	}
	if n := v.Waiting(); n > 0 {
		l.Add(paint.Warn, u.T("paused, +%s waiting", thousands(int64(n)))+"   ")
	}
	for _, part := range t.settings() {
		if text := part + "  "; l.Room() > paint.Width(text)+10 {
			l.Add(paint.Dim, text)
		}
	}
	at, of := v.Position()
	return l.Right(paint.Dim, thousands(int64(at))+"/"+thousands(int64(of))+" ").String()
}

// settings are how lines are shown, the most important first.
func (t *textPane) settings() []string {
	u, v, g := t.u, t.view, &t.u.theme.Glyphs
	mark := func(on bool) string {
		if on {
			return g.OK
		}
		return g.Off
	}
	var list []string
	if v.Live() {
		list = append(list, u.T("follow")+" "+mark(v.Following()))
	}
	if t.narrowed != "" {
		list = append(list, u.T("only %s", t.narrowed))
	}
	list = append(list, u.T("wrap")+" "+mark(v.Wrapped()))
	if v.Live() {
		list = append(list, u.T("time")+" "+[]string{u.T("clock"), u.T("age"), g.Off}[v.Times])
	}
	if v.Raw() {
		list = append(list, u.T("raw"))
	}
	if c := v.Column(); c > 0 {
		list = append(list, u.T("column %d", c+1))
	}
	return list
}

// thousands writes a number with a thin gap between thousands.
func thousands(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + " " + text[i:]
	}
	return text
}
