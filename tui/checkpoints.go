package tui

import (
	"fmt"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/tui/feed"
	"bonsai/tui/grid"
	"bonsai/tui/keymap"
	"bonsai/tui/paint"
)

// checkpointsPage lists the checkpoints of the cluster, and saves, restores, forks and deletes them: each is a verb of
// "bonsai checkpoint", which works on a stopped cluster too, but for save.
type checkpointsPage struct {
	u     *ui
	grid  *grid.Grid
	feed  *feed.Feed
	known bool
	err   error
}

func newCheckpointsPage(u *ui) *checkpointsPage {
	p := &checkpointsPage{u: u}
	p.grid = grid.New([]grid.Column{
		{Title: "Checkpoint", Min: 18, Max: 40}, {Title: "Age", Kind: grid.Age}, {Title: "Objects", Kind: grid.Number, Min: 7, Max: 9},
		{Title: "Claims", Min: 6, Max: 10, Drop: 2}, {Title: "Size", Min: 5, Max: 8, Drop: 3}, {Title: "", Min: 10, Drop: 1},
	})
	p.feed = poll(u, u.session.Checkpoints, func(list []cluster.Checkpoint, err error) {
		if p.err = err; err == nil {
			p.known = true
			p.fill(list)
		}
	})
	return p
}

func (p *checkpointsPage) show()         { p.feed.Use() }
func (p *checkpointsPage) hide()         { p.feed.Leave() }
func (p *checkpointsPage) place() string { return "checkpoints" }
func (p *checkpointsPage) crumb() string { return p.u.T("checkpoints") }

func (p *checkpointsPage) contexts() []keymap.Context { return []keymap.Context{keymap.Checkpoints} }

func (p *checkpointsPage) hints() []hint {
	return hintsOf("checkpoint.save", "checkpoint.restore", "checkpoint.fork", "checkpoint.delete", "open")
}

func (p *checkpointsPage) fill(list []cluster.Checkpoint) {
	there := map[string]bool{}
	for i := range list {
		there[list[i].Name] = true
		p.grid.Set(p.item(i, list[i]))
	}
	var gone []string
	p.grid.All(func(it *grid.Item) {
		if !there[it.ID] {
			gone = append(gone, it.ID)
		}
	})
	p.grid.Remove(gone...)
}

func (p *checkpointsPage) item(at int, c cluster.Checkpoint) grid.Item {
	u := p.u
	state, objects, claims, note := paint.StateNone, fmt.Sprint(c.Objects), u.theme.Glyphs.Off, paint.Clean(u.T(c.Reason))
	if c.WithVolumes {
		claims = size(uint64(c.VolumeBytes()))
	}
	if c.Problem != "" {
		state, objects, claims, note = paint.StateFail, "?", "?", paint.Clean(c.Problem)
	}
	return grid.Item{
		ID: c.Name, Key: fmt.Sprintf("%04d", at), State: state, Time: c.Created, Data: c, Values: []float64{0, 0, float64(c.Objects), 0, 0, 0},
		Cells: []string{paint.Clean(c.Name), "", objects, claims, size(uint64(c.FileBytes)), note},
		Roles: []paint.Role{paint.Strong, paint.Dim, paint.Plain, paint.Plain, paint.Dim, state.Role()},
	}
}

func (p *checkpointsPage) current() (cluster.Checkpoint, bool) {
	it, ok := p.grid.Current()
	if !ok {
		p.u.toast.say(paint.Dim, p.u.T("nothing is selected"))
		return cluster.Checkpoint{}, false
	}
	return it.Data.(cluster.Checkpoint), true
}

func (p *checkpointsPage) filterText() string    { return p.grid.Filter() }
func (p *checkpointsPage) filterPrompt() string  { return "/" }
func (p *checkpointsPage) setFilter(text string) { p.grid.SetFilter(text); p.u.touch() }
func (p *checkpointsPage) click(x, y int)        { p.grid.Click(x, y-1) }
func (p *checkpointsPage) wheel(rows int)        { p.grid.Move(rows) }

func (p *checkpointsPage) act(id string) bool {
	do := map[string]func(cluster.Checkpoint){
		"open": p.explain, "checkpoint.restore": p.askRestore, "checkpoint.fork": p.askFork, "checkpoint.delete": p.askDelete,
		"checkpoint.copy": func(c cluster.Checkpoint) { p.u.copy(c.Name) },
	}[id]
	switch {
	case do != nil:
		if c, ok := p.current(); ok {
			do(c)
		}
	case id == "checkpoint.save":
		p.askSave()
	default:
		return gridAct(p.u, p.grid, id)
	}
	return true
}

// run runs a verb that holds the lock of the cluster.
func (p *checkpointsPage) run(title string, args ...string) {
	u := p.u
	if u.refuseChange() || u.refuseSecond(u.session.Name()) {
		return
	}
	u.changeCluster(u.session.Name(), args, title, func(err error) {
		p.feed.Again()
		u.state.Again()
		if err != nil {
			u.explainFailure(title, err)
			return
		}
		u.toast.say(paint.OK, u.theme.Glyphs.OK+" "+title)
	})
}

// refuse says why nothing can be done with a checkpoint now, if so.
func (p *checkpointsPage) refuse(c cluster.Checkpoint) bool {
	u := p.u
	if u.refuseChange() || u.refuseSecond(u.session.Name()) {
		return true
	}
	if c.Problem != "" {
		u.toast.say(paint.Warn, paint.Clean(c.Problem))
	}
	return c.Problem != ""
}

const (
	withoutClaims = "objects"
	withClaims    = "objects and claims"
)

func (p *checkpointsPage) askSave() {
	u := p.u
	if u.refuseChange() || u.refuseSecond(u.session.Name()) {
		return
	}
	if !u.state.Running() {
		u.toast.say(paint.Dim, u.T("the cluster is not running"))
		return
	}
	u.openForm(&form{
		title: u.T("save a checkpoint"), accept: u.T("Save"),
		text: []string{u.T("all objects as they are now; the cluster goes on. Data of claims is copied file by file while pods go on")},
		fields: []*field{
			{label: u.T("name"), hint: u.T("empty: after the time; otherwise lower-case letters, digits and dashes"), check: func(text string) string {
				if text == "" {
					return ""
				}
				c := cluster.Checkpoint{Name: text}
				if cluster.ValidateCheckpointName(text) != nil || c.Automatic() {
					return u.T("lower-case letters, digits and dashes, and not auto-")
				}
				if _, ok := p.grid.Get(text); ok {
					return u.T("there is a checkpoint of this name")
				}
				return ""
			}},
			{label: u.T("what"), value: withoutClaims, choices: []string{withoutClaims, withClaims}},
		},
		done: func(v []string) {
			args := []string{"checkpoint", "save"}
			if v[0] != "" {
				args = append(args, v[0])
			}
			if v[1] == withClaims {
				args = append(args, "--with-volumes")
			}
			p.run(strings.TrimSpace(u.T("save checkpoint %s", v[0])), args...)
		},
	})
}

// askRestore says what is lost. What cannot be undone needs the name.
func (p *checkpointsPage) askRestore(c cluster.Checkpoint) {
	u := p.u
	if p.refuse(c) {
		return
	}
	text := []string{u.T("all objects are replaced by the %d of the checkpoint, which is %s old", c.Objects, u.clock.age(c.Created))}
	if nodes := nodesWithClaims(c); len(nodes) > 0 {
		text = append(text, u.T("the data of claims on %s is replaced, too: these nodes stop meanwhile, with all their pods", strings.Join(nodes, ", ")))
	} else {
		text = append(text, u.T("the data of claims stays as it is"))
	}
	typed := ""
	if u.state.Running() {
		text = append(text, u.T("what is replaced is saved before, as a checkpoint, so that this can be undone; requests fail for a moment"))
	} else {
		typed = c.Name
		text = append(text, u.T("the cluster does not run, so that what is replaced is not saved before, and is lost; the cluster is started"))
	}
	u.ask(u.T("restore checkpoint %s?", paint.Clean(c.Name)), append(text, u.T("cluster: %s", u.session.Name())), u.T("Restore"), typed, func() {
		p.run(u.T("restore checkpoint %s", paint.Clean(c.Name)), "checkpoint", "restore", c.Name)
	})
}

func nodesWithClaims(c cluster.Checkpoint) (nodes []string) {
	for _, v := range c.Volumes {
		nodes = append(nodes, paint.Clean(v.Node))
	}
	return nodes
}

func (p *checkpointsPage) askFork(c cluster.Checkpoint) {
	u := p.u
	if p.refuse(c) {
		return
	}
	claims := u.T("its claims are empty")
	if c.WithVolumes {
		claims = u.T("its claims have the data of the checkpoint")
	}
	u.openForm(&form{
		title: u.T("a second cluster from checkpoint %s", paint.Clean(c.Name)), accept: u.T("Fork"),
		text: []string{u.T("it has the same objects and as many nodes, and goes its own way; this cluster goes on"), claims},
		fields: []*field{{label: u.T("name"), hint: u.T("lower-case letters, digits and dashes"), check: func(text string) string {
			if cluster.ValidateName(text) != nil {
				return u.T("lower-case letters, digits and dashes, beginning with a letter")
			}
			if text == u.session.Name() {
				return u.T("there is a cluster of this name")
			}
			return ""
		}}},
		done: func(v []string) { p.run(u.T("create cluster %s", v[0]), "fork", c.Name, "--as", v[0]) },
	})
}

func (p *checkpointsPage) askDelete(c cluster.Checkpoint) {
	u := p.u
	if u.refuseChange() || u.refuseSecond(u.session.Name()) {
		return
	}
	text := []string{u.T("%d objects as they were %s ago are lost; it cannot be undone", c.Objects, u.clock.age(c.Created))}
	if n := c.VolumeBytes(); n > 0 {
		text = append(text, u.T("so are %s of claims", size(uint64(n))))
	}
	text = append(text, u.T("objects and data of the cluster stay as they are"), u.T("cluster: %s", u.session.Name()))
	u.ask(u.T("delete checkpoint %s?", paint.Clean(c.Name)), text, u.T("Delete"), "", func() {
		p.run(u.T("delete checkpoint %s", paint.Clean(c.Name)), "checkpoint", "delete", c.Name)
	})
}

// explain says everything about a checkpoint.
func (p *checkpointsPage) explain(c cluster.Checkpoint) {
	u := p.u
	t := &textBox{u: u, title: paint.Clean(c.Name)}
	width := max(20, min(76, u.width-6))
	add := func(role paint.Role, text string) {
		for _, part := range paint.Wrap(paint.Clean(text), width) {
			t.lines = append(t.lines, u.theme.Line(width).Add(role, part).String())
		}
	}
	if c.Problem != "" {
		add(paint.Fail, u.theme.Glyphs.Fail+" "+c.Problem)
	}
	add(paint.Plain, u.T("saved %s, Kubernetes %s", u.moment(c.Created), c.KubernetesVersion))
	if c.Reason != "" {
		add(paint.Dim, u.T("by bonsai, %s", u.T(c.Reason)))
	}
	if c.Imported {
		add(paint.Dim, u.T("of cluster %s, from which this one was made", c.Cluster))
	}
	add(paint.Plain, u.T("%d objects, %s on the disk", c.Objects, size(uint64(c.FileBytes))))
	for _, v := range c.Volumes {
		add(paint.Plain, u.T("%s of claims on %s", size(uint64(v.Bytes)), v.Node))
	}
	if !c.WithVolumes {
		add(paint.Dim, u.T("without the data of claims"))
	}
	u.open(t)
}

func (p *checkpointsPage) draw(w, h int) []string {
	u := p.u
	l := readList{
		grid: p.grid, known: p.known, err: p.err, reading: u.T("reading %s", u.T("checkpoints")),
		empty: u.T("no checkpoint exists yet; %s saves one", u.keyIn(u.chain(), "checkpoint.save")),
	}
	return l.draw(u, w, h, u.heading(w, u.T("CHECKPOINTS"), u.T("all objects as they were")), func(line *paint.Line) {
		it, ok := p.grid.Current()
		if !ok {
			return
		}
		switch c := it.Data.(cluster.Checkpoint); {
		case c.Problem != "":
			line.Add(paint.Fail, paint.Clean(c.Problem))
		case c.Reason != "":
			line.Add(paint.Dim, u.moment(c.Created)+"  "+u.T("by bonsai, %s", paint.Clean(u.T(c.Reason))))
		default:
			line.Add(paint.Dim, u.moment(c.Created))
		}
	})
}
