package tui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fixes"
	"bonsai/bootstrap/kube"
	"bonsai/tui/keymap"
	"bonsai/tui/paint"
)

// problemSubject is what a problem is about, as something that verbs act on.
func (u *ui) problemSubject(p *cluster.Problem) subject {
	s := subject{problem: p, line: u.problemLine(p)}
	parts := strings.Split(p.Object, "/")
	switch {
	case parts[0] == "pod" && len(parts) == 3:
		s.ref = kube.Ref{Type: kube.PodType(), Namespace: parts[1], Name: parts[2]}
		for _, r := range u.state.Pods.All {
			if r.Namespace == parts[1] && r.Name == parts[2] {
				line := s.line
				s = subjectOf(kube.PodType(), u.state.Pods.Columns, &r)
				s.problem, s.line = p, line
				break
			}
		}
	case parts[0] == "node" && len(parts) == 2:
		s.ref = kube.Ref{Type: kube.NodeType(), Name: parts[1]}
	case parts[0] == "addon" && len(parts) == 2:
		s.ref.Name = parts[1]
		for i := range u.state.Snapshot.Addons {
			if a := &u.state.Snapshot.Addons[i]; a.Name == parts[1] {
				s.addon = a
			}
		}
	case parts[0] == "component":
		s.ref.Name = parts[len(parts)-1]
		if len(parts) == 3 {
			s.node = parts[1]
		}
	default:
		s.ref.Name = parts[len(parts)-1]
		if t, ok := u.problemType(parts[0]); ok {
			s.ref.Type = t
			if t.Namespaced && len(parts) == 3 {
				s.ref.Namespace = parts[1]
			}
		}
	}
	return s
}

// problemType is the type of a kind in lower case. Those that most problems are about are known before the API server
// has sent all.
func (u *ui) problemType(kind string) (kube.ResourceType, bool) {
	if t, ok := u.findType(kind); ok {
		return t, true
	}
	for _, t := range []kube.ResourceType{
		{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment", Namespaced: true},
		{Group: "apps", Version: "v1", Resource: "statefulsets", Kind: "StatefulSet", Namespaced: true},
		{Group: "apps", Version: "v1", Resource: "daemonsets", Kind: "DaemonSet", Namespaced: true},
		{Group: "apps", Version: "v1", Resource: "replicasets", Kind: "ReplicaSet", Namespaced: true},
		{Group: "batch", Version: "v1", Resource: "jobs", Kind: "Job", Namespaced: true},
		{Group: "batch", Version: "v1", Resource: "cronjobs", Kind: "CronJob", Namespaced: true},
		{Version: "v1", Resource: "services", Kind: "Service", Namespaced: true},
		{Version: "v1", Resource: "persistentvolumeclaims", Kind: "PersistentVolumeClaim", Namespaced: true},
		{Version: "v1", Resource: "persistentvolumes", Kind: "PersistentVolume"},
		{Version: "v1", Resource: "namespaces", Kind: "Namespace"},
		{Group: "policy", Version: "v1", Resource: "poddisruptionbudgets", Kind: "PodDisruptionBudget", Namespaced: true},
		{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices", Kind: "APIService"},
		{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions", Kind: "CustomResourceDefinition"},
	} {
		if kind == singular(t) {
			return t, true
		}
	}
	return kube.ResourceType{}, false
}

// problemLine is a problem as text: the command to type, if it names one, or else all of it.
func (u *ui) problemLine(p *cluster.Problem) string {
	if command := u.toType(p.Advice); command != "" {
		return command
	}
	return strings.TrimSpace(strings.Join([]string{p.Object, p.Summary, p.Cause, u.adviceText(p.Advice)}, "  "))
}

// openPlace goes to where the object of a problem is at home.
func (u *ui) openPlace(s *subject) {
	kind, _, _ := strings.Cut(s.problem.Object, "/")
	switch {
	case s.ref.Type.Resource == "nodes":
		u.push(newNodePage(u, s.ref.Name))
	case s.ref.Type.Resource != "":
		u.openSubject(s, "")
	case kind == "addon":
		u.act("screen.addons")
	case kind == "dns":
		u.act("screen.dns")
	default:
		u.act("screen.control")
	}
}

// problemPage explains one problem: why it is, what shows it, and what can be done.
type problemPage struct {
	blankPage
	u       *ui
	problem cluster.Problem
	over    bool // it is not there any more
	top     int
	rows    int // on the screen
}

func newProblemPage(u *ui, p cluster.Problem) *problemPage {
	return &problemPage{u: u, problem: p}
}

// refresh takes what the newest snapshot says of it.
func (p *problemPage) refresh() {
	key := fixes.Key(&p.problem)
	at := slices.IndexFunc(p.u.state.Snapshot.Problems, func(o cluster.Problem) bool { return paint.Clean(fixes.Key(&o)) == key })
	if p.over = at < 0; p.over {
		return
	}
	p.problem = p.u.state.Snapshot.Problems[at]
	cleanProblem(&p.problem)
}

func (p *problemPage) crumb() string { return shortObject(&p.problem) }

func (p *problemPage) contexts() []keymap.Context { return contextsFor(p.subjects(), keymap.Problems) }

func (p *problemPage) lost() bool { return false }

func (p *problemPage) subjects() []subject { return []subject{p.u.problemSubject(&p.problem)} }

func (p *problemPage) act(id string) (ok bool) {
	if id == "open" {
		s := p.u.problemSubject(&p.problem)
		p.u.openPlace(&s)
		return true
	}
	if id == "problem.fold" {
		if len(p.u.consequences(&p.problem)) == 0 {
			p.u.toast.say(paint.Dim, p.u.T("nothing is known to follow from it"))
		} else {
			p.u.toast.say(paint.Dim, p.u.T("it is listed here"))
		}
		return true
	}
	p.top, ok = scrolled(id, p.top, p.rows-1)
	return ok
}

func (p *problemPage) wheel(rows int) { p.top += rows }
func (p *problemPage) click(_, _ int) {}

func (p *problemPage) hints() []hint { return hintsOf(append(p.useful(), "actions", "back")...) }

// useful are the verbs that do something with it now.
func (p *problemPage) useful() []string {
	s := p.u.problemSubject(&p.problem)
	ids := []string{"open"}
	for _, id := range []string{"fix", "logs", "logs.previous", "shell", "describe", "birth", "edit"} {
		if v := verbNamed(id); v != nil && p.u.whyNot(v, []subject{s}) == "" {
			ids = append(ids, id)
		}
	}
	return ids
}

// factWidth is that of the words at the left.
const factWidth = 8

func (p *problemPage) draw(w, h int) []string {
	p.refresh()
	lines := p.text(w)
	p.rows = h
	p.top = max(0, min(p.top, len(lines)-h))
	return fill(lines[p.top:], w, h)
}

// facts are what else is known about it: a word, and a text.
func (p *problemPage) facts() (facts [][2]string) {
	u, problem := p.u, &p.problem
	add := func(word, text string) { facts = append(facts, [2]string{word, text}) }
	if !problem.Since.IsZero() {
		add(u.T("since"), u.T("%s ago", u.clock.age(problem.Since)))
	}
	if len(problem.Pods) > 0 && !strings.HasPrefix(problem.Object, "pod/") {
		pods := problem.Pods[:min(len(problem.Pods), 5)]
		text := fmt.Sprintf("%d: %s", max(problem.Count, len(problem.Pods)), strings.Join(pods, ", "))
		if rest := problem.Count - len(pods); rest > 0 {
			text += " " + u.T("and %d more", rest)
		}
		add(u.T("pods"), text)
	}
	for _, b := range problem.Because {
		add(u.T("because"), strings.Replace(paint.Clean(b.Object), "/", " ", 1)+": "+u.becauseText(b.How))
	}
	if problem.Container != "" {
		add("", u.T("in container %s", problem.Container))
	}
	if m := u.mendingOf(problem); m != nil && !p.over {
		add(u.T("fix"), u.mendingText(m))
	}
	if left := problem.Retry.Sub(u.clock.now()); left > 0 && !p.over {
		u.clock.changesIn(time.Second)
		add(u.T("again"), u.T("in %s", left.Round(time.Second)))
	}
	return facts
}

func (p *problemPage) text(w int) []string {
	u, problem := p.u, &p.problem
	state := severityState(problem.Severity)
	var lines []string
	blank := func() { lines = append(lines, paint.Spaces(w)) }
	wrapped := func(word string, role paint.Role, text string) {
		for i, part := range paint.Wrap(text, max(20, min(w-factWidth-6, 100))) {
			if i > 0 {
				word = ""
			}
			lines = append(lines, u.line(w).Add(paint.Plain, "   ").Col(paint.Dim, word, factWidth).Add(role, part).String())
		}
	}
	head := u.line(w).Add(paint.Plain, " ")
	// What is wrong is never cut off.
	long := !p.over && paint.Width(shortObject(problem))+paint.Width(u.said(problem.Summary))+7 > w
	if p.over {
		head.Add(paint.OK, u.theme.Glyphs.OK+" ").Add(paint.Strong, shortObject(problem)).Add(paint.OK, "   "+u.T("this problem is gone"))
	} else if head.State(state, u.tick).Add(paint.Strong, shortObject(problem)); !long {
		head.Add(state.Role(), "   "+u.said(problem.Summary))
	}
	lines = append(lines, head.Right(paint.Dim, paint.Clean(problem.Kind)+" ").String())
	if long {
		wrapped("", state.Role(), u.said(problem.Summary))
	}
	blank()
	if problem.Cause != "" {
		wrapped(u.T("why"), paint.Plain, u.said(problem.Cause))
	}
	for _, fact := range p.facts() {
		wrapped(fact[0], paint.Dim, fact[1])
	}
	if len(lines) > 2 {
		blank()
	}
	if len(problem.Advice) > 0 {
		word := u.T("to do")
		for _, a := range problem.Advice {
			wrapped(word, paint.Accent, u.advice(a))
			word = ""
		}
		blank()
	}
	if len(problem.Evidence) > 0 {
		lines = append(lines, u.heading(w, u.T("EVIDENCE"), ""))
		for _, e := range problem.Evidence {
			for i, part := range paint.Wrap(e, max(20, w-4)) {
				indent := "   "
				if i > 0 {
					indent = "     "
				}
				lines = append(lines, u.line(w).Add(paint.Plain, indent).Add(levelRole(e), part).String())
			}
		}
		blank()
	}
	lines = append(lines, p.consequenceLines(w)...)
	lines = append(lines, u.heading(w, u.T("KEYS"), ""))
	chain := u.chain()
	s := u.problemSubject(problem)
	for _, id := range p.useful() {
		text := u.T(verbNamed(id).title)
		switch id {
		case "open":
			text = u.T("go to %s", strings.TrimSpace(s.name()))
		case "fix":
			if f, ok := u.fixOf(problem); ok {
				text = f.title
			}
		}
		lines = append(lines, u.line(w).Add(paint.Plain, "   ").Col(paint.Key, u.keyIn(chain, id), factWidth).Add(paint.Plain, text).String())
	}
	if u.problemLine(problem) != "" {
		lines = append(lines, u.line(w).Add(paint.Plain, "   ").Col(paint.Key, u.keyIn(chain, "copy.line"), factWidth).
			Add(paint.Plain, u.T("copy")+" ").Add(paint.Accent, paint.Clean(u.problemLine(problem))).String())
	}
	return lines
}
