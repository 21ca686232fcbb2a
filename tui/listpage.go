package tui

import (
	"fmt"
	"slices"
	"strings"

	"bonsai/bootstrap/kube"
	"bonsai/tui/grid"
	"bonsai/tui/keymap"
	"bonsai/tui/model"
	"bonsai/tui/paint"
)

// listPage shows the objects of any one type as a table: what the API server prints of them, and a strip
// below that explains the row under the cursor.
type listPage struct {
	u     *ui
	store *model.Rows
	grid  *grid.Grid
	// columns are the store's; namespaced says that theirs comes first.
	columns    []kube.Column
	namespaced bool
	visible    bool
	// extra columns come behind those of the API server and are drawn from what else is known.
	extra []grid.Column
	// explain writes the strip; nil for none.
	explain func(r *kube.Row, w int) []string
	// rename changes an item before it goes into the grid.
	rename func(*grid.Item, *kube.Row)
	// only, if set, says which rows are shown.
	only func(*kube.Row) bool
	tree podTree
	// titled says that the list begins with what it is of: it has no screen of its own whose name says it.
	titled bool
}

// strip is the number of lines of the explanation below a list.
const strip = 1

func newListPage(u *ui, store *model.Rows) *listPage {
	p := &listPage{u: u, store: store, grid: grid.New(nil)}
	return p
}

func (p *listPage) crumb() string { return p.store.Query.Type.Resource }

func (p *listPage) show() {
	p.visible = true
	p.store.Read(p)
}

func (p *listPage) hide() {
	p.visible = false
	p.store.Unread(p)
}

// allNamespaces says that the list has objects of several namespaces.
func (p *listPage) allNamespaces() bool {
	return p.store.Query.Type.Namespaced && p.u.state.namespace == ""
}

func (p *listPage) ColumnsChanged(columns []kube.Column) {
	p.columns = columns
	p.namespaced = p.allNamespaces()
	p.grid.SetColumns(append(gridColumns(columns, p.namespaced), p.extra...))
}

func (p *listPage) RowsReset() {
	p.grid.Reset()
	p.tree.reset()
	p.u.touch()
}

func (p *listPage) ErrChanged() { p.u.touch() }

func (p *listPage) RowsChanged(set []kube.Row, deleted []string) {
	items := make([]grid.Item, 0, len(set))
	only := p.u.state.namespace
	lines := map[string]grid.Item{} // of owners
	for i := range set {
		if only != "" && set[i].Namespace != only && p.store.Query.Type.Namespaced {
			continue
		}
		if p.only != nil && !p.only(&set[i]) {
			deleted = append(slices.Clip(deleted), set[i].UID)
			continue
		}
		it := gridItem(p.columns, set[i], p.namespaced)
		if p.rename != nil {
			p.rename(&it, &set[i])
		}
		if p.tree.on {
			line := p.tree.place(p.grid.Columns(), &it, &set[i], p.u.theme)
			lines[line.ID] = line
		}
		items = append(items, it)
	}
	for _, line := range lines {
		items = append(items, line)
	}
	p.grid.Set(items...)
	p.grid.Remove(append(slices.Clip(deleted), p.tree.remove(deleted)...)...)
	p.u.touch()
}

func (p *listPage) namespaceChanged() {
	if !p.visible {
		return // show reads everything again
	}
	p.store.Unread(p)
	p.store.Read(p)
	p.u.touch()
}

func (p *listPage) filterText() string    { return p.grid.Filter() }
func (p *listPage) filterPrompt() string  { return "/" }
func (p *listPage) setFilter(text string) { p.grid.SetFilter(text); p.u.touch() }

func (p *listPage) click(x, y int) {
	if p.titled {
		y--
	}
	if p.grid.Click(x, y) {
		p.u.touch()
	}
}

func (p *listPage) wheel(rows int) { p.grid.Move(rows) }

func (p *listPage) lost() bool { return p.grid.Lost() }

func (p *listPage) subjects() []subject {
	var list []subject
	for _, it := range p.grid.Marked() {
		if r, ok := it.Data.(kube.Row); ok {
			list = append(list, subjectOf(p.store.Query.Type, p.columns, &r))
		}
	}
	return list
}

// subjectOf is the object of a row.
func subjectOf(t kube.ResourceType, columns []kube.Column, r *kube.Row) subject {
	s := subject{
		ref:   kube.Ref{Type: t, Namespace: r.Namespace, Name: r.Name, UID: r.UID},
		owner: r.Owner, line: strings.Join(r.Cells, "  "), cordoned: r.Cordoned,
	}
	for i, c := range columns {
		if i >= len(r.Cells) {
			break
		}
		switch lower(c.Name) {
		case "status":
			s.state = r.Cells[i]
		case "node":
			s.node = r.Cells[i]
		}
	}
	return s
}

func (p *listPage) act(id string) bool {
	switch {
	case id == "mark":
		p.grid.Mark()
	case id == "tree" && p.pods():
		p.toggleTree()
	default:
		return gridAct(p.u, p.grid, id)
	}
	return true
}

func (p *listPage) back() bool { return p.grid.Unmark() }

// pods says that the objects are pods.
func (p *listPage) pods() bool { return p.store.Query.Type.Resource == "pods" }

// gridAct carries out what every table does alike.
func gridAct(u *ui, g *grid.Grid, id string) bool {
	switch id {
	case "down":
		g.Move(1)
	case "up":
		g.Move(-1)
	case "top":
		g.Top()
	case "bottom":
		g.Bottom()
	case "page.down":
		g.Page(1)
	case "page.up":
		g.Page(-1)
	case "wide":
		g.SetWide(!g.Wide())
	case "sort":
		u.chooseSort(g)
	default:
		return false
	}
	return true
}

func (u *ui) chooseSort(g *grid.Grid) {
	by, descend := g.Sorted()
	choices := []choice{{title: u.T("name"), run: func() { g.Sort(grid.ByKey, by == grid.ByKey && !descend) }}}
	for i, c := range g.Columns() {
		hint := ""
		if i == by {
			hint = u.T("choose it again to reverse the order")
		}
		choices = append(choices, choice{title: u.T(c.Title), hint: hint, run: func() { g.Sort(i, by == i && !descend) }})
	}
	u.choose(u.T("sort by"), choices)
}

func (p *listPage) hints() []hint {
	if p.pods() {
		return hintsOf("open", "logs", "shell", "describe", "actions", "birth")
	}
	ids := []string{"open", "describe", "yaml", "actions"}
	switch t := p.store.Query.Type; {
	case hasRevisions(t):
		ids = append(ids, "revisions", "image.set", "scale")
	case hasValues(t):
		ids = append(ids, "values")
	case t.Resource == "cronjobs":
		ids = append(ids, "cron.run", "cron.suspend")
	}
	return hintsOf(ids...)
}

func (p *listPage) contexts() []keymap.Context {
	if p.pods() {
		return []keymap.Context{keymap.Pods}
	}
	switch p.store.Query.Type.Resource {
	case "cronjobs", "jobs":
		return []keymap.Context{keymap.Cron, keymap.Objects}
	}
	return []keymap.Context{keymap.Objects}
}

func (p *listPage) draw(w, h int) []string {
	var lines []string
	if p.titled {
		lines = append(lines, p.title(w))
	}
	if text := p.emptyText(); text != "" {
		return fill(append(lines, p.u.note(text, w, h-len(lines))...), w, h)
	}
	rows := h - strip - len(lines)
	lines = append(lines, p.grid.Draw(p.u.look(!p.u.state.Stale().IsZero() || p.store.Err != nil), w, rows)...)
	return append(lines, p.stripLine(w))
}

// title says of what the list is, and of which namespace.
func (p *listPage) title(w int) string {
	note := ""
	if p.store.Query.Type.Namespaced {
		if note = p.u.T("in all namespaces"); p.u.state.namespace != "" {
			note = p.u.T("in namespace %s", p.u.state.namespace)
		}
	}
	return p.u.heading(w, strings.ToUpper(p.store.Query.Type.Resource), note)
}

// place is that of the type: each has one list.
func (p *listPage) place() string {
	return "list/" + p.store.Query.Type.Group + "/" + p.store.Query.Type.Resource
}

// emptyText says why there are no rows, in one line; "" if there are some.
func (p *listPage) emptyText() string {
	u, what := p.u, p.store.Query.Type.Resource
	switch {
	case p.store.Err != nil && len(p.store.All) == 0:
		return u.troubleText(p.store.Err)
	case !p.store.Synced && p.grid.Total() == 0:
		u.spinning()
		return u.glyph(paint.StateBusy) + " " + u.T("reading %s", what)
	case p.grid.Len() > 0:
		return ""
	case p.grid.Filter() != "":
		return u.T("nothing matches %q; %s clears the filter", p.grid.Filter(), u.keys.Key("back"))
	case p.store.Query.Type.Namespaced && u.state.namespace != "":
		return u.T("no %s in %q; %s another namespace, %s all", what, u.state.namespace, u.keys.Key("namespace"), u.keys.Key("all"))
	}
	return u.T("there are no %s", what)
}

// stripLine explains the row under the cursor, and says where that is.
func (p *listPage) stripLine(w int) string {
	l := p.u.theme.Line(w).Add(paint.Plain, " ")
	at, of := p.grid.Position()
	where := fmt.Sprintf("%d/%d", at, of)
	if f := p.grid.Filter(); f != "" {
		where = "/" + f + "  " + fmt.Sprintf("%d/%d (%d)", at, of, p.grid.Total())
	}
	if !p.store.Synced {
		where = p.u.T("%d so far", p.grid.Total()) + " " + p.u.glyph(paint.StateBusy)
	}
	if p.store.Err != nil {
		l.Add(paint.Warn, p.u.troubleText(p.store.Err))
	} else if it, ok := p.grid.Current(); ok && p.explain != nil {
		if r, ok := it.Data.(kube.Row); ok {
			for _, text := range p.explain(&r, w-paint.Width(where)-4) {
				l.Add(paint.Plain, paint.Cut(text, w-paint.Width(where)-4, p.u.theme.Glyphs.More))
				break
			}
		}
	} else if trail := p.u.trail(); trail != "" {
		l.Add(paint.Dim, trail)
	}
	return l.Right(paint.Dim, where+" ").String()
}

// look is what grids need to draw.
func (u *ui) look(pale bool) grid.Look {
	return grid.Look{
		Theme: u.theme, Age: u.clock.age, Tick: u.tick, Title: func(s string) string { return u.T(s) }, Focused: true, Pale: pale,
		Spins: u.spinning,
	}
}

// note is a text in the middle of an empty page.
func (u *ui) note(text string, w, h int) []string {
	var lines []string
	for range h / 3 {
		lines = append(lines, paint.Spaces(w))
	}
	for _, part := range paint.Wrap(text, w-4) {
		if len(lines) < h {
			lines = append(lines, u.theme.Line(w).Add(paint.Plain, "  ").Add(paint.Dim, part).String())
		}
	}
	return lines
}

// fill fills lines up to exactly h of w cells.
func fill(lines []string, w, h int) []string {
	if len(lines) > h {
		lines = lines[:h]
	}
	for len(lines) < h {
		lines = append(lines, paint.Spaces(w))
	}
	return slices.Clip(lines)
}
