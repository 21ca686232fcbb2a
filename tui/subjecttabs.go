package tui

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
	"bonsai/tui/feed"
	"bonsai/tui/model"
	"bonsai/tui/paint"
	"bonsai/tui/textview"
)

// textTab is text that is asked for: YAML, a description. It is asked for again when the object changes.
type textTab struct {
	blankPage
	textPane
	ask    func(ctx context.Context) (string, error)
	asking refresher
	known  bool
	err    error
}

func newTextTab(u *ui, what string, ask func(ctx context.Context) (string, error)) *textTab {
	return &textTab{textPane: textPane{u: u, view: textview.New(false), what: what}, ask: ask}
}

func newYAMLTab(u *ui, ref kube.Ref) *textTab {
	return newTextTab(u, ref.Name+"-yaml", func(ctx context.Context) (string, error) { return u.session.YAML(ctx, ref) })
}

func newDescribeTab(u *ui, ref kube.Ref) *textTab {
	return newTextTab(u, ref.Name, func(ctx context.Context) (string, error) { return u.session.Describe(ctx, ref) })
}

func (t *textTab) show()              { t.changed() }
func (t *textTab) act(id string) bool { return t.textPane.act(id) }
func (t *textTab) hints() []hint {
	return t.hintsOf("text.filter", "text.wrap", "text.copy", "edit")
}

func (t *textTab) changed() {
	t.asking.run(func(done func()) {
		fetch(t.u, func(ctx context.Context) ([]textview.Line, error) {
			text, err := t.ask(ctx)
			return fieldLines(text), err
		}, func(lines []textview.Line, err error) {
			if t.err = err; err == nil {
				t.known = true
				t.view.SetText(lines)
			}
			done()
		})
	})
}

func (t *textTab) draw(w, h int) []string {
	switch {
	case t.known:
		return t.drawText(w, h, t.err != nil || !t.u.state.Stale().IsZero())
	case t.err != nil:
		return fill(t.u.note(t.u.errorText(t.err), w, h), w, h)
	}
	return fill(t.u.note(t.u.glyph(paint.StateBusy)+" "+t.u.T("reading it"), w, h), w, h)
}

// fieldLines makes lines of "key: value" text, as YAML and descriptions are.
func fieldLines(text string) []textview.Line {
	var lines []textview.Line
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		line = paint.Clean(line)
		from := 0
		for from < len(line) && (line[from] == ' ' || line[from] == '-') {
			from++
		}
		switch to := strings.IndexByte(line, ':'); {
		case strings.HasPrefix(line[from:], "#"):
			lines = append(lines, textview.PlainLine(line, textview.Span{From: from, To: len(line), Role: paint.Dim}))
		case to > from && (to == len(line)-1 || line[to+1] == ' ') && to-from < 60:
			lines = append(lines, textview.PlainLine(line, textview.Span{From: from, To: to, Role: paint.Accent}))
		default:
			lines = append(lines, textview.PlainLine(line))
		}
	}
	return lines
}

// rich is text with roles that is put together line by line.
type rich struct {
	width int // of the text that wrap makes
	lines []textview.Line
	text  strings.Builder
	spans []textview.Span
}

// add appends to the line; the text is made harmless.
func (r *rich) add(role paint.Role, text string) *rich {
	text = paint.Clean(text)
	if role != paint.Plain && text != "" {
		r.spans = append(r.spans, textview.Span{From: r.text.Len(), To: r.text.Len() + len(text), Role: role})
	}
	r.text.WriteString(text)
	return r
}

// to pads up to a column.
func (r *rich) to(column int) *rich {
	r.text.WriteString(paint.Spaces(column - paint.Width(r.text.String())))
	return r
}

// end ends the line.
func (r *rich) end() {
	r.lines = append(r.lines, textview.PlainLine(r.text.String(), r.spans...))
	r.text.Reset()
	r.spans = nil
}

// label begins a line with a word and pads.
func (r *rich) label(indent int, text string) *rich {
	r.text.WriteString(paint.Spaces(indent))
	return r.add(paint.Dim, text).to(indent + 11)
}

// wrap appends text that may take several lines, all of which begin where the first one does.
func (r *rich) wrap(role paint.Role, text string) {
	at := paint.Width(r.text.String())
	parts := paint.Wrap(paint.Clean(text), max(20, r.width-at))
	for i, part := range parts {
		if i > 0 {
			r.to(at)
		}
		r.add(role, part).end()
	}
	if len(parts) == 0 {
		r.end()
	}
}

// heading is a line of its own, with an empty one before it.
func (r *rich) heading(text string) {
	r.end()
	r.add(paint.Title, text).end()
}

// eventsTab lists the events of one object, newest first.
type eventsTab struct {
	blankPage
	textPane
	tail *model.EventTail
}

// eventsOfObject is how many events of one object are kept.
const eventsOfObject = 200

func newEventsTab(u *ui, ref kube.Ref) *eventsTab {
	t := &eventsTab{textPane: textPane{u: u, view: textview.New(false), what: ref.Name + "-events"}, tail: u.state.NewEventTail(eventsOfObject)}
	t.view.Times = textview.Age
	object := kube.Object{Kind: ref.Type.Kind, Name: ref.Name}
	t.tail.Wants = func(e *kube.EventLine) bool {
		return e.Object == object && (ref.Namespace == "" || e.Namespace == ref.Namespace)
	}
	t.tail.Listen(func() {
		var r rich
		for i := len(t.tail.Lines) - 1; i >= 0; i-- {
			u.writeEvent(&r, &t.tail.Lines[i])
			r.lines[len(r.lines)-1].Time = t.tail.Lines[i].Time
		}
		t.view.SetText(r.lines)
	})
	return t
}

// writeEvent writes one event as a line.
func (u *ui) writeEvent(r *rich, e *kube.EventLine) {
	state := paint.StateNone
	if e.Warning {
		state = paint.StateWarn
	}
	r.add(state.Role(), u.theme.Glyph(state, 0)+" "+e.Reason).to(22)
	if e.Count > 1 {
		r.add(paint.Strong, fmt.Sprintf("x%d ", e.Count))
	}
	r.add(paint.Plain, e.Message)
	if e.Source != "" {
		r.add(paint.Dim, "  "+u.eventSource(e))
	}
	r.end()
}

func (t *eventsTab) show()              { t.tail.Feed.Use() }
func (t *eventsTab) hide()              { t.tail.Feed.Leave() }
func (t *eventsTab) act(id string) bool { return t.textPane.act(id) }
func (t *eventsTab) count() int         { return len(t.tail.Lines) }
func (t *eventsTab) hints() []hint {
	return t.hintsOf("text.filter", "text.wrap", "text.copy")
}

func (t *eventsTab) draw(w, h int) []string {
	if t.view.Len() == 0 {
		return fill(t.u.note(t.u.T("it has no events; the API server keeps those of the last hour"), w, h), w, h)
	}
	return t.drawText(w, h, !t.u.state.Stale().IsZero())
}

// dnsTab lists the questions that a pod asks while one looks.
type dnsTab struct {
	blankPage
	textPane
	feed     *feed.Feed
	watching bool
	err      error
}

func newDNSTab(u *ui, ref kube.Ref) *dnsTab {
	t := &dnsTab{textPane: textPane{u: u, view: textview.New(true), what: ref.Name + "-dns"}}
	pod := ref.Namespace + "/" + ref.Name
	news := feed.NewBox(u.hub, func(old, new []cluster.DNSQuery) []cluster.DNSQuery {
		return append(old, new...)[max(0, len(old)+len(new)-textview.MaxLines):]
	}, func(list []cluster.DNSQuery) {
		for i := range list {
			t.view.Append(u.dnsLine(&list[i]))
		}
		u.touch()
	})
	began := feed.NewBox(u.hub, nil, func(bool) {
		t.watching = true
		u.touch()
	})
	t.feed = feed.New(u.hub, func(ctx context.Context, healthy func()) error {
		return u.session.DNSLog(ctx, func() { healthy(); began.Put(true) }, func(q cluster.DNSQuery) error {
			if q.Pod == pod {
				news.Put([]cluster.DNSQuery{q})
			}
			return nil
		})
	}, func(err error) {
		if t.err = err; err != nil {
			t.watching = false
		}
		u.touch()
	})
	return t
}

// dnsLine is one question as a line: what was asked, what came of it, what it cost.
func (u *ui) dnsLine(q *cluster.DNSQuery) textview.Line {
	var r rich
	state, result := paint.StateOK, strings.Join(q.Answers, " ")
	switch {
	case q.Rcode != "NOERROR":
		state, result = paint.StateFail, q.Rcode
	case result == "" && q.Type == "AAAA": // programs ask for both families; that there is one is normal
		state, result = paint.StateOff, u.T("no such record")
	case result == "":
		state, result = paint.StateWarn, u.T("no such record")
	}
	r.add(state.Role(), u.theme.Glyph(state, 0)).add(paint.Dim, " "+q.Type).to(8)
	r.add(paint.Plain, strings.TrimSuffix(q.Name, ".")).to(46)
	r.add(paint.Plain, " ").add(state.Role(), result).to(66)
	r.add(paint.Dim, fmt.Sprintf(" %s  %s", span(q.Took), q.Source))
	if n := len(q.Tries); n > 0 {
		r.add(paint.Warn, "  "+u.T("%d tries", n+1))
	}
	r.end()
	l := r.lines[0]
	l.Time = q.Time
	return l
}

func (t *dnsTab) show()              { t.feed.Use() }
func (t *dnsTab) hide()              { t.feed.Leave(); t.watching = false }
func (t *dnsTab) act(id string) bool { return t.textPane.act(id) }
func (t *dnsTab) count() int         { return t.view.Len() }
func (t *dnsTab) hints() []hint {
	return t.hintsOf("text.filter", "text.pause", "text.copy")
}

func (t *dnsTab) draw(w, h int) []string {
	u := t.u
	switch {
	case t.view.Len() > 0:
		return t.drawText(w, h, !u.state.Stale().IsZero())
	case t.err != nil:
		return fill(u.note(u.errorText(t.err), w, h), w, h)
	case !t.watching:
		return fill(u.note(u.glyph(paint.StateBusy)+" "+u.T("reading it"), w, h), w, h)
	}
	return fill(u.note(u.T("no questions of the pod since you opened this; new ones appear here, those of all pods on %s", u.keys.Key("screen.dns")), w, h), w, h)
}

// summaryTab is a pod on one page: first what is wrong.
type summaryTab struct {
	blankPage
	textPane
	p    *subjectPage
	tail *model.EventTail
}

func newSummaryTab(p *subjectPage, tail *model.EventTail) *summaryTab {
	t := &summaryTab{textPane: textPane{u: p.u, view: textview.New(false), what: p.s.ref.Name}, p: p, tail: tail}
	return t
}

func (t *summaryTab) show()              { t.tail.Feed.Use() }
func (t *summaryTab) hide()              { t.tail.Feed.Leave() }
func (t *summaryTab) act(id string) bool { return t.textPane.act(id) }
func (t *summaryTab) hints() []hint      { return hintsOf("logs", "shell", "edit", "owner", "actions") }

func (t *summaryTab) draw(w, h int) []string {
	if t.p.detail == nil {
		return t.p.drawUnknown(w, h)
	}
	t.view.SetText(t.p.summary(w - 2))
	return t.drawText(w, h, t.p.gone || !t.u.state.Stale().IsZero())
}

// drawUnknown stands where a pod's details are not known yet, or cannot be.
func (p *subjectPage) drawUnknown(w, h int) []string {
	if p.detailErr != nil {
		return fill(p.u.note(p.u.errorText(p.detailErr), w, h), w, h)
	}
	return fill(p.u.note(p.u.glyph(paint.StateBusy)+" "+p.u.T("reading it"), w, h), w, h)
}

func (p *subjectPage) askDetail(done func()) {
	ref := p.s.ref
	fetch(p.u, func(ctx context.Context) (kube.PodDetail, error) {
		return p.u.session.Pod(ctx, ref.Namespace, ref.Name)
	}, func(d kube.PodDetail, err error) {
		if p.detailErr = err; err == nil {
			p.detail = &d
		}
		done()
	})
}

// summary writes what is known about a pod.
func (p *subjectPage) summary(w int) []textview.Line {
	u, d := p.u, p.detail
	r := rich{width: w}
	if q := p.problem(); q != nil {
		r.label(0, u.T("why")).wrap(severityState(q.Severity).Role(), u.whatAndWhy(q))
		for _, e := range q.Evidence {
			r.label(0, "").wrap(paint.Plain, paint.CleanLog(e))
		}
		for i, a := range q.Advice {
			word := u.T("what to do")
			if i > 0 {
				word = ""
			}
			r.label(0, word).wrap(paint.Plain, u.advice(a))
		}
		r.end()
	}
	fact := func(name, value string) {
		if value != "" {
			r.label(0, name).wrap(paint.Plain, value)
		}
	}
	fact(u.T("node"), strings.TrimSpace(d.Node+"  "+d.IP))
	fact(u.T("owner"), p.ownerChain())
	if use, ok := u.state.History.Pods[p.s.ref.UID]; ok {
		fact(u.T("uses"), fmt.Sprintf("cpu %s  mem %s", cores(use.CPU), size(use.Memory)))
	}
	fact("QoS", strings.TrimSpace(d.QoS+"  DNS "+d.DNSPolicy))
	if p.seen && !p.row.Created.IsZero() {
		fact(u.T("created"), u.T("%s ago", u.clock.age(p.row.Created)))
	}
	if len(p.row.Labels) > 0 {
		fact(u.T("labels"), labelText(p.row.Labels))
	}
	r.heading(u.T("CONTAINERS"))
	for i := range d.Containers {
		c := &d.Containers[i]
		state := containerState(c)
		r.add(state.Role(), u.theme.Glyph(state, 0)+" ").add(paint.Strong, c.Name)
		if c.Init {
			r.add(paint.Dim, " (init)")
		}
		r.add(paint.Plain, "  ").add(state.Role(), u.containerText(c.State))
		if c.Restarts > 0 {
			r.add(paint.Warn, "  "+u.T("%d restarts", c.Restarts))
		}
		r.end()
		inner := func(name, value string) {
			if value != "" {
				r.label(2, name).wrap(paint.Plain, value)
			}
		}
		inner(u.T("before"), u.containerText(c.LastState))
		inner(u.T("image"), c.Image)
		inner(u.T("requests"), quantitiesText(c.Requests))
		inner(u.T("limits"), quantitiesText(c.Limits))
		inner(u.T("ports"), strings.Join(texts(c.Ports, u.containerPort), "  "))
		inner(u.T("mounts"), strings.Join(texts(c.Mounts, u.mountText), "  "))
	}
	if len(d.Conditions) > 0 {
		r.heading(u.T("CONDITIONS"))
		for i := range d.Conditions {
			c := &d.Conditions[i]
			state := paint.StateOK
			if c.Status != "True" {
				state = paint.StateWarn
			}
			r.add(state.Role(), u.theme.Glyph(state, 0)+" ").add(paint.Plain, conditionText(c)).end()
		}
	}
	if tab := p.eventsOf(); len(tab) > 0 {
		r.heading(u.T("EVENTS"))
		for i := len(tab) - 1; i >= max(0, len(tab)-5); i-- {
			u.writeEvent(&r, &tab[i])
		}
	}
	return r.lines
}

func (p *subjectPage) eventsOf() []kube.EventLine {
	for _, t := range p.tabs {
		if e, ok := t.page.(*eventsTab); ok {
			return e.tail.Lines
		}
	}
	return nil
}

// containerState is how a container does.
func containerState(c *kube.ContainerDetail) paint.State {
	switch s := &c.State; {
	case s.Phase == kube.ContainerRunning && c.Ready:
		return paint.StateOK
	case s.Phase == kube.ContainerTerminated && s.ExitCode == 0:
		return paint.StateOff
	case s.Phase == kube.ContainerTerminated:
		return paint.StateFail
	case s.Phase == kube.ContainerWaiting:
		if state := paintState(model.HealthOfWord(s.Reason)); state != paint.StateNone {
			return state
		}
	}
	return paint.StateWarn
}

func labelText(labels map[string]string) string {
	var list []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		list = append(list, k+"="+labels[k])
	}
	return strings.Join(list, " ")
}
