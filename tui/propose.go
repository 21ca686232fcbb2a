package tui

import (
	"context"
	"slices"

	"bonsai/bootstrap/kube"
	"bonsai/bootstrap/yamldiff"
	"bonsai/tui/paint"
)

// proposal is a change that is shown, as what the API server would make of its object, before it is made.
type proposal struct {
	action kube.Action
	// title is what it does, in a few words ("set the image of deployment shop/web"), accept the word on the button.
	title, accept string
	// notes are what there is to know about it beside the difference.
	notes []string
	// then, if set, is called when the change was made, with what takes it back, if anything does.
	then func(back *undo)
}

// propose asks the API server what the change would make of its object, shows that, and asks.
func (u *ui) propose(p proposal) {
	if u.refuseChange() {
		return
	}
	var would kube.Difference
	u.work(u.T("ask what would change: %s", p.title), func(ctx context.Context, _ func(string)) (err error) {
		would, err = u.session.Preview(ctx, p.action)
		return err
	}, func(err error) {
		if err != nil {
			u.explainFailure(p.title, err)
			return
		}
		diff := yamldiff.Changes(would.Before, would.After)
		if len(diff) == 0 {
			u.toast.say(paint.Dim, u.T("nothing would change: it is like that already"))
			return
		}
		q := u.newQuestion(p.title+"?", append(slices.Clip(p.notes), u.T("cluster: %s", u.session.Name())), p.accept, "", func() { u.carry(p, would) })
		q.diff = diff
		u.openLater(q)
	})
}

// carry makes a change that was shown.
func (u *ui) carry(p proposal, would kube.Difference) {
	entry := u.record(actionCommand(p.action))
	u.work(p.title, func(ctx context.Context, report func(string)) error { return u.session.Do(ctx, p.action, report) }, func(err error) {
		entry.end(u, err)
		if err != nil {
			u.explainFailure(p.title, err)
			return
		}
		var back *undo
		if would.Before != "" && would.After != "" {
			last := &edited{p.action.Ref, (&subject{ref: p.action.Ref}).name(), would.Before, would.After}
			back = &undo{u.T("undo: %s", p.title), func() { u.undoEdit(last) }}
		}
		u.did(p.title, back)
		if p.then != nil {
			p.then(back)
		}
	})
}

// diffText is a line of a difference, and how it looks.
func diffText(l yamldiff.Line) (string, paint.Role) {
	switch l.Kind {
	case yamldiff.Added:
		return "+ " + paint.Clean(l.Text), paint.OK
	case yamldiff.Removed:
		return "- " + paint.Clean(l.Text), paint.Fail
	}
	return paint.Clean(l.Text), paint.Accent
}

// addDiff appends the lines of a difference.
func (r *rich) addDiff(indent int, diff []yamldiff.Line) {
	for _, l := range diff {
		text, role := diffText(l)
		if text == "" {
			continue
		}
		r.add(paint.Plain, paint.Spaces(indent)).add(role, text).end()
	}
}
