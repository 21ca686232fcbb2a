package tui

import (
	"cmp"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
	"bonsai/tui/paint"
)

// fix is what can be done about a problem from here.
type fix struct {
	// title says it in a few words, or is the command.
	title string
	run   func()
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
		return fix{title: paint.Clean(c.Of("").String()), run: func() {
			u.ask(u.T("run this?"), []string{c.For(u.session.Name()).String(), u.T("cluster: %s", u.session.Name())}, u.T("Run"), "", func() {
				u.carryOut(c.Arguments())
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
	if len(c.Operands) != 1 || len(c.Verb) == 0 {
		return fix{}, false
	}
	name := c.Operands[0]
	verb, kind := strings.Join(c.Verb[:len(c.Verb)-1], " "), c.Verb[len(c.Verb)-1]
	if verb == "" && kind == "uncordon" {
		s := subject{ref: kube.Ref{Type: kube.NodeType(), Name: name}, cordoned: true}
		return fix{u.T("uncordon %s", name), func() { u.cordon(&s) }}, true
	}
	t, ok := u.problemType(kind)
	if !ok {
		return fix{}, false
	}
	s := subject{ref: kube.Ref{Type: t, Name: name}}
	if t.Namespaced {
		s.ref.Namespace = cmp.Or(c.Namespace, "default")
	}
	switch verb {
	case "edit":
		return fix{u.T("edit %s", s.name()), func() { u.edit(&s) }}, true
	case "scale":
		return fix{u.T("scale %s", s.name()), func() { u.askScale(&s) }}, true
	case "rollout restart":
		return fix{u.T("restart %s", s.name()), func() { u.restart(&s) }}, true
	case "delete":
		return fix{u.T("delete %s", s.name()), func() { u.askDelete([]subject{s}) }}, true
	}
	return fix{}, false
}

// fixable says that there is a fix, and that it may be carried out now.
func (u *ui) fixable(p *cluster.Problem) bool {
	s := subject{problem: p}
	return u.whyNot(verbNamed("fix"), []subject{s}) == ""
}

func runFix(u *ui, list []subject) {
	if f, ok := u.fixOf(list[0].problem); ok {
		f.run()
	}
}

// carryOut runs a verb of the command line: a start is shown step by step, of others the end matters.
func (u *ui) carryOut(args []string) {
	if args[0] == "start" {
		u.beginOperation(args...)
		return
	}
	u.run(args, bonsaiCommand(args...).String())
}
