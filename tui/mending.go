package tui

import (
	"slices"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fixes"
	"bonsai/tui/paint"
)

// mending is a fix that was made, until its problem is gone, or has outlasted it.
type mending struct {
	// key is that of the problem, what it is called, title what was done.
	key, object, what, title string
	began                    time.Time
	// missed is when the problem was not there for the first time since it was there; zero while it is there.
	missed time.Time
	back   *undo // takes the fix back; nil if nothing does
}

// watchFix watches whether a fix helps.
func (u *ui) watchFix(p *cluster.Problem, title string, back *undo) {
	clean := *p
	cleanProblem(&clean)
	key := fixes.Key(&clean)
	u.mendings = slices.DeleteFunc(u.mendings, func(m *mending) bool { return m.key == key }) // the newest fix counts
	m := &mending{key: key, object: clean.Object, what: shortObject(&clean) + ": " + u.said(clean.Summary), title: title, began: u.clock.now(), back: back}
	u.mendings = append(u.mendings, m)
	u.after(fixes.Limit, func() { u.judgeFix(m) })
	u.followFixes()
}

// mendingOf is the fix of a problem that is being watched; nil if there is none.
func (u *ui) mendingOf(p *cluster.Problem) *mending {
	key := fixes.Key(p)
	if i := slices.IndexFunc(u.mendings, func(m *mending) bool { return m.key == key }); i >= 0 {
		return u.mendings[i]
	}
	return nil
}

// problemOfFix is the problem of a fix as it is now; nil if it is gone.
func (u *ui) problemOfFix(m *mending) *cluster.Problem {
	for _, p := range u.state.Snapshot.Problems {
		if cleanProblem(&p); fixes.Key(&p) == m.key {
			return &p
		}
	}
	return nil
}

// followFixes looks whether problems are gone. Of a cluster that does not report nobody knows.
func (u *ui) followFixes() {
	if len(u.mendings) == 0 || !u.state.Running() || !u.state.Stale().IsZero() {
		return
	}
	for _, m := range u.mendings {
		switch gone := u.problemOfFix(m) == nil; {
		case !gone:
			m.missed = time.Time{}
		case m.missed.IsZero():
			missed := u.clock.now()
			m.missed = missed
			u.after(fixes.GoneFor, func() {
				if m.missed.Equal(missed) && !missed.IsZero() {
					u.fixHelped(m)
				}
			})
		}
	}
}

// fixHelped says that a problem is gone, unless another one has come in its place.
func (u *ui) fixHelped(m *mending) {
	if !u.endFix(m) {
		return
	}
	for _, p := range u.state.Snapshot.Problems {
		if cleanProblem(&p); p.Object == m.object && p.Severity != cluster.SeverityInfo {
			u.reportFix(m, u.T("it is gone, but now there is this: %s", u.whatAndWhy(&p)))
			return
		}
	}
	u.toast.say(paint.OK, u.theme.Glyphs.OK+" "+u.T("gone, %s after %q: %s", m.missed.Sub(m.began).Round(time.Second), m.title, m.what))
	u.touch()
}

// judgeFix says why a problem is still there when its fix has had its time.
func (u *ui) judgeFix(m *mending) {
	p := u.problemOfFix(m)
	switch {
	case !u.state.Running() || !u.state.Stale().IsZero():
		u.after(fixes.Limit, func() { u.judgeFix(m) })
	case p == nil && !m.missed.IsZero(): // it has been away for less than it takes to be sure
	case p != nil && u.endFix(m):
		u.reportFix(m, u.T("it is still there: %s", u.whatAndWhy(p)))
	}
}

// endFix ends the watching, and says whether it had not ended before.
func (u *ui) endFix(m *mending) bool {
	n := len(u.mendings)
	u.mendings = slices.DeleteFunc(u.mendings, func(o *mending) bool { return o == m })
	return len(u.mendings) < n
}

// reportFix says that a fix has not helped, and offers to take it back.
func (u *ui) reportFix(m *mending, why string) {
	text := []string{paint.Clean(m.what), paint.Clean(why), u.T("%s ago: %s", u.clock.now().Sub(m.began).Round(time.Second), paint.Clean(m.title))}
	accept, answer := u.T("Close"), func() {}
	if m.back != nil {
		accept, answer = u.T("Undo"), m.back.run
		text = append(text, u.T("the fix can be undone"))
	}
	u.askLater(u.T("the fix has not helped"), append(text, u.T("cluster: %s", u.session.Name())), accept, answer)
}

// mendingText says that a fix is being watched.
func (u *ui) mendingText(m *mending) string {
	u.clock.changesIn(time.Second)
	return u.T("%s, %s ago; watched until the problem is gone", m.title, u.clock.now().Sub(m.began).Round(time.Second))
}
