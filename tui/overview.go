package tui

import (
	"bonsai/bootstrap/cluster"
	"bonsai/tui/keymap"
	"bonsai/tui/paint"
)

// overviewPage answers whether the cluster is healthy and, if not, what is wrong, why, and what to do: problems first,
// with the cursor on them, then nodes, control plane, pods, DNS and warnings. Where there is little room the parts get
// short, and the last of them go; where there is much, they stand beside each other.
type overviewPage struct {
	u        *ui
	problems problemList
	dns      dnsPulse
	warnings warningList
	tail     logTail
	visible  bool
	// tour is the three lines for those who are new; a key takes them away.
	tour, asked bool
}

func newOverviewPage(u *ui) *overviewPage {
	p := &overviewPage{u: u}
	p.problems.u = u
	p.dns, p.warnings, p.tail = dnsPulse{u.state.NewDNSPulse(), u}, newWarningList(u), logTail{u.state.NewLogTail(), u}
	u.state.Listen(func() {
		if p.visible {
			p.problems.refresh()
			p.follow()
		}
	})
	return p
}

func (p *overviewPage) crumb() string { return p.u.T("overview") }

func (p *overviewPage) show() {
	p.visible = true
	p.problems.refresh()
	p.dns.Feed.Use()
	p.warnings.Feed.Use()
	p.follow()
	if !p.asked {
		p.asked = true
		u := p.u
		fetch(u, u.startsSoFar, func(n int, _ error) { p.tour = n <= 1 })
	}
}

func (p *overviewPage) hide() {
	p.visible, p.tour = false, false
	p.dns.Feed.Leave()
	p.warnings.Feed.Leave()
	p.tail.Point("", "")
}

// sized follows the terminal's size: a wide one has room for a log.
func (p *overviewPage) sized() { p.follow() }

// thirdColumn is the width from which the log of a pod has a column of its own; below that it stands below the rest
// where there are logHeight lines.
const (
	thirdColumn = 200
	logHeight   = 34
)

// follow points the log at the pod of the problem under the cursor, or else of the first that is one of a pod.
func (p *overviewPage) follow() {
	if p.u.width < thirdColumn && (p.u.width < 100 || p.u.height-bodyTop-1 < logHeight) {
		p.tail.Point("", "")
		return
	}
	list := p.problems.all
	if at := p.problems.cursor; at < len(p.problems.list) {
		list = append([]problemRow{p.problems.list[at]}, list...)
	}
	for i := range list {
		if ns, name, ok := podOfProblem(&list[i].Problem); ok {
			p.tail.Point(ns, name)
			return
		}
	}
	p.tail.Point("", "")
}

// takeKey lets every key pass; the first one ends the tour.
func (p *overviewPage) takeKey(string) bool {
	p.tour = false
	return false
}

func (p *overviewPage) act(id string) bool {
	if p.problems.act(id) {
		p.follow()
		return true
	}
	if id != "open" {
		return false
	}
	if problem, ok := p.problems.current(); ok {
		p.u.push(newProblemPage(p.u, problem))
	} else {
		p.u.toast.say(paint.Dim, p.u.T("nothing is wrong; there is nothing to explain"))
	}
	return true
}

func (p *overviewPage) contexts() []keymap.Context { return contextsFor(p.subjects(), keymap.Problems) }

func (p *overviewPage) subjects() []subject {
	if problem, ok := p.problems.current(); ok {
		return []subject{p.u.problemSubject(&problem)}
	}
	return nil
}

func (p *overviewPage) lost() bool { return p.problems.takeLost() }

func (p *overviewPage) click(_, y int) {
	if p.problems.click(y) {
		p.follow()
	}
}

func (p *overviewPage) wheel(rows int) { p.problems.move(rows); p.follow() }

func (p *overviewPage) hints() []hint {
	problem, ok := p.problems.current()
	if !ok {
		return []hint{{id: "screen.pods"}, {"screen.control", p.u.T("control plane")}, {id: "palette"}}
	}
	hints := []hint{{"open", p.u.T("explain")}}
	if p.problems.list[p.problems.cursor].below > 0 {
		hints = append(hints, hint{id: "problem.fold"})
	}
	s := p.u.problemSubject(&problem)
	for _, id := range []string{"fix", "logs", "shell", "describe"} {
		if v := verbNamed(id); v != nil && p.u.whyNot(v, []subject{s}) == "" {
			hints = append(hints, hint{id: id})
		}
	}
	return append(hints, hint{id: "actions"})
}

// part is one piece of the overview: a heading, and rows of which it can do with fewer than it would like.
type part struct {
	least, want int
	// bare has no heading.
	bare bool
	// greedy takes what rows are left.
	greedy bool
	draw   func(w, rows int) []string // heading included, where there is one
	rows   int
}

// cost is the lines that it takes with its rows.
func (p *part) cost() int {
	switch {
	case p.rows == 0:
		return 0
	case p.bare:
		return p.rows
	}
	return p.rows + 1
}

// allot gives rows to parts, the first ones first, and returns how many blank lines may stand between two of them.
func allot(parts []*part, h int) (gap int) {
	left := h
	for _, p := range parts {
		p.rows = min(p.least, p.want)
		if p.cost() > left {
			p.rows = 0
		}
		left -= p.cost()
	}
	for _, p := range parts {
		if p.rows > 0 {
			more := max(0, min(p.want-p.rows, left))
			p.rows += more
			left -= more
		}
	}
	shown := 0
	for _, p := range parts {
		if p.rows > 0 {
			shown++
		}
	}
	if shown > 1 && left >= shown-1 {
		gap = 1
		left -= shown - 1
	}
	for _, p := range parts {
		if p.greedy && p.rows > 0 {
			p.rows += left
			left = 0
		}
	}
	return gap
}

func (p *overviewPage) draw(w, h int) []string {
	u := p.u
	if text := u.noCluster(); text != "" {
		return fill(u.note(text, w, h), w, h)
	}
	u.state.Summary.Refresh()
	if w >= thirdColumn {
		left := w * 63 / 100
		return beside(p.column(left, h), p.tail.draw(w-left-2, h), left, w-left-2)
	}
	return p.column(w, h)
}

// column draws all parts below each other, some of them in two halves.
func (p *overviewPage) column(w, h int) []string {
	parts := []*part{p.problemPart(w, h)}
	nodes, control, pods, dns := p.nodesPart(), p.controlPart(), p.podsPart(), p.dnsPart()
	if h < tightHeight || w < 60 && h < 20 {
		nodes.bare, control.bare, pods.bare, dns.bare = true, true, true, true
		nodes.want, pods.want, control.want, dns.want = 1, 1, 1, 1
		parts = append(parts, nodes, pods, dns)
	} else if w >= 100 {
		parts = append(parts, halves(nodes, control), halves(pods, dns), p.eventPart())
	} else {
		parts = append(parts, nodes, control, pods, dns, p.eventPart())
	}
	if w >= 100 && h >= logHeight && p.tail.Name != "" {
		parts = append(parts, p.logPart())
	}
	if p.tour && h >= tightHeight {
		parts = append(parts, p.tourPart())
	}
	gap := allot(parts, h)
	var lines []string
	for i, part := range parts {
		if part.rows == 0 {
			continue
		}
		if len(lines) > 0 && gap > 0 {
			lines = append(lines, paint.Spaces(w))
		}
		if i == 0 {
			p.problems.line = len(lines)
		}
		lines = append(lines, part.draw(w, part.rows)...)
	}

	return fill(lines, w, h)
}

// tightHeight is the height below which there are no headings.
const tightHeight = 13

// halves puts two parts beside each other.
func halves(a, b *part) *part {
	return &part{least: max(a.least, b.least), want: max(a.want, b.want), draw: func(w, rows int) []string {
		left := (w - 2) * 52 / 100
		right := w - 2 - left
		return beside(fill(a.draw(left, rows), left, rows+1), fill(b.draw(right, rows), right, rows+1), left, right)
	}}
}

// beside joins the lines of two columns.
func beside(a, b []string, wa, wb int) []string {
	lines := make([]string, 0, max(len(a), len(b)))
	for i := range max(len(a), len(b)) {
		left, right := paint.Spaces(wa), paint.Spaces(wb)
		if i < len(a) {
			left = a[i]
		}
		if i < len(b) {
			right = b[i]
		}
		lines = append(lines, left+"  "+right)
	}
	return lines
}

// line begins a line that is pale while the cluster is silent.
func (u *ui) line(w int) *paint.Line {
	return u.theme.Line(w).Pale(!u.state.Stale().IsZero())
}

// heading is the first line of a part: its name, what is to be said about it, and a rule.
func (u *ui) heading(w int, title, note string) string {
	l := u.line(w).Add(paint.Plain, " ").Add(paint.Title, title).Add(paint.Plain, " ")
	if note != "" {
		l.Add(paint.Dim, note+" ")
	}
	if l.Room() > 1 {
		l.Rule()
	}
	return l.String()
}

// noCluster says why there is nothing to see, "" if there is.
func (u *ui) noCluster() string {
	switch {
	case !u.state.Known && u.state.Link != nil:
		return u.errorText(u.state.Link)
	case !u.state.Known:
		u.spinning()
		return u.glyph(paint.StateBusy) + " " + u.T("reading the state of the cluster")
	case u.state.Snapshot.Phase == cluster.PhaseAbsent:
		return u.T("cluster %q does not exist yet; %s finds \"start\"", u.session.Name(), u.keys.Key("palette"))
	case u.state.Absent():
		return u.T("the cluster is stopped, its data is kept; %s finds \"start\"", u.keys.Key("palette"))
	}
	return ""
}

// problemPart is the list of problems, or the good news.
func (p *overviewPage) problemPart(w, h int) *part {
	n := len(p.problems.list)
	if n == 0 {
		return &part{least: 1, want: 4, bare: true, draw: p.drawCalm}
	}
	tight := h < tightHeight
	strip := 0
	if h >= 18 {
		strip = p.problems.stripLines(w)
	}
	return &part{least: min(n, 3) + strip, want: n + strip, bare: tight, draw: func(w, rows int) []string {
		var lines []string
		p.problems.head = 0
		if !tight {
			p.problems.head = 1
			lines = append(lines, p.problems.heading(w, rows-strip))
		}
		lines = append(lines, p.problems.draw(w, rows-strip)...)
		if strip > 0 {
			lines = append(lines, p.problems.strip(w, strip)...)
		}
		return lines
	}}
}

// drawCalm says that nothing is wrong, and what to try.
func (p *overviewPage) drawCalm(w, rows int) []string {
	u := p.u
	l := u.line(w).Add(paint.Plain, " ")
	switch state, word := u.health(); state {
	case paint.StateOK:
		l.Add(paint.OK, u.glyph(state)+" "+u.T("nothing is wrong"))
	default:
		l.Add(state.Role(), u.glyph(state)+" "+word)
		if u.state.Link != nil {
			l.Add(paint.Plain, "  "+u.errorText(u.state.Link))
			return []string{l.String()}
		}
	}
	if !u.state.Snapshot.Time.IsZero() && rows > 1 {
		if last := u.state.Snapshot.LastStart; last != nil && last.Total > 0 {
			l.Add(paint.Dim, "   "+u.T("started in %s, %s ago", span(last.Total), u.clock.age(last.Started)))
		}
	}
	lines := []string{l.String()}
	if rows > 1 && !p.tour {
		tip := func(key, text string) {
			lines = append(lines, u.line(w).Add(paint.Plain, "   ").Col(paint.Key, key, 7).Add(paint.Dim, text).String())
		}
		tip(u.keys.Key("screen.control"), u.T("watch the control plane at work"))
		tip(u.keys.Key("birth"), u.T("on a pod: how it was created, step by step"))
		tip(u.keys.Key("palette"), u.T("find anything: verbs, objects, settings"))
	}
	return fill(lines, w, min(rows, max(len(lines), 1)))
}

func (p *overviewPage) tourPart() *part {
	u := p.u
	return &part{least: 3, want: 3, bare: true, draw: func(w, _ int) []string {
		tip := func(key, text string) string {
			return u.theme.Line(w).Add(paint.Plain, "   ").Col(paint.Key, key, 7).Add(paint.Plain, text).String()
		}
		return []string{
			tip(u.keys.Key("screen.overview")+"–"+u.keys.Key("screen.ports"), u.T("screens; the first one shows what is wrong")),
			tip(u.keys.Key("palette"), u.T("finds anything: verbs, objects, settings")),
			tip(u.keys.Key("help"), u.T("the keys of every screen; any key closes this")),
		}
	}}
}
