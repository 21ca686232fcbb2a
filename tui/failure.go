package tui

import (
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/tui/paint"
)

// mostShown bounds the lines of evidence in the box of a failure; all are in the answer that is copied.
const mostShown = 30

// explainFailure shows why something failed that took a while: what, why, what to do, what proves it. It waits until
// nothing else is being answered or typed.
func (u *ui) explainFailure(title string, err error) {
	if err == nil || isEnd(err) {
		return
	}
	width := max(20, min(76, u.width-6))
	t := &textBox{u: u, title: paint.Clean(u.T("failed: %s", title))}
	add := func(role paint.Role, head, text string) {
		for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
			for _, part := range paint.Wrap(paint.Clean(line), width-paint.Width(head)) {
				t.lines = append(t.lines, u.theme.Line(width).Add(paint.Dim, head).Add(role, part).String())
				head = paint.Spaces(paint.Width(head))
			}
		}
	}
	for _, one := range joined(err) {
		p := u.problemOf(one)
		add(paint.Fail, u.theme.Glyphs.Fail+" ", u.said(p.Summary))
		if p.Cause != "" {
			add(paint.Plain, u.T("why")+"  ", u.said(p.Cause))
		}
		for i, e := range p.Evidence {
			if i == mostShown {
				add(paint.Dim, "   ", u.T("and %d more", len(p.Evidence)-i))
				break
			}
			add(paint.Dim, "   ", paint.CleanLog(e))
		}
		for _, a := range p.Advice {
			add(paint.Accent, u.theme.Glyphs.Right+" ", u.advice(a))
		}
	}
	add(paint.Dim, "", "")
	add(paint.Dim, "", u.T("%s lists it with its command; any key closes this", u.keys.Key("log")))
	u.openLater(t)
}

// troubleText says why a page has nothing. An error that says that the cluster does not run may be older than what is known
// of the cluster since then, which counts.
func (u *ui) troubleText(err error) string {
	switch fault.KindOf(err) {
	case fault.NotRunning, fault.NotFound:
	default:
		return u.errorText(err)
	}
	if o := u.operation; o != nil && !o.done {
		u.spinning()
		return u.glyph(paint.StateBusy) + " " + u.T("the cluster is %s", u.doing(o))
	}
	switch phase := u.state.Snapshot.Phase; {
	case !u.state.Known, u.state.Absent():
		return u.noCluster()
	case u.state.Running():
		u.spinning()
		return u.glyph(paint.StateBusy) + " " + u.T("connecting to the API server")
	case phase == cluster.PhaseStarting || phase == cluster.PhaseStopping:
		u.spinning()
		return u.glyph(paint.StateBusy) + " " + u.T("the cluster is %s", u.T(lower(string(phase))))
	}
	return u.errorText(err)
}

// openLater opens a dialog once none is open and nothing is being typed: what arrives on its own never takes a key that was
// meant for something else.
func (u *ui) openLater(d dialog) {
	u.waiting = append(u.waiting, d)
	u.openWaiting()
}

// openWaiting opens the next dialog that waits, if there is nothing in its way.
func (u *ui) openWaiting() {
	if len(u.waiting) == 0 || len(u.dialogs) > 0 || u.prompt != nil {
		return
	}
	d := u.waiting[0]
	u.waiting = u.waiting[1:]
	u.open(d)
}
