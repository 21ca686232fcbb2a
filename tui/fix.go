package tui

import (
	"regexp"
	"slices"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
)

// fix is what can be done about a problem from here.
type fix struct {
	// title says it in a few words, or is the command.
	title string
	run   func()
}

// command finds the first command of bonsai or kubectl in a hint; it ends with its line, and where words go on.
var command = regexp.MustCompile(`(?m)\b(bonsai|kubectl) [^\n]*`)

// hintCommand is the command that a hint says to type, "" if it names none, or one with a gap to fill.
func hintCommand(hint string) string {
	text := command.FindString(hint)
	for _, end := range []string{"  and then  ", "  or  ", " | "} {
		text, _, _ = strings.Cut(text, end)
	}
	return strings.TrimSpace(text)
}

// fixArgs takes a command apart: the arguments of bonsai without the name of the cluster, and for kubectl the
// namespace. Nothing is returned for what only looks at something.
func fixArgs(text string) (args []string, namespace string) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return nil, ""
	}
	if words[0] == "bonsai" {
		words = words[1:]
	}
	for i := 0; i < len(words); i++ {
		switch word := words[i]; {
		case (word == "-p" || word == "--profile") && i+1 < len(words):
			i++
		case (word == "-n" || word == "--namespace") && i+1 < len(words):
			namespace = words[i+1]
			i++
		case word == "--":
		case strings.ContainsAny(word, "<>[]|&;$`") || word == strings.ToUpper(word) && strings.ToLower(word) != word:
			return nil, "" // a gap to fill, or nothing for us
		default:
			args = append(args, word)
		}
	}
	return args, namespace
}

// bonsaiFix is the verb of bonsai that cures a problem, with its arguments; nil if none does.
func bonsaiFix(p *cluster.Problem) []string {
	args, _ := fixArgs(p.Fix)
	if len(args) == 0 || args[0] == "kubectl" {
		return nil
	}
	return args
}

// fixOf says what can be done about a problem from here; false if nothing is known to help. What bonsai can do is told
// with the problem. Of a hint only those verbs of kubectl count that change one object: a hint may name a verb of bonsai
// that helps once the user has done something else.
func (u *ui) fixOf(p *cluster.Problem) (fix, bool) {
	if args := bonsaiFix(p); len(args) > 0 {
		return fix{title: "bonsai " + strings.Join(args, " "), run: func() {
			u.ask(u.T("carry this out?"), []string{bonsaiCommand(u.session.Name(), strings.Join(args, " ")), u.T("cluster: %s", u.session.Name())}, u.T("Go on"), "", func() {
				u.carryOut(args)
			})
		}}, true
	}
	for _, text := range []string{p.Fix, hintCommand(p.HintText())} {
		if args, namespace := fixArgs(text); len(args) > 1 && args[0] == "kubectl" {
			return u.kubectlFix(args[1:], namespace)
		}
	}
	return fix{}, false
}

// kubectlFix is what some verbs of kubectl are here.
func (u *ui) kubectlFix(args []string, namespace string) (fix, bool) {
	verb := args[0]
	rest := slices.DeleteFunc(slices.Clone(args[1:]), func(a string) bool { return strings.HasPrefix(a, "-") })
	if verb == "rollout" && len(rest) > 0 && rest[0] == "restart" {
		verb, rest = "restart", rest[1:]
	}
	if verb == "uncordon" && len(rest) == 1 {
		s := subject{ref: kube.Ref{Type: kube.NodeType(), Name: rest[0]}, cordoned: true}
		return fix{u.T("uncordon %s", rest[0]), func() { u.cordon(&s) }}, true
	}
	if len(rest) == 1 {
		kind, name, ok := strings.Cut(rest[0], "/")
		if !ok {
			return fix{}, false
		}
		rest = []string{kind, name}
	}
	if len(rest) != 2 {
		return fix{}, false
	}
	t, ok := u.problemType(rest[0])
	if !ok {
		return fix{}, false
	}
	s := subject{ref: kube.Ref{Type: t, Name: rest[1]}}
	if t.Namespaced {
		if s.ref.Namespace = namespace; namespace == "" {
			s.ref.Namespace = "default"
		}
	}
	switch verb {
	case "edit":
		return fix{u.T("edit %s", s.name()), func() { u.edit(&s) }}, true
	case "scale":
		return fix{u.T("scale %s", s.name()), func() { u.askScale(&s) }}, true
	case "restart":
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
	u.run(args, "bonsai "+strings.Join(args, " "))
}
