package tui

import (
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"bonsai/tui/keymap"
	"bonsai/tui/paint"
)

// panes is a list that, on a wide terminal, has beside it what its cursor is on: the object, and its log if it has one.
// They follow the cursor. One of them has the keys; tab gives them to the next.
type panes struct {
	u    *ui
	list listing
	// sides are the panes beside the list; none where there is no room, or nothing to show.
	sides   []page
	about   string // key of what they show
	focus   int    // 0 is the list, the others are sides
	extent  int    // of the pane that has the keys
	visible bool
	next    string // key of what the cursor is on, since then, if that is not shown yet
	since   time.Time
	waiting bool      // a timer runs
	spans   []tabSpan // where the panes stand, for the mouse
}

// listing is a page that can have panes beside it.
type listing interface {
	page
	placed
	chooser
	filterer
	pointer
}

// The room for panes, that of the terminal as a whole.
const (
	panesWidth  = 160
	panesHeight = 45
)

// restFor is how long the cursor has to rest on an object before it is read: running through a list reads nothing.
const restFor = 150 * time.Millisecond

// The extents of the pane that has the keys: its own size, half of all, all.
const (
	extentOwn = iota
	extentHalf
	extentAll
)

func newPanes(u *ui, list listing) *panes { return &panes{u: u, list: list} }

// front is the pane that has the keys.
func (p *panes) front() page {
	if p.focus > 0 {
		return p.sides[p.focus-1]
	}
	return p.list
}

func (p *panes) crumb() string       { return p.list.crumb() }
func (p *panes) place() string       { return p.list.place() }
func (p *panes) lost() bool          { return p.list.lost() }
func (p *panes) subjects() []subject { return p.list.subjects() }

func (p *panes) hints() []hint {
	if len(p.sides) == 0 {
		return p.list.hints()
	}
	return append(p.front().hints(), hint{id: "pane.next"})
}

// contexts are those of panes, of the pane that has the keys, and of the object for what means nothing in that pane.
func (p *panes) contexts() []keymap.Context {
	if len(p.sides) == 0 {
		return p.list.contexts()
	}
	list := append([]keymap.Context{keymap.Panes}, p.front().contexts()...)
	if object, ok := p.sides[0].(*subjectPage); ok && p.focus > 1 {
		list = append(list, contextsFor([]subject{object.s}, keymap.Object)...)
	}
	return list
}

func (p *panes) act(id string) bool {
	if p.front().act(id) {
		return true
	}
	n := len(p.sides)
	if n == 0 {
		return false
	}
	switch id {
	case "pane.next":
		p.focus = (p.focus + 1) % (n + 1)
	case "pane.prev":
		p.focus = (p.focus + n) % (n + 1)
	case "pane.zoom":
		if p.extent == extentAll {
			p.extent = extentOwn
		} else {
			p.extent = extentAll
		}
	case "pane.larger":
		p.extent = min(extentAll, p.extent+1)
	case "pane.smaller":
		p.extent = max(extentOwn, p.extent-1)
	default:
		object, ok := p.sides[0].(*subjectPage)
		return ok && p.focus > 1 && slices.Contains([]string{"describe", "yaml", "logs", "birth"}, id) && object.act(id)
	}
	return true
}

// back takes back what the pane that has the keys can, and then gives the keys to the list.
func (p *panes) back() bool {
	if p.focus == 0 {
		return false // the list is asked itself
	}
	front := p.front()
	if f, ok := front.(filterer); ok && f.filterText() != "" {
		f.setFilter("")
	} else if b, ok := front.(backer); !ok || !b.back() {
		p.focus = 0
	}
	return true
}

func (p *panes) show() {
	p.visible = true
	p.list.show()
	for _, s := range p.sides {
		s.show()
	}
}

func (p *panes) hide() {
	p.visible = false
	p.list.hide()
	for _, s := range p.sides {
		s.hide()
	}
}

func (p *panes) namespaceChanged() {
	if n, ok := p.list.(interface{ namespaceChanged() }); ok {
		n.namespaceChanged()
	}
}

func (p *panes) room() bool { return p.u.width >= panesWidth && p.u.height >= panesHeight }

// follow has the sides show what the cursor is on. It is called before each picture.
func (p *panes) follow() {
	if !p.visible {
		return
	}
	if !p.room() {
		p.beside(nil)
		return
	}
	list := p.list.subjects()
	switch {
	case len(list) > 1: // marked
		return
	case len(list) == 0 || list[0].ref.Key() == p.about:
		if p.focus == 0 && len(list) == 0 {
			p.beside(nil)
		}
		p.next = ""
		return
	}
	now := p.u.clock.now()
	if key := list[0].ref.Key(); key != p.next {
		p.next, p.since = key, now
	}
	rest := p.u.restFor - now.Sub(p.since)
	switch {
	case rest <= 0 || len(p.sides) == 0:
		p.beside(&list[0])
	case !p.waiting:
		p.waiting = true
		p.u.cmd(tea.Tick(rest, func(time.Time) tea.Msg { return doMsg(func() { p.waiting = false }) })) // and another picture
	}
}

// beside shows an object beside the list, or nothing.
func (p *panes) beside(s *subject) {
	for _, side := range p.sides {
		side.hide()
	}
	if s == nil {
		p.sides, p.focus, p.extent, p.about = nil, 0, extentOwn, ""
		return
	}
	u := p.u
	var object page = newSubjectPage(u, *s)
	if t := s.ref.Type; t.Resource == "nodes" && t.Group == "" {
		object = newNodePage(u, s.ref.Name)
	}
	p.sides, p.about = []page{object}, s.ref.Key()
	if needsLogs(u, s) == "" {
		p.sides = append(p.sides, newLogsOf(u, []subject{*s}, false))
	}
	p.focus = min(p.focus, len(p.sides))
	for _, side := range p.sides {
		side.show()
	}
	u.touch()
}

// widths are those of the panes; 0 is one that is not to be seen.
func (p *panes) widths(w int) []int {
	n := len(p.sides) + 1
	all := make([]int, n)
	w -= (n - 1) * paneGap
	own := [][]int{{100}, {45, 55}, {40, 31, 29}}[n-1] // percent
	if n == 1 || p.extent == extentAll {
		all[p.focus] = w + (n-1)*paneGap
		return all
	}
	rest := w
	for i := range all {
		switch {
		case p.extent == extentOwn:
			all[i] = w * own[i] / 100
		case i == p.focus:
			all[i] = w / 2
		default:
			all[i] = w / 2 / (n - 1)
		}
		rest -= all[i]
	}
	all[p.focus] += rest
	return all
}

// paneGap is the width of what parts two panes.
const paneGap = 3

func (p *panes) draw(w, h int) []string {
	p.spans = p.spans[:0]
	if n, ok := p.list.(*nodesPage); ok {
		n.beside = len(p.sides) > 0
	}
	if len(p.sides) == 0 {
		return p.list.draw(w, h)
	}
	u := p.u
	gap := " " + u.theme.Line(1).Add(paint.Dim, u.theme.Glyphs.TreeUp).String() + " "
	lines := make([]strings.Builder, h)
	at := 0
	for i, width := range p.widths(w) {
		p.spans = append(p.spans, tabSpan{at, at + width})
		if width == 0 {
			continue
		}
		if at > 0 {
			for j := range lines {
				lines[j].WriteString(gap)
			}
			p.spans[i] = tabSpan{at + paneGap, at + paneGap + width}
		}
		pane := page(p.list)
		if i > 0 {
			pane = p.sides[i-1]
		}
		lines[0].WriteString(p.head(pane, i, width))
		for j, l := range pane.draw(width, h-1) {
			lines[j+1].WriteString(l)
		}
		at = p.spans[i].to
	}
	out := make([]string, h)
	for i := range lines {
		out[i] = lines[i].String()
	}
	return out
}

// head names a pane, and shows whether it has the keys.
func (p *panes) head(pane page, i, w int) string {
	u := p.u
	role, mark := paint.Dim, " "
	if i == p.focus {
		role, mark = paint.Title, u.theme.Glyphs.Cursor
	}
	title := p.list.crumb()
	switch side := pane.(type) {
	case *logsPage:
		title = u.T("logs")
	case *subjectPage:
		title = singular(side.s.ref.Type)
	case *nodePage:
		title = "node"
	}
	return u.line(w).Add(role, mark+strings.ToUpper(title)+" ").Rule().String()
}

// under is the pane at a column, and the column in it.
func (p *panes) under(x int) (int, int) {
	for i, s := range p.spans {
		if x >= s.from && x < s.to {
			return i, x - s.from
		}
	}
	return -1, 0
}

func (p *panes) click(x, y int) {
	if len(p.sides) == 0 || len(p.spans) == 0 {
		p.list.click(x, y)
		return
	}
	i, x := p.under(x)
	if i < 0 || i > len(p.sides) {
		return
	}
	p.focus = i
	if t, ok := p.front().(pointer); ok && y > 0 {
		t.click(x, y-1)
	}
}

func (p *panes) wheel(rows int) {
	if t, ok := p.front().(pointer); ok {
		t.wheel(rows)
	}
}
