package tui

import (
	"context"
	"slices"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/tui/feed"
	"bonsai/tui/keymap"
	"bonsai/tui/paint"
)

// birthPage shows how a pod was created: each step as a bar in time, with who did it, and below it why the scheduler
// chose the node that it chose. It follows the story while the pod is not ready.
type birthPage struct {
	u               *ui
	namespace, name string
	feed            *feed.Feed
	birth           cluster.Birth
	known           bool
	err             error
	top, height     int
}

func newBirthPage(u *ui, namespace, name string) *birthPage {
	p := &birthPage{u: u, namespace: namespace, name: name}
	news := feed.NewBox(u.hub, nil, func(b cluster.Birth) {
		p.birth, p.known, p.err = cleanBirth(b), true, nil
		u.touch()
	})
	trouble := feed.NewBox(u.hub, nil, func(err error) {
		p.err = err
		u.touch()
	})
	p.feed = feed.New(u.hub, func(ctx context.Context, healthy func()) error {
		err := u.session.Birth(ctx, namespace, name, func(b cluster.Birth) error {
			healthy()
			news.Put(b)
			return nil
		})
		switch {
		case err == nil: // the story is complete
		case fault.KindOf(err) == fault.NotFound:
			trouble.Put(err)
		default:
			return err
		}
		<-ctx.Done()
		return nil
	}, func(err error) {
		p.err = err
		u.touch()
	})
	return p
}

// cleanBirth makes the text of a birth harmless.
func cleanBirth(b cluster.Birth) cluster.Birth {
	b.Namespace, b.Name, b.Note = paint.Clean(b.Namespace), paint.Clean(b.Name), paint.Clean(b.Note)
	b.Steps = slices.Clone(b.Steps)
	for i := range b.Steps {
		s := &b.Steps[i]
		s.Step, s.Who, s.Detail = paint.Clean(s.Step), paint.Clean(s.Who), paint.Clean(s.Detail)
	}
	if b.Scheduling == nil {
		return b
	}
	d := *b.Scheduling
	d.Node = paint.Clean(d.Node)
	d.Verdicts = slices.Clone(d.Verdicts)
	for i := range d.Verdicts {
		v := &d.Verdicts[i]
		v.Node, v.Plugin = paint.Clean(v.Node), paint.Clean(v.Plugin)
		v.Rejected = slices.Clone(v.Rejected)
		for j := range v.Rejected {
			v.Rejected[j] = paint.Clean(v.Rejected[j])
		}
	}
	b.Scheduling = &d
	return b
}

func (p *birthPage) crumb() string              { return p.u.T("birth of %s", p.name) }
func (p *birthPage) contexts() []keymap.Context { return []keymap.Context{keymap.List} }
func (p *birthPage) hints() []hint              { return hintsOf("logs", "describe", "actions", "back") }
func (p *birthPage) show()                      { p.feed.Use() }
func (p *birthPage) hide()                      { p.feed.Leave() }
func (p *birthPage) wheel(rows int)             { p.top += rows }
func (p *birthPage) click(_, _ int)             {}

func (p *birthPage) act(id string) (ok bool) {
	p.top, ok = scrolled(id, p.top, p.height-1)
	return ok
}

func (p *birthPage) draw(w, h int) []string {
	u := p.u
	if !p.known {
		text := ""
		if p.err != nil {
			text = u.errorText(p.err)
		} else {
			u.spinning()
			text = u.glyph(paint.StateBusy) + " " + u.T("reading how %s was created", p.name)
		}
		return fill(u.note(text, w, h), w, h)
	}
	lines := p.text(w)
	p.height = h
	p.top = max(0, min(p.top, len(lines)-h))
	lines = lines[p.top:]
	if len(lines) > h {
		lines = lines[:h]
		lines[h-1] = u.line(w).Add(paint.Plain, " ").Add(paint.Dim, u.theme.Glyphs.Down+" "+u.T("more below")).String()
	}
	return fill(lines, w, h)
}

func (p *birthPage) text(w int) []string {
	u, b := p.u, &p.birth
	lines := []string{p.headline(w), paint.Spaces(w)}
	lines = append(lines, p.waterfall(w)...)
	if b.Scheduling != nil {
		lines = append(lines, paint.Spaces(w))
		lines = append(lines, u.decision(b.Scheduling, w)...)
	}
	if b.Note != "" {
		lines = append(lines, paint.Spaces(w))
		for _, part := range paint.Wrap(b.Note, max(20, min(100, w-4))) {
			lines = append(lines, u.line(w).Add(paint.Plain, "   ").Add(paint.Dim, part).String())
		}
	}
	return lines
}

// lasts says that a step is in progress.
func lasts(s *cluster.BirthStep) bool { return s.End == 0 && !s.Failed }

// total is the span of the story: until now while something lasts.
func (p *birthPage) total() time.Duration {
	var total time.Duration
	for i := range p.birth.Steps {
		s := &p.birth.Steps[i]
		total = max(total, s.Begin, s.End)
		if lasts(s) && !p.birth.Ready {
			total = max(total, p.u.clock.now().Sub(p.birth.Started))
		}
	}
	return max(total, time.Millisecond)
}

// restless is how long something that has not ended spins; after that it waits for something, and stands still.
const restless = time.Minute

func (p *birthPage) headline(w int) string {
	u, b := p.u, &p.birth
	l := u.line(w).Add(paint.Plain, " ")
	total := p.total()
	failed := slices.ContainsFunc(b.Steps, func(s cluster.BirthStep) bool { return s.Failed })
	switch {
	case b.Ready:
		l.State(paint.StateOK, 0).Add(paint.Strong, b.Namespace+"/"+b.Name).Add(paint.OK, "  "+u.T("ready after %s", span(total)))
	case failed:
		l.State(paint.StateFail, 0).Add(paint.Strong, b.Namespace+"/"+b.Name).Add(paint.Fail, "  "+u.T("not ready, %s so far", span(total.Round(time.Second))))
	default:
		state := paint.StateBusy
		if total > restless {
			state = paint.StateWarn
		}
		l.State(u.spinState(state), u.tick).Add(paint.Strong, b.Namespace+"/"+b.Name).Add(state.Role(), "  "+u.T("not ready, %s so far", span(total.Round(time.Second))))
	}
	if !b.Ready {
		u.clock.changesIn(time.Second)
	}
	l.Add(paint.Dim, "   "+u.T("created %s ago", u.clock.age(b.Started)))
	if b.Scheduling != nil && b.Scheduling.Node != "" {
		l.Right(paint.Dim, u.T("on %s", b.Scheduling.Node)+" ")
	}
	return l.String()
}

// fallColumns are the widths of a waterfall: the names of the steps, who did them, the bars.
type fallColumns struct{ name, who, bars, detail int }

func (p *birthPage) fallColumns(w int) fallColumns {
	c := fallColumns{name: 4}
	for i := range p.birth.Steps {
		s := &p.birth.Steps[i]
		c.name = max(c.name, paint.Width(stepName(s.Step)))
		c.who = max(c.who, paint.Width(s.Who))
	}
	c.name = min(c.name, max(8, w/6))
	c.who = min(c.who, 24)
	if w < 60 {
		c.who = 0
	}
	// A sign, the name, how long it took.
	rest := w - 3 - c.name - 1 - tookWidth - 2
	if w >= 100 {
		c.bars = w * 34 / 100
		c.detail = rest - c.bars - 1 - c.who - 2
		return c
	}
	if c.who > 0 {
		rest -= c.who + 2
	}
	c.bars = max(8, rest-1)
	return c
}

const tookWidth = 7

// stepName is a step as it is shown: what it is, and the container.
func stepName(step string) string { return strings.Replace(step, "/", " ", 1) }

// waterfall is an axis, and a line for each step.
func (p *birthPage) waterfall(w int) []string {
	u := p.u
	total, c := p.total(), p.fallColumns(w)
	lines := []string{u.line(w).To(3+c.name+1+tookWidth+1+1).Add(paint.Dim, axis(total, c.bars)).String()}
	for i := range p.birth.Steps {
		s := &p.birth.Steps[i]
		state, took := paint.StateOK, span(s.End-s.Begin)
		switch {
		case s.Failed:
			state = paint.StateFail
		case lasts(s) && p.birth.Ready:
			state = paint.StateNone
		case lasts(s) && total-s.Begin > restless:
			state = paint.StateWarn
		case lasts(s):
			state = paint.StateBusy
		}
		switch {
		case s.End == 0 && s.Failed:
			took = ""
		case s.End == 0:
			took = span((total - s.Begin).Round(time.Second / 10))
		case s.End <= s.Begin+1: // one moment is all that is known
			took = ""
		case !s.Exact:
			took = "~" + took
		}
		l := u.line(w).Add(paint.Plain, " ").State(u.spinState(state), u.tick).Col(paint.Plain, stepName(s.Step), c.name).
			ColRight(paint.Plain, took, tookWidth).Add(paint.Plain, " ")
		p.bar(l, s, total, c.bars)
		if c.who > 0 {
			l.Add(paint.Plain, " ").Col(paint.Dim, s.Who, c.who)
		}
		role := paint.Plain
		if s.Failed {
			role = paint.Fail
		}
		switch {
		case c.detail > 0:
			lines = append(lines, l.Add(paint.Plain, " ").Add(role, s.Detail).String())
			if s.Failed && paint.Width(s.Detail) > c.detail {
				lines = append(lines, p.detail(s, w)...)
			}
		case s.Failed || lasts(s):
			lines = append(lines, l.String())
			lines = append(lines, p.detail(s, w)...)
		default:
			lines = append(lines, l.String())
		}
	}
	return lines
}

// detail is what there is to say of a step that failed or hangs, on lines of its own.
func (p *birthPage) detail(s *cluster.BirthStep, w int) []string {
	if s.Detail == "" {
		return nil
	}
	role := paint.Dim
	if s.Failed {
		role = paint.Fail
	}
	var lines []string
	for _, part := range paint.Wrap(s.Detail, max(20, w-6)) {
		lines = append(lines, p.u.line(w).Add(paint.Plain, "     ").Add(role, part).String())
	}
	return lines
}

// bar draws a step at its place in time: solid, or half if its times are not exact or it lasts.
func (p *birthPage) bar(l *paint.Line, s *cluster.BirthStep, total time.Duration, cells int) {
	g := &p.u.theme.Glyphs
	place := func(d time.Duration) int { return int(float64(d) / float64(total) * float64(cells)) }
	begin := max(0, min(place(s.Begin), cells-1))
	end := s.End
	if lasts(s) {
		end = total
	}
	length := max(1, min(place(end), cells)-begin)
	sign, role := g.Full, stepRole(s)
	if !s.Exact || lasts(s) {
		sign = g.Estimate
	}
	l.Add(paint.Plain, paint.Spaces(begin)).Add(role, strings.Repeat(sign, length)).Add(paint.Plain, paint.Spaces(cells-begin-length))
}

// stepRole distinguishes control plane, node, and what failed.
func stepRole(s *cluster.BirthStep) paint.Role {
	name, _, _ := strings.Cut(s.Step, "/")
	switch {
	case s.Failed:
		return paint.Fail
	case slices.Contains([]string{"api", "admission", "etcd", "queue", "schedule", "bind"}, name):
		return paint.Accent
	}
	return paint.OK
}

// tickWidth is the least room of a time on the axis.
const tickWidth = 9

// axis is round times at their places above the bars.
func axis(total time.Duration, cells int) string {
	if cells < tickWidth {
		return "0"[:min(1, max(0, cells))]
	}
	step := time.Microsecond
	for n := 0; float64(step)*float64(cells)/float64(max(1, total)) < tickWidth; n++ {
		step = [...]time.Duration{2 * step, step * 5 / 2, 2 * step}[n%3] // 1, 2, 5, 10
	}
	var b strings.Builder
	used := 0
	for t := time.Duration(0); t <= total; t += step {
		at := int(float64(t) / float64(max(1, total)) * float64(cells))
		label := roundSpan(t)
		if at < used || at+paint.Width(label) > cells {
			continue
		}
		b.WriteString(paint.Spaces(at-used) + label)
		used = at + paint.Width(label)
	}
	return b.String()
}

// roundSpan is a round duration, without digits that say nothing.
func roundSpan(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	return strings.TrimSuffix(strings.TrimSuffix(d.String(), "0s"), "0m")
}
