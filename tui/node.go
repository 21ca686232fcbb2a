package tui

import (
	"fmt"
	"slices"
	"strconv"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
	"bonsai/tui/model"
	"bonsai/tui/paint"
)

// nodePage is one node: what it uses, its components, and its pods as a list to work with.
type nodePage struct {
	*listPage
	name string
	top  int // lines above the list
}

func newNodePage(u *ui, name string) *nodePage {
	p := &nodePage{listPage: newPodsPage(u), name: name}
	p.listPage.only = func(r *kube.Row) bool { return cellOf(p.store.Columns, r, "node") == name }
	return p
}

func (p *nodePage) crumb() string { return p.name }
func (p *nodePage) place() string { return "node/" + p.name }

// draw puts the node above its pods. At least half of the rows are for these.
func (p *nodePage) draw(w, h int) []string {
	head := p.head(w)
	if most := h/2 - 1; len(head) > most {
		head = head[:max(0, most)]
	}
	p.top = len(head)
	if p.store.Synced && p.grid.Total() == 0 {
		return fill(append(head, p.u.line(w).Add(paint.Plain, " ").Add(paint.Dim, p.u.T("no pods on %s", p.name)).String()), w, h)
	}
	return append(head, p.listPage.draw(w, h-len(head))...)
}

func (p *nodePage) click(x, y int) { p.listPage.click(x, y-p.top) }

func (p *nodePage) head(w int) []string {
	u := p.u
	c := u.state.Summary.Nodes[p.name]
	note := strconv.Itoa(c.Total)
	if c.Ready < c.Total {
		note = u.T("%d of %d ready", c.Ready, c.Total)
	}
	return append(u.nodeHead(p.name, w, false), u.heading(w, u.T("PODS"), note))
}

// nodeHead is a node in a few lines: its state, what it uses, its components. With a rule it begins like a part of its
// own.
func (u *ui) nodeHead(name string, w int, rule bool) []string {
	at := slices.IndexFunc(u.state.Snapshot.Nodes, func(n cluster.NodeStatus) bool { return paint.Clean(n.Name) == name })
	if at < 0 {
		return []string{u.line(w).Add(paint.Plain, " ").Add(paint.Strong, name).Add(paint.Dim, "   "+u.T("the cluster does not know this node")).String()}
	}
	n := &u.state.Snapshot.Nodes[at]
	state := u.spinState(nodeState(n))
	word := u.T("ready")
	if !doesWell(n) {
		word = u.nodeWord(n)
	}
	l := u.line(w).Add(paint.Plain, " ").State(state, u.tick).Add(paint.Strong, name).Add(state.Role(), "  "+word).Add(paint.Dim, "  "+paint.Clean(n.IP))
	if !n.Heartbeat.IsZero() && !doesWell(n) { // one that is Ready reports it again after minutes only
		l.Add(paint.Dim, "  "+u.T("heard %s ago", u.clock.age(n.Heartbeat)))
	}
	if rule {
		l.Add(paint.Plain, " ").Rule()
	}
	lines := []string{l.String()}
	if role, text := u.nodeStory(name); text != "" {
		lines = append(lines, u.line(w).Add(paint.Plain, "   ").Add(role, text).String())
	}
	if use, ok := u.usageOf(name); ok {
		l := u.line(w).Add(paint.Plain, "   ").Add(paint.Dim, "cpu ").Add(paint.Accent, u.cpuGraph(name, min(model.LongestGraph, max(8, w/6)))).
			Add(paint.Plain, " "+cores(use.CPU)+" ").Add(paint.Dim, u.T("of %s", whole(use.CPUs))).
			Add(paint.Dim, "   mem ").Bar(fullRole(share(use)), share(use), 8).Add(paint.Plain, " "+percent(share(use))+" ").Add(paint.Dim, u.T("of %s", size(use.MemoryLimit)))
		if use.DiskSize > 0 {
			l.Add(paint.Dim, "   "+u.T("disk")+" ").Add(paint.Plain, percent(float64(use.DiskUsed)/float64(use.DiskSize))+" ").Add(paint.Dim, u.T("of %s", size(use.DiskSize)))
		}
		lines = append(lines, l.String())
	}
	return append(lines, u.componentLines(n.Components, w)...)
}

// componentLines are components in two columns where there is room.
func (u *ui) componentLines(list []cluster.Component, w int) []string {
	columns := 1
	if w >= 76 {
		columns = 2
	}
	cell := (w - 1) / columns
	var lines []string
	for i := 0; i < len(list); i += columns {
		l := u.line(w).Add(paint.Plain, " ")
		for j := i; j < min(len(list), i+columns); j++ {
			c := &list[j]
			state := u.spinState(phaseState(c.Phase))
			at := w - l.Room()
			name := 13
			if cell >= 44 {
				name = 16
			}
			l.Add(paint.Plain, "  ").State(state, u.tick).Col(paint.Plain, paint.Clean(c.Name), name).Col(state.Role(), u.T(lower(string(c.Phase))), 8).
				ColRight(paint.Dim, u.clock.age(c.Since), 4)
			rest := ""
			switch {
			case c.Restarts > 0:
				rest = u.T("%d restarts", c.Restarts)
			case c.Reason != "" && c.Phase != cluster.PhaseRunning:
				rest = paint.Clean(c.Reason)
			case c.PID > 0 && cell >= 44:
				rest = fmt.Sprintf("pid %d", c.PID)
			}
			role := paint.Dim
			if c.Restarts > 0 {
				role = paint.Warn
			}
			l.Add(role, " "+paint.Cut(rest, at+cell-(w-l.Room())-2, u.theme.Glyphs.More)).To(at + cell)
		}
		lines = append(lines, l.String())
	}
	return lines
}
