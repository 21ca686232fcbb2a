package tui

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"bonsai/bootstrap/cluster"
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

// fixOf says what can be done about a problem from here; false if nothing is known to help. Commands of bonsai have to be
// marked as a cure: others help once the user has done something else. Of kubectl those verbs count that ask or show
// before they change one object.
func (u *ui) fixOf(p *cluster.Problem) (fix, bool) {
	if c, ok := bonsaiCure(p); ok {
		return fix{title: paint.Clean(c.Of("").String()), run: func(then func(*undo)) {
			u.ask(u.T("run this?"), []string{c.For(u.session.Name()).String(), u.T("cluster: %s", u.session.Name())}, u.T("Run"), "", func() {
				u.carryOut(c.Arguments(), then)
			})
		}}, true
	}
	for _, a := range p.Advice {
		for _, c := range a.Commands {
			if c.Tool != cluster.ToolKubectl || !c.Changes || len(c.Gaps) > 0 {
				continue
			}
			if f, ok := u.kubectlFix(c); ok {
				return f, true
			}
		}
	}
	return fix{}, false
}

// kubectlFix is what some verbs of kubectl are here.
func (u *ui) kubectlFix(c cluster.Command) (fix, bool) {
	if len(c.Operands) == 0 || len(c.Verb) == 0 {
		return fix{}, false
	}
	verb, kind := strings.Join(c.Verb[:len(c.Verb)-1], " "), c.Verb[len(c.Verb)-1]
	name := c.Operands[0]
	if of, rest, ok := strings.Cut(name, "/"); ok { // "rollout undo deployment/web"
		verb, kind, name = strings.Join(c.Verb, " "), of, rest
	}
	if verb == "" && kind == "uncordon" {
		verb, kind = kind, "node"
	}
	t, ok := u.problemType(kind)
	if !ok || len(c.Operands) != 1 && verb != "set selector" {
		return fix{}, false
	}
	s := subject{ref: kube.Ref{Type: t, Name: name}}
	if t.Namespaced {
		s.ref.Namespace = cmp.Or(c.Namespace, "default")
	}
	shown := func(title, accept string, a kube.Action) (fix, bool) {
		a.Ref = s.ref
		return fix{title, func(then func(*undo)) { u.propose(proposal{action: a, title: title, accept: accept, then: then}) }}, true
	}
	switch verb {
	case "uncordon":
		return shown(u.T("uncordon %s", name), u.T("Allow pods"), kube.Action{Verb: kube.VerbUncordon})
	case "rollout restart":
		return shown(u.T("restart %s", s.name()), u.T("Restart"), kube.Action{Verb: kube.VerbRestart})
	case "rollout undo":
		to := revisionIn(c.Options)
		return fix{u.rollbackTitle(s.ref, to), func(then func(*undo)) { u.askRollback(s.ref, to, then) }}, true
	case "set selector":
		if selector := selectorIn(c.Operands[1:]); selector != nil {
			return shown(u.T("set the selector of %s", s.name()), u.T("Change"), kube.Action{Verb: kube.VerbSetSelector, Selector: selector})
		}
	case "scale":
		return fix{u.T("scale %s", s.name()), func(then func(*undo)) {
			u.askReplicas(&s, func(n int) {
				u.propose(proposal{
					action: kube.Action{Verb: kube.VerbScale, Ref: s.ref, Replicas: n}, title: u.T("scale %s to %d", s.name(), n), accept: u.T("Change"), then: then,
				})
			})
		}}, true
	case "edit":
		return fix{u.T("edit %s", s.name()), func(then func(*undo)) { u.editThen(&s, then) }}, true
	case "delete":
		return fix{u.T("delete %s", s.name()), func(then func(*undo)) { u.askDeleteThen([]subject{s}, then) }}, true
	}
	return fix{}, false
}

// revisionIn is that of "--to-revision"; 0 if there is none.
func revisionIn(options []string) int64 {
	at := slices.Index(options, "--to-revision")
	if at < 0 || at+1 >= len(options) {
		return 0
	}
	n, _ := strconv.ParseInt(options[at+1], 10, 64) // 0 is the one before
	return n
}

// selectorIn reads labels: "app=web,tier=front"; nil if that is not what it is.
func selectorIn(operands []string) map[string]string {
	if len(operands) != 1 {
		return nil
	}
	selector := map[string]string{}
	for part := range strings.SplitSeq(operands[0], ",") {
		k, v, ok := strings.Cut(part, "=")
		if !ok {
			return nil
		}
		selector[k] = v
	}
	return selector
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
