package tui

import (
	"fmt"
	"strconv"

	"bonsai/bootstrap/cluster"
	"bonsai/tui/model"
	"bonsai/tui/paint"
)

// wideDrawing is the width from which there are boxes and arrows; drawingHeight is what they take.
const (
	wideDrawing   = 100
	drawingHeight = 20
)

// controlNote is what is known about the one process.
func (u *ui) controlNote() string {
	load := &u.state.Load.ControlPlane
	if load.Memory == 0 {
		return u.T("one process")
	}
	return u.T("one process, cpu %s, memory %s", cores(load.CPU), size(load.Memory))
}

// arrow is one link as it is drawn: its figures as text, and the role that shows its state.
type arrow struct {
	rate, latency string
	role          paint.Role
	past          *model.Series
}

func (u *ui) arrow(from, to string) arrow {
	link, ok := u.link(from, to)
	a := arrow{role: paint.Dim, past: u.past(from, to)}
	switch {
	case !ok:
		return a
	case link.Errors > 0:
		a.role = paint.Fail
	case link.Rate > 0:
		a.role = paint.Accent
	}
	a.rate = rate(link.Rate) + "/s"
	if link.P99 >= 0 && link.Rate > 0 {
		a.latency = "p99 " + span(link.P99)
	}
	if link.Errors > 0 {
		a.latency = u.T("%s errors/s", rate(link.Errors))
	}
	return a
}

// graph is a series as a little graph as high as its own highest value.
func (u *ui) graph(s *model.Series, w int) string {
	shape := s.Shape(w)
	return u.theme.SparkText(shape, model.Top(shape, 1), w)
}

// drawing is a canvas with the boxes of the architecture.
type drawing struct {
	u *ui
	c *paint.Canvas
}

// box draws a component: its name in the border, with the sign of its state, and lines of text.
func (d *drawing) box(x, y, w, h int, state paint.State, name string, lines ...string) {
	border := paint.Dim
	if state == paint.StateFail || state == paint.StateWarn {
		border = state.Role()
	}
	d.c.Box(x, y, w, h, border)
	at := d.c.Text(x+2, y, paint.Plain, " ", 1)
	if state != paint.StateNone {
		at = d.c.Text(at, y, state.Role(), d.u.theme.Glyph(d.u.spinState(state), d.u.tick), 1)
		at = d.c.Text(at, y, paint.Plain, " ", 1)
	}
	at = d.c.Text(at, y, paint.Strong, name, x+w-at-2)
	d.c.Text(at, y, paint.Plain, " ", 1)
	for i, line := range lines {
		if i < h-2 {
			d.c.Text(x+2, y+1+i, paint.Plain, line, w-4)
		}
	}
}

// across draws an arrow to the right with its figures above and below.
func (d *drawing) across(x, end, y int, a arrow) {
	d.c.Joint(x-1, y, a.role, "├")
	d.c.Across(x, end-1, y, a.role)
	d.c.Text(end-1, y, a.role, d.u.theme.Glyphs.Right, 1)
	room := end - x - 2
	d.c.Text(x+1, y-1, paint.Plain, a.rate, room)
	latency := paint.Dim
	if a.role == paint.Fail {
		latency = paint.Fail
	}
	d.c.Text(x+1, y+1, latency, a.latency, room)
	if graph := room - paint.Width(a.rate) - 1; graph >= 6 {
		graph = min(graph, 12)
		d.c.Text(x+1+paint.Width(a.rate)+1, y-1, paint.Accent, d.u.graph(a.past, graph), graph)
	}
}

// beside writes the figures of an arrow that goes up or down at column x.
func (d *drawing) beside(x, y int, a arrow) {
	d.c.Text(x-2-paint.Width(a.rate), y, paint.Plain, a.rate, 20)
	d.c.Text(x-2-paint.Width(a.rate)-9, y, paint.Accent, d.u.graph(a.past, 8), 8)
	latency := paint.Dim
	if a.role == paint.Fail {
		latency = paint.Fail
	}
	d.c.Text(x+3, y, latency, a.latency, 20)
}

// drawWide draws control plane and data plane as boxes, with arrows from who asks to who is asked.
func (u *ui) drawWide(w int) []string {
	load := &u.state.Load.ControlPlane
	d := &drawing{u, u.theme.Canvas(w, drawingHeight-1).Pale(!u.state.Stale().IsZero())}
	c := d.c
	side := min(30, 24+(w-100)/10)
	mid := min(36, 27+(w-100)/8)
	gap := min(26, (w-2-2*side-mid)/2)
	x0 := (w - 2*side - mid - 2*gap) / 2
	xm := x0 + side + gap
	xe := xm + mid + gap
	center := xm + mid/2

	asked, p99, past := u.traffic("kube-apiserver")
	first, second := "", ""
	if len(load.Links) > 0 {
		first = rate(asked) + "/s"
		if p99 >= 0 {
			first += "  p99 " + span(p99)
		}
		second = u.graph(past, min(model.LongestGraph, mid-4))
	}
	// Who comes from outside.
	clients := u.arrow("clients", "kube-apiserver")
	d.box(xm, 0, mid, 3, paint.StateNone, u.T("clients"), u.T("kubectl, this screen"))
	c.Joint(center, 2, clients.role, "┬")
	c.Text(center, 3, clients.role, u.theme.Glyphs.Down, 1)
	d.beside(center, 3, clients)

	// The control plane: one row for the scheduler, one for the controllers.
	pending := []string{u.T("pending %d", sum(load.Pending)), ""}
	if n := load.Pending["unschedulable"]; n > 0 {
		pending[1] = u.T("unschedulable %d", n)
	}
	controllers := "kube-controller-manager"
	if side < len(controllers)+7 {
		controllers = "controller-manager"
	}
	if side < len(controllers)+7 {
		controllers = "controllers"
	}
	d.box(x0, 4, side, 4, u.componentState("kube-scheduler"), "kube-scheduler", pending...)
	d.box(x0, 8, side, 4, u.componentState("kube-controller-manager"), controllers, u.T("%d loops", load.Controllers), u.T("%d queued", sum(load.Queues)))
	d.box(xm, 4, mid, 8, u.componentState("kube-apiserver"), "kube-apiserver", first, second, "", u.T("watches %d", load.Watches), u.T("in flight %d", load.Inflight))
	etcd := []string{"", ""}
	if load.DBSize > 0 {
		etcd[0] = u.T("%s, %d objects", size(uint64(load.DBSize)), sum(load.Objects))
		etcd[1] = "fsync p99 " + span(load.FsyncP99)
	}
	d.box(xe, 6, side, 4, u.componentState("etcd"), "etcd", etcd...)
	d.across(x0+side, xm, 6, u.arrow("kube-scheduler", "kube-apiserver"))
	d.across(x0+side, xm, 10, u.arrow("kube-controller-manager", "kube-apiserver"))
	d.across(xm+mid, xe, 8, u.arrow("kube-apiserver", "etcd"))

	// The data plane: kubelets ask the API server, too.
	kubelets := u.arrow("kubelet", "kube-apiserver")
	c.Text(center, 12, kubelets.role, u.theme.Glyphs.Up, 1)
	d.beside(center, 12, kubelets)
	d.nodes(14, center, w, kubelets.role)
	return append([]string{u.heading(w, u.T("CONTROL PLANE"), u.controlNote())}, c.Lines()...)
}

// nodes draws the boxes of the nodes at row y, and the lines that join them to column center above.
func (d *drawing) nodes(y, center, w int, role paint.Role) {
	u, nodes := d.u, d.u.state.Snapshot.Nodes
	if len(nodes) == 0 {
		d.c.Text(center-10, y, paint.Dim, u.T("no nodes: only an API server"), 40)
		return
	}
	const least, between = 24, 2
	fit := max(1, (w-2)/(least+between))
	shown := min(len(nodes), fit)
	each := min(34, (w-2-between*(shown-1))/shown)
	if each%2 == 0 {
		each-- // so that it has a middle
	}
	x := max(1, center-(shown*(each+between)-between)/2)
	first, last := 0, 0
	for i := range shown {
		at := x + i*(each+between)
		middle := at + each/2
		if i == 0 {
			first = middle
		}
		last = middle
		if rest := len(nodes) - i; i == shown-1 && rest > 1 {
			d.box(at, y, each, 4, paint.StateNone, u.T("and %d more", rest))
			continue
		}
		n := &nodes[i]
		d.box(at, y, each, 4, nodeState(n), paint.Clean(n.Name), d.nodeLines(n, each-4)...)
	}
	if shown == 1 {
		d.c.Down(center, y-1, y, role)
		return
	}
	d.c.Across(first+1, last, y-1, role)
	for i := range shown {
		text := "┬"
		switch i {
		case 0:
			text = "╭"
		case shown - 1:
			text = "╮"
		}
		d.c.Joint(x+i*(each+between)+each/2, y-1, role, text)
	}
	joint := "┴"
	for i := range shown {
		if x+i*(each+between)+each/2 == center {
			joint = "┼"
		}
	}
	d.c.Joint(center, y-1, role, joint)
}

// nodeLines are what a node does, in two lines.
func (d *drawing) nodeLines(n *cluster.NodeStatus, w int) []string {
	u := d.u
	parts, ill := "", 0
	for _, c := range n.Components {
		if c.Phase != cluster.PhaseRunning {
			ill++
		}
	}
	switch {
	case !doesWell(n):
		parts = u.nodeWord(n)
	case ill > 0:
		parts = u.T("%d of %d components running", len(n.Components)-ill, len(n.Components))
	default:
		parts = "kubelet  kube-proxy"
	}
	second := ""
	if use, ok := u.usageOf(n.Name); ok && n.Ready {
		second = fmt.Sprintf("%s %s  mem %s", u.cpuGraph(n.Name, 5), cores(use.CPU), percent(share(use)))
	}
	if c := u.state.Summary.Nodes[n.Name]; second != "" && w >= 26 {
		second += "  pods " + strconv.Itoa(c.Total)
	}
	return []string{parts, second}
}

// drawNarrow draws the same in six lines: who asks at the left, the API server in the middle, etcd at the right.
func (u *ui) drawNarrow(w int) []string {
	load := &u.state.Load.ControlPlane
	d := &drawing{u, u.theme.Canvas(w, 7).Pale(!u.state.Stale().IsZero())}
	c := d.c
	asked, p99, past := u.traffic("kube-apiserver")
	const name, figures = 13, 17
	xm := 1 + name + figures + 4
	mid := min(22, w-xm-18)
	right := xm + mid
	for i, who := range []struct {
		component, title string
		state            paint.State
	}{
		{"clients", u.T("clients"), paint.StateNone},
		{"kube-scheduler", "scheduler", u.componentState("kube-scheduler")},
		{"kube-controller-manager", "controllers", u.componentState("kube-controller-manager")},
		{"kubelet", u.T("kubelets %d", len(u.state.Snapshot.Nodes)), u.kubeletsState()},
	} {
		y := i + 1
		if who.state != paint.StateNone {
			c.Text(1, y, who.state.Role(), u.theme.Glyph(who.state, u.tick), 1)
		}
		c.Text(3, y, paint.Plain, who.title, name-1)
		a := u.arrow(who.component, "kube-apiserver")
		x := 3 + name
		c.Across(x, xm-1, y, a.role)
		c.Text(xm-1, y, a.role, u.theme.Glyphs.Right, 1)
		text := " " + a.rate + " "
		if a.rate == "" {
			continue
		}
		x = c.Text(x+1, y, paint.Plain, text, figures)
		if a.latency != "" {
			latency := paint.Dim
			if a.role == paint.Fail {
				latency = paint.Fail
			}
			c.Text(x, y, latency, a.latency[len(prefixOf(a.latency)):]+" ", xm-2-x)
		}
	}
	lines := []string{"", ""}
	if len(load.Links) > 0 {
		lines[0] = rate(asked) + "/s"
		if p99 >= 0 {
			lines[0] += "  p99 " + span(p99)
		}
		lines[1] = u.graph(past, max(4, mid-4))
	}
	lines = append(lines, u.T("watches %d", load.Watches))
	d.box(xm, 0, mid, 6, u.componentState("kube-apiserver"), "kube-apiserver", "", lines[0], lines[1], lines[2])
	// etcd at the right, behind its arrow.
	a := u.arrow("kube-apiserver", "etcd")
	c.Across(right, right+3, 2, a.role)
	c.Text(right+3, 2, a.role, u.theme.Glyphs.Right, 1)
	at := right + 5
	state := u.componentState("etcd")
	c.Text(at, 2, state.Role(), u.theme.Glyph(state, u.tick), 1)
	c.Text(at+2, 2, paint.Strong, "etcd", w-at-3)
	if load.DBSize > 0 {
		c.Text(at+7, 2, paint.Dim, size(uint64(load.DBSize)), w-at-8)
		c.Text(at+2, 3, paint.Plain, a.rate, w-at-3)
		c.Text(at+2+paint.Width(a.rate)+1, 3, paint.Dim, a.latency, w-at-4-paint.Width(a.rate))
		c.Text(at+2, 4, paint.Dim, "fsync "+span(max(0, load.FsyncP99)), w-at-3)
	}
	return append([]string{u.heading(w, u.T("CONTROL PLANE"), u.controlNote())}, c.Lines()...)
}

// prefixOf is the "p99 " of a latency, which a narrow drawing omits.
func prefixOf(latency string) string {
	if len(latency) > 4 && latency[:4] == "p99 " {
		return "p99 "
	}
	return ""
}

// kubeletsState is how the kubelets of all nodes do together.
func (u *ui) kubeletsState() paint.State {
	state := paint.StateOK
	for i := range u.state.Snapshot.Nodes {
		if s := nodeState(&u.state.Snapshot.Nodes[i]); s != paint.StateOK {
			state = s
		}
	}
	return u.spinState(state)
}
