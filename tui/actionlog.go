package tui

import (
	"fmt"
	"slices"
	"time"

	"bonsai/tui/keymap"
	"bonsai/tui/paint"
)

// actionLog is what was done from here, each with the command that does the same.
type actionLog struct{ entries []*actionEntry }

type actionEntry struct {
	began, ended time.Time
	command      string
	err          error
}

// begin notes an action that has begun.
func (l *actionLog) begin(now time.Time, command string) *actionEntry {
	e := &actionEntry{began: now, command: command}
	l.entries = append(l.entries, e)
	if len(l.entries) > 500 {
		l.entries = l.entries[1:]
	}
	return e
}

func (e *actionEntry) end(u *ui, err error) { e.ended, e.err = u.clock.now(), err }

// actionPage lists what was done, newest first, and what is being done, which can be ended.
type actionPage struct {
	blankPage
	u      *ui
	cursor int
	rows   int // on the screen
}

func newActionPage(u *ui) *actionPage { return &actionPage{u: u} }

func (p *actionPage) crumb() string { return p.u.T("what was done") }
func (p *actionPage) place() string { return "actions" }

func (p *actionPage) contexts() []keymap.Context { return []keymap.Context{keymap.History} }

func (p *actionPage) hints() []hint { return hintsOf("history.copy", "history.end", "back") }

func (p *actionPage) act(id string) bool {
	n := len(p.u.tasks) + len(p.u.actions.entries)
	switch id {
	case "down":
		p.cursor = max(0, min(p.cursor+1, n-1))
	case "up":
		p.cursor = max(p.cursor-1, 0)
	case "page.down":
		p.cursor = max(0, min(p.cursor+p.rows, n-1))
	case "page.up":
		p.cursor = max(p.cursor-p.rows, 0)
	case "top":
		p.cursor = 0
	case "bottom":
		p.cursor = max(0, n-1)
	case "history.copy":
		if i := len(p.u.actions.entries) - 1 - (p.cursor - len(p.u.tasks)); i >= 0 && i < len(p.u.actions.entries) {
			p.u.copy(p.u.actions.entries[i].command)
		}
	case "history.end":
		if p.cursor < len(p.u.tasks) {
			p.u.tasks[p.cursor].cancel(errEnded)
		} else {
			p.u.toast.say(paint.Dim, p.u.T("it has ended"))
		}
	default:
		return false
	}
	return true
}

func (p *actionPage) draw(w, h int) []string {
	u := p.u
	if len(u.tasks)+len(u.actions.entries) == 0 {
		return fill(u.note(u.T("nothing has been done here yet; your actions are listed with the commands that do the same"), w, h), w, h)
	}
	var lines []string
	add := func(l *paint.Line) {
		if len(lines) == p.cursor {
			l.Select()
		}
		lines = append(lines, l.String())
	}
	for _, t := range u.tasks {
		u.clock.changesIn(time.Second)
		add(u.theme.Line(w).Add(paint.Plain, " ").Add(paint.Busy, u.glyph(paint.StateBusy)).
			Add(paint.Dim, fmt.Sprintf(" %8s  ", span(u.clock.now().Sub(t.began)))).Add(paint.Strong, t.title).
			Add(paint.Dim, "  "+paint.Clean(t.detail)))
	}
	for _, e := range slices.Backward(u.actions.entries) {
		state := paint.StateOK
		switch {
		case e.ended.IsZero():
			state = paint.StateBusy
		case e.err != nil:
			state = paint.StateFail
		}
		l := u.theme.Line(w).Add(paint.Plain, " ").Add(state.Role(), u.glyph(state)).
			Add(paint.Dim, " "+e.began.Format("15:04:05")+"  ").Add(paint.Plain, paint.Clean(e.command))
		if e.err != nil {
			l.Add(paint.Fail, "  "+u.errorText(e.err))
		}
		add(l)
	}
	p.rows = h
	top := max(0, p.cursor-h+1)
	return fill(lines[top:], w, h)
}
