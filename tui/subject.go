package tui

import (
	"fmt"
	"slices"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
	"bonsai/tui/keymap"
	"bonsai/tui/model"
	"bonsai/tui/paint"
)

// subjectPage is one object: what is known about it, in tabs. The keys of lists work here too, on the object.
type subjectPage struct {
	u    *ui
	s    subject
	tabs []objectTab
	// current is the index of the tab that is shown.
	current int
	visible bool

	// store has the object's row, which shows when it changes and when it goes; nil for types of which nothing is known.
	store   *model.Rows
	columns []kube.Column
	row     kube.Row
	seen    bool // there has been a row
	gone    bool
	// detail is of pods only, nil until it is known.
	detail    *kube.PodDetail
	detailErr error
	asking    refresher

	tabSpans []tabSpan // where the tabs stand, for clicks
	tabLine  int
}

// objectTab is one tab: a page inside the page.
type objectTab struct {
	id, title string
	page      page
	// count is a number beside the title; nil for none.
	count func() int
}

type tabSpan struct{ from, to int }

// changer is a tab that has to know when the object has changed.
type changer interface{ changed() }

// openSubject opens an object: its summary, or the tab of that name ("describe", "yaml", "birth", "events", "logs", "env",
// "dns", "history", "values", "revisions", "related").
func (u *ui) openSubject(s *subject, tab string) {
	if s.ref.Type.Resource == "nodes" && s.ref.Type.Group == "" && tab == "" {
		u.push(newNodePage(u, s.ref.Name))
		return
	}
	u.push(newSubjectPageAt(u, *s, tab))
}

// newSubjectPageAt shows the tab of that name, if there is one.
func newSubjectPageAt(u *ui, s subject, tab string) *subjectPage {
	p := newSubjectPage(u, s)
	if i := slices.IndexFunc(p.tabs, func(t objectTab) bool { return t.id == tab }); i >= 0 {
		p.current = i
	}
	return p
}

func newSubjectPage(u *ui, s subject) *subjectPage {
	p := &subjectPage{u: u, s: s}
	t := s.ref.Type
	switch {
	case t.Resource == "pods" && t.Group == "":
		p.store = u.state.Pods
	default:
		p.store = u.state.NewRows(kube.RowQuery{Type: t, Namespace: s.ref.Namespace})
	}
	if t.Resource == "pods" && t.Group == "" {
		events := newEventsTab(u, s.ref)
		p.tabs = []objectTab{
			{"summary", "Summary", newSummaryTab(p, events.tail), nil},
			{"logs", "Logs", newLogsOf(u, []subject{s}, false), nil},
			{"events", "Events", events, events.count},
			{"yaml", "YAML", newYAMLTab(u, s.ref), nil},
			{"env", "Env", newEnvTab(u, s.ref), nil},
		}
		p.tabs = append(p.tabs, objectTab{"traffic", "Traffic", newTrafficTab(u, trafficOf(s.ref)), nil})
		dns := newDNSTab(u, s.ref)
		p.tabs = append(p.tabs, objectTab{"dns", "DNS", dns, dns.count})
		p.tabs = append(p.tabs, objectTab{"birth", "Birth", newBirthPage(u, s.ref.Namespace, s.ref.Name), nil},
			objectTab{"describe", "Describe", newDescribeTab(u, s.ref), nil}, objectTab{"related", "Relations", newRelatedTab(u, s.ref), nil},
			objectTab{"history", "History", newHistoryTab(u, s.ref), nil})
		return p
	}
	p.tabs = []objectTab{{"describe", "Summary", newDescribeTab(u, s.ref), nil}}
	if needsLogs(u, &s) == "" {
		p.tabs = append(p.tabs, objectTab{"logs", "Logs", newLogsOf(u, []subject{s}, false), nil})
	}
	p.tabs = append(p.tabs, requestTabs(u, s.ref)...)
	events := newEventsTab(u, s.ref)
	p.tabs = append(p.tabs, objectTab{"events", "Events", events, events.count})
	if of := trafficOf(s.ref); of != nil {
		p.tabs = append(p.tabs, objectTab{"traffic", "Traffic", newTrafficTab(u, of), nil})
	}
	p.tabs = append(p.tabs, objectTab{"yaml", "YAML", newYAMLTab(u, s.ref), nil})
	if hasValues(t) {
		p.tabs = append(p.tabs, objectTab{"values", "Values", newValuesTab(u, s.ref), nil})
	}
	if hasRelations(t) {
		p.tabs = append(p.tabs, objectTab{"related", "Relations", newRelatedTab(u, s.ref), nil})
	}
	if hasRevisions(t) {
		p.tabs = append(p.tabs, objectTab{"revisions", "Revisions", newRevisionsTab(u, s.ref), nil})
	}
	p.tabs = append(p.tabs, objectTab{"history", "History", newHistoryTab(u, s.ref), nil})
	return p
}

// openOwner goes to what controls an object.
func (u *ui) openOwner(s *subject) {
	owner := s.owner
	if owner == (kube.Object{}) {
		return
	}
	open := func() bool {
		for _, t := range u.state.types {
			if t.Kind != owner.Kind {
				continue
			}
			ref := kube.Ref{Type: t, Name: owner.Name}
			if t.Namespaced {
				ref.Namespace = s.ref.Namespace
			}
			u.openSubject(&subject{ref: ref}, "")
			return true
		}
		return false
	}
	if open() {
		return
	}
	u.loadTypes(func(err error) {
		if err != nil {
			u.fail(err)
			return
		}
		if !open() {
			u.toast.say(paint.Warn, u.T("nothing is known about the type %s", owner.Kind))
		}
	})
}

func (p *subjectPage) tab() page { return p.tabs[p.current].page }

func (p *subjectPage) show() {
	p.visible = true
	p.store.Read(p)
	p.changed()
	p.tab().show()
}

func (p *subjectPage) hide() {
	p.visible = false
	p.store.Unread(p)
	p.tab().hide()
}

func (p *subjectPage) crumb() string                  { return p.s.name() }
func (p *subjectPage) place() string                  { return "object/" + p.s.ref.Type.Group + "/" + p.s.name() }
func (p *subjectPage) hints() []hint                  { return append(hintsOf("tab.next"), p.tab().hints()...) }
func (p *subjectPage) lost() bool                     { return false }
func (p *subjectPage) ColumnsChanged(c []kube.Column) { p.columns = c }
func (p *subjectPage) RowsReset()                     {}
func (p *subjectPage) ErrChanged()                    { p.u.touch() }

// RowsChanged receives all rows; only one counts here.
func (p *subjectPage) RowsChanged(set []kube.Row, deleted []string) {
	ref := &p.s.ref
	for i := range set {
		r := &set[i]
		if r.Name != ref.Name || r.Namespace != ref.Namespace || ref.UID != "" && r.UID != ref.UID {
			continue
		}
		p.row, p.seen, p.gone = *r, true, false
		fresh := subjectOf(ref.Type, p.columns, r)
		p.s.state, p.s.owner, p.s.node, p.s.line, p.s.cordoned = fresh.state, fresh.owner, fresh.node, fresh.line, fresh.cordoned
		ref.UID = r.UID
		p.changed()
	}
	if p.seen && slices.Contains(deleted, p.row.UID) {
		p.gone = true
	}
	p.u.touch()
}

// changed asks again for what a table does not show.
func (p *subjectPage) changed() {
	if p.gone || !p.visible {
		return
	}
	if p.s.ref.Type.Resource == "pods" {
		p.asking.run(func(done func()) { p.askDetail(done) })
	}
	if c, ok := p.tab().(changer); ok {
		c.changed()
	}
}

// subjects is the object, for verbs.
func (p *subjectPage) subjects() []subject {
	s := p.s
	s.problem = p.problem()
	return []subject{s}
}

// problem is what is wrong with the object, nil if nothing is.
func (p *subjectPage) problem() *cluster.Problem {
	name := singular(p.s.ref.Type) + "/" + strings.TrimPrefix(p.s.ref.Namespace+"/"+p.s.ref.Name, "/")
	for i := range p.u.state.Snapshot.Problems {
		if q := &p.u.state.Snapshot.Problems[i]; paint.Clean(q.Object) == paint.Clean(name) {
			return q
		}
	}
	return nil
}

// turn shows another tab.
func (p *subjectPage) turn(to int) {
	to = (to + len(p.tabs)) % len(p.tabs)
	if to == p.current {
		return
	}
	p.tab().hide()
	p.current = to
	p.tab().show()
}

// contexts are those of the tabs, of the current tab, and of the object for what means nothing in that tab.
func (p *subjectPage) contexts() []keymap.Context {
	return slices.Concat([]keymap.Context{keymap.Tabs}, p.tab().contexts(), contextsFor([]subject{p.s}, keymap.Object))
}

// contextsFor are some contexts, and those of nodes, or of CronJobs and Jobs, where one of these is chosen.
func contextsFor(list []subject, contexts ...keymap.Context) []keymap.Context {
	if len(list) == 0 {
		return contexts
	}
	switch list[0].ref.Type.Resource {
	case kube.NodeType().Resource:
		return append([]keymap.Context{keymap.Node}, contexts...)
	case "cronjobs", "jobs":
		return append([]keymap.Context{keymap.Cron}, contexts...)
	}
	return contexts
}

func (p *subjectPage) act(id string) bool {
	if p.tab().act(id) {
		return true
	}
	switch id {
	case "tab.next":
		p.turn(p.current + 1)
	case "tab.prev":
		p.turn(p.current - 1)
	case "describe", "yaml", "logs", "birth", "revisions", "values", "related": // most objects have a tab for it
		at := slices.IndexFunc(p.tabs, func(t objectTab) bool { return t.id == id })
		if at < 0 {
			return false
		}
		p.turn(at)
	default:
		return false
	}
	return true
}

func (p *subjectPage) back() bool {
	b, ok := p.tab().(backer)
	return ok && b.back()
}

// The filter of the page is that of the tab.
func (p *subjectPage) filterText() string {
	if f, ok := p.tab().(filterer); ok {
		return f.filterText()
	}
	return ""
}

func (p *subjectPage) setFilter(text string) {
	if f, ok := p.tab().(filterer); ok {
		f.setFilter(text)
	}
}

func (p *subjectPage) filterPrompt() string { return "/" }

func (p *subjectPage) click(x, y int) {
	if y == p.tabLine {
		for i, s := range p.tabSpans {
			if x >= s.from && x < s.to {
				p.turn(i)
			}
		}
		return
	}
	if t, ok := p.tab().(pointer); ok && y > p.tabLine {
		t.click(x, y-p.tabLine-1)
	}
}

func (p *subjectPage) wheel(rows int) {
	if t, ok := p.tab().(pointer); ok {
		t.wheel(rows)
	}
}

func (p *subjectPage) draw(w, h int) []string {
	lines := []string{p.header(w)}
	if q := p.problem(); q != nil && h >= 10 && p.tabs[p.current].id != "summary" {
		text := p.u.whatAndWhy(q)
		lines = append(lines, p.u.theme.Line(w).Add(paint.Plain, " ").Add(paint.Strong, p.u.T("why:")+" ").
			Add(severityState(q.Severity).Role(), paint.Clean(text)).String())
	}
	p.tabLine = len(lines)
	lines = append(lines, p.tabsLine(w))
	if rest := h - len(lines); rest > 0 {
		lines = append(lines, p.tab().draw(w, rest)...)
	}
	return fill(lines, w, h)
}

// header names the object, says its state, and where it is.
func (p *subjectPage) header(w int) string {
	u, g := p.u, &p.u.theme.Glyphs
	l := u.theme.Line(w).Add(paint.Plain, " ")
	name := strings.TrimPrefix(p.s.ref.Namespace+"/"+p.s.ref.Name, "/")
	if p.s.ref.Type.Resource != "pods" {
		name = singular(p.s.ref.Type) + " " + name
	}
	l.Add(paint.Strong, name).Add(paint.Plain, "   ")
	state := paint.StateNone
	if p.seen {
		state = rowState(p.columns, &p.row)
	}
	switch {
	case p.gone:
		l.Add(paint.Off, g.Ending+" "+u.T("it has been deleted; this is its last known state"))
	case p.seen && p.row.Deleting:
		l.Add(paint.Off, g.Ending+" "+u.T("it is being deleted"))
	default:
		word := p.s.state
		if n := p.cell("restarts"); n != "" && n != "0" {
			word += " x" + n
		}
		if state != paint.StateNone || word != "" {
			l.Add(state.Role(), strings.TrimSpace(u.glyph(state)+" "+word))
		}
	}
	var facts []string
	for _, name := range []string{"ready", "node", "ip"} {
		if v := p.cell(name); v != "" && v != "<none>" {
			facts = append(facts, v)
		}
	}
	if chain := p.ownerChain(); chain != "" {
		facts = append(facts, chain)
	}
	for _, f := range facts {
		if l.Room() < paint.Width(f)+3 {
			continue
		}
		l.Add(paint.Plain, "   "+f)
	}
	return l.Right(paint.Dim, u.keys.Key("back")+" "+u.T("back")+" ").String()
}

// cell is what a column says of the object.
func (p *subjectPage) cell(column string) string {
	if !p.seen {
		return ""
	}
	for i, c := range p.columns {
		if i < len(p.row.Cells) && lower(c.Name) == column {
			return p.row.Cells[i]
		}
	}
	return ""
}

// ownerChain is what controls the object, the topmost first.
func (p *subjectPage) ownerChain() string {
	if p.detail != nil && len(p.detail.Owners) > 0 {
		var chain []string
		for _, o := range slices.Backward(p.detail.Owners) {
			chain = append(chain, o.String())
		}
		return strings.Join(chain, " "+p.u.theme.Glyphs.Right+" ")
	}
	return p.s.owner.String()
}

// tabsLine names the tabs; where not all have room it begins with one from which on the current one has.
func (p *subjectPage) tabsLine(w int) string {
	titles := make([]string, len(p.tabs))
	need := 0
	for i, t := range p.tabs {
		titles[i] = p.u.T(t.title)
		if t.count != nil {
			if n := t.count(); n > 0 {
				titles[i] += fmt.Sprintf(" %d", n)
			}
		}
		if i <= p.current {
			need += paint.Width(titles[i]) + 2
		}
	}
	l := p.u.theme.Line(w)
	p.tabSpans = p.tabSpans[:0]
	for i, title := range titles {
		if i < p.current && need > w {
			need -= paint.Width(title) + 2
			p.tabSpans = append(p.tabSpans, tabSpan{})
			continue
		}
		from := w - l.Room()
		if i == p.current {
			l.Add(paint.Title, "["+title+"]")
		} else {
			l.Add(paint.Dim, " "+title+" ")
		}
		p.tabSpans = append(p.tabSpans, tabSpan{from, w - l.Room()})
	}
	return l.String()
}

// refresher runs one question at a time, and once more if there was reason for it meanwhile.
type refresher struct{ busy, again bool }

// run calls ask, which calls done in the program's goroutine when it has its answer.
func (r *refresher) run(ask func(done func())) {
	if r.busy {
		r.again = true
		return
	}
	r.busy = true
	ask(func() {
		r.busy = false
		if r.again {
			r.again = false
			r.run(ask)
		}
	})
}
