package tui

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
	"bonsai/tui/grid"
	"bonsai/tui/keymap"
	"bonsai/tui/model"
	"bonsai/tui/paint"
)

// nodesPage lists the nodes: what Kubernetes says of them, what their containers do, and what they use. Nodes are known
// from the snapshot even while the API server is away, and from the API before the snapshot has them.
type nodesPage struct {
	u       *ui
	store   *model.Rows
	grid    *grid.Grid
	names   map[string]*nodeData
	visible bool
	beside  bool // the node under the cursor has a pane of its own
}

func newNodesPage(u *ui) *nodesPage {
	p := &nodesPage{u: u, store: u.state.NewRows(kube.RowQuery{Type: kube.NodeType()}), grid: grid.New(nil)}
	p.grid.SetColumns(p.columns())
	u.state.Listen(func() {
		if p.visible {
			p.refresh()
		}
	})
	return p
}

// nodeData is what a row of the grid knows of its node.
type nodeData struct {
	status cluster.NodeStatus // zero but for the name if the snapshot does not have it
	row    kube.Row           // zero if the API does not have it
}

// sparkWidth is that of the graphs in the list.
const sparkWidth = 8

func (p *nodesPage) columns() []grid.Column {
	u := p.u
	usage := func(it *grid.Item) (*cluster.NodeUsage, bool) { return u.usageOf(it.ID) }
	off := u.theme.Glyphs.Off
	return []grid.Column{
		{Title: "Node", Min: 12, Max: 40}, // the number of a node is at the end of its name
		{Title: "Status", Min: 8, Max: 26, Drop: 1},
		{Title: "Role", Min: 7, Max: 13, Drop: 6},
		{Title: "Cores", Min: 5 + 1 + sparkWidth + 1 + 5, Drop: 3, Live: func(it *grid.Item) (string, float64) {
			n, ok := usage(it)
			if !ok {
				return off, -1
			}
			return fmt.Sprintf("%5s %s %s", cores(n.CPU), u.cpuGraph(it.ID, sparkWidth), u.T("of %s", whole(n.CPUs))), n.CPU
		}},
		{Title: "Memory", Min: 4 + 1 + 8 + 1 + 5, Drop: 4, Live: func(it *grid.Item) (string, float64) {
			n, ok := usage(it)
			if !ok {
				return off, -1
			}
			return fmt.Sprintf("%4s %s %s", percent(share(n)), u.barText(share(n), 8), size(n.Memory)), float64(n.Memory)
		}},
		{Title: "Pods", Kind: grid.Number, Min: 4, Drop: 5, Live: func(it *grid.Item) (string, float64) {
			c := u.state.Summary.Nodes[it.ID]
			if c.Ready < c.Total {
				return fmt.Sprintf("%d/%d", c.Ready, c.Total), float64(c.Total)
			}
			return strconv.Itoa(c.Total), float64(c.Total)
		}},
		{Title: "DNS", Min: 3, Max: 9, Drop: 8},
		{Title: "Container", Min: 9, Max: 10, Drop: 9},
		{Title: "Kubelet", Min: 7, Max: 10, Drop: 10},
		{Title: "Restarts", Kind: grid.Number, Drop: 7},
		{Title: "Address", Max: 16, Drop: 12},
		{Title: "Version", Max: 12, Drop: 13},
		{Title: "Disk", Kind: grid.Number, Min: 5, Drop: 14, Live: func(it *grid.Item) (string, float64) {
			n, ok := usage(it)
			if !ok || n.DiskSize == 0 {
				return off, -1
			}
			return percent(float64(n.DiskUsed) / float64(n.DiskSize)), float64(n.DiskUsed)
		}},
		{Title: "Age", Kind: grid.Age, Drop: 2},
	}
}

// whole is an amount of cores that there are, which seldom has a fraction.
func whole(c float64) string { return strconv.FormatFloat(math.Round(c*10)/10, 'f', -1, 64) }

// barText is a bar without colours.
func (u *ui) barText(share float64, w int) string {
	full := int(min(1, max(0, share))*float64(w) + 0.5)
	return strings.Repeat(u.theme.Glyphs.Full, full) + strings.Repeat(u.theme.Glyphs.Empty, w-full)
}

func (p *nodesPage) place() string              { return "nodes" }
func (p *nodesPage) crumb() string              { return p.u.T("nodes") }
func (p *nodesPage) contexts() []keymap.Context { return []keymap.Context{keymap.Node, keymap.Objects} }
func (p *nodesPage) back() bool                 { return p.grid.Unmark() }
func (p *nodesPage) hints() []hint {
	power := hint{id: "node.stop"}
	if it, ok := p.grid.Current(); ok && p.u.planned(it.ID) != nil && p.u.planned(it.ID).Stopped {
		power.id = "node.start"
	}
	return append(hintsOf("open", "node.add"), append([]hint{power}, hintsOf("delete", "actions", "node.limits", "node.drain", "shell")...)...)
}

func (p *nodesPage) show() {
	p.visible = true
	p.store.Read(p)
	p.refresh()
}

func (p *nodesPage) hide() {
	p.visible = false
	p.store.Unread(p)
}

func (p *nodesPage) ColumnsChanged([]kube.Column)     {}
func (p *nodesPage) RowsReset()                       {}
func (p *nodesPage) RowsChanged([]kube.Row, []string) { p.refresh() }
func (p *nodesPage) ErrChanged()                      { p.u.touch() }

// refresh joins what the snapshot and the API say.
func (p *nodesPage) refresh() {
	u := p.u
	all := map[string]*nodeData{}
	for _, n := range u.state.Snapshot.Nodes {
		n.Name = paint.Clean(n.Name)
		all[n.Name] = &nodeData{status: n}
	}
	for _, r := range p.store.All {
		if all[r.Name] == nil {
			all[r.Name] = &nodeData{status: cluster.NodeStatus{Name: r.Name}}
		}
		all[r.Name].row = r
	}
	var gone []string
	for name := range p.names {
		if all[name] == nil {
			gone = append(gone, name)
		}
	}
	p.grid.Remove(gone...)
	p.names = all
	for name, d := range all {
		p.grid.Set(p.item(name, d))
	}
	u.touch()
}

func (p *nodesPage) item(name string, d *nodeData) grid.Item {
	u := p.u
	n := &d.status
	state := nodeState(n)
	word := cellOf(p.store.Columns, &d.row, "status")
	version := cellOf(p.store.Columns, &d.row, "version")
	if n.Host == "" { // only the API knows it
		state = rowState(p.store.Columns, &d.row)
	}
	switch {
	case u.changing[name] != "":
		word, state = u.changing[name], paint.StateBusy
	case n.Stopped && n.Host != cluster.PhaseRunning:
		word, state = u.T("stopped"), paint.StateOff
	case !n.Ready && n.Host != "" && n.Host != cluster.PhaseRunning:
		word = u.T(lower(string(n.Host)))
	case state == paint.StateBusy:
		word = u.T("starting")
	case word == "" && n.Ready:
		word = "Ready"
	case word == "":
		word = "NotReady"
	}
	if d.row.Cordoned && state == paint.StateOK {
		word, state = u.T("cordoned"), paint.StateWarn
	}
	restarts := 0
	for _, c := range n.Components {
		restarts += c.Restarts
	}
	phase := func(ph cluster.Phase) string {
		if ph == "" {
			return u.theme.Glyphs.Off
		}
		return u.T(lower(string(ph)))
	}
	role := func(ph cluster.Phase) paint.Role {
		if ph == cluster.PhaseRunning || ph == "" {
			return paint.Dim
		}
		return phaseState(ph).Role()
	}
	restartRole := paint.Dim
	if restarts > 0 {
		restartRole = paint.Warn
	}
	created := d.row.Created
	if created.IsZero() {
		created = oldest(n.Components)
	}
	return grid.Item{
		ID: name, Key: name, State: state, Time: created, Labels: d.row.Labels, Data: d,
		Cells: []string{name, word, u.roleWord(n.Role), "", "", "", phase(n.DNS), phase(n.Host), phase(n.Kubelet), strconv.Itoa(restarts), n.IP, version, "", ""},
		Roles: []paint.Role{paint.Strong, state.Role(), paint.Dim, paint.Plain, paint.Plain, paint.Plain, role(n.DNS), role(n.Host), role(n.Kubelet), restartRole, paint.Dim, paint.Dim, paint.Dim},
	}
}

// roleWord is a role as short as there is room for.
func (u *ui) roleWord(role string) string {
	if role == cluster.RoleControlPlane {
		return u.T("control")
	}
	return u.T(role)
}

// oldest is when the first of some components got into its state.
func oldest(list []cluster.Component) time.Time {
	var t time.Time
	for _, c := range list {
		if !c.Since.IsZero() && (t.IsZero() || c.Since.Before(t)) {
			t = c.Since
		}
	}
	return t
}

// cellOf is the text of a row in a column.
func cellOf(columns []kube.Column, r *kube.Row, name string) string {
	if at := slices.IndexFunc(columns, func(c kube.Column) bool { return strings.EqualFold(c.Name, name) }); at >= 0 && at < len(r.Cells) {
		return r.Cells[at]
	}
	return ""
}

func (p *nodesPage) subjects() []subject {
	var list []subject
	for _, it := range p.grid.Marked() {
		d := it.Data.(*nodeData)
		s := subjectOf(kube.NodeType(), p.store.Columns, &d.row)
		s.ref.Name = it.ID
		if s.line == "" {
			s.line = it.ID
		}
		list = append(list, s)
	}
	return list
}

func (p *nodesPage) lost() bool            { return p.grid.Lost() }
func (p *nodesPage) filterText() string    { return p.grid.Filter() }
func (p *nodesPage) filterPrompt() string  { return "/" }
func (p *nodesPage) setFilter(text string) { p.grid.SetFilter(text); p.u.touch() }
func (p *nodesPage) wheel(rows int)        { p.grid.Move(rows) }
func (p *nodesPage) click(x, y int)        { p.grid.Click(x, y) }

func (p *nodesPage) act(id string) bool {
	switch id {
	case "mark":
		p.grid.Mark()
	case "open":
		if it, ok := p.grid.Current(); ok {
			p.u.push(newNodePage(p.u, it.ID))
		}
	default:
		return gridAct(p.u, p.grid, id)
	}
	return true
}

func (p *nodesPage) draw(w, h int) []string {
	u := p.u
	u.state.Summary.Refresh()
	if p.grid.Total() == 0 {
		text := u.noCluster()
		switch {
		case text != "":
		case p.store.Err != nil:
			text = u.troubleText(p.store.Err)
		case !p.store.Synced && u.state.Running():
			u.spinning()
			text = u.glyph(paint.StateBusy) + " " + u.T("reading nodes")
		default:
			text = u.T("no nodes: only an API server; %s adds some", u.keys.Key("node.add"))
		}
		return fill(u.note(text, w, h), w, h)
	}
	// Where the list leaves room, the node under the cursor is described below it, unless a pane does.
	var below []string
	if it, ok := p.grid.Current(); ok && !p.beside && h-strip-p.grid.Len()-1 >= detailRows {
		below = append([]string{paint.Spaces(w)}, u.nodeHead(it.ID, w, true)...)
		below = below[:min(len(below), h-strip-p.grid.Len()-2)]
	}
	lines := p.grid.Draw(u.look(!u.state.Stale().IsZero()), w, h-strip-len(below))
	return append(append(lines, below...), p.strip(w))
}

// detailRows is the room from which a node is described below the list.
const detailRows = 8

// strip says in words what is the matter with the node under the cursor, or what all of them use.
func (p *nodesPage) strip(w int) string {
	u := p.u
	l := u.theme.Line(w).Add(paint.Plain, " ")
	it, ok := p.grid.Current()
	if !ok {
		return l.Add(paint.Dim, u.T("nothing matches %q; %s clears the filter", p.grid.Filter(), u.keys.Key("back"))).String()
	}
	at, of := p.grid.Position()
	where := fmt.Sprintf("%d/%d ", at, of)
	if role, text := u.nodeStory(it.ID); text != "" {
		return l.Add(role, paint.Cut(text, w-paint.Width(where)-3, u.theme.Glyphs.More)).Right(paint.Dim, where).String()
	}
	d := it.Data.(*nodeData)
	text := u.T("%d components running", len(d.status.Components))
	if !d.status.Heartbeat.IsZero() && !doesWell(&d.status) {
		text += ", " + u.T("heard %s ago", u.clock.age(d.status.Heartbeat))
	}
	return l.Add(paint.Dim, paint.Cut(text, w-paint.Width(where)-3, u.theme.Glyphs.More)).Right(paint.Dim, where).String()
}

// nodeStory says what is wrong with a node, "" if nothing is.
func (u *ui) nodeStory(name string) (paint.Role, string) {
	if u.changing[name] != "" {
		return paint.Plain, "" // what is observed meanwhile is meant
	}
	for i := range u.state.Snapshot.Problems {
		p := &u.state.Snapshot.Problems[i]
		if p.Object == "node/"+name || strings.HasPrefix(p.Object, "component/"+name+"/") {
			text := u.whatAndWhy(p)
			s := severityState(p.Severity)
			return s.Role(), u.theme.Glyph(s, 0) + " " + paint.Clean(text)
		}
	}
	for _, n := range u.state.Snapshot.Nodes {
		if n.Name != name {
			continue
		}
		for _, c := range n.Components {
			if c.Phase != cluster.PhaseRunning && c.Reason != "" {
				return phaseState(c.Phase).Role(), paint.Clean(c.Name + ": " + c.Reason)
			}
		}
	}
	if use, ok := u.usageOf(name); ok && use.Reason != "" {
		return paint.Warn, u.theme.Glyphs.Warn + " " + paint.Clean(use.Reason)
	}
	return paint.Plain, ""
}
