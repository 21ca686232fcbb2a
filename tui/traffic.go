package tui

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
	"bonsai/tui/feed"
	"bonsai/tui/grid"
	"bonsai/tui/keymap"
	"bonsai/tui/paint"
)

// trafficPage lists who talks to whom. It is measured while the page is shown.
type trafficPage struct {
	u     *ui
	grid  *grid.Grid
	feed  *feed.Feed
	flows cluster.Flows
	known bool
	err   error
	all   bool // also between nodes, and with this machine
	// of narrows it down to an object, whose tab it is then; nil for a page of its own.
	of func(cluster.Flow) bool
	// mapped shows the map in place of the list, from the line top on.
	mapped bool
	top    int
}

// newTrafficTab is the traffic of one object.
func newTrafficTab(u *ui, of func(cluster.Flow) bool) *trafficPage {
	p := newTrafficPage(u)
	p.of, p.all = of, true
	return p
}

// trafficOf selects the flows of an object; nil if it can have none.
func trafficOf(ref kube.Ref) func(cluster.Flow) bool {
	is := func(fits func(cluster.FlowEnd) bool) func(cluster.Flow) bool {
		return func(f cluster.Flow) bool { return fits(f.From) || fits(f.To) }
	}
	switch t := ref.Type; {
	case t.Resource == "pods" && t.Group == "":
		return is(func(e cluster.FlowEnd) bool {
			return e.Kind == cluster.FlowPod && e.Namespace == ref.Namespace && e.Name == ref.Name
		})
	case t.Resource == "services" && t.Group == "":
		return func(f cluster.Flow) bool { return f.Service == ref.Namespace+"/"+ref.Name }
	case slices.Contains([]string{"deployments", "statefulsets", "daemonsets", "jobs"}, t.Resource):
		return is(func(e cluster.FlowEnd) bool {
			return e.Kind == cluster.FlowPod && e.Namespace == ref.Namespace && e.Workload == singular(t)+"/"+ref.Name
		})
	}
	return nil
}

func newTrafficPage(u *ui) *trafficPage {
	p := &trafficPage{u: u}
	p.grid = grid.New([]grid.Column{
		{Title: "From", Min: 20, Max: 40}, {Title: "To", Min: 18, Max: 40}, {Title: "Port", Min: 9, Max: 16}, {Title: "Open", Kind: grid.Number, Drop: 2},
		{Title: "New/s", Kind: grid.Number, Drop: 3}, {Title: "Failed/s", Kind: grid.Number}, {Title: "Sent/s", Kind: grid.Number, Drop: 4},
		{Title: "Received/s", Kind: grid.Number, Drop: 5}, {Title: "Service", Min: 8, Max: 40, Drop: 6}, {Title: "Asked", Min: 8, Max: 60, Drop: 7},
	})
	flows := feed.NewBox(u.hub, nil, func(f cluster.Flows) {
		p.flows, p.known, p.err = f, true, nil
		p.fill()
		u.touch()
	})
	p.feed = feed.New(u.hub, func(ctx context.Context, healthy func()) error {
		return u.session.Flows(ctx, func(f cluster.Flows) error {
			healthy()
			flows.Put(f)
			return nil
		})
	}, func(err error) {
		p.err = err
		u.touch()
	})
	return p
}

func (p *trafficPage) show()         { p.feed.Use() }
func (p *trafficPage) hide()         { p.feed.Leave() }
func (p *trafficPage) place() string { return "traffic" }
func (p *trafficPage) crumb() string { return p.u.T("traffic") }

func (p *trafficPage) contexts() []keymap.Context { return []keymap.Context{keymap.Traffic} }

func (p *trafficPage) hints() []hint {
	view := hint{id: "traffic.map"}
	if p.mapped {
		view.word = p.u.T("list")
	}
	if p.of != nil {
		return append([]hint{view}, hintsOf("open", "why", "sort")...)
	}
	return append([]hint{{id: "traffic.nodes"}, view}, hintsOf("open", "why", "sort")...)
}

func (p *trafficPage) namespaceChanged() { p.fill() }

// wants reports whether a flow is shown.
func (p *trafficPage) wants(f cluster.Flow) bool {
	if p.of != nil {
		return p.of(f)
	}
	ns := p.u.state.namespace
	if ns != "" && f.From.Namespace != ns && f.To.Namespace != ns && !strings.HasPrefix(f.Service, ns+"/") {
		return false
	}
	return p.all || f.WithPod()
}

// fill makes the rows.
func (p *trafficPage) fill() {
	var items []grid.Item
	there := map[string]bool{}
	for _, f := range p.flows.Flows {
		if p.wants(f) {
			it := p.item(f)
			items = append(items, it)
			there[it.ID] = true
		}
	}
	var gone []string
	p.grid.All(func(it *grid.Item) {
		if !there[it.ID] {
			gone = append(gone, it.ID)
		}
	})
	p.grid.Remove(gone...)
	p.grid.Set(items...)
}

func (p *trafficPage) item(f cluster.Flow) grid.Item {
	from, to := paint.Clean(f.From.String()), paint.Clean(f.To.String())
	state, failed := paint.StateOK, paint.Dim
	switch {
	case f.Failed > 0:
		state, failed = paint.StateFail, paint.Fail
	case f.Refused+f.Unanswered+f.Denied > 0:
		state, failed = paint.StateWarn, paint.Warn
	case f.Open == 0 && f.New == 0:
		state = paint.StateNone
	}
	port := strconv.Itoa(int(f.Port))
	if f.EndpointPort != 0 {
		port += p.u.theme.Glyphs.Right + strconv.Itoa(int(f.EndpointPort))
	}
	if f.Proto != "TCP" {
		port += "/" + paint.Clean(f.Proto)
	}
	return grid.Item{
		ID: fmt.Sprintf("%s %s %s %s %s %d %d", f.Node, f.Proto, f.From.Address, f.Address, f.To.Address, f.Port, f.EndpointPort), Key: from + " " + to + " " + port,
		State: state, Data: f,
		Cells: []string{
			from, to, port, strconv.Itoa(f.Open), rate(f.New), rate(f.Failed), size(uint64(f.Sent)), size(uint64(f.Received)),
			paint.Clean(f.Service), paint.Clean(f.Asked),
		},
		Values: []float64{0, 0, float64(f.Port), float64(f.Open), f.New, f.Failed, f.Sent, f.Received, 0, 0},
		Roles: []paint.Role{
			paint.Strong, paint.Strong, paint.Plain, paint.Plain, paint.Plain, failed, paint.Plain, paint.Plain, paint.Dim, paint.Dim,
		},
	}
}

func (p *trafficPage) filterText() string    { return p.grid.Filter() }
func (p *trafficPage) filterPrompt() string  { return "/" }
func (p *trafficPage) setFilter(text string) { p.grid.SetFilter(text); p.u.touch() }
func (p *trafficPage) click(x, y int)        { p.grid.Click(x, y-1) }
func (p *trafficPage) wheel(rows int)        { p.grid.Move(rows) }

func (p *trafficPage) act(id string) bool {
	if p.mapped {
		var ok bool
		if p.top, ok = scrolled(id, p.top, 10); ok {
			return true
		}
	}
	switch id {
	case "traffic.map":
		p.mapped = !p.mapped
	case "why":
		p.why()
	case "traffic.nodes":
		p.all = !p.all
		p.fill()
	case "open":
		p.open()
	default:
		return gridAct(p.u, p.grid, id)
	}
	return true
}

// why walks the way of the flow under the cursor.
func (p *trafficPage) why() {
	it, ok := p.grid.Current()
	if !ok || p.mapped {
		p.u.toast.say(paint.Dim, p.u.T("nothing is selected"))
		return
	}
	q, ok := wayOf(it.Data.(cluster.Flow))
	if !ok {
		p.u.toast.say(paint.Warn, p.u.T("only ways that begin at a pod can be walked"))
		return
	}
	p.u.push(newWayPage(p.u, q))
}

// open goes to the pod that answers, or else to the one that asks.
func (p *trafficPage) open() {
	it, ok := p.grid.Current()
	if !ok {
		return
	}
	f := it.Data.(cluster.Flow)
	for _, e := range []cluster.FlowEnd{f.To, f.From} {
		if e.Kind == cluster.FlowPod {
			p.u.openSubject(&subject{ref: podRef(e)}, "")
			return
		}
	}
}

func (p *trafficPage) draw(w, h int) []string {
	u := p.u
	note := u.T("traffic of pods")
	if p.all {
		note = u.T("all traffic")
	}
	if p.mapped && p.known && p.err == nil && p.grid.Total() > 0 {
		lines := p.mapLines(w)
		p.top = max(0, min(p.top, len(lines)-(h-1)))
		return fill(append([]string{u.heading(w, u.T("TRAFFIC"), u.T("map of workloads"))}, lines[p.top:]...), w, h)
	}
	l := readList{grid: p.grid, known: p.known, err: p.err, reading: u.T("measuring traffic"), empty: u.T("no traffic is seen")}
	return l.draw(u, w, h, u.heading(w, u.T("TRAFFIC"), note), func(line *paint.Line) {
		if len(p.flows.Nodes) > 0 {
			node := slices.Min(slices.Collect(maps.Keys(p.flows.Nodes)))
			line.Add(paint.Warn, u.T("not measured: %s", paint.Clean(node+": "+p.flows.Nodes[node])))
			return
		}
		it, ok := p.grid.Current()
		if !ok {
			return
		}
		f := it.Data.(cluster.Flow)
		var parts []string
		if f.Refused > 0 {
			parts = append(parts, u.T("%d refused", f.Refused))
		}
		if f.Unanswered > 0 {
			parts = append(parts, u.T("%d without answer", f.Unanswered))
		}
		if f.Denied > 0 {
			parts = append(parts, u.deniedText(f))
		}
		role := paint.Warn
		if len(parts) == 0 {
			role = paint.Dim
		}
		if f.Service != "" {
			parts = append(parts, u.T("through Service %s", paint.Clean(f.Service)))
		}
		line.Add(role, strings.Join(append(nonEmpty(parts...), cmp.Or(paint.Clean(f.Asked), u.T("measured on %s", paint.Clean(f.Node)))), "  "))
	})
}

// deniedText is "12 denied by shop/db-only-api (ingress)".
func (u *ui) deniedText(f cluster.Flow) string {
	if f.Denial == nil || len(f.Denial.Policies) == 0 {
		return u.T("%d denied", f.Denied)
	}
	var names []string
	for _, p := range f.Denial.Policies {
		names = append(names, p.String())
	}
	by := paint.Clean(strings.Join(names, ", "))
	switch {
	case !f.Denial.Still:
		return u.T("%d denied, which %s allow now", f.Denied, by)
	case f.Denial.Egress:
		return u.T("%d denied by %s (egress)", f.Denied, by)
	}
	return u.T("%d denied by %s (ingress)", f.Denied, by)
}
