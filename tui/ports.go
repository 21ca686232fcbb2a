package tui

import (
	"fmt"
	"slices"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
	"bonsai/tui/feed"
	"bonsai/tui/grid"
	"bonsai/tui/keymap"
	"bonsai/tui/paint"
)

// portsPage shows the ways in: ports of this machine that are forwarded, and the Services with where each is reachable.
type portsPage struct {
	u      *ui
	linger linger
	// ours are the forwarded ports, services the Services; onOurs says which of the two has the cursor.
	ours, services *grid.Grid
	onOurs         bool
	spaced         bool           // there is a column for the namespace
	known          map[string]int // Services in the grid, by UID, with the round in which they were seen last
	round          int
	width          int // that the columns are made for
	oursAt         int // first line of the rows of ours, servicesAt that of the Services, in the last drawing
	servicesAt     int
	// kept are ports that the cluster keeps open, which is asked for while the page is looked at.
	kept     []cluster.PortStatus
	keptFeed *feed.Feed
}

func newPortsPage(u *ui) *portsPage {
	p := &portsPage{u: u, known: map[string]int{}}
	p.ours = grid.New([]grid.Column{
		{Title: "This machine", Min: 17, Max: 26},
		{Title: "Leads to", Min: 22, Max: 50},
		{Title: "Pod", Min: 12, Max: 40, Drop: 3},
		{Title: "Open", Kind: grid.Number, Min: 4, Max: 6, Drop: 2},
		{Title: "Moved", Kind: grid.Number, Min: 5, Max: 7, Drop: 2},
		{Title: "Status", Min: 16, Drop: 1},
		{Title: "Age", Kind: grid.Age, Drop: 4},
	})
	p.services = grid.New(nil)
	p.columns()
	store := u.state.Services
	store.Listen(p.refill)
	u.forwards.changed = p.refillOurs
	p.keptFeed = poll(u, u.session.Ports, p.refreshKept)
	p.linger = linger{u: u, on: func() { store.Feed.Use(); p.keptFeed.Use() }, off: func() { store.Feed.Leave(); p.keptFeed.Leave() }}
	return p
}

func (p *portsPage) columns() {
	p.spaced = p.u.state.namespace == ""
	reachable := 20
	switch {
	case p.width >= 150:
		reachable = 48
	case p.width >= 100:
		reachable = 40
	}
	var list []grid.Column
	if p.spaced {
		list = append(list, grid.Column{Title: "Namespace", Min: 8, Max: 22, Drop: 5})
	}
	p.services.SetColumns(append(list,
		grid.Column{Title: "Service", Min: 14, Max: 40},
		grid.Column{Title: "Ready", Min: 5, Max: 7},
		grid.Column{Title: "Type", Min: 9, Max: 12, Drop: 6},
		grid.Column{Title: "Cluster IP", Min: 11, Max: 24, Drop: 7},
		grid.Column{Title: "Ports", Min: 12, Max: 36, Drop: 2},
		grid.Column{Title: "Reachable at", Min: reachable, Drop: 3},
		grid.Column{Title: "Age", Kind: grid.Age, Drop: 4},
	))
}

func (p *portsPage) show()         { p.linger.show() }
func (p *portsPage) hide()         { p.linger.hide() }
func (p *portsPage) crumb() string { return p.u.T("ports") }

func (p *portsPage) contexts() []keymap.Context {
	if p.focused() {
		return []keymap.Context{keymap.Forwards}
	}
	return []keymap.Context{keymap.Services}
}

func (p *portsPage) hints() []hint {
	if p.focused() {
		return hintsOf("forward.copy", "forward.stop", "port.add", "forward.retry", "open")
	}
	return hintsOf("forward", "port.add", "open", "logs", "service.copy", "yaml", "actions")
}

// focused says that the cursor is on a forwarded port.
func (p *portsPage) focused() bool { return p.onOurs && p.ours.Total() > 0 }

// refillOurs brings the forwarded ports up to date.
func (p *portsPage) refillOurs() {
	u := p.u
	gone := map[string]bool{}
	p.ours.All(func(it *grid.Item) { gone[it.ID] = true })
	for i, f := range u.forwards.list {
		delete(gone, f.id)
		state, status := paint.StateOK, u.T("connected to a ready pod")
		switch {
		case f.err != nil:
			state, status = paint.StateFail, u.errorText(f.err)
		case f.state.Local == 0:
			state, status = paint.StateBusy, u.T("opening the port")
		case f.state.Reason != "":
			state, status = paint.StateWarn, f.state.Reason
		case f.state.Pod == "":
			state, status = paint.StateWarn, u.T("waiting for a ready pod")
		}
		role := state.Role()
		if state == paint.StateOK {
			role = paint.Dim
		}
		p.ours.Set(grid.Item{
			ID: f.id, Key: fmt.Sprintf("forward/%06d", i), State: state, Time: f.began, Data: f,
			Cells:  []string{f.address(), f.target(), f.state.Pod, itoa(f.state.Connections), size(uint64(max(0, f.state.Bytes))), status, ""},
			Roles:  []paint.Role{paint.Accent, paint.Strong, paint.Plain, paint.Plain, paint.Plain, role, paint.Dim},
			Values: []float64{0, 0, 0, float64(f.state.Connections), float64(f.state.Bytes), 0, 0},
		})
	}
	for i := range p.kept {
		it := p.keptItem(&p.kept[i])
		delete(gone, it.ID)
		p.ours.Set(it)
	}
	for id := range gone {
		p.ours.Remove(id)
	}
	p.refill() // forwarded ports are addresses of Services
}

// forwardTo is a forwarded port that leads to a Service, nil if there is none.
func (p *portsPage) forwardTo(l *kube.ServiceLine) *forward {
	for _, f := range p.u.forwards.list {
		if f.err == nil && f.state.Local > 0 && f.spec.Namespace == l.Namespace && f.spec.Target == (kube.Object{Kind: kube.ServiceType().Kind, Name: l.Name}) {
			return f
		}
	}
	return nil
}

// reachable is the address of a Service that is of most use here.
func (p *portsPage) reachable(l *kube.ServiceLine) string {
	if f := p.forwardTo(l); f != nil {
		return f.address() + " " + p.u.T("on this machine, forwarded")
	}
	if url := p.u.nameURL(l); url != "" {
		return url
	}
	return p.u.addressText(nearest(l.Reachable))
}

// refill brings the Services up to date.
func (p *portsPage) refill() {
	p.round++
	only := p.u.state.namespace
	var items []grid.Item
	for i := range p.u.state.Services.List {
		l := &p.u.state.Services.List[i]
		if only != "" && l.Namespace != only {
			continue
		}
		p.known[l.UID] = p.round
		items = append(items, p.item(l))
	}
	p.services.Set(items...)
	for id, round := range p.known {
		if round != p.round {
			delete(p.known, id)
			p.services.Remove(id)
		}
	}
}

// external says that a Service is but another name for something elsewhere.
func external(l *kube.ServiceLine) bool { return l.Kind == "ExternalName" }

func (p *portsPage) item(l *kube.ServiceLine) grid.Item {
	state, ready, role := paint.StateOK, fmt.Sprintf("%d/%d", l.Ready, l.Total), paint.Plain
	switch {
	case external(l):
		state, ready = paint.StateNone, p.u.theme.Glyphs.Off
	case l.Ready == 0:
		state, role = paint.StateWarn, paint.Warn
	case l.Ready < l.Total:
		state, role = paint.StateWarn, paint.Warn
	}
	it := grid.Item{ID: l.UID, Key: l.Namespace + "/" + l.Name, State: state, Time: l.Created, Data: *l}
	add := func(r paint.Role, text string) { it.Cells, it.Roles = append(it.Cells, text), append(it.Roles, r) }
	if p.spaced {
		add(paint.Dim, l.Namespace)
	}
	add(paint.Strong, l.Name)
	add(role, ready)
	add(paint.Plain, l.Kind)
	add(paint.Dim, l.ClusterIP)
	add(paint.Plain, strings.Join(texts(l.Ports, servicePort), " "))
	add(paint.Accent, p.reachable(l))
	add(paint.Dim, "")
	return it
}

// nearest is the address that is of most use here: one that works on this machine, or else the first; zero if there is
// none.
func nearest(list []kube.Address) kube.Address {
	for _, from := range []kube.Reach{kube.ReachHost, kube.ReachOutside, kube.ReachNodes} {
		if i := slices.IndexFunc(list, func(a kube.Address) bool { return a.From == from }); i >= 0 {
			return list[i]
		}
	}
	if len(list) == 0 {
		return kube.Address{}
	}
	return list[0]
}

func (p *portsPage) namespaceChanged() {
	p.services.Reset()
	clear(p.known)
	p.columns()
	p.refill()
	p.u.touch()
}

func (p *portsPage) filterText() string   { return p.services.Filter() }
func (p *portsPage) filterPrompt() string { return "/" }
func (p *portsPage) lost() bool           { return p.front().Lost() }

func (p *portsPage) setFilter(text string) {
	p.onOurs = false
	p.services.SetFilter(text)
	p.u.touch()
}

func (p *portsPage) front() *grid.Grid {
	if p.focused() {
		return p.ours
	}
	return p.services
}

func (p *portsPage) click(x, y int) {
	if p.ours.Total() > 0 && y >= p.oursAt-1 && y < p.servicesAt-2 {
		p.onOurs = true
		p.ours.Click(x, y-p.oursAt+1)
	} else if y >= p.servicesAt-1 {
		p.onOurs = false
		p.services.Click(x, y-p.servicesAt+1)
	}
	p.u.touch()
}

func (p *portsPage) wheel(rows int) { p.front().Move(rows) }

// subjects is the Service under the cursor, or what the forwarded port leads to.
func (p *portsPage) subjects() []subject {
	if p.focused() {
		it, ok := p.ours.Current()
		if !ok {
			return nil
		}
		if c, ok := it.Data.(cluster.PortStatus); ok {
			namespace, name, ok := strings.Cut(c.Service, "/")
			if !ok {
				return nil
			}
			return []subject{{ref: kube.Ref{Type: kube.ServiceType(), Namespace: namespace, Name: name}, line: keptURL(c.Port)}}
		}
		f := it.Data.(*forward)
		if f.spec.Target.Kind == kube.ServiceType().Kind {
			return []subject{{ref: kube.Ref{Type: kube.ServiceType(), Namespace: f.spec.Namespace, Name: f.spec.Target.Name}, line: f.url()}}
		}
		if s, ok := p.u.subjectNamed(f.spec.Namespace, f.spec.Target); ok {
			return []subject{s}
		}
		return nil
	}
	var list []subject
	for _, it := range p.services.Marked() {
		l := it.Data.(kube.ServiceLine)
		list = append(list, subject{ref: kube.Ref{Type: kube.ServiceType(), Namespace: l.Namespace, Name: l.Name, UID: l.UID}, line: strings.Join(it.Cells, "  ")})
	}
	return list
}

func (p *portsPage) act(id string) bool {
	if id == "port.add" {
		p.askKept()
		return true
	}
	if p.focused() {
		return p.actOurs(id)
	}
	switch id {
	case "mark":
		p.services.Mark()
		return true
	case "up":
		if at, _ := p.services.Position(); at <= 1 && p.ours.Total() > 0 {
			p.onOurs = true
			return true
		}
	case "top":
		if p.ours.Total() > 0 {
			p.onOurs = true
			p.ours.Top()
			return true
		}
	case "service.copy":
		p.copyAddress()
		return true
	}
	return gridAct(p.u, p.services, id)
}

// actOurs is act while the cursor is on a forwarded port.
func (p *portsPage) actOurs(id string) bool {
	u := p.u
	it, ok := p.ours.Current()
	if !ok {
		return false
	}
	if c, kept := it.Data.(cluster.PortStatus); kept {
		switch id {
		case "forward.stop":
			p.askCloseKept(c)
			return true
		case "forward.retry":
			u.toast.say(paint.Dim, u.T("the cluster tries again on its own"))
			return true
		case "forward.copy":
			u.copy(keptURL(c.Port))
			return true
		}
	}
	f, _ := it.Data.(*forward)
	switch id {
	case "forward.stop":
		if u.forwards.has(f) {
			u.forwards.stop(f)
		}
		return true
	case "forward.retry":
		if f.err == nil {
			u.toast.say(paint.Dim, u.T("it is running; there is nothing to retry"))
		}
		u.forwards.retry(f)
		return true
	case "forward.copy":
		u.copy(f.url())
		return true
	case "down":
		if at, of := p.ours.Position(); at == of && p.services.Len() > 0 {
			p.onOurs = false
			return true
		}
	case "bottom":
		p.onOurs = false
		p.services.Bottom()
		return true
	}
	return gridAct(u, p.ours, id)
}

// copyAddress copies where the Service under the cursor is reachable.
func (p *portsPage) copyAddress() {
	it, ok := p.services.Current()
	if !ok {
		return
	}
	l := it.Data.(kube.ServiceLine)
	if f := p.forwardTo(&l); f != nil {
		p.u.copy(f.url())
		return
	}
	if url := p.u.nameURL(&l); url != "" {
		p.u.copy(url)
		return
	}
	a := nearest(l.Reachable)
	if a.From == kube.ReachHost {
		a.Address = "http://" + a.Address
	}
	p.u.copy(a.Address)
}

func (p *portsPage) back() bool { return p.services.Unmark() }

// warning says that a forwarded port leads nowhere.
func (p *portsPage) warning() string {
	for i := range p.kept {
		if c := &p.kept[i]; !c.Open && !p.u.state.Absent() {
			return p.u.T("%s is closed: %s", c.Listen(), paint.Clean(c.Reason))
		}
	}
	for _, f := range p.u.forwards.list {
		if f.err != nil || f.state.Local > 0 && f.state.Reason != "" {
			return p.u.T("%s currently has no ready pod", f.address())
		}
	}
	return ""
}
