package tui

import (
	"cmp"
	"context"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
	"bonsai/tui/keymap"
	"bonsai/tui/paint"
	"bonsai/tui/textview"
)

// historyTab is what has happened to an object: when, what, and who did it.
type historyTab struct {
	*textTab
	ref kube.Ref
	// changes are those that are shown, by their revisions.
	changes map[int64]cluster.Change
}

func newHistoryTab(u *ui, ref kube.Ref) *historyTab {
	return &historyTab{textTab: newTextTab(u, ref.Name+"-history", nil), ref: ref}
}

func (t *historyTab) show() { t.changed() }
func (t *historyTab) hints() []hint {
	return t.hintsOf("change.revert", "text.filter", "text.wrap", "text.copy")
}

func (t *historyTab) contexts() []keymap.Context {
	return append([]keymap.Context{keymap.Changes}, t.textTab.contexts()...)
}

func (t *historyTab) act(id string) bool {
	if id != "change.revert" {
		return t.textTab.act(id)
	}
	line, ok := t.view.Current()
	if !ok {
		return true
	}
	c, ok := t.changes[line.Tag]
	if !ok {
		t.u.toast.say(paint.Dim, t.u.T("choose a change first"))
		return true
	}
	t.u.askRevert(t.ref, c)
	return true
}

// changed asks for it again. A pod's status is what happens to it; of other types it follows from other things.
func (t *historyTab) changed() {
	status := t.ref.Type.Resource == "pods" && t.ref.Type.Group == ""
	t.asking.run(func(done func()) {
		fetch(t.u, func(ctx context.Context) (cluster.History, error) { return t.u.session.History(ctx, t.ref, status) },
			func(h cluster.History, err error) {
				if t.err = err; err == nil {
					t.known = true
					t.view.SetText(t.lines(h))
				}
				done()
			})
	})
}

func (t *historyTab) lines(h cluster.History) []textview.Line {
	u := t.u
	var r rich
	t.changes = map[int64]cluster.Change{}
	for _, c := range h.Changes {
		t.changes[c.Revision] = c
		first := len(r.lines)
		r.add(paint.Dim, u.moment(c.Time)+"  ").add(changeRole(c.Change), u.whoDid(c)).end()
		for _, f := range c.Fields {
			r.add(paint.Plain, "    ").add(paint.Accent, f.Path)
			if len(f.Before) > 0 {
				r.add(paint.Dim, "  "+string(f.Before))
			}
			if r.add(paint.Plain, " "+u.theme.Glyphs.Right+" "); len(f.After) > 0 {
				r.add(paint.Plain, string(f.After))
			} else {
				r.add(paint.Dim, u.T("removed"))
			}
			r.end()
		}
		for i := first; i < len(r.lines); i++ {
			r.lines[i].Tag = c.Revision
		}
	}
	switch {
	case len(h.Changes) == 0:
		r.add(paint.Dim, u.T("no change is recorded")).end()
	case h.More:
		r.add(paint.Dim, u.T("there are older changes")).end()
	}
	if !h.Begun.IsZero() {
		r.add(paint.Dim, u.T("everything is recorded since %s", u.moment(h.Begun))).end()
	}
	return r.lines
}

func changeRole(change string) paint.Role {
	switch change {
	case cluster.ChangeCreated:
		return paint.OK
	case cluster.ChangeDeleted:
		return paint.Fail
	}
	return paint.Plain
}

// whoDid says who has done what to an object.
func (u *ui) whoDid(c cluster.Change) string {
	who := cmp.Or(c.Who, c.Manager, c.User, u.T("somebody"))
	if c.User != "" && c.User != who && !isOfKubernetes(c.User) {
		who += " (" + c.User + ")"
	}
	switch c.Change {
	case cluster.ChangeCreated:
		return u.T("%s created it", who)
	case cluster.ChangeDeleted:
		return u.T("%s deleted it", who)
	}
	return u.T("%s changed it", who)
}

// isOfKubernetes reports whether a user is a component: who it is says as much.
func isOfKubernetes(user string) bool { return strings.HasPrefix(user, "system:") }

// isWish reports whether a field says what somebody wants, and not what follows from that.
func isWish(path string) bool {
	return strings.HasPrefix(path, "spec") || strings.HasPrefix(path, "data")
}

// moment is a time as in a log: of another day with its date.
func (u *ui) moment(t time.Time) string {
	now := u.clock.now()
	t = t.In(now.Location())
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}
