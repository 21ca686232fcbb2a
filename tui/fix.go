package tui

import (
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fixes"
	"bonsai/bootstrap/kube"
	"bonsai/tui/paint"
)

// fix is what can be done about a problem from here. It shows what it would change, or the command that it runs, and asks.
type fix struct {
	// title says it in a few words, or is the command.
	title string
	// run does it; then is called when it was done, with what takes it back, if anything does.
	run func(then func(back *undo))
}

// bonsaiCure is the command of bonsai that cures a problem; false if none does.
func bonsaiCure(p *cluster.Problem) (cluster.Command, bool) {
	c, ok := p.Cure()
	return c, ok && c.Tool == cluster.ToolBonsai
}

// fixOf says what can be done about a problem from here; false if nothing is known to help.
func (u *ui) fixOf(p *cluster.Problem) (fix, bool) {
	f, ok := fixes.Of(p, u.problemType)
	if !ok {
		return fix{}, false
	}
	if c := f.Command; f.Bonsai() {
		return fix{title: paint.Clean(c.Of("").String()), run: func(then func(*undo)) {
			u.ask(u.T("run this?"), []string{c.For(u.session.Name()).String(), u.T("cluster: %s", u.session.Name())}, u.T("Run"), "", func() {
				u.carryOut(c.Arguments(), then)
			})
		}}, true
	}
	s := subject{ref: f.Action.Ref}
	shown := func(title, accept string) fix {
		return fix{title, func(then func(*undo)) {
			u.propose(proposal{action: f.Action, title: title, accept: accept, then: then})
		}}
	}
	if f.Edit {
		return fix{u.T("edit %s", s.name()), func(then func(*undo)) { u.editThen(&s, then) }}, true
	}
	switch f.Action.Verb {
	case kube.VerbUncordon:
		return shown(u.T("uncordon %s", s.ref.Name), u.T("Allow pods")), true
	case kube.VerbRestart:
		return shown(u.T("restart %s", s.name()), u.T("Restart")), true
	case kube.VerbRollback:
		to := f.Action.Revision
		return fix{u.rollbackTitle(s.ref, to), func(then func(*undo)) { u.askRollback(s.ref, to, then) }}, true
	case kube.VerbSetSelector:
		return shown(u.T("set the selector of %s", s.name()), u.T("Change")), true
	case kube.VerbScale:
		return fix{u.T("scale %s", s.name()), func(then func(*undo)) {
			u.askReplicas(&s, func(n int) {
				u.propose(proposal{
					action: kube.Action{Verb: kube.VerbScale, Ref: s.ref, Replicas: n}, title: u.T("scale %s to %d", s.name(), n), accept: u.T("Change"), then: then,
				})
			})
		}}, true
	case kube.VerbDelete:
		return fix{u.T("delete %s", s.name()), func(then func(*undo)) { u.askDeleteThen([]subject{s}, then) }}, true
	}
	return fix{}, false
}

// fixable says that there is a fix, and that it may be carried out now.
func (u *ui) fixable(p *cluster.Problem) bool {
	s := subject{problem: p}
	return u.whyNot(verbNamed("fix"), []subject{s}) == ""
}

// runFix does it, and watches whether it helps.
func runFix(u *ui, list []subject) {
	p := *list[0].problem
	if f, ok := u.fixOf(&p); ok {
		f.run(func(back *undo) { u.watchFix(&p, f.title, back) })
	}
}

// carryOut runs a verb of the command line: a start is shown step by step, of others the end matters.
func (u *ui) carryOut(args []string, then func(back *undo)) {
	if args[0] == "start" {
		u.beginOperation(args...)
		return
	}
	u.runThen(args, bonsaiCommand(args...).String(), func() { then(nil) })
}
