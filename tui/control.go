package tui

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
	"bonsai/tui/grid"
	"bonsai/tui/keymap"
	"bonsai/tui/paint"
)

// controlPage draws how the cluster is built, while it works: the components of the control plane and of the nodes, and
// who asks whom how often. Below are the components themselves, with a cursor, for their logs.
type controlPage struct {
	u       *ui
	grid    *grid.Grid
	known   map[string]bool
	visible bool
	top     int // lines above the list
}

// partData is a component in the list.
type partData struct {
	node string // empty for the control plane
	part cluster.Component
}

func newControlPage(u *ui) *controlPage {
	p := &controlPage{u: u, known: map[string]bool{}}
	p.grid = grid.New([]grid.Column{
		{Title: "Component", Min: 12, Max: 32},
		{Title: "Runs on", Min: 7, Max: 24, Drop: 3},
		{Title: "Status", Min: 8, Max: 10, Drop: 1},
		{Title: "Restarts", Kind: grid.Number, Drop: 2},
		{Title: "Age", Kind: grid.Age, Drop: 4},
		{Title: "PID", Kind: grid.Number, Min: 6, Drop: 5},
		{Title: "Reason", Min: 12, Drop: 6},
	})
	u.state.Listen(func() {
		if p.visible {
			p.refresh()
		}
	})
	return p
}

func (p *controlPage) crumb() string              { return p.u.T("control plane") }
func (p *controlPage) contexts() []keymap.Context { return []keymap.Context{keymap.Control} }
func (p *controlPage) hints() []hint {
	return append([]hint{{"open", p.u.T("its log")}}, hintsOf("logs", "copy.name", "sort")...)
}

func (p *controlPage) show() { p.visible = true; p.refresh() }
func (p *controlPage) hide() { p.visible = false }

// refresh takes the components of the newest snapshot.
func (p *controlPage) refresh() {
	s := &p.u.state.Snapshot
	now := map[string]bool{}
	add := func(order int, node string, c cluster.Component) {
		c.Name, c.Reason = paint.Clean(c.Name), paint.Clean(c.Reason)
		it := p.item(order, node, c)
		now[it.ID] = true
		p.grid.Set(it)
	}
	for i, c := range s.Components {
		add(i, "", c)
	}
	for i, n := range s.Nodes {
		for j, c := range n.Components {
			add((i+1)*100+j, paint.Clean(n.Name), c)
		}
	}
	var gone []string
	for id := range p.known {
		if !now[id] {
			gone = append(gone, id)
		}
	}
	slices.Sort(gone)
	p.grid.Remove(gone...)
	p.known = now
	p.u.touch()
}

func (p *controlPage) item(order int, node string, c cluster.Component) grid.Item {
	state := phaseState(c.Phase)
	where, pid, reason := node, p.u.theme.Glyphs.Off, ""
	if node == "" {
		where = p.u.T("host")
	}
	if c.PID > 0 {
		pid = strconv.Itoa(c.PID)
	}
	if c.Phase != cluster.PhaseRunning {
		reason = c.Reason
	}
	restarts := paint.Dim
	if c.Restarts > 0 {
		restarts = paint.Warn
	}
	return grid.Item{
		ID: node + "/" + c.Name, Key: fmt.Sprintf("%06d", order), State: state, Time: c.Since, Data: &partData{node, c},
		Cells: []string{c.Name, where, p.u.T(lower(string(c.Phase))), strconv.Itoa(c.Restarts), "", pid, reason},
		Roles: []paint.Role{paint.Plain, paint.Dim, state.Role(), restarts, paint.Dim, paint.Dim, state.Role()},
	}
}

func (p *controlPage) subjects() []subject {
	it, ok := p.grid.Current()
	if !ok {
		return nil
	}
	d := it.Data.(*partData)
	return []subject{{ref: kube.Ref{Name: d.part.Name}, node: d.node, state: string(d.part.Phase), line: strings.Join(it.Cells, "  ")}}
}

func (p *controlPage) lost() bool            { return p.grid.Lost() }
func (p *controlPage) filterText() string    { return p.grid.Filter() }
func (p *controlPage) filterPrompt() string  { return "/" }
func (p *controlPage) setFilter(text string) { p.grid.SetFilter(text); p.u.touch() }
func (p *controlPage) wheel(rows int)        { p.grid.Move(rows) }
func (p *controlPage) click(x, y int)        { p.grid.Click(x, y-p.top) }

func (p *controlPage) act(id string) bool {
	if id == "open" || id == "logs" {
		if it, ok := p.grid.Current(); ok {
			d := it.Data.(*partData)
			p.u.openComponentLog(d.node, d.part.Name)
		}
		return true
	}
	return gridAct(p.u, p.grid, id)
}

// leastList is the rows of the list, with its heading, that a drawing has to leave.
const leastList = 6

func (p *controlPage) draw(w, h int) []string {
	u := p.u
	if p.grid.Total() == 0 {
		text := u.noCluster()
		if text == "" {
			text = u.T("no component has reported yet")
		}
		return fill(u.note(text, w, h), w, h)
	}
	var lines []string
	switch {
	case w >= wideDrawing && h >= drawingHeight+leastList+2:
		lines = u.drawWide(w)
	case w >= 60 && h >= 8+leastList:
		lines = u.drawNarrow(w)
	}
	p.top = len(lines)
	list, side := w, 0
	if w >= 140 {
		side = w * 38 / 100
		list = w - side - 2
	}
	rows := p.grid.Draw(u.look(!u.state.Stale().IsZero()), list, h-len(lines)-strip)
	if side > 0 {
		rows = beside(rows, fill(u.figures(side, len(rows)), side, len(rows)), list, side)
	}
	return append(append(lines, rows...), p.strip(w))
}

// strip says what the component under the cursor is for, or why it is not running.
func (p *controlPage) strip(w int) string {
	u := p.u
	l := u.theme.Line(w).Add(paint.Plain, " ")
	it, ok := p.grid.Current()
	if !ok {
		return l.Add(paint.Dim, u.T("nothing matches %q; %s clears the filter", p.grid.Filter(), u.keys.Key("back"))).String()
	}
	d := it.Data.(*partData)
	role, text := paint.Dim, u.purpose(d.part.Name)
	if d.part.Phase != cluster.PhaseRunning && d.part.Reason != "" {
		role, text = phaseState(d.part.Phase).Role(), d.part.Name+": "+d.part.Reason
	}
	at, of := p.grid.Position()
	where := fmt.Sprintf("%d/%d ", at, of)
	return l.Add(role, paint.Cut(text, w-paint.Width(where)-3, u.theme.Glyphs.More)).Right(paint.Dim, where).String()
}

// purpose says in a line what a component does.
func (u *ui) purpose(name string) string {
	switch name {
	case "etcd":
		return u.T("etcd stores every object; only the API server talks to it")
	case "kube-apiserver":
		return u.T("the API server is the only entry point: it authenticates requests, checks them and stores objects in etcd")
	case "kube-scheduler":
		return u.T("the scheduler finds a node for every new pod")
	case "kube-controller-manager":
		return u.T("the controllers compare the desired and the actual state, and make them match")
	case "kubelet":
		return u.T("the kubelet runs the pods of its node and reports on them")
	case "kube-proxy":
		return u.T("kube-proxy routes connections to a Service to one of its pods")
	case "containerd":
		return u.T("containerd pulls images and runs containers")
	case "bonsai-agent":
		return u.T("the agent starts and watches the other components of its node")
	}
	return name
}

// figures are what etcd holds and what waits in queues, the most first.
func (u *ui) figures(w, rows int) []string {
	load := &u.state.Load.ControlPlane
	half := (w - 2) / 2
	left := u.ranking(half, rows, u.T("IN ETCD"), load.Objects, true)
	right := u.ranking(w-half-2, rows, u.T("QUEUES"), load.Queues, false)
	if len(load.Pending) > 0 {
		pending := u.ranking(w-half-2, rows, u.T("PENDING PODS"), load.Pending, true)
		right = append(append(right, paint.Spaces(w-half-2)), pending...)
	}
	return beside(left, right, half, w-half-2)
}

// ranking is a heading and the largest of some numbers.
func (u *ui) ranking(w, rows int, title string, numbers map[string]int, zeros bool) []string {
	type entry struct {
		name string
		n    int
	}
	var list []entry
	total := 0
	for name, n := range numbers {
		total += n
		if n > 0 || zeros {
			list = append(list, entry{paint.Clean(name), n})
		}
	}
	slices.SortFunc(list, func(a, b entry) int { return cmp.Or(b.n-a.n, strings.Compare(a.name, b.name)) })
	lines := []string{u.heading(w, title, strconv.Itoa(total))}
	for i, e := range list {
		if i == rows-1 {
			break
		}
		lines = append(lines, u.line(w).Add(paint.Plain, " ").ColRight(paint.Plain, strconv.Itoa(e.n), 6).Add(paint.Plain, " ").Add(paint.Dim, e.name).String())
	}
	if len(list) == 0 {
		lines = append(lines, u.line(w).Add(paint.Plain, " ").Add(paint.Dim, u.T("nothing is waiting")).String())
	}
	return lines
}

// openComponentLog shows the log of a component, of the host if node is empty.
func (u *ui) openComponentLog(node, component string) {
	title := component
	if node != "" {
		title = u.T("%s on %s", component, node)
	}
	p := makeLogsPage(u, title)
	p.events.Wants = func(*kube.EventLine) bool { return false }
	p.targets = func() []logTarget {
		return []logTarget{{func(ctx context.Context, f func([]kube.LogLine) error) error {
			return u.session.ComponentLogs(ctx, node, component, tailOne, f)
		}}}
	}
	u.push(p)
}
