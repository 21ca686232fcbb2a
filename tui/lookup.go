package tui

import (
	"context"
	"slices"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/nearmiss"
	"bonsai/tui/keymap"
	"bonsai/tui/paint"
)

// lookupPage resolves a name as a pod would and shows each question on the way, with the reason of each answer.
type lookupPage struct {
	blankPage
	u               *ui
	name, kind, pod string
	steps           []cluster.DNSStep
	node            string
	done            bool
	err             error
	meant           []nearmiss.Meant
	asked           int // numbers the lookups, so that an old answer is not shown
	top             int
}

func newLookupPage(u *ui, name, kind, pod string) *lookupPage {
	return &lookupPage{u: u, name: name, kind: kind, pod: pod}
}

func (p *lookupPage) show() {
	if p.asked == 0 {
		p.ask()
	}
}

// ask looks the name up, now.
func (p *lookupPage) ask() {
	p.asked++
	at := p.asked
	p.done, p.err = false, nil
	fetch(p.u, func(ctx context.Context) (cluster.DNSLookupResult, error) {
		return p.u.session.DNSLookup(ctx, p.name, p.kind, p.pod)
	}, func(r cluster.DNSLookupResult, err error) {
		if at != p.asked {
			return
		}
		for i := range r.Steps {
			s := &r.Steps[i]
			s.Name, s.Type, s.Rcode, s.Rule = paint.Clean(strings.TrimSuffix(s.Name, ".")), paint.Clean(s.Type), paint.Clean(s.Rcode), paint.Clean(s.Rule)
			s.Upstream, s.Answers, s.Authority = paint.Clean(s.Upstream), cleanAll(s.Answers), cleanAll(s.Authority)
		}
		p.steps, p.node, p.err, p.done = r.Steps, paint.Clean(r.Node), err, true
		ns, _, _ := strings.Cut(p.pod, "/")
		p.meant = p.u.dnsPage().meant(p.name, ns)
	})
}

func (p *lookupPage) crumb() string              { return p.name }
func (p *lookupPage) contexts() []keymap.Context { return []keymap.Context{keymap.Lookup} }
func (p *lookupPage) hints() []hint {
	return hintsOf("lookup.again", "resolve", "lookup.copy", "back")
}

func (p *lookupPage) act(id string) (ok bool) {
	if p.top, ok = scrolled(id, p.top, 10); ok {
		return true
	}
	switch id {
	case "lookup.again":
		p.ask()
	case "resolve":
		p.u.openPrompt(&prompt{label: p.u.T("resolve, as %s: ", p.who()), kind: "resolve", done: func(text string) {
			if name, kind, from := readLookup(text); name != "" {
				if from == "" {
					from = p.pod
				}
				p.u.push(newLookupPage(p.u, name, kind, from))
			}
		}}, "")
	case "lookup.copy":
		for _, s := range slices.Backward(p.steps) {
			if a := s.Answers; len(a) > 0 {
				fields := strings.Fields(a[len(a)-1])
				p.u.copy(fields[len(fields)-1])
				return true
			}
		}
		p.u.copy(p.name)
	default:
		return false
	}
	return true
}

func (p *lookupPage) who() string {
	if p.pod == "" {
		return p.u.T("any pod")
	}
	return p.pod
}

func (p *lookupPage) draw(w, h int) []string {
	u := p.u
	l := u.theme.Line(w).Add(paint.Plain, " ").Add(paint.Title, paint.Clean(p.name))
	if p.kind != "" {
		l.Add(paint.Dim, " "+paint.Clean(p.kind))
	}
	l.Add(paint.Dim, "  "+u.T("as %s asks it", paint.Clean(p.who())))
	if p.node != "" {
		l.Add(paint.Dim, ", "+u.T("on %s", p.node))
	}
	head := l.String()
	switch {
	case !p.done:
		u.spinning()
		return fill(append([]string{head}, u.note(u.glyph(paint.StateBusy)+" "+u.T("asking"), w, h-1)...), w, h)
	case p.err != nil:
		return fill(append([]string{head}, u.note(u.errorText(p.err), w, h-1)...), w, h)
	}
	lines := p.stepLines(w)
	p.top = max(0, min(p.top, len(lines)-(h-1)))
	return fill(append([]string{head}, lines[p.top:]...), w, h)
}

func (p *lookupPage) stepLines(w int) []string {
	u := p.u
	var lines []string
	found := false
	dns := u.dnsPage()
	for i := range p.steps {
		s := &p.steps[i]
		state := paint.StateOK
		switch {
		case s.Rcode == "NXDOMAIN":
			state = paint.StateFail
		case s.Rcode != "NOERROR":
			state = paint.StateFail
		case len(s.Answers) == 0:
			state = paint.StateOff
		default:
			found = true
		}
		rcode := s.Rcode
		if state == paint.StateOff {
			rcode = u.T("no %s", s.Type)
		}
		l := u.theme.Line(w).Add(paint.Plain, " ").ColRight(paint.Dim, itoa(i+1), 2).State(state, u.tick)
		if w >= 70 {
			l.Col(paint.Dim, s.Type, 5)
			l.Col(paint.Strong, s.Name, max(10, w-50)).Col(state.Role(), rcode, 10).ColRight(paint.Plain, span(s.Took), 7).Add(paint.Dim, dns.viaName(s.Source)+" "+s.Upstream)
		} else {
			l.Col(paint.Strong, s.Name, max(8, w-20)).Add(state.Role(), rcode)
		}
		lines = append(lines, l.String())
		add := func(role paint.Role, text string) {
			for _, part := range paint.Wrap(text, w-10) {
				lines = append(lines, u.theme.Line(w).Add(paint.Dim, "      ").Add(role, part).String())
			}
		}
		if s.Rule != "" {
			add(paint.Plain, s.Rule)
		}
		for _, a := range s.Answers {
			add(paint.Accent, u.theme.Glyphs.Right+" "+strings.Join(strings.Fields(a), " "))
		}
		if s.Truncated {
			add(paint.Dim, u.T("truncated"))
		}
	}
	lines = append(lines, paint.Spaces(w))
	var total fact
	switch {
	case found:
		total = fact{paint.OK, u.theme.Glyphs.OK + " " + u.T("found, after %d questions", len(p.steps))}
	default:
		total = fact{paint.Fail, u.theme.Glyphs.Fail + " " + u.T("not found, after %d questions", len(p.steps))}
	}
	lines = append(lines, u.theme.Line(w).Add(paint.Plain, " ").Add(total.role, total.text).String())
	if !found {
		for _, m := range p.meant {
			lines = append(lines, u.theme.Line(w).Add(paint.Plain, " ").Add(paint.Warn, u.T("similar name:")+" ").
				Add(paint.Plain, dns.guessText(m)+" "+u.theme.Glyphs.Right+" ").Add(paint.Strong, m.Right).String())
		}
	}
	command := paint.Clean(u.toShell(lookupCommand(p.name, p.pod)))
	lines = append(lines, u.theme.Line(w).Add(paint.Plain, " ").Add(paint.Dim, command).String())
	return lines
}

// cleanAll makes the texts of a list harmless.
func cleanAll(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = paint.Clean(s)
	}
	return out
}
