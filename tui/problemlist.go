package tui

import (
	"slices"
	"strconv"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fixes"
	"bonsai/tui/paint"
)

// podOfProblem is a pod that has the problem.
func podOfProblem(p *cluster.Problem) (namespace, name string, ok bool) {
	object := strings.TrimPrefix(p.Object, "pod/")
	if object == p.Object {
		if len(p.Pods) == 0 {
			return "", "", false
		}
		object = p.Pods[0]
	}
	return strings.Cut(object, "/")
}

// problemList is the problems of the newest snapshot with a cursor that stays on its problem.
type problemList struct {
	u *ui
	// all is the tree of causes, list what is visible of it: what follows from a problem is folded until its key is in open.
	all    []problemRow
	list   []problemRow
	open   map[string]bool
	cursor int
	key    string // of the problem under the cursor; empty is the first
	gone   bool
	top    int
	rows   int
	line   int // of the page's body at which the list begins
	head   int // lines of heading before the first row
}

// refresh takes the problems of the newest snapshot, the worst first.
func (l *problemList) refresh() {
	list := slices.Clone(l.u.state.Snapshot.Problems)
	for i := range list {
		cleanProblem(&list[i])
	}
	slices.SortStableFunc(list, func(a, b cluster.Problem) int { return severityRank(a.Severity) - severityRank(b.Severity) })
	before := ""
	if len(l.list) > 0 {
		before = fixes.Key(&l.list[0].Problem)
	}
	l.all = problemTree(list)
	l.list = visibleRows(l.all, l.open)
	if l.key == "" {
		l.cursor = 0
		l.gone = l.gone || before != "" && (len(l.list) == 0 || fixes.Key(&l.list[0].Problem) != before)
		return
	}
	if at := l.at(l.key); at >= 0 {
		l.cursor = at
		return
	}
	// It is gone, unless it follows from another one now and is folded: the cursor is on that then.
	for i := range l.all {
		if fixes.Key(&l.all[i].Problem) == l.key {
			for j := i; j >= 0; j-- {
				if at := l.at(fixes.Key(&l.all[j].Problem)); at >= 0 && i <= j+l.all[j].below {
					l.set(at)
					return
				}
			}
		}
	}
	l.gone = true
	l.set(l.cursor)
}

// at is the row of the problem of that key; -1 if it is not visible.
func (l *problemList) at(key string) int {
	return slices.IndexFunc(l.list, func(r problemRow) bool { return fixes.Key(&r.Problem) == key })
}

// fold shows or hides what follows from the problem under the cursor, or from the one that it follows from.
func (l *problemList) fold() bool {
	at := l.cursor
	if at >= len(l.list) {
		return false
	}
	for at > 0 && l.list[at].below == 0 && l.list[at].depth > 0 {
		at--
	}
	if l.list[at].below == 0 {
		return false
	}
	key := fixes.Key(&l.list[at].Problem)
	if l.open == nil {
		l.open = map[string]bool{}
	}
	l.open[key] = !l.open[key]
	l.list = visibleRows(l.all, l.open)
	l.set(at)
	return true
}

// cleanProblem makes the text of a problem harmless.
func cleanProblem(p *cluster.Problem) {
	p.Object, p.Summary, p.Cause, p.Container = paint.Clean(p.Object), paint.Clean(p.Summary), paint.Clean(p.Cause), paint.Clean(p.Container)
	p.Pods = slices.Clone(p.Pods)
	for i := range p.Pods {
		p.Pods[i] = paint.Clean(p.Pods[i])
	}
	p.Evidence = slices.Clone(p.Evidence)
	for i := range p.Evidence {
		p.Evidence[i] = paint.CleanLog(p.Evidence[i])
	}
}

func (l *problemList) set(at int) {
	l.cursor = max(0, min(at, len(l.list)-1))
	l.key = ""
	if l.cursor < len(l.list) {
		l.key = fixes.Key(&l.list[l.cursor].Problem)
	}
}

func (l *problemList) move(n int) { l.set(l.cursor + n) }

func (l *problemList) current() (cluster.Problem, bool) {
	if l.cursor < len(l.list) {
		return l.list[l.cursor].Problem, true
	}
	return cluster.Problem{}, false
}

func (l *problemList) takeLost() bool {
	gone := l.gone
	l.gone = false
	return gone
}

func (l *problemList) act(id string) bool {
	switch id {
	case "down":
		l.move(1)
	case "up":
		l.move(-1)
	case "top":
		l.move(-len(l.list))
	case "bottom":
		l.move(len(l.list))
	case "page.down":
		l.move(max(1, l.rows))
	case "page.up":
		l.move(-max(1, l.rows))
	case "problem.fold":
		if !l.fold() {
			l.u.toast.say(paint.Dim, l.u.T("nothing is known to follow from it"))
		}
	default:
		return false
	}
	return true
}

// click takes a click at a line of the page's body.
func (l *problemList) click(y int) bool {
	if row := y - l.line - l.head; row >= 0 && row < l.rows && l.top+row < len(l.list) {
		l.set(l.top + row)
		return true
	}
	return false
}

func (l *problemList) heading(w, rows int) string {
	u := l.u
	note := strconv.Itoa(len(l.all))
	if len(l.list) > rows {
		note = u.T("%d of %d", l.cursor+1, len(l.list))
	}
	return u.heading(w, u.T("PROBLEMS"), note)
}

// columns are the widths of object and summary; the cause has the rest, if there is enough of it.
func (l *problemList) columns(w int) (object, summary int) {
	for i := range l.list {
		object = max(object, paint.Width(l.u.branch(&l.list[i])+shortObject(&l.list[i].Problem)))
		summary = max(summary, paint.Width(l.u.said(l.list[i].Summary)))
	}
	if w < causeWidth {
		return min(object, max(12, w/2)), w
	}
	return min(object, max(12, w*30/100)), min(summary, max(12, w*30/100))
}

// causeWidth is the width from which causes have a column.
const causeWidth = 72

// draw returns the rows around the cursor.
func (l *problemList) draw(w, rows int) []string {
	l.rows = rows
	l.top = max(0, min(l.cursor-rows/2, len(l.list)-rows))
	object, summary := l.columns(w)
	var lines []string
	for i := l.top; i < min(len(l.list), l.top+rows); i++ {
		lines = append(lines, l.row(i, w, object, summary))
	}
	return lines
}

func (l *problemList) row(i, w, object, summary int) string {
	u, r := l.u, &l.list[i]
	p := &r.Problem
	state := severityState(p.Severity)
	line := u.line(w)
	if i == l.cursor {
		line.Add(paint.Strong, u.theme.Glyphs.Cursor).Select()
	} else {
		line.Add(paint.Plain, " ")
	}
	line.State(state, u.tick).Col(paint.Strong, u.branch(r)+shortObject(p), object).Add(paint.Plain, " ")
	more := u.theme.Glyphs.More
	if w < causeWidth {
		if r.below == 0 {
			return line.Add(state.Role(), u.said(p.Summary)).String()
		}
		right := u.T("+%d", r.below) + " "
		return line.Add(state.Role(), paint.Cut(u.said(p.Summary), line.Room()-paint.Width(right)-1, more)).Right(paint.Accent, right).String()
	}
	// A summary that is longer than most takes room from its cause: it is what has to be read.
	summary = max(summary, paint.Width(u.said(p.Summary)))
	short := u.T("+%d", r.below) + " "
	if r.below > 0 { // how many follow is always seen
		summary = min(summary, line.Room()-paint.Width(short)-3)
	}
	line.Col(state.Role(), u.said(p.Summary), summary).Add(paint.Plain, " ")
	right, cause := u.clock.age(p.Since)+" ", u.said(p.Cause)
	if r.below > 0 {
		if right = u.T("+%d that follow", r.below) + "  " + right; line.Room() < paint.Width(right)+12 {
			right = short
		}
		cause = paint.Cut(cause, line.Room()-paint.Width(right)-1, more)
	}
	return line.Add(paint.Plain, cause).Right(paint.Dim, right).String()
}

// branch stands before a problem that follows from another one.
func (u *ui) branch(r *problemRow) string {
	if r.depth == 0 {
		return ""
	}
	return paint.Spaces(2*r.depth-2) + u.theme.Glyphs.TreeLast + " "
}

// stripLines is how many lines explain the problem under the cursor: one for what to do, and one more if any cause
// is cut off above. It does not depend on the cursor, so that nothing jumps.
func (l *problemList) stripLines(w int) int {
	object, summary := l.columns(w)
	for i := range l.list {
		if cause := paint.Width(l.u.said(l.list[i].Cause)); cause > 0 && (w < causeWidth || cause > w-object-summary-7) {
			return 2
		}
	}
	return 1
}

// strip says why, if that is cut off in the list, and what to do about the problem under the cursor.
func (l *problemList) strip(w, n int) []string {
	u := l.u
	p, _ := l.current()
	var lines []string
	if n > 1 {
		lines = append(lines, u.line(w).Add(paint.Plain, "   ").Add(paint.Plain, u.said(p.Cause)).String())
	}
	line := u.line(w).Add(paint.Plain, "   ")
	if m := u.mendingOf(&p); m != nil {
		return append(lines, line.Add(paint.Busy, u.glyph(u.spinState(paint.StateBusy))+" "+u.mendingText(m)).String())
	}
	if advice := u.firstAdvice(p.Advice); advice != "" {
		line.Add(paint.Dim, u.theme.Glyphs.Right+" ").Add(paint.Accent, advice)
		if u.fixable(&p) {
			line.Add(paint.Plain, "   ").Hint(u.keys.Key("fix"), u.T("runs it"))
		}
	}
	return append(lines, line.String())
}

// shortObject is what has the problem, as short as it is clear: of pods the namespace and the name.
func shortObject(p *cluster.Problem) string {
	if rest, ok := strings.CutPrefix(p.Object, "pod/"); ok {
		return rest
	}
	return strings.Replace(p.Object, "/", " ", 1)
}
