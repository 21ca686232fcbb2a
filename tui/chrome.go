package tui

import (
	"cmp"
	"fmt"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/tui/paint"
)

// The chrome is a status line, a line of tabs and a line of hints; everything between belongs to the page. Prompts,
// questions and short words take the place of the hints, so that nothing ever jumps.
const (
	tabRow  = 1
	bodyTop = 2
	// leastWidth and leastHeight are the smallest terminal with chrome; below that there is one line of summary.
	leastWidth, leastHeight = 40, 8
)

// compose draws everything: exactly height lines of width cells.
func (u *ui) compose() []string {
	u.clock.begin()
	u.busy = false
	if u.width <= 0 || u.height <= 0 {
		return nil
	}
	return u.lines(u.width, u.height)
}

func (u *ui) lines(w, h int) []string {
	if w < leastWidth || h < leastHeight {
		lines := []string{u.summaryLine(w)}
		for len(lines) < h {
			lines = append(lines, paint.Spaces(w))
		}
		return lines
	}
	lines := make([]string, 0, h)
	lines = append(lines, u.statusLine(w), u.tabLine(w))
	body := h - 3
	lines = append(lines, u.frame().draw(w, body)...)
	if len(lines) != h-1 {
		panic(fmt.Sprintf("page %q drew %d lines of %d", u.frame().crumb(), len(lines)-2, body))
	}
	lines = append(lines, u.bottomLine(w))
	for _, d := range u.dialogs {
		overlay(lines, d.draw(w, h), w)
	}
	return lines
}

// glyph is the sign of a state; something that spins keeps the picture moving.
func (u *ui) glyph(s paint.State) string {
	if s == paint.StateBusy {
		u.busy = true
	}
	return u.theme.Glyph(s, u.tick)
}

// spinning notes that something that spins is drawn by others.
func (u *ui) spinning() { u.busy = true }

// phaseState is how a phase looks.
func phaseState(p cluster.Phase) paint.State {
	switch p {
	case cluster.PhaseRunning:
		return paint.StateOK
	case cluster.PhaseStarting, cluster.PhaseStopping:
		return paint.StateBusy
	case cluster.PhaseDegraded, cluster.PhaseUnknown:
		return paint.StateWarn
	case cluster.PhaseFailed:
		return paint.StateFail
	}
	return paint.StateOff
}

// health is the cluster in one state and one word.
func (u *ui) health() (paint.State, string) {
	s := &u.state.Snapshot
	if o := u.operation; o != nil && !o.done {
		return paint.StateBusy, u.doing(o)
	}
	if !u.state.Known {
		return paint.StateBusy, u.T("looking")
	}
	if !u.state.Running() || s.Phase != cluster.PhaseRunning {
		return phaseState(s.Phase), u.T(lower(string(s.Phase)))
	}
	for _, n := range s.Nodes {
		if !n.Ready && !n.Stopped {
			return paint.StateWarn, u.T("node not ready")
		}
	}
	worst := paint.StateOK
	for _, p := range s.Problems {
		worst = max(worst, severityState(p.Severity))
	}
	switch worst {
	case paint.StateFail:
		return worst, u.T("has problems")
	case paint.StateWarn:
		return worst, u.T("has warnings")
	}
	return paint.StateOK, u.T("ready")
}

func severityState(s cluster.Severity) paint.State {
	switch s {
	case cluster.SeverityError:
		return paint.StateFail
	case cluster.SeverityWarning:
		return paint.StateWarn
	}
	return paint.StateNone
}

// facts are the figures of the status line, the most important first.
func (u *ui) facts() []string {
	s := &u.state.Snapshot
	if !u.state.Running() {
		return nil
	}
	ready := 0
	for _, n := range s.Nodes {
		if n.Ready {
			ready++
		}
	}
	p := &u.state.Summary
	p.Refresh()
	facts := []string{u.T("nodes %d/%d", ready, len(s.Nodes))}
	if u.state.Pods.Synced {
		facts = append(facts, u.T("pods %d/%d", p.Ready, p.Total))
	}
	if len(u.state.Load.Nodes) > 0 {
		var cpu, cpus float64
		var memory, limit uint64
		for _, n := range u.state.Load.Nodes {
			cpu, memory = cpu+n.CPU, memory+n.Memory
			cpus, limit = max(cpus, n.CPUs), max(limit, n.MemoryLimit)
		}
		facts = append(facts, fmt.Sprintf("cpu %.1f/%.0f", cpu, cpus), fmt.Sprintf("mem %.1f/%.0fG", float64(memory)/(1<<30), float64(limit)/(1<<30)))
	}
	return facts
}

func (u *ui) statusLine(w int) string {
	s := &u.state.Snapshot
	state, word := u.health()
	l := u.theme.Line(w).Add(paint.Plain, " ").Add(paint.Strong, u.session.Name()).Add(paint.Plain, " ").
		Add(state.Role(), u.glyph(state)+" "+word)
	right, role := u.T("live"), paint.OK
	switch since := u.state.Stale(); {
	case !since.IsZero():
		right, role = u.theme.Glyphs.Warn+" "+u.T("silent %s, as of %s", u.clock.age(since), since.Format("15:04:05")), paint.Warn
	case !u.state.Alive():
		right = ""
	}
	if u.opts.ReadOnly {
		right = strings.TrimSpace(right + " " + u.T("read-only"))
	}
	space := u.state.namespace
	if space == "" {
		space = u.T("all")
	}
	parts := u.facts()
	if s.KubernetesVersion != "" {
		parts = append(parts, "k8s "+strings.TrimPrefix(s.KubernetesVersion, "v"))
	}
	if u.state.Running() {
		parts = append([]string{"ns:" + space}, parts...)
	}
	for _, p := range parts {
		if l.Room() < paint.Width(p)+paint.Width(right)+4 {
			continue
		}
		l.Add(paint.Plain, "  "+p)
	}
	return l.Right(role, right).String()
}

// summaryLine is all that a tiny terminal shows.
func (u *ui) summaryLine(w int) string {
	state, word := u.health()
	l := u.theme.Line(w).Add(state.Role(), u.glyph(state)).Add(paint.Strong, " "+u.session.Name()+" ").Add(paint.Plain, word)
	for _, f := range u.facts() {
		l.Add(paint.Dim, " "+f)
	}
	return l.String()
}

// tabName is how the screen i is named for a width.
func (u *ui) tabName(i, w int) string {
	name := u.T(u.screens[i].title)
	if w < 100 && u.words.Lang() == "en" {
		name = u.screens[i].short
	}
	return name
}

// tab is one of the tabs as it is drawn.
type tab struct {
	before, text, mark, after string
	role                      paint.Role
}

func (t *tab) width() int { return paint.Width(t.before + t.text + t.mark + t.after) }

// tabs are those of all screens. Where they need more than the line has, those behind the current one lose their margins,
// and then their names.
func (u *ui) tabs(w int) []tab {
	list := make([]tab, len(u.screens))
	need := 0
	for i := range u.screens {
		t := tab{" ", fmt.Sprintf("%d %s", i+1, u.tabName(i, w)), "", " ", paint.Dim}
		if u.warns(u.screens[i].id) {
			t.mark = u.theme.Glyphs.Warn
		}
		if i == u.current {
			t.before, t.after, t.role = "[", "]", paint.Title
		} else if w < 76 {
			t.text = fmt.Sprint(i + 1)
		}
		list[i] = t
		need += t.width()
	}
	for i := range list {
		if t := &list[i]; need > w && i != u.current {
			t.after = ""
			need--
		}
	}
	for i := len(list) - 1; i >= 0; i-- {
		if t := &list[i]; need > w && i != u.current {
			need += 1 - paint.Width(t.text)
			t.text = fmt.Sprint(i + 1)
		}
	}
	return list
}

func (u *ui) tabLine(w int) string {
	l := u.theme.Line(w)
	for _, t := range u.tabs(w) {
		if t.role == paint.Title {
			l.Add(t.role, t.before+t.text+t.mark+t.after)
			continue
		}
		l.Add(t.role, t.before+t.text).Add(paint.Warn, t.mark).Add(paint.Plain, t.after)
	}
	if hint := u.keys.Key("palette") + " " + u.T("find") + "  " + u.keys.Key("help") + " " + u.T("keys"); l.Room() > paint.Width(hint)+1 {
		l.Right(paint.Dim, hint)
	}
	return l.String()
}

// tabAt returns the screen whose tab is at a column, -1 if there is none.
func (u *ui) tabAt(x int) int {
	at := 0
	for i, t := range u.tabs(u.width) {
		n := t.width()
		if x >= at && x < at+n {
			return i
		}
		at += n
	}
	return -1
}

// warns says that a screen has something that needs attention.
func (u *ui) warns(id string) bool {
	for _, p := range u.state.Snapshot.Problems {
		if p.Severity != cluster.SeverityInfo && screenOf(p.Object) == id && id != "pods" {
			return true
		}
	}
	for _, s := range u.screens {
		if w, ok := s.pages[0].(warner); ok && s.id == id && w.warning() != "" {
			return true
		}
	}
	return false
}

// screenOf is where an object of a problem is at home.
func screenOf(object string) string {
	kind, _, _ := strings.Cut(object, "/")
	switch kind {
	case "node":
		return "nodes"
	case "addon":
		return "addons"
	case "dns":
		return "dns"
	case "component", "etcd", "kube-apiserver", "kube-scheduler", "kube-controller-manager":
		return "control"
	}
	return "pods"
}

// bottomLine is the prompt, a short word, what runs, or the hints.
func (u *ui) bottomLine(w int) string {
	l := u.theme.Line(w)
	switch {
	case u.prompt != nil:
		return u.prompt.line(u, w)
	case u.toast.text != "":
		return l.Add(paint.Plain, " ").Add(u.toast.role, u.toast.text).String()
	case len(u.tasks) > 0 && !u.operationShown():
		t := u.tasks[len(u.tasks)-1]
		l.Add(paint.Plain, " ").Add(paint.Busy, u.glyph(paint.StateBusy)+" "+t.title)
		if t.detail != "" {
			l.Add(paint.Dim, ": "+paint.Clean(t.detail))
		}
		return l.Right(paint.Dim, u.keys.Key("log")+" "+u.T("shows it and can cancel it")).String()
	}
	l.Add(paint.Plain, " ")
	hints, chain := u.frame().hints(), u.chain()
	if _, ok := u.page().(filterer); ok {
		word := ""
		if inText(chain) {
			word = u.T("find")
		}
		hints = append(hints, hint{"filter", word})
	}
	for _, h := range append(hints, hintsOf("command", "help")...) {
		if key := u.keyIn(chain, h.id); key != "" {
			l.Hint(key, cmp.Or(h.word, u.wordOf(h.id)))
		}
	}
	return l.String()
}

// wordOf is what the line of hints always has for an action.
func (u *ui) wordOf(id string) string {
	a, _ := u.keys.Action(id)
	return u.T(cmp.Or(a.Hint, a.Help))
}

// trail is the names of the pages that were opened over each other.
func (u *ui) trail() string {
	var names []string
	for _, p := range u.screens[u.current].pages {
		if c := p.crumb(); c != "" {
			names = append(names, c)
		}
	}
	return strings.Join(names, " "+u.theme.Glyphs.Right+" ")
}

// overlay lays the lines of a box over the middle of lines.
func overlay(lines, box []string, w int) {
	if len(box) == 0 {
		return
	}
	top := max(0, (len(lines)-len(box))/2)
	for i, b := range box {
		if top+i >= len(lines) {
			return
		}
		lines[top+i] = middle(lines[top+i], b, w)
	}
}
