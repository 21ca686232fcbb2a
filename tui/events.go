package tui

import (
	"context"
	"fmt"
	"slices"
	"time"

	"bonsai/bootstrap/kube"
	"bonsai/tui/feed"
	"bonsai/tui/grid"
	"bonsai/tui/keymap"
	"bonsai/tui/paint"
)

// eventsPage lists the Events of the cluster, newest first. Events that say the same of the same object are one row.
type eventsPage struct {
	u      *ui
	linger linger
	feed   *feed.Feed
	err    error
	heard  bool // the first batch has come

	folds map[foldKey]*eventFold
	byUID map[string]*eventFold
	// spaced says that the grid has a column for the namespace.
	spaced   bool
	warnings bool // only those
	width    int  // that the columns are made for
	grid     *grid.Grid
}

const (
	// mostFolds bounds the rows; when there are more, the oldest tenth goes.
	mostFolds = 5000
	// mostHeld bounds what waits while nobody takes it.
	mostHeld = 20_000
)

// foldKey is what Events of one row have in common.
type foldKey struct {
	namespace               string
	object                  kube.Object
	reason, message, source string
}

// eventFold is one row.
type eventFold struct {
	foldKey
	id      string
	warning bool
	last    time.Time
	// counts are those of each Event in it.
	counts map[string]int
}

func (f *eventFold) count() int {
	n := 0
	for _, c := range f.counts {
		n += c
	}
	return n
}

func newEventsPage(u *ui) *eventsPage {
	p := &eventsPage{u: u, folds: map[foldKey]*eventFold{}, byUID: map[string]*eventFold{}}
	p.grid = grid.New(nil)
	p.columns()
	p.grid.Sort(0, false)
	news := feed.NewBox(u.hub, func(old, new []kube.EventLine) []kube.EventLine {
		all := append(old, new...)
		if len(all) > mostHeld {
			all = slices.Clone(all[len(all)-mostHeld/2:])
		}
		return all
	}, p.take)
	p.feed = feed.New(u.hub, func(ctx context.Context, healthy func()) error {
		return u.session.Events(ctx, func(lines []kube.EventLine) error {
			healthy()
			news.Put(slices.Clone(lines))
			return nil
		})
	}, func(err error) {
		p.err = err
		u.touch()
	})
	p.linger = linger{u: u, on: p.feed.Use, off: p.feed.Leave}
	return p
}

// columns makes those of the grid; with the namespace where all are shown.
func (p *eventsPage) columns() {
	p.spaced = p.u.state.namespace == ""
	// The message is what one reads: where there is room it gets most of it.
	reason, object, message := 11, 14, 28
	switch {
	case p.width >= 150:
		reason, object, message = 16, 24, 60
	case p.width >= 100:
		reason, object, message = 14, 20, 44
	}
	list := []grid.Column{
		{Title: "Age", Kind: grid.Age},
		{Title: "Type", Min: 7, Max: 8, Drop: 5},
		{Title: "Reason", Min: reason, Max: 26},
	}
	if p.spaced {
		list = append(list, grid.Column{Title: "Namespace", Min: 8, Max: 20, Drop: 4})
	}
	p.grid.SetColumns(append(list,
		grid.Column{Title: "Object", Min: object, Max: 44},
		grid.Column{Title: "Count", Kind: grid.Number, Min: 5, Max: 6, Drop: 2},
		grid.Column{Title: "Message", Min: message, Drop: 1},
		grid.Column{Title: "Source", Min: 14, Max: 26, Drop: 6},
	))
}

func (p *eventsPage) show() {
	p.linger.show()
	if len(p.u.state.types) == 0 {
		p.u.loadTypes(nil) // to open what an Event is about
	}
}

func (p *eventsPage) hide()         { p.linger.hide() }
func (p *eventsPage) crumb() string { return p.u.T("events") }

func (p *eventsPage) contexts() []keymap.Context {
	return contextsFor(p.subjects(), keymap.Events)
}

func (p *eventsPage) hints() []hint {
	warnings := hint{id: "events.warnings"}
	if p.warnings {
		warnings.word = p.u.T("all events")
	}
	return append(hintsOf("open", "logs", "describe"), warnings, hint{id: "namespace"}, hint{id: "events.copy"}, hint{id: "actions"})
}

// take folds what has come into the rows.
func (p *eventsPage) take(lines []kube.EventLine) {
	p.heard, p.err = true, nil
	changed := map[*eventFold]bool{}
	for i := range lines {
		e := &lines[i]
		key := foldKey{paint.Clean(e.Namespace), cleanObject(e.Object), paint.Clean(e.Reason), paint.Clean(e.Message), paint.Clean(p.u.eventSource(e))}
		f := p.folds[key]
		if f == nil {
			f = &eventFold{foldKey: key, id: e.UID, counts: map[string]int{}}
			if _, taken := p.grid.Get(f.id); taken || f.id == "" {
				f.id = fmt.Sprintf("%s %v", e.UID, key)
			}
			p.folds[key] = f
		}
		// An Event whose message has changed moves on to another row.
		if old := p.byUID[e.UID]; old != nil && old != f {
			delete(old.counts, e.UID)
			changed[old] = true
		}
		p.byUID[e.UID] = f
		f.counts[e.UID] = max(1, e.Count)
		f.warning = e.Warning
		if e.Time.After(f.last) {
			f.last = e.Time
		}
		changed[f] = true
	}
	items := make([]grid.Item, 0, len(changed))
	for f := range changed {
		if len(f.counts) == 0 {
			p.drop(f)
			continue
		}
		if p.wanted(f) {
			items = append(items, p.item(f))
		}
	}
	p.grid.Set(items...)
	if len(p.folds) > mostFolds {
		p.forget()
	}
	p.u.touch()
}

// forget drops the oldest rows.
func (p *eventsPage) forget() {
	all := make([]*eventFold, 0, len(p.folds))
	for _, f := range p.folds {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b *eventFold) int { return a.last.Compare(b.last) })
	for _, f := range all[:len(all)-mostFolds*9/10] {
		p.drop(f)
	}
}

func (p *eventsPage) drop(f *eventFold) {
	for uid := range f.counts {
		delete(p.byUID, uid)
	}
	delete(p.folds, f.foldKey)
	p.grid.Remove(f.id)
}

// wanted says whether a row is one of the namespace and kind that is shown.
func (p *eventsPage) wanted(f *eventFold) bool {
	return (f.warning || !p.warnings) && (p.u.state.namespace == "" || p.u.state.namespace == f.namespace)
}

func (p *eventsPage) item(f *eventFold) grid.Item {
	n := f.count()
	word, state, role := p.u.T("Normal"), paint.StateNone, paint.Plain
	if f.warning {
		word, state, role = p.u.T("Warning"), paint.StateWarn, paint.Warn
	}
	it := grid.Item{ID: f.id, Key: objectText(f.object), State: state, Time: f.last, Data: f}
	add := func(r paint.Role, text string, value float64) {
		it.Cells, it.Roles, it.Values = append(it.Cells, text), append(it.Roles, r), append(it.Values, value)
	}
	add(paint.Dim, "", 0)
	if f.warning {
		add(role, word, 0)
	} else {
		add(paint.Dim, word, 0)
	}
	add(role, f.reason, 0)
	if p.spaced {
		add(paint.Dim, f.namespace, 0)
	}
	add(paint.Strong, objectText(f.object), 0)
	count := ""
	if n > 1 {
		count = fmt.Sprintf("x%d", n)
	}
	add(paint.Plain, count, float64(n))
	add(paint.Plain, f.message, 0)
	add(paint.Dim, f.source, 0)
	return it
}

// rebuild refills the grid, for other columns or another choice.
func (p *eventsPage) rebuild() {
	p.grid.Reset()
	p.columns()
	items := make([]grid.Item, 0, len(p.folds))
	for _, f := range p.folds {
		if p.wanted(f) {
			items = append(items, p.item(f))
		}
	}
	p.grid.Set(items...)
	p.grid.SetFilter(p.grid.Filter())
	p.u.touch()
}

func (p *eventsPage) namespaceChanged()     { p.rebuild() }
func (p *eventsPage) filterText() string    { return p.grid.Filter() }
func (p *eventsPage) filterPrompt() string  { return "/" }
func (p *eventsPage) setFilter(text string) { p.grid.SetFilter(text); p.u.touch() }
func (p *eventsPage) lost() bool            { return p.grid.Lost() }

func (p *eventsPage) click(x, y int) {
	if p.grid.Click(x, y) {
		p.u.touch()
	}
}

func (p *eventsPage) wheel(rows int) { p.grid.Move(rows) }

// subjects is the object that the row under the cursor is about.
func (p *eventsPage) subjects() []subject {
	it, ok := p.grid.Current()
	if !ok {
		return nil
	}
	f := it.Data.(*eventFold)
	s, ok := p.u.subjectNamed(f.namespace, f.object)
	if !ok {
		return nil
	}
	s.line = f.message
	return []subject{s}
}

// subjectNamed is an object by its kind and name. ok is false if its type is not known, or not yet.
func (u *ui) subjectNamed(namespace string, object kube.Object) (s subject, ok bool) {
	t, ok := u.findType(object.Kind)
	if !ok || object.Name == "" {
		return s, false
	}
	if t.Resource == kube.PodType().Resource && t.Group == "" {
		for _, r := range u.state.Pods.All {
			if r.Namespace == namespace && r.Name == object.Name {
				return subjectOf(kube.PodType(), u.state.Pods.Columns, &r), true
			}
		}
	}
	if !t.Namespaced {
		namespace = ""
	}
	return subject{ref: kube.Ref{Type: t, Namespace: namespace, Name: object.Name}}, true
}

func (p *eventsPage) act(id string) bool {
	switch id {
	case "events.warnings":
		p.warnings = !p.warnings
		p.rebuild()
	case "events.copy":
		if it, ok := p.grid.Current(); ok {
			p.u.copy(it.Data.(*eventFold).message)
		}
	default:
		return gridAct(p.u, p.grid, id)
	}
	return true
}

func (p *eventsPage) back() bool {
	if p.grid.Filter() != "" || !p.warnings {
		return false
	}
	p.warnings = false
	p.rebuild()
	return true
}

// whyNone says why nothing can be done with the object of an Event.
func (p *eventsPage) whyNone() string {
	it, ok := p.grid.Current()
	if !ok {
		return ""
	}
	return p.u.T("the type of %s is not known to the API server", objectText(it.Data.(*eventFold).object))
}

func (p *eventsPage) draw(w, h int) []string {
	u := p.u
	if text := p.emptyText(); text != "" {
		return fill(u.note(text, w, h), w, h)
	}
	if w != p.width {
		p.width = w
		p.columns()
	}
	// The whole message of the row under the cursor has up to three lines below the list, where there is room.
	below := 1
	switch {
	case h >= 40:
		below = 3
	case h >= 28:
		below = 2
	}
	stale := !u.state.Stale().IsZero() || p.err != nil
	return append(p.grid.Draw(u.look(stale), w, h-below), p.strip(w, below)...)
}

func (p *eventsPage) emptyText() string {
	u := p.u
	switch {
	case u.state.Absent() && p.grid.Total() == 0:
		return u.T("the cluster is not running, so there are no events")
	case p.err != nil && p.grid.Total() == 0:
		return u.troubleText(p.err)
	case !p.heard:
		u.spinning()
		return u.glyph(paint.StateBusy) + " " + u.T("reading events")
	case p.grid.Len() > 0:
		return ""
	case p.grid.Filter() != "":
		return u.T("nothing matches %q; %s clears the filter", p.grid.Filter(), u.keys.Key("back"))
	case p.warnings:
		return u.theme.Glyphs.OK + " " + u.T("no warnings in the last hour; %s shows all events", u.keys.Key("events.warnings"))
	case u.state.namespace != "":
		return u.T("no events in %q in the last hour; %s another namespace, %s all", u.state.namespace, u.keys.Key("namespace"), u.keys.Key("all"))
	}
	return u.T("nothing has happened in the last hour")
}

// strip is the message under the cursor, and where the cursor is.
func (p *eventsPage) strip(w, n int) []string {
	u := p.u
	at, of := p.grid.Position()
	where := fmt.Sprintf("%d/%d", at, of)
	if p.warnings {
		where = u.T("warnings only") + "  " + where
	}
	if f := p.grid.Filter(); f != "" {
		where = "/" + f + "  " + where
	}
	room := w - paint.Width(where) - 4
	var parts []string
	role := paint.Plain
	if p.err != nil {
		parts, role = []string{u.troubleText(p.err)}, paint.Warn
	} else if it, ok := p.grid.Current(); ok {
		f := it.Data.(*eventFold)
		text := f.last.In(u.clock.now().Location()).Format("15:04:05") + "  " + f.message
		if n == 1 {
			parts = []string{text}
		} else {
			parts = paint.Wrap(text, max(10, room))
		}
	}
	lines := make([]string, 0, n)
	for i := range n {
		l := u.theme.Line(w).Add(paint.Plain, " ")
		if i < len(parts) {
			text := parts[i]
			if i == n-1 && len(parts) > n {
				text += u.theme.Glyphs.More
			}
			l.Add(role, paint.Cut(text, room, u.theme.Glyphs.More))
		}
		if i == n-1 {
			l.Right(paint.Dim, where+" ")
		}
		lines = append(lines, l.String())
	}
	return lines
}
