package tui

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/tui/model"
	"bonsai/tui/paint"
)

// startsSoFar counts the starts that are on record.
func (u *ui) startsSoFar(context.Context) (int, error) { return len(u.session.Starts()), nil }

// nodeState is how a node does, in one state.
func nodeState(n *cluster.NodeStatus) paint.State {
	if doesWell(n) {
		if n.DNS == cluster.PhaseFailed || n.DNS == cluster.PhaseDegraded {
			return paint.StateWarn
		}
		return paint.StateOK
	}
	if s := phaseState(n.Host); s != paint.StateOK {
		return s
	}
	if s := phaseState(n.Kubelet); s != paint.StateOK {
		return s
	}
	return paint.StateWarn
}

// doesWell says that a node is Ready and its container runs: Ready alone may be as old as its last heartbeat.
func doesWell(n *cluster.NodeStatus) bool { return n.Ready && n.Host == cluster.PhaseRunning }

// usageOf is what a node used last; false if nobody measured it.
func (u *ui) usageOf(node string) (*cluster.NodeUsage, bool) {
	for i := range u.state.Load.Nodes {
		if n := &u.state.Load.Nodes[i]; n.Node == node && !n.Time.IsZero() {
			return n, true
		}
	}
	return nil, false
}

// share is how much of its memory a node uses.
func share(n *cluster.NodeUsage) float64 {
	if n.MemoryLimit == 0 {
		return 0
	}
	return float64(n.Memory) / float64(n.MemoryLimit)
}

// fullRole colours a bar by how full it is.
func fullRole(share float64) paint.Role {
	switch {
	case share >= 0.95:
		return paint.Fail
	case share >= 0.85:
		return paint.Warn
	}
	return paint.Accent
}

// cpuGraph is the past of a node's CPU as a little graph. All nodes' graphs have the same top, so that they can be
// compared.
func (u *ui) cpuGraph(node string, w int) string {
	return u.theme.SparkText(u.state.History.Nodes[node].Shape(w), u.state.History.CPUTop, w)
}

func (p *overviewPage) nodesPart() *part {
	nodes := p.u.state.Snapshot.Nodes
	note := ""
	if len(nodes) > 3 {
		note = strconv.Itoa(len(nodes))
	}
	part := &part{least: 1, want: max(1, min(len(nodes), 12))}
	part.draw = func(w, rows int) []string {
		var lines []string
		if !part.bare {
			lines = append(lines, p.u.heading(w, p.u.T("NODES"), note))
		}
		if rows < len(nodes) {
			return append(lines, p.nodesFlow(w, rows)...)
		}
		if len(nodes) == 0 {
			return append(lines, p.u.line(w).Add(paint.Plain, " ").Add(paint.Dim, p.u.T("no nodes: only an API server")).String())
		}
		name := nodeNameWidth(nodes, w/4)
		for i := range nodes {
			lines = append(lines, p.u.nodeLine(&nodes[i], w, name))
		}
		return lines
	}
	return part
}

func nodeNameWidth(nodes []cluster.NodeStatus, most int) int {
	name := 4
	for i := range nodes {
		name = max(name, paint.Width(paint.Clean(nodes[i].Name)))
	}
	return min(name, max(8, most))
}

// nodeLine is a node with what it uses.
func (u *ui) nodeLine(n *cluster.NodeStatus, w, name int) string {
	l := u.line(w).Add(paint.Plain, " ").State(u.spinState(nodeState(n)), u.tick).Col(paint.Plain, paint.Clean(n.Name), name)
	use, ok := u.usageOf(n.Name)
	switch {
	case !doesWell(n):
		l.Add(paint.Plain, " ").Add(nodeState(n).Role(), u.nodeWord(n))
	case !ok:
		l.Add(paint.Dim, " "+u.T("not measured yet"))
	default:
		graph := 6
		if w-name >= 54 {
			graph = 10
		}
		l.Add(paint.Dim, " cpu ").Add(paint.Accent, u.cpuGraph(n.Name, graph)).ColRight(paint.Plain, cores(use.CPU), 5)
		l.Add(paint.Dim, " mem ")
		if l.Room() >= 22 {
			l.Bar(fullRole(share(use)), share(use), 8)
		}
		l.ColRight(paint.Plain, percent(share(use)), 4)
		if c := u.state.Summary.Nodes[n.Name]; u.state.Pods.Synced && l.Room() >= 8 {
			l.Add(paint.Dim, " pods ").ColRight(paint.Plain, strconv.Itoa(c.Total), 2)
		}
	}
	return l.String()
}

// spinState notes that a busy state keeps the picture moving.
func (u *ui) spinState(s paint.State) paint.State {
	if s == paint.StateBusy {
		u.spinning()
	}
	return s
}

// nodeWord says in a word or two why a node is not ready.
func (u *ui) nodeWord(n *cluster.NodeStatus) string {
	if word := u.changing[n.Name]; word != "" {
		return word
	}
	if n.Stopped && n.Host != cluster.PhaseRunning {
		return u.T("stopped")
	}
	if n.Host != cluster.PhaseRunning {
		return u.T("container %s", u.T(lower(string(n.Host))))
	}
	if n.Kubelet != cluster.PhaseRunning {
		return u.T("kubelet %s", u.T(lower(string(n.Kubelet))))
	}
	return u.T("not ready")
}

func percent(share float64) string { return fmt.Sprintf("%.0f%%", share*100) }

// nodesFlow is nodes one after another, the unhealthy ones first.
func (p *overviewPage) nodesFlow(w, rows int) []string {
	u := p.u
	nodes := slices.Clone(u.state.Snapshot.Nodes)
	slices.SortStableFunc(nodes, func(a, b cluster.NodeStatus) int { return calmness(nodeState(&a)) - calmness(nodeState(&b)) })
	name := nodeNameWidth(nodes, 16)
	cell := 2 + name + 1 + 5 + 1 + 4 + 1 + 4 + 2
	each := max(1, (w-1)/cell)
	var lines []string
	for row := range rows {
		l := u.line(w).Add(paint.Plain, " ")
		for i := row * each; i < min(len(nodes), (row+1)*each); i++ {
			n := &nodes[i]
			at := w - l.Room()
			if rest := len(nodes) - i; i == rows*each-1 && rest > 1 {
				l.Add(paint.Dim, u.T("and %d more", rest))
				break
			}
			l.State(u.spinState(nodeState(n)), u.tick).Col(paint.Plain, paint.Clean(n.Name), name)
			if use, ok := u.usageOf(n.Name); ok && n.Ready {
				l.ColRight(paint.Plain, cores(use.CPU), 4).Add(paint.Accent, u.cpuGraph(n.Name, 4)).
					ColRight(paint.Plain, percent(share(use)), 5)
			} else if !n.Ready {
				l.Add(nodeState(n).Role(), paint.Cut(u.nodeWord(n), cell-name-4, u.theme.Glyphs.More))
			}
			l.To(at + cell)
		}
		lines = append(lines, l.String())
	}
	return lines
}

// calmness orders states so that what needs a look comes first.
func calmness(s paint.State) int {
	return slices.Index([]paint.State{paint.StateFail, paint.StateWarn, paint.StateBusy, paint.StateEnding, paint.StateOff, paint.StateNone, paint.StateOK}, s)
}

// traffic is what goes to a component, all clients together: requests a second, the slowest 99th percentile (-1 if
// nothing was measured), and the past of the rate.
func (u *ui) traffic(to string) (total float64, p99 time.Duration, past *model.Series) {
	p99 = -1
	for _, l := range u.state.Load.ControlPlane.Links {
		if l.To != to {
			continue
		}
		p99 = max(p99, l.P99)
		if s := u.state.History.Links[model.LinkKey(l.From, l.To)]; s != nil {
			total += s.Lately(smoothed)
			past = past.Plus(s)
		}
	}
	return total, p99, past
}

// smoothed is over how many steps a rate is taken: those of a single one jump.
const smoothed = 10

// component finds one of the control plane's components.
func (u *ui) component(name string) (*cluster.Component, bool) {
	for i := range u.state.Snapshot.Components {
		if c := &u.state.Snapshot.Components[i]; c.Name == name {
			return c, true
		}
	}
	return nil, false
}

// componentState is the state of a component of the control plane.
func (u *ui) componentState(name string) paint.State {
	if c, ok := u.component(name); ok {
		return u.spinState(phaseState(c.Phase))
	}
	return paint.StateOff
}

func sum(m map[string]int) int {
	n := 0
	for _, v := range m {
		n += v
	}
	return n
}

func (p *overviewPage) controlPart() *part {
	u := p.u
	part := &part{least: 1, want: 4}
	part.draw = func(w, rows int) []string {
		load := &u.state.Load.ControlPlane
		var lines []string
		if !part.bare {
			note := ""
			if load.Memory > 0 {
				note = u.T("one process, %s", size(load.Memory))
			}
			lines = append(lines, u.heading(w, u.T("CONTROL PLANE"), note))
		}
		asked, p99, past := u.traffic("kube-apiserver")
		_, writes, disk := u.traffic("etcd")
		measured := len(load.Links) > 0
		if rows < 4 {
			l := u.line(w).Add(paint.Plain, " ").State(u.componentState("kube-apiserver"), u.tick).Add(paint.Plain, "apiserver ")
			if measured {
				l.Add(paint.Plain, rate(asked)+"/s ").Add(paint.Dim, "p99 ").Add(paint.Plain, span(p99)+" ").Add(paint.Accent, u.graph(past, 6))
			}
			l.Add(paint.Plain, "   ").State(u.componentState("etcd"), u.tick).Add(paint.Plain, "etcd ")
			if load.DBSize > 0 {
				l.Add(paint.Plain, size(uint64(load.DBSize)))
			}
			for _, c := range []string{"scheduler", "controller-manager"} {
				if name := strings.TrimSuffix(c, "-manager"); l.Room() >= len(name)+5 {
					l.Add(paint.Plain, "   ").State(u.componentState("kube-"+c), u.tick).Add(paint.Plain, name)
				}
			}
			return append(lines, l.String())
		}
		row := func(component, name, first, second string, past *model.Series, rest string) {
			l := u.line(w).Add(paint.Plain, " ").State(u.componentState(component), u.tick).Col(paint.Plain, name, 11)
			if c, ok := u.component(component); ok && c.Phase != cluster.PhaseRunning {
				lines = append(lines, l.Add(phaseState(c.Phase).Role(), u.T(lower(string(c.Phase)))+" ").Add(paint.Dim, paint.Clean(c.Reason)).String())
				return
			}
			if measured {
				l.ColRight(paint.Plain, first, 8).Add(paint.Plain, " ").Col(paint.Plain, second, 10)
				graph := min(12, max(6, w-52))
				if past != nil {
					l.Add(paint.Accent, u.graph(past, graph))
				} else {
					l.Add(paint.Plain, paint.Spaces(graph))
				}
				if l.Room() >= paint.Width(rest)+2 {
					l.Add(paint.Plain, "  ").Add(paint.Dim, rest)
				}
			}
			lines = append(lines, l.String())
		}
		if !measured {
			p99, writes = -1, -1
		}
		latency := func(d time.Duration) string {
			if d < 0 {
				return ""
			}
			return "p99 " + span(d)
		}
		row("kube-apiserver", "apiserver", rate(asked)+"/s", latency(p99), past, u.T("watches %d", load.Watches))
		row("etcd", "etcd", size(uint64(max(0, load.DBSize))), latency(writes), disk, "fsync "+span(load.FsyncP99))
		pending := ""
		if n := sum(load.Pending); n > 0 {
			pending = u.T("pending %d", n)
		}
		schedules, _ := u.link("kube-scheduler", "kube-apiserver")
		controls, _ := u.link("kube-controller-manager", "kube-apiserver")
		row("kube-scheduler", "scheduler", rate(schedules.Rate)+"/s", latency(schedules.P99), u.past("kube-scheduler", "kube-apiserver"), pending)
		queued := u.T("%d loops", load.Controllers)
		if n := sum(load.Queues); n > 0 {
			queued += ", " + u.T("%d queued", n)
		}
		row("kube-controller-manager", "controllers", rate(controls.Rate)+"/s", latency(controls.P99), u.past("kube-controller-manager", "kube-apiserver"), queued)
		return lines
	}
	return part
}

// link is the traffic between two components, its rate over the last steps.
func (u *ui) link(from, to string) (cluster.Link, bool) {
	for _, l := range u.state.Load.ControlPlane.Links {
		if l.From == from && l.To == to {
			if s := u.past(from, to); s != nil {
				l.Rate = s.Lately(smoothed)
			}
			return l, true
		}
	}
	return cluster.Link{P50: -1, P99: -1}, false
}

// past is the rates of a link so far, nil if there are none.
func (u *ui) past(from, to string) *model.Series {
	return u.state.History.Links[model.LinkKey(from, to)]
}

func (p *overviewPage) dnsPart() *part {
	u := p.u
	part := &part{least: 1, want: 3}
	part.draw = func(w, rows int) []string {
		n := p.dns.Count()
		if n.Asked > 0 {
			u.clock.changesIn(time.Second)
		}
		var lines []string
		if !part.bare {
			lines = append(lines, u.heading(w, "DNS", ""))
		}
		lines = append(lines, p.dns.summary(w, n))
		if rows > 1 {
			lines = append(lines, p.dns.rows(w, rows-1)...)
		}
		return lines
	}
	return part
}

// logPart is the end of a log, of the pod of the problem under the cursor.
func (p *overviewPage) logPart() *part {
	return &part{least: 1, want: max(1, min(8, len(p.tail.Lines))), draw: func(w, rows int) []string { return p.tail.draw(w, rows+1) }}
}

func (p *overviewPage) eventPart() *part {
	u := p.u
	return &part{least: 1, want: max(1, min(4, len(p.warnings.Lines))), greedy: true, draw: func(w, rows int) []string {
		lines := []string{u.heading(w, u.T("WARNINGS"), "")}
		return append(lines, p.warnings.draw(w, rows)...)
	}}
}
