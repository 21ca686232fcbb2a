package tui

import (
	"fmt"
	"slices"
	"time"

	"bonsai/bootstrap/kube"
	"bonsai/tui/feed"
	"bonsai/tui/keymap"
	"bonsai/tui/model"
	"bonsai/tui/paint"
	"bonsai/tui/textview"
)

// logsPage shows logs, merged: those of a namespace, or of what was selected elsewhere.
type logsPage struct {
	textPane
	title string
	// targets says what to follow; it is called each time that everything starts over.
	targets func() []logTarget
	// home is the page of the numbered screen, which changes with the namespace.
	home bool
	// pods is about pods: they may have a log of the container before, and events.
	pods     bool
	previous bool

	streams []*logStream
	began   time.Time
	box     *feed.Box[logBatch]
	sources sourceNames
	events  *model.EventTail
	visible bool
}

const (
	// tailOne is how many of its lines a log begins with, tailMany how many where there are several logs.
	tailOne  = 2000
	tailMany = 300
	// mergeFor is how long the beginnings of several streams are put in order as they come.
	mergeFor = 3 * time.Second
)

// newLogsPage is the numbered screen: all pods of the namespace.
func newLogsPage(u *ui) *logsPage {
	p := makeLogsPage(u, "")
	p.home, p.pods = true, true
	p.targets = func() []logTarget {
		return []logTarget{podTarget(u, kube.LogQuery{Namespace: u.state.namespace, Tail: tailMany, Follow: true})}
	}
	p.events.Wants = func(e *kube.EventLine) bool { return u.state.namespace == "" || e.Namespace == u.state.namespace }
	return p
}

func makeLogsPage(u *ui, title string) *logsPage {
	p := &logsPage{textPane: textPane{u: u, view: textview.New(true), what: "logs"}, title: title, events: u.state.NewEventTail(100)}
	if title != "" {
		p.what = title
	}
	p.newBox()
	p.sources.reset()
	return p
}

// openLogs shows the logs of objects, merged.
func (u *ui) openLogs(list []subject, previous bool) {
	u.push(newLogsOf(u, list, previous))
}

// newLogsOf shows the logs of pods, of the pods of workloads and Services, and of the components of nodes.
func newLogsOf(u *ui, list []subject, previous bool) *logsPage {
	title := list[0].name()
	if len(list) > 1 {
		title = u.T("%d objects", len(list))
	}
	p := makeLogsPage(u, title)
	p.previous = previous
	type named struct {
		namespace string
		object    kube.Object
	}
	names := map[named]bool{}
	p.pods = !slices.ContainsFunc(list, func(s subject) bool { return s.ref.Type.Resource != "pods" })
	for _, s := range list {
		names[named{s.ref.Namespace, kube.Object{Kind: s.ref.Type.Kind, Name: s.ref.Name}}] = true
	}
	p.events.Wants = func(e *kube.EventLine) bool { return names[named{e.Namespace, e.Object}] }
	p.targets = func() []logTarget { return targetsOf(u, list, p.previous) }
	return p
}

// newBox makes the box that streams put lines into. What those of before still put into theirs is nobody's.
func (p *logsPage) newBox() {
	var b *feed.Box[logBatch]
	b = feed.NewBox(p.u.hub, mergeLogs, func(batch logBatch) {
		if p.box == b {
			p.take(batch)
		}
	})
	p.box = b
}

func (p *logsPage) contexts() []keymap.Context { return p.contextsOf(keymap.Logs) }

func (p *logsPage) crumb() string {
	switch {
	case p.home:
		return p.u.T("logs")
	case p.previous:
		return p.u.T("previous logs of %s", p.title)
	}
	return p.u.T("logs of %s", p.title)
}

func (p *logsPage) show() {
	p.visible = true
	p.u.hub.SetPace(livePace)
	if p.streams == nil {
		p.begin()
	}
	for _, s := range p.streams {
		s.feed.Use()
	}
	p.events.Feed.Use()
}

func (p *logsPage) hide() {
	p.visible = false
	p.u.hub.SetPace(calmPace)
	for _, s := range p.streams {
		s.feed.Leave()
	}
	p.events.Feed.Leave()
}

// begin recreates the streams.
func (p *logsPage) begin() {
	p.streams, p.began = []*logStream{}, p.u.clock.now()
	for _, t := range p.targets() {
		p.streams = append(p.streams, newLogStream(p, t))
	}
}

// again forgets everything and starts over.
func (p *logsPage) again() {
	if p.visible {
		for _, s := range p.streams {
			s.feed.Leave()
		}
	}
	p.newBox()
	p.streams = nil
	p.view.Clear()
	p.view.SetOnly(nil)
	p.narrowed = ""
	p.sources.reset()
	p.events.Reset()
	if p.visible {
		p.begin()
		for _, s := range p.streams {
			s.feed.Use()
		}
	}
	p.u.touch()
}

func (p *logsPage) namespaceChanged() {
	if p.home {
		p.again()
	}
}

func (p *logsPage) take(b logBatch) {
	if len(p.streams) > 1 {
		slices.SortStableFunc(b.lines, func(a, b textview.Line) int { return a.Time.Compare(b.Time) })
	}
	if b.dropped > 0 {
		p.view.Append(textview.NewLine(time.Time{}, kube.LogSource{}, markerText(p.u.words, "", &kube.LogMarker{Kind: kube.LogDropped, Count: b.dropped}), true))
	}
	for i := range b.lines {
		p.sources.see(&b.lines[i])
	}
	if len(p.streams) > 1 && p.view.Following() && p.view.Dropped() == 0 && p.u.clock.now().Sub(p.began) < mergeFor {
		p.view.Merge(b.lines...)
	} else {
		p.view.Append(b.lines...)
	}
	p.sources.arrange(p.view)
	p.u.touch()
}

func (p *logsPage) act(id string) bool {
	switch id {
	case "text.container":
		p.chooseSource()
		return true
	case "text.previous":
		if !p.pods || p.home {
			p.u.toast.say(paint.Dim, p.u.T("only pods have previous logs"))
			return true
		}
		p.previous = !p.previous
		p.again()
		return true
	}
	return p.textPane.act(id)
}

// chooseSource shows one pod, or one container, alone.
func (p *logsPage) chooseSource() {
	only := func(name string, f func(*textview.Line) bool) func() {
		return func() {
			p.narrowed = name
			p.view.SetOnly(f)
			p.u.touch()
		}
	}
	choices := []choice{{title: p.u.T("everything"), run: only("", nil)}}
	for _, name := range p.sources.containers {
		choices = append(choices, choice{title: name, hint: p.u.T("container"), run: only(name, func(l *textview.Line) bool { return l.Source.Container == name || l.Source == (kube.LogSource{}) })})
	}
	if len(p.sources.places) > 1 {
		for _, name := range p.sources.places {
			choices = append(choices, choice{title: name, hint: p.u.T("pod"), run: only(name, func(l *textview.Line) bool { place := l.Source.Place(); return place == name || place == "" })})
		}
	}
	p.u.choose(p.u.T("show only"), choices)
}

func (p *logsPage) hints() []hint {
	return p.hintsOf("text.filter", "text.pause", "text.container", "text.wrap", "text.prev.run", "text.copy", "text.save", "text.time")
}

func (p *logsPage) draw(w, h int) []string {
	if p.view.Len() > 0 {
		return p.drawText(w, h, !p.u.state.Stale().IsZero())
	}
	return p.drawEmpty(w, h)
}

// drawEmpty says why there are no lines, and what happens instead: the events.
func (p *logsPage) drawEmpty(w, h int) []string {
	u := p.u
	var err error
	ended := len(p.streams) > 0
	for _, s := range p.streams {
		if s.err != nil {
			err = s.err
		}
		ended = ended && s.ended
	}
	l := u.theme.Line(w).Add(paint.Plain, " ")
	switch {
	case err != nil:
		l.Add(paint.Warn, u.theme.Glyphs.Warn+" "+u.troubleText(err))
	case ended && p.previous:
		l.Add(paint.Dim, u.T("there is no previous container; %s shows the current one", u.keys.Key("text.previous")))
	case ended:
		l.Add(paint.Dim, u.T("the log is empty"))
	default:
		l.Add(paint.Busy, u.glyph(paint.StateBusy)).Add(paint.Dim, " "+u.T("no lines yet; new lines are shown as they arrive"))
	}
	lines := []string{paint.Spaces(w), l.String(), paint.Spaces(w)}
	if len(p.events.Lines) > 0 {
		lines = append(lines, u.theme.Line(w).Add(paint.Plain, " ").Add(paint.Title, u.T("EVENTS")+" ").Rule().String())
		lines = append(lines, p.u.eventLines(p.events, w, max(0, h-len(lines)-1))...)
	}
	return fill(lines, w, h)
}

// logBatch is lines that have come.
type logBatch struct {
	lines   []textview.Line
	bytes   int
	dropped int
}

// mergeLogs joins batches, as far as a view would keep their lines: an editor may hold the program for an hour.
func mergeLogs(old, new logBatch) logBatch {
	b := logBatch{append(old.lines, new.lines...), old.bytes + new.bytes, old.dropped + new.dropped}
	if len(b.lines) <= textview.MaxLines && b.bytes <= textview.MaxBytes {
		return b
	}
	// Half goes at once, so that not every line that comes has to move all others.
	cut := len(b.lines) / 2
	for i := range cut {
		b.bytes -= len(b.lines[i].Text)
	}
	b.dropped += cut
	b.lines = slices.Clone(b.lines[cut:])
	return b
}

// sourceNames are the pods and containers that have said something, and how they are distinguished.
type sourceNames struct {
	known map[kube.LogSource]int // in the order in which they spoke up
	// places are the pods and nodes.
	places, containers []string
	names              map[kube.LogSource]sourceName
	spaces             map[string]bool
	stale              bool
}

type sourceName struct {
	text string
	role paint.Role
}

func (s *sourceNames) reset() {
	*s = sourceNames{known: map[kube.LogSource]int{}, names: map[kube.LogSource]sourceName{}, spaces: map[string]bool{}}
}

func (s *sourceNames) see(l *textview.Line) {
	from := l.Source
	if _, known := s.known[from]; known || from == (kube.LogSource{}) {
		return
	}
	s.known[from], s.stale = len(s.known), true
	if place := from.Place(); !slices.Contains(s.places, place) {
		s.places = append(s.places, place)
	}
	if !slices.Contains(s.containers, from.Container) {
		s.containers = append(s.containers, from.Container)
	}
	s.spaces[from.Namespace] = true
}

// longestName is the most that the column of names takes.
const longestName = 32

// arrange writes the names: as short as they can be and still be distinguished.
func (s *sourceNames) arrange(v *textview.View) {
	if !s.stale {
		return
	}
	s.stale = false
	if len(s.known) < 2 {
		v.Name = nil
		return
	}
	v.NameWidth = 0
	several := len(s.known) > len(s.places)
	for from, n := range s.known {
		name := from.Place()
		if from.Pod != "" && len(s.spaces) == 1 {
			name = from.Pod
		}
		switch {
		case len(s.places) == 1:
			name = from.Container
		case several && from.Container != "":
			name += "/" + from.Container
		}
		s.names[from] = sourceName{name, paint.Hue(n)}
		v.NameWidth = max(v.NameWidth, min(longestName, paint.Width(name)))
	}
	v.Name = func(l *textview.Line) (string, paint.Role) {
		n := s.names[l.Source]
		return n.text, n.role
	}
}

// eventLines draws at most h of the newest events.
func (u *ui) eventLines(t *model.EventTail, w, h int) []string {
	var lines []string
	for _, e := range t.Lines[max(0, len(t.Lines)-h):] {
		state := paint.StateNone
		if e.Warning {
			state = paint.StateWarn
		}
		l := u.theme.Line(w).Add(paint.Plain, " ").State(state, 0).ColRight(paint.Dim, u.clock.age(e.Time), 4).Col(state.Role(), e.Reason, 18)
		if w >= 100 {
			l.Col(paint.Plain, objectText(e.Object), 32)
		}
		if e.Count > 1 {
			l.Add(paint.Strong, fmt.Sprintf("x%d ", e.Count))
		}
		lines = append(lines, l.Add(paint.Plain, e.Message).String())
	}
	return lines
}
