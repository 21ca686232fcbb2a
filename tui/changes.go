package tui

import (
	"cmp"
	"context"
	"fmt"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
	"bonsai/tui/feed"
	"bonsai/tui/grid"
	"bonsai/tui/keymap"
	"bonsai/tui/paint"
)

// changesPage lists what has happened to all objects, the newest change first: when, to what, and who did it.
type changesPage struct {
	u     *ui
	grid  *grid.Grid
	feed  *feed.Feed
	known bool
	more  bool
	err   error
	// asking is the namespace that is asked for.
	asking string
}

func newChangesPage(u *ui) *changesPage {
	p := &changesPage{u: u, grid: grid.New([]grid.Column{
		{Title: "Age", Kind: grid.Age}, {Title: "Namespace", Min: 8, Max: 20, Drop: 3}, {Title: "Object", Min: 20, Max: 50},
		{Title: "Change", Min: 20}, {Title: "Who", Min: 14, Max: 44, Drop: 1},
	})}
	p.refeed()
	return p
}

// refeed asks for the namespace that is chosen.
func (p *changesPage) refeed() {
	p.asking = p.u.state.namespace
	ref := kube.Ref{Namespace: p.asking}
	p.feed = poll(p.u, func(ctx context.Context) (cluster.History, error) { return p.u.session.History(ctx, ref, false) },
		func(h cluster.History, err error) {
			if p.err = err; err != nil || ref.Namespace != p.asking {
				return
			}
			p.known, p.more = true, h.More
			p.fill(h.Changes)
		})
}

func (p *changesPage) show() {
	p.feed.Use()
	if len(p.u.state.types) == 0 {
		p.u.loadTypes(nil) // to open what has changed
	}
}

func (p *changesPage) hide()         { p.feed.Leave() }
func (p *changesPage) place() string { return "changes" }
func (p *changesPage) crumb() string { return p.u.T("changes") }

func (p *changesPage) contexts() []keymap.Context {
	return contextsFor(p.subjects(), keymap.Changes, keymap.Table)
}

func (p *changesPage) hints() []hint {
	return append(hintsOf("open", "change.revert", "describe", "yaml"), hint{id: "namespace"}, hint{id: "actions"})
}

func (p *changesPage) namespaceChanged() {
	p.feed.Leave()
	p.grid.Reset()
	p.known = false
	p.refeed()
	p.feed.Use()
}

// fill makes the rows. A change never changes, so that those that are listed stay.
func (p *changesPage) fill(changes []cluster.Change) {
	there := map[string]bool{}
	var fresh []grid.Item
	for _, c := range changes {
		it := p.item(c)
		there[it.ID] = true
		if _, ok := p.grid.Get(it.ID); !ok {
			fresh = append(fresh, it)
		}
	}
	var gone []string
	p.grid.All(func(it *grid.Item) {
		if !there[it.ID] {
			gone = append(gone, it.ID)
		}
	})
	p.grid.Remove(gone...)
	p.grid.Set(fresh...)
}

func (p *changesPage) item(c cluster.Change) grid.Item {
	who := cmp.Or(c.Who, c.Manager, c.User)
	if c.User != "" && c.User != who && !isOfKubernetes(c.User) {
		who += " (" + c.User + ")"
	}
	return grid.Item{
		// The newest is first: keys are sorted upwards.
		ID: fmt.Sprintf("%d/%s/%s/%s", c.Revision, c.Resource, c.Namespace, c.Name), Key: fmt.Sprintf("%020d", int64(1)<<62-c.Revision),
		Time: c.Time, Data: c,
		Cells: []string{"", paint.Clean(c.Namespace), paint.Clean(cmp.Or(c.Kind, c.Resource) + "/" + c.Name), paint.Clean(p.what(c)), paint.Clean(who)},
		Roles: []paint.Role{paint.Dim, paint.Dim, paint.Strong, changeRole(c.Change), paint.Plain},
	}
}

// what is what a change has done, in one line.
func (p *changesPage) what(c cluster.Change) string {
	u := p.u
	switch {
	case c.Change == cluster.ChangeCreated:
		return u.T("was created")
	case c.Change == cluster.ChangeDeleted:
		return u.T("was deleted")
	case len(c.Fields) == 0:
		return u.T("was changed")
	}
	f := c.Fields[0]
	for _, other := range c.Fields { // what somebody wanted says more than what follows from it
		if isWish(other.Path) {
			f = other
			break
		}
	}
	after := string(f.After)
	if after == "" {
		after = u.T("removed")
	}
	text := f.Path + "  " + string(f.Before) + " " + u.theme.Glyphs.Right + " " + after
	if n := len(c.Fields) - 1; n > 0 {
		text += "  " + u.T("and %d more", n)
	}
	return text
}

func (p *changesPage) subjects() []subject {
	it, ok := p.grid.Current()
	if !ok {
		return nil
	}
	c := it.Data.(cluster.Change)
	s, ok := p.u.subjectNamed(c.Namespace, kube.Object{Kind: c.Kind, Name: c.Name})
	if !ok {
		return nil
	}
	s.line = it.Cells[2] + "  " + it.Cells[3]
	return []subject{s}
}

func (p *changesPage) filterText() string    { return p.grid.Filter() }
func (p *changesPage) filterPrompt() string  { return "/" }
func (p *changesPage) setFilter(text string) { p.grid.SetFilter(text); p.u.touch() }
func (p *changesPage) click(x, y int)        { p.grid.Click(x, y-1) }
func (p *changesPage) wheel(rows int)        { p.grid.Move(rows) }

func (p *changesPage) act(id string) bool {
	if id == "change.revert" {
		if it, ok := p.grid.Current(); ok {
			c := it.Data.(cluster.Change)
			p.u.askRevert(refOf(c.ObjectName), c)
		}
		return true
	}
	if id != "open" {
		return gridAct(p.u, p.grid, id)
	}
	list := p.subjects()
	if len(list) == 0 {
		if it, ok := p.grid.Current(); ok {
			p.u.toast.say(paint.Warn, p.u.T("nothing is known about the type %s", paint.Clean(it.Data.(cluster.Change).Kind)))
		}
		return true
	}
	p.u.push(newSubjectPageAt(p.u, list[0], "history"))
	return true
}

func (p *changesPage) draw(w, h int) []string {
	u := p.u
	note := u.T("the status is left out")
	if p.more {
		note = u.T("the newest %d; the status is left out", p.grid.Total())
	}
	l := readList{grid: p.grid, known: p.known, err: p.err, reading: u.T("reading it"), empty: u.T("no change is recorded")}
	return l.draw(u, w, h, u.heading(w, u.T("CHANGES"), note), func(line *paint.Line) {
		if it, ok := p.grid.Current(); ok {
			line.Add(paint.Dim, u.moment(it.Time)+"  "+it.Cells[3])
		}
	})
}
