package tui

import (
	"cmp"
	"slices"
	"strconv"

	"bonsai/bootstrap/cluster"
	"bonsai/tui/feed"
	"bonsai/tui/grid"
	"bonsai/tui/keymap"
	"bonsai/tui/paint"
)

// clustersPage lists the clusters of this user, switches to another one, and starts, stops and deletes them.
type clustersPage struct {
	u     *ui
	grid  *grid.Grid
	feed  *feed.Feed
	known bool
	err   error
	// doing says what is being done with a cluster from here.
	doing map[string]string
}

func newClustersPage(u *ui) *clustersPage {
	p := &clustersPage{u: u, doing: map[string]string{}}
	p.grid = grid.New([]grid.Column{
		{Title: "Cluster", Min: 12, Max: 40}, {Title: "State", Min: 8, Max: 14}, {Title: "Nodes", Kind: grid.Number, Min: 5, Max: 5},
		{Title: "Kubernetes", Min: 10, Max: 12, Drop: 2}, {Title: "", Min: 12, Drop: 1},
	})
	p.feed = poll(u, u.session.Clusters, func(list []cluster.Info, err error) {
		p.err = err
		if err == nil {
			p.known = true
			p.fill(list)
		}
	})
	return p
}

func (p *clustersPage) show()         { p.feed.Use() }
func (p *clustersPage) hide()         { p.feed.Leave() }
func (p *clustersPage) place() string { return "clusters" }
func (p *clustersPage) crumb() string { return p.u.T("clusters") }

func (p *clustersPage) contexts() []keymap.Context { return []keymap.Context{keymap.Clusters} }

func (p *clustersPage) hints() []hint {
	power := hint{id: "profile.start"}
	if c, ok := p.current(); ok && !off(c) {
		power.id = "profile.stop"
	}
	return append([]hint{{"open", p.u.T("switch to it")}, power}, hintsOf("profile.delete", "profile.new", "profile.copy")...)
}

// off says that a cluster does not run.
func off(c cluster.Info) bool {
	return c.Phase == cluster.PhaseStopped || c.Phase == cluster.PhaseAbsent
}

func (p *clustersPage) fill(list []cluster.Info) {
	var gone []string
	p.grid.All(func(it *grid.Item) {
		if !slices.ContainsFunc(list, func(c cluster.Info) bool { return c.Name == it.ID }) {
			gone = append(gone, it.ID)
		}
	})
	p.grid.Remove(gone...)
	for _, c := range list {
		p.grid.Set(p.item(c))
	}
}

func (p *clustersPage) item(c cluster.Info) grid.Item {
	u := p.u
	state, word, note := phaseState(c.Phase), u.T(lower(string(c.Phase))), ""
	if doing := p.doing[c.Name]; doing != "" {
		state, word = paint.StateBusy, doing
	}
	if c.Name == u.session.Name() {
		note = u.T("shown here")
		if o := u.operation; o != nil && !o.done {
			state, word = paint.StateBusy, u.doing(o)
		}
	}
	return grid.Item{
		ID: c.Name, Key: c.Name, State: state, Data: c, Values: []float64{0, 0, float64(c.Nodes), 0, 0},
		Cells: []string{paint.Clean(c.Name), word, strconv.Itoa(c.Nodes), paint.Clean(cmp.Or(c.KubernetesVersion, u.theme.Glyphs.Off)), note},
		Roles: []paint.Role{paint.Strong, state.Role(), paint.Plain, paint.Dim, paint.Accent},
	}
}

func (p *clustersPage) current() (cluster.Info, bool) {
	it, ok := p.grid.Current()
	if !ok {
		return cluster.Info{}, false
	}
	return it.Data.(cluster.Info), true
}

func (p *clustersPage) filterText() string    { return p.grid.Filter() }
func (p *clustersPage) filterPrompt() string  { return "/" }
func (p *clustersPage) setFilter(text string) { p.grid.SetFilter(text); p.u.touch() }
func (p *clustersPage) click(x, y int)        { p.grid.Click(x, y-1) }
func (p *clustersPage) wheel(rows int)        { p.grid.Move(rows) }

func (p *clustersPage) act(id string) bool {
	u := p.u
	if id == "profile.new" {
		p.askNew()
		return true
	}
	c, ok := p.current()
	switch id {
	case "open", "profile.start", "profile.stop", "profile.delete", "profile.copy":
		if !ok {
			u.toast.say(paint.Dim, u.T("nothing is selected"))
			return true
		}
	}
	ours := c.Name == u.session.Name()
	switch id {
	case "open":
		if ours {
			u.toast.say(paint.Dim, u.T("it is the one that is shown"))
			break
		}
		u.goToCluster(c.Name)
	case "profile.start":
		switch {
		case !off(c):
			u.toast.say(paint.Dim, u.T("it is running"))
		case ours:
			u.beginOperation("start")
		default:
			p.change(c, "start", u.T("start %s", c.Name), u.T("starting"))
		}
	case "profile.stop":
		p.askStop(c, ours)
	case "profile.delete":
		p.askDelete(c, ours)
	case "profile.copy":
		u.copy(c.Name)
	default:
		return gridAct(u, p.grid, id)
	}
	return true
}

// askNew asks for the name of a cluster, and goes to where it can be started.
func (p *clustersPage) askNew() {
	u := p.u
	u.openForm(&form{
		title: u.T("a new cluster"), accept: u.T("Go to it"), text: []string{u.T("its start view chooses nodes and version; nothing is created before")},
		fields: []*field{{label: u.T("name"), hint: u.T("lower-case letters, digits and dashes"), check: func(text string) string {
			if cluster.ValidateName(text) != nil {
				return u.T("lower-case letters, digits and dashes, beginning with a letter")
			}
			if _, ok := p.grid.Get(text); ok {
				return u.T("there is a cluster of this name")
			}
			return ""
		}}},
		done: func(v []string) { u.goToCluster(v[0]) },
	})
}

func (p *clustersPage) askStop(c cluster.Info, ours bool) {
	u := p.u
	switch {
	case off(c):
		u.toast.say(paint.Dim, u.T("the cluster is not running"))
	case ours:
		u.confirmStop()
	case u.refuseChange() || u.refuseSecond(c.Name):
	default:
		u.ask(u.T("stop %s?", c.Name), []string{
			u.T("its nodes and its control plane stop; objects, volumes and images are kept"), u.nodesWord(c.Nodes),
			u.T("another cluster than the one that is shown"),
		}, u.T("Stop"), "", func() { p.change(c, "stop", u.T("stop %s", c.Name), u.T("stopping")) })
	}
}

func (p *clustersPage) askDelete(c cluster.Info, ours bool) {
	u := p.u
	switch {
	case ours:
		u.confirmDelete()
	case u.refuseChange() || u.refuseSecond(c.Name):
	default:
		u.ask(u.T("delete cluster %s?", c.Name), []string{
			u.T("this deletes all its nodes, volumes, images and data, and its entries in your kubeconfig; it cannot be undone"), u.nodesWord(c.Nodes),
			u.T("another cluster than the one that is shown"),
		}, u.T("Delete"), c.Name, func() { p.change(c, "delete", u.T("delete %s", c.Name), u.T("deleting")) })
	}
}

// change runs a verb for another cluster than the one that is shown.
func (p *clustersPage) change(c cluster.Info, verb, title, doing string) {
	u := p.u
	if u.refuseChange() || u.refuseSecond(c.Name) {
		return
	}
	p.doing[c.Name] = doing
	p.grid.Set(p.item(c))
	u.changeCluster(c.Name, []string{verb, "-p", c.Name}, title, func(err error) {
		delete(p.doing, c.Name)
		p.feed.Again()
		if err != nil {
			u.explainFailure(title, err)
			return
		}
		u.toast.say(paint.OK, u.theme.Glyphs.OK+" "+title)
	})
}

func (p *clustersPage) draw(w, h int) []string {
	u := p.u
	l := readList{
		grid: p.grid, known: p.known, err: p.err, reading: u.T("reading %s", u.T("clusters")),
		empty: u.T("no cluster exists yet; %s goes to a new one", u.keyIn(u.chain(), "profile.new")),
	}
	return l.draw(u, w, h, u.heading(w, u.T("CLUSTERS"), ""), func(line *paint.Line) {
		line.Add(paint.Dim, u.T("what runs in one cluster goes on while another one is shown"))
	})
}
