package tui

import (
	"context"
	"slices"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
	"bonsai/tui/keymap"
	"bonsai/tui/paint"
)

// wayPage walks from a pod to something else and shows each step, down to the one at which the way ends.
type wayPage struct {
	blankPage
	u     *ui
	q     cluster.WhyQuestion
	way   cluster.Why
	done  bool
	err   error
	asked int // numbers the questions, so that an old answer is not shown
	top   int
}

func newWayPage(u *ui, q cluster.WhyQuestion) *wayPage { return &wayPage{u: u, q: q} }

func (p *wayPage) show() {
	if p.asked == 0 {
		p.ask()
	}
}

// ask walks, now.
func (p *wayPage) ask() {
	p.asked++
	at := p.asked
	p.done, p.err = false, nil
	fetch(p.u, func(ctx context.Context) (cluster.Why, error) { return p.u.session.Why(ctx, p.q) }, func(way cluster.Why, err error) {
		if at == p.asked {
			p.way, p.err, p.done = way, err, true
		}
	})
}

func (p *wayPage) crumb() string              { return p.u.T("why") + " " + p.title() }
func (p *wayPage) contexts() []keymap.Context { return []keymap.Context{keymap.Way} }
func (p *wayPage) hints() []hint              { return hintsOf("way.again", "way.other", "way.copy", "back") }

// title is "shop/web → db 5432".
func (p *wayPage) title() string {
	return paint.Clean(strings.Join(nonEmpty(p.q.From, p.u.theme.Glyphs.Right, p.q.To, p.q.Port), " "))
}

func (p *wayPage) act(id string) (ok bool) {
	if p.top, ok = scrolled(id, p.top, 10); ok {
		return true
	}
	switch id {
	case "way.again":
		p.ask()
	case "way.other":
		p.u.askWay(p.q.From, strings.Join(nonEmpty(p.q.To, p.q.Port), " "))
	case "way.copy":
		p.u.copy(p.u.toShell(p.command()))
	default:
		return false
	}
	return true
}

func (p *wayPage) command() cluster.Command {
	c := cluster.Bonsai("flow", "why").On(nonEmpty(p.q.From, p.q.To, p.q.Port)...)
	if p.q.UDP {
		c = c.With("--udp")
	}
	return c
}

func (p *wayPage) draw(w, h int) []string {
	u := p.u
	head := u.theme.Line(w).Add(paint.Plain, " ").Add(paint.Title, p.title()).String()
	switch {
	case !p.done:
		u.spinning()
		return fill(append([]string{head}, u.note(u.glyph(paint.StateBusy)+" "+u.T("walking there"), w, h-1)...), w, h)
	case p.err != nil:
		return fill(append([]string{head}, u.note(u.errorText(p.err), w, h-1)...), w, h)
	}
	lines := p.lines(w)
	p.top = max(0, min(p.top, len(lines)-(h-1)))
	return fill(append([]string{head}, lines[p.top:]...), w, h)
}

// wayState is what a step looks like.
func wayState(s cluster.WhyState) paint.State {
	switch s {
	case cluster.WhyOK:
		return paint.StateOK
	case cluster.WhyFailed:
		return paint.StateFail
	case cluster.WhyDoubtful:
		return paint.StateWarn
	}
	return paint.StateOff
}

func (p *wayPage) lines(w int) (lines []string) {
	u := p.u
	const column = 18
	for _, s := range p.way.Steps {
		state := wayState(s.State)
		indent := min(column, w/3)
		text := paint.Clean(u.said(s.Saw))
		if s.Took > 0 {
			text += "  " + span(s.Took)
		}
		role := paint.Plain
		if state != paint.StateOK {
			role = state.Role()
		}
		for i, part := range paint.Wrap(text, max(10, w-indent-1)) {
			l := u.theme.Line(w).Add(paint.Plain, " ")
			if i == 0 {
				l.State(state, u.tick).Add(paint.Dim, " "+paint.Clean(u.T(s.Topic.Word())))
			}
			lines = append(lines, l.To(indent).Add(role, part).String())
		}
		add := func(role paint.Role, text string) {
			for _, part := range paint.Wrap(text, max(10, w-indent-1)) {
				lines = append(lines, u.theme.Line(w).To(indent).Add(role, part).String())
			}
		}
		for _, more := range s.More {
			add(paint.Dim, paint.Clean(u.said(more)))
		}
		if s.State == cluster.WhyFailed || s.State == cluster.WhyDoubtful {
			for _, a := range s.Advice {
				add(paint.Accent, u.theme.Glyphs.Right+" "+u.advice(a))
			}
		}
	}
	lines = append(lines, paint.Spaces(w))
	total, state := u.T("it is reached"), paint.StateOK
	if !p.way.Reaches {
		total, state = u.T("the way ends at: %s", u.T(p.way.Ends.Word())), paint.StateFail
	}
	lines = append(lines, u.theme.Line(w).Add(paint.Plain, " ").State(state, u.tick).Add(state.Role(), " "+total).String())
	return append(lines, u.theme.Line(w).Add(paint.Plain, " ").Add(paint.Dim, paint.Clean(u.toShell(p.command()))).String())
}

// askWay asks for the other end of a way from a pod, and walks there.
func (u *ui) askWay(from, to string) {
	u.openPrompt(&prompt{
		label: u.T("from %s to which name, Service, pod or address, and port: ", paint.Clean(from)), kind: "way to", complete: u.completeWay,
		done: func(text string) { u.walk(from, text) },
	}, to)
}

// askWayFrom asks for the pod at the beginning of a way.
func (u *ui) askWayFrom(to string) {
	u.openPrompt(&prompt{
		label: u.T("to %s from which pod (NAMESPACE/NAME): ", paint.Clean(to)), kind: "way from", complete: u.completePod,
		done: func(text string) {
			if from := strings.TrimSpace(text); from != "" {
				u.walk(from, to)
			}
		},
	}, "")
}

// walk opens the page of a way; to may have a port after a space.
func (u *ui) walk(from, to string) {
	words := strings.Fields(to)
	if len(words) == 0 {
		return
	}
	q := cluster.WhyQuestion{From: from, To: words[0]}
	if len(words) > 1 {
		q.Port = words[1]
	}
	u.push(newWayPage(u, q))
}

// completePod offers pods whose names begin with what was typed.
func (u *ui) completePod(text string) (list []string) {
	for _, space := range u.state.Summary.Spaces {
		for _, pod := range space.Pods {
			if name := space.Name + "/" + pod.Name; strings.HasPrefix(name, text) {
				list = append(list, paint.Clean(name))
			}
		}
	}
	slices.Sort(list)
	return list
}

// completeWay offers pods.
func (u *ui) completeWay(text string) (list []string) {
	if strings.Contains(text, " ") {
		return nil
	}
	return u.completePod(text)
}

// why asks where the way from or to an object ends.
func (u *ui) why(s *subject) {
	name := s.ref.Namespace + "/" + s.ref.Name
	switch s.ref.Type.Resource {
	case "pods":
		u.askWay(name, "")
	case "services":
		u.askWayFrom(name)
	default:
		u.askWay(s.ref.Namespace+"/"+singular(s.ref.Type)+"/"+s.ref.Name, "")
	}
}

func needsWay(u *ui, s *subject) string {
	if s.ref.Type.Group == "" && slices.Contains([]string{"pods", "services"}, s.ref.Type.Resource) || slices.Contains(workloads, s.ref.Type.Resource) {
		return ""
	}
	return u.T("only for pods, workloads and Services")
}

// wayOf is the question about a flow; false unless its source is a pod.
func wayOf(f cluster.Flow) (q cluster.WhyQuestion, ok bool) {
	if f.From.Kind != cluster.FlowPod {
		return q, false
	}
	q = cluster.WhyQuestion{From: f.From.String(), To: f.Address.String(), Port: itoa(int(f.Port)), UDP: f.Proto == "UDP"}
	switch {
	case f.Asked != "":
		q.To = f.Asked + "."
	case f.Service != "":
		q.To = f.Service
	}
	return q, true
}

// podRef names a pod.
func podRef(e cluster.FlowEnd) kube.Ref {
	return kube.Ref{Type: kube.PodType(), Namespace: e.Namespace, Name: e.Name}
}
