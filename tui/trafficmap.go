package tui

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"bonsai/bootstrap/cluster"
	"bonsai/tui/paint"
)

// trafficEdge is the traffic from one workload to one port of another, all pods of both together.
type trafficEdge struct {
	from, to, port                     string
	open                               int
	opened, failed, sent, received     float64
	denied, refused, unanswered, pairs int
}

// mapSpace is a namespace of the map, with what begins in it.
type mapSpace struct {
	name  string // "" for what is in none
	edges []trafficEdge
}

// workloadOf is what a pod belongs to, in words: "deployment/web", or its own name.
func workloadOf(e cluster.FlowEnd) string {
	switch e.Kind {
	case cluster.FlowPod:
		return cmp.Or(e.Workload, "pod/"+e.Name)
	case cluster.FlowService:
		return "service/" + e.Name
	}
	return e.String()
}

// trafficMap adds up flows by workloads, the namespaces in order, in each the busiest first behind what fails.
func trafficMap(flows []cluster.Flow) (list []mapSpace) {
	type key struct{ space, from, to, port string }
	edges := map[key]*trafficEdge{}
	for _, f := range flows {
		to := workloadOf(f.To)
		if f.To.Namespace != "" && f.To.Namespace != f.From.Namespace {
			to = f.To.Namespace + "/" + to
		}
		port := strconv.Itoa(int(f.Port))
		if f.Proto != "TCP" {
			port += "/" + f.Proto
		}
		k := key{f.From.Namespace, workloadOf(f.From), to, port}
		e := edges[k]
		if e == nil {
			e = &trafficEdge{from: k.from, to: to, port: port}
			edges[k] = e
		}
		e.open += f.Open
		e.opened, e.failed, e.sent, e.received = e.opened+f.New, e.failed+f.Failed, e.sent+f.Sent, e.received+f.Received
		e.denied, e.refused, e.unanswered = e.denied+f.Denied, e.refused+f.Refused, e.unanswered+f.Unanswered
		e.pairs++
	}
	spaces := map[string][]trafficEdge{}
	for k, e := range edges {
		spaces[k.space] = append(spaces[k.space], *e)
	}
	names := slices.Sorted(maps.Keys(spaces))
	if len(names) > 0 && names[0] == "" { // what is in no namespace comes last
		names = append(names[1:], "")
	}
	for _, name := range names {
		slices.SortFunc(spaces[name], func(a, b trafficEdge) int {
			return cmp.Or(cmp.Compare(a.from, b.from), -cmp.Compare(a.failed, b.failed), -cmp.Compare(a.sent+a.received, b.sent+b.received), cmp.Compare(a.to, b.to), cmp.Compare(a.port, b.port))
		})
		list = append(list, mapSpace{name, spaces[name]})
	}
	return list
}

// state is how an edge does.
func (e trafficEdge) state() paint.State {
	switch {
	case e.failed > 0:
		return paint.StateFail
	case e.denied+e.refused+e.unanswered > 0:
		return paint.StateWarn
	case e.open == 0 && e.opened == 0:
		return paint.StateNone
	}
	return paint.StateOK
}

// mapLines draws the map: namespaces, in each its workloads, and an arrow for each that they talk to.
func (p *trafficPage) mapLines(w int) (lines []string) {
	u := p.u
	var flows []cluster.Flow
	for _, f := range p.flows.Flows {
		if p.wants(f) {
			flows = append(flows, f)
		}
	}
	const figures = 34
	name := max(8, min(34, (w-8)/2))
	if w >= 80 {
		name = max(8, min(34, (w-8-figures)/2))
	}
	for _, space := range trafficMap(flows) {
		title := space.name
		if title == "" {
			title = u.T("nodes, this machine and outside")
		}
		lines = append(lines, u.theme.Line(w).Add(paint.Plain, " ").Add(paint.Title, paint.Clean(title)).String())
		last := ""
		for _, e := range space.edges {
			state := e.state()
			l := u.theme.Line(w).Add(paint.Plain, "  ")
			from := paint.Clean(e.from)
			if e.from == last {
				from = ""
			}
			last = e.from
			arrow := u.theme.Glyphs.Right
			if state == paint.StateFail || state == paint.StateWarn {
				arrow = u.theme.Glyph(state, u.tick)
			}
			l.Col(paint.Strong, from, name).Add(state.Role(), " "+arrow+" ").Col(paint.Strong, paint.Clean(e.to), name).ColRight(paint.Dim, paint.Clean(e.port), 8)
			if w >= 80 {
				l.ColRight(paint.Plain, size(uint64(e.sent+e.received))+"/s", 9).ColRight(paint.Plain, rate(e.opened)+"/s", 8)
				l.Add(paint.Plain, " ").Add(state.Role(), paint.Clean(u.edgeTrouble(e)))
			}
			lines = append(lines, l.String())
		}
	}
	return lines
}

// edgeTrouble is what fails, in a word.
func (u *ui) edgeTrouble(e trafficEdge) string {
	switch {
	case e.denied > 0:
		return u.T("%d denied", e.denied)
	case e.refused > 0:
		return u.T("%d refused", e.refused)
	case e.unanswered > 0:
		return u.T("%d without answer", e.unanswered)
	}
	return ""
}
