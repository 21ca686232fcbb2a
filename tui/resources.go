package tui

import (
	"cmp"
	"fmt"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
	"bonsai/tui/feed"
	"bonsai/tui/grid"
	"bonsai/tui/keymap"
	"bonsai/tui/paint"
)

// resourcesPage compares what pods use with what they request and may use, and what is requested with what the nodes have.
type resourcesPage struct {
	u     *ui
	grid  *grid.Grid
	feed  *feed.Feed
	nodes []kube.NodeResources
	asked map[string]kube.Amount // what is requested on a node
	known bool
	err   error
	top   int // lines above the list
}

// useWidth is that of the bars of use.
const useWidth = 10

func newResourcesPage(u *ui) *resourcesPage {
	p := &resourcesPage{u: u, asked: map[string]kube.Amount{}}
	used := func(it *grid.Item) (cluster.PodUsage, *kube.PodResources, bool) {
		use, ok := u.state.History.Pods[it.ID]
		return use, it.Data.(*kube.PodResources), ok
	}
	bar := useWidth + 1 + 11
	p.grid = grid.New([]grid.Column{
		{Title: "Namespace", Min: 8, Max: 20, Drop: 3}, {Title: "Name", Min: 12, Max: 40}, {Title: "Node", Min: 5, Max: 12, Drop: 6},
		{Title: "CPU of its request", Min: bar, Drop: 1, Live: func(it *grid.Item) (string, float64) {
			use, r, ok := used(it)
			of := cmp.Or(r.Requests.CPU, r.Limits.CPU)
			return u.useText(ok, use.CPU, of, cores), use.CPU
		}},
		{Title: "Limit", Kind: grid.Number, Min: 5, Drop: 5},
		{Title: "Memory of its limit", Min: bar, Drop: 2, Live: func(it *grid.Item) (string, float64) {
			use, r, ok := used(it)
			of := cmp.Or(r.Limits.Memory, r.Requests.Memory)
			return u.useText(ok, float64(use.Memory), float64(of), func(v float64) string { return size(uint64(v)) }), float64(use.Memory)
		}},
		{Title: "Request", Kind: grid.Number, Min: 6, Drop: 4},
		{Title: "Past", Min: 8, Max: 20, Drop: 7, Live: func(it *grid.Item) (string, float64) {
			s := u.state.History.PodMemory[it.ID]
			if s == nil {
				return "", 0
			}
			return u.graph(s, 8), s.Lately(1)
		}},
	})
	p.feed = poll(u, u.session.PodResources, func(r kube.ClusterResources, err error) {
		if p.err = err; err == nil {
			p.known = true
			p.fill(r)
		}
	})
	return p
}

// useText is what is used of what is requested, or may be used: "███░░░░░░░ 38m/100m". Where nothing is requested there is no bar.
func (u *ui) useText(known bool, used, of float64, amount func(float64) string) string {
	switch {
	case !known:
		return u.theme.Glyphs.Off
	case of == 0:
		return paint.Spaces(useWidth) + " " + amount(used)
	}
	return u.barText(used/of, useWidth) + " " + amount(used) + "/" + amount(of)
}

func (p *resourcesPage) show()         { p.feed.Use() }
func (p *resourcesPage) hide()         { p.feed.Leave() }
func (p *resourcesPage) place() string { return "resources" }
func (p *resourcesPage) crumb() string { return p.u.T("resources") }

func (p *resourcesPage) contexts() []keymap.Context { return []keymap.Context{keymap.Objects} }
func (p *resourcesPage) hints() []hint {
	return hintsOf("open", "sort", "describe", "owner", "actions")
}
func (p *resourcesPage) namespaceChanged() { p.feed.Again() }

// fill makes the rows; the requests of a node count those of all namespaces.
func (p *resourcesPage) fill(r kube.ClusterResources) {
	p.nodes = r.Nodes
	clear(p.asked)
	there := map[string]bool{}
	var items []grid.Item
	for i := range r.Pods {
		pod := &r.Pods[i]
		sum := p.asked[pod.Node]
		p.asked[pod.Node] = kube.Amount{CPU: sum.CPU + pod.Requests.CPU, Memory: sum.Memory + pod.Requests.Memory}
		if ns := p.u.state.namespace; ns != "" && pod.Namespace != ns {
			continue
		}
		there[pod.UID] = true
		items = append(items, p.item(pod))
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

func (p *resourcesPage) item(r *kube.PodResources) grid.Item {
	u, off := p.u, p.u.theme.Glyphs.Off
	state := paint.StateNone
	if use, ok := u.state.History.Pods[r.UID]; ok {
		state = paint.StateOK
		if r.Limits.Memory > 0 && float64(use.Memory) > 0.9*float64(r.Limits.Memory) || r.Requests.Memory > 0 && use.Memory > r.Requests.Memory && r.Limits.Memory == 0 {
			state = paint.StateWarn
		}
	}
	limit, request := off, off
	if r.Limits.CPU > 0 {
		limit = cores(r.Limits.CPU)
	}
	if r.Requests.Memory > 0 {
		request = size(r.Requests.Memory)
	}
	return grid.Item{
		ID: r.UID, Key: r.Namespace + "/" + r.Name, State: state, Data: r,
		Cells:  []string{paint.Clean(r.Namespace), paint.Clean(r.Name), paint.Clean(r.Node), "", limit, "", request, ""},
		Values: []float64{0, 0, 0, 0, r.Limits.CPU, 0, float64(r.Requests.Memory), 0},
		Roles:  []paint.Role{paint.Dim, paint.Strong, paint.Dim, paint.Accent, paint.Dim, paint.Accent, paint.Dim, paint.Dim},
	}
}

func (p *resourcesPage) subjects() []subject {
	var list []subject
	for _, it := range p.grid.Marked() {
		r := it.Data.(*kube.PodResources)
		s := subject{ref: kube.Ref{Type: kube.PodType(), Namespace: r.Namespace, Name: r.Name, UID: r.UID}, node: r.Node, line: strings.Join(it.Cells[:3], "  ")}
		for _, row := range p.u.state.Pods.All {
			if row.UID == r.UID {
				s = subjectOf(kube.PodType(), p.u.state.Pods.Columns, &row)
			}
		}
		list = append(list, s)
	}
	return list
}

func (p *resourcesPage) lost() bool            { return p.grid.Lost() }
func (p *resourcesPage) back() bool            { return p.grid.Unmark() }
func (p *resourcesPage) filterText() string    { return p.grid.Filter() }
func (p *resourcesPage) filterPrompt() string  { return "/" }
func (p *resourcesPage) setFilter(text string) { p.grid.SetFilter(text); p.u.touch() }
func (p *resourcesPage) click(x, y int)        { p.grid.Click(x, y-p.top) }
func (p *resourcesPage) wheel(rows int)        { p.grid.Move(rows) }

func (p *resourcesPage) act(id string) bool {
	if id == "mark" {
		p.grid.Mark()
		return true
	}
	return gridAct(p.u, p.grid, id)
}

// mostNodes is how many nodes are shown above the pods.
const mostNodes = 6

// draw puts what is requested of each node above the pods, at most a third of the lines.
func (p *resourcesPage) draw(w, h int) []string {
	u := p.u
	lines := []string{u.heading(w, u.T("RESOURCES"), u.T("what is used of what is requested"))}
	for i, n := range p.nodes {
		if i >= min(mostNodes, h/3-1) {
			break
		}
		asked := p.asked[n.Name]
		l := u.line(w).Add(paint.Plain, " ").Col(paint.Plain, paint.Clean(n.Name), min(20, w/4)).Add(paint.Dim, " cpu ")
		part := func(share float64, text string) {
			l.Bar(fullRole(share), share, useWidth).Add(paint.Plain, " "+text)
		}
		part(asked.CPU/max(n.Allocatable.CPU, 0.001), u.T("%s of %s requested", cores(asked.CPU), whole(n.Allocatable.CPU)))
		l.Add(paint.Dim, "  mem ")
		part(float64(asked.Memory)/max(float64(n.Allocatable.Memory), 1), u.T("%s of %s requested", size(asked.Memory), size(n.Allocatable.Memory)))
		lines = append(lines, l.String())
	}
	p.top = len(lines)
	l := readList{grid: p.grid, known: p.known, err: p.err, reading: u.T("reading %s", u.T("pods")), empty: u.T("there are no %s", "pods")}
	rest := l.draw(u, w, h-len(lines)+1, "", func(line *paint.Line) {
		if it, ok := p.grid.Current(); ok {
			line.Add(paint.Dim, u.usedText(it.Data.(*kube.PodResources)))
		}
	})
	return fill(append(lines, rest[1:]...), w, h)
}

// usedText is what a pod uses, requests and may use, in words.
func (u *ui) usedText(r *kube.PodResources) string {
	or := func(known bool, text string) string {
		if known {
			return text
		}
		return u.T("none")
	}
	use, ok := u.state.History.Pods[r.UID]
	return fmt.Sprintf("cpu %s  %s %s  %s %s   mem %s  %s %s  %s %s",
		or(ok, cores(use.CPU)), u.T("request"), or(r.Requests.CPU > 0, cores(r.Requests.CPU)), u.T("limit"), or(r.Limits.CPU > 0, cores(r.Limits.CPU)),
		or(ok, size(use.Memory)), u.T("request"), or(r.Requests.Memory > 0, size(r.Requests.Memory)), u.T("limit"), or(r.Limits.Memory > 0, size(r.Limits.Memory)))
}
