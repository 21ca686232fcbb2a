package tui

import (
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/tui/paint"
)

func (p *startPage) draw(w, h int) []string {
	o := p.u.operation
	switch {
	case o == nil && p.u.state.Absent():
		return p.drawOffers(w, h)
	case o != nil && o.err != nil:
		return p.drawFailure(w, h)
	}
	return p.drawRun(p.fall(), w, h)
}

// drawOffers says what can be done where no cluster runs, and how the last start went.
func (p *startPage) drawOffers(w, h int) []string {
	u, t := p.u, p.u.theme
	s := &u.state.Snapshot
	head := t.Line(w).Add(paint.Plain, " ")
	if p.exists() {
		head.Add(paint.Title, u.T("%s is stopped", u.session.Name())).Add(paint.Dim, "  "+u.T("everything in it is kept"))
	} else {
		head.Add(paint.Title, u.T("cluster %q does not exist yet", u.session.Name()))
	}
	lines := []string{head.String(), paint.Spaces(w)}
	offers := p.offers()
	p.cursor = max(0, min(p.cursor, len(offers)-1))
	title := 0
	for _, of := range offers {
		title = max(title, paint.Width(of.title))
	}
	title = min(title, max(10, w/2))
	keys := map[int]string{0: u.keys.Key("start.open"), 1: u.keys.Key("start.nodes"), 2: u.keys.Key("start.version")}
	p.offerRows = p.offerRows[:0]
	for i, of := range offers {
		if i == 3 {
			lines = append(lines, paint.Spaces(w), p.heading(u.T("OTHER CLUSTERS"), w))
		}
		p.offerRows = append(p.offerRows, len(lines))
		mark := " "
		if i == p.cursor {
			mark = t.Glyphs.Cursor
		}
		l := t.Line(w).Add(paint.Key, mark+" ")
		if i >= 3 {
			l.Add(of.state.Role(), u.glyph(of.state)+" ")
		} else {
			l.Add(paint.Plain, "  ")
		}
		role := paint.Strong
		if of.off != "" {
			role = paint.Off
		}
		l.Col(role, of.title, title).Add(paint.Plain, " ").Add(paint.Dim, of.note)
		l.Right(paint.Key, keys[i]+" ")
		if i == p.cursor {
			l.Select()
		}
		lines = append(lines, l.String())
	}
	for _, problem := range s.Problems {
		lines = append(lines, paint.Spaces(w))
		lines = append(lines, p.problemLines(problem, w)...)
	}
	if fall := p.fall(); fall != nil && h-len(lines) > 4 {
		lines = append(lines, paint.Spaces(w), p.heading(u.T("THE LAST START, %s s", seconds(fall.elapsed(fall.ended))), w))
		lines = append(lines, p.steps(fall, w, h-len(lines))...)
	} else if !p.exists() && h-len(lines) > 3 {
		lines = append(lines, paint.Spaces(w))
		for _, part := range paint.Wrap(u.T("Kubernetes, etcd and what nodes run are inside bonsai. Nodes are containers of your Docker engine; with 0 nodes there is only an API server, without Docker."), max(1, w-4)) {
			lines = append(lines, t.Line(w).Add(paint.Plain, "    ").Add(paint.Dim, part).String())
		}
	}
	return fill(lines, w, h)
}

func (p *startPage) heading(text string, w int) string {
	return p.u.theme.Line(w).Add(paint.Plain, " ").Add(paint.Title, text+" ").Rule().String()
}

// headLine is the operation in one line: how long, of how much, how far.
func (p *startPage) headLine(f *waterfall, w int) string {
	u := p.u
	now := u.clock.now()
	l := u.theme.Line(w).Add(paint.Plain, " ").Add(paint.Strong, u.session.Name()).Add(paint.Plain, "  ")
	took := seconds(f.elapsed(now))
	o := u.operation
	switch {
	case o == nil:
		l.Add(paint.Busy, u.T("is being started by another bonsai")).Add(paint.Plain, "  "+took+" s")
	case o.done && o.err == nil:
		l.Add(paint.OK, u.theme.Glyphs.OK+" "+u.operationEnd(o))
	case o.ending:
		l.Add(paint.Warn, u.T("is being cleaned up")).Add(paint.Plain, "  "+took+" s")
	default:
		l.Add(paint.Busy, u.doing(o)+" ")
		if estimate := f.past.estimate(); estimate > 0 {
			l.Add(paint.Strong, u.T("%s s of ~%s s", took, seconds(estimate)))
		} else {
			l.Add(paint.Strong, u.T("%s s", took))
		}
	}
	if runs := p.lastRuns(f.past); runs != "" && l.Room() > paint.Width(runs)+20 {
		l.Add(paint.Dim, "  "+runs)
	}
	done, all := f.counts()
	return l.Right(paint.Dim, u.T("step %d of %d", min(done+1, all), all)+" ").String()
}

// drawRun draws an operation while it runs, and when it has succeeded.
func (p *startPage) drawRun(f *waterfall, w, h int) []string {
	u, t := p.u, p.u.theme
	lines := []string{p.headLine(f, w)}
	if f.ended.IsZero() {
		// The bars move without input.
		pause := 100 * time.Millisecond
		if t.Calm {
			pause = time.Second
		}
		u.clock.changesIn(pause)
	}
	var tail []string
	say := func(role paint.Role, sign, text string) {
		tail = append(tail, t.Line(w).Add(paint.Plain, " ").Add(role, sign+" ").Add(paint.Plain, text).String())
	}
	for _, text := range f.warnings {
		say(paint.Warn, t.Glyphs.Warn, text)
	}
	for _, text := range f.notes {
		say(paint.Dim, t.Glyphs.Mark, text)
	}
	if title, detail := f.waiting(); title != "" && detail != "" && w < 100 {
		say(paint.Busy, t.Glyphs.Right, title+": "+detail)
	}
	tail = tail[max(0, len(tail)-max(1, h/3)):]
	lines = append(lines, p.steps(f, w, h-len(lines)-len(tail))...)
	lines = fill(lines, w, h-len(tail))
	return fill(append(lines, tail...), w, h)
}

// drawFailure says why an operation failed before it shows the steps.
func (p *startPage) drawFailure(w, h int) []string {
	u, t := p.u, p.u.theme
	o := u.operation
	sign, role, word := t.Glyphs.Fail, paint.Fail, u.T("failed after %s s", seconds(o.fall.elapsed(o.fall.ended)))
	if u.problemOf(o.err).Kind == "Canceled" || o.ending {
		sign, role, word = t.Glyphs.Off, paint.Warn, u.T("was aborted after %s s", seconds(o.fall.elapsed(o.fall.ended)))
	}
	lines := []string{
		t.Line(w).Add(paint.Plain, " ").Add(role, sign+" ").Add(paint.Strong, o.task.title).Add(role, "  "+word).String(),
	}
	var story []string
	for _, problem := range p.problems() {
		story = append(story, p.problemLines(problem, w)...)
	}
	for _, text := range o.fall.warnings {
		story = append(story, t.Line(w).Add(paint.Plain, " ").Add(paint.Warn, t.Glyphs.Warn+" ").Add(paint.Plain, text).String())
	}
	if o.verb() == "start" {
		text := u.T("what this start created has been removed")
		if p.exists() {
			text = u.T("the cluster is as before; what this start added has been removed")
		}
		story = append(story, t.Line(w).Add(paint.Plain, "   ").Add(paint.Dim, text).String())
	}
	steps := min(len(o.fall.steps), max(3, (h-1)/2))
	room := h - 1 - steps
	p.scroll = max(0, min(p.scroll, len(story)-room))
	lines = append(lines, story[p.scroll:min(len(story), p.scroll+max(0, room))]...)
	if rest := h - len(lines); rest > 0 {
		lines = append(lines, p.steps(o.fall, w, rest)...)
	}
	return fill(lines, w, h)
}

// problemLines tell a problem: what, why, what to do, and the lines that prove it, which may be many.
func (p *startPage) problemLines(problem cluster.Problem, w int) []string {
	u, t := p.u, p.u.theme
	var lines []string
	add := func(role paint.Role, head, text string) {
		for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
			for _, part := range paint.Wrap(paint.Clean(line), max(1, w-4-paint.Width(head))) {
				lines = append(lines, t.Line(w).Add(paint.Plain, "   ").Add(paint.Dim, head).Add(role, part).String())
				head = paint.Spaces(paint.Width(head))
			}
		}
	}
	add(paint.Strong, "", u.said(problem.Summary))
	if problem.Cause != "" {
		add(paint.Plain, u.T("why")+"  ", u.said(problem.Cause))
	}
	for _, a := range problem.Advice {
		add(paint.Accent, t.Glyphs.Right+"  ", u.advice(a))
	}
	for _, e := range problem.Evidence {
		lines = append(lines, t.Line(w).Add(paint.Plain, "   ").Add(paint.Dim, t.Glyphs.TreeUp+" "+paint.CleanLog(e)).String())
	}
	return lines
}

// steps draws the steps of a waterfall in at most rows lines: sign, title, time, bar, and what it waits for.
func (p *startPage) steps(f *waterfall, w, rows int) []string {
	u, t := p.u, p.u.theme
	list, hidden := f.folded(rows)
	if hidden > 0 && rows > 1 {
		list, hidden = f.folded(rows - 1)
	}
	// Titles get what they need, the rest is shared by bars and details.
	title := 0
	for _, s := range list {
		title = max(title, paint.Width(s.title))
	}
	title = min(title, max(8, min(34, w*36/100)))
	bar := 0
	switch rest := w - title - 12; {
	case w >= 100:
		bar = rest / 2
	case w >= 70:
		bar = rest * 2 / 5
	default:
		bar = rest
	}
	bar = max(0, bar)
	now := u.clock.now()
	var lines []string
	for i := range list {
		s := &list[i]
		role := s.state.Role()
		sign, took := u.glyph(s.state), "-"
		switch s.state {
		case paint.StateNone:
			sign, role = " ", paint.Dim
		case paint.StateBusy:
			took = seconds(f.elapsed(now) - s.begin)
		default:
			took = seconds(s.end - s.begin)
		}
		text := paint.Plain
		if s.state == paint.StateNone {
			text = paint.Dim
		}
		l := t.Line(w).Add(paint.Plain, " ").Add(role, sign+" ").Col(text, s.title, title).ColRight(paint.Dim, took, 5)
		if bar > 3 {
			at, full, estimate := f.bar(s, now, bar-2)
			l.Add(paint.Dim, t.Glyphs.Edge[0]).Add(paint.Plain, paint.Spaces(at)).Add(role, strings.Repeat(t.Glyphs.Full, full)).
				Add(paint.Dim, strings.Repeat(t.Glyphs.Estimate, estimate)).Add(paint.Plain, paint.Spaces(bar-2-at-full-estimate)).Add(paint.Dim, t.Glyphs.Edge[1])
		}
		if w >= 70 {
			detail := paint.Dim
			if s.state == paint.StateFail {
				detail = paint.Fail
			}
			l.Add(paint.Plain, " ").Add(detail, s.detail)
		}
		lines = append(lines, l.String())
	}
	if hidden > 0 && rows > 1 {
		lines = append(lines, t.Line(w).Add(paint.Plain, "   ").Add(paint.Dim, u.T("and %d more steps", hidden)).String())
	}
	return lines
}
