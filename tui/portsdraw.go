package tui

import (
	"fmt"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
	"bonsai/tui/paint"
)

func (p *portsPage) draw(w, h int) []string {
	u := p.u
	if w != p.width {
		p.width = w
		p.columns()
	}
	lines := make([]string, 0, h)
	stale := !u.state.Stale().IsZero() || u.state.Services.Err != nil
	p.oursAt, p.servicesAt = 0, 1
	if n := p.ours.Total(); n > 0 {
		title := func(text string) string {
			return u.theme.Line(w).Add(paint.Title, " "+strings.ToUpper(text)).Add(paint.Plain, " ").Rule().String()
		}
		lines = append(lines, title(u.T("ports of this machine")+" "+itoa(n)))
		rows := min(n, max(1, (h-6)/3))
		l := u.look(false)
		l.Focused = p.focused()
		p.oursAt = len(lines) + 1
		lines = append(lines, p.ours.Draw(l, w, rows+1)...)
		if h >= 8 {
			lines = append(lines, title(u.T("services")+" "+itoa(p.services.Len())))
		}
		p.servicesAt = len(lines) + 1
	}
	if text := p.emptyText(); text != "" {
		return fill(append(lines, u.note(text, w, h-len(lines))...), w, h)
	}
	below := 1
	switch {
	case h >= 50:
		below = 8
	case h >= 30:
		below = 4
	case h-len(lines) < 4:
		below = 0
	}
	l := u.look(stale)
	l.Focused = !p.focused()
	lines = append(lines, p.services.Draw(l, w, h-len(lines)-below)...)
	return fill(append(lines, p.strip(w, below)...), w, h)
}

func (p *portsPage) emptyText() string {
	u, s := p.u, p.u.state.Services
	switch {
	case u.state.Absent() && !s.Synced:
		return u.T("the cluster is not running, so it has no Services")
	case s.Err != nil && len(s.List) == 0:
		return u.troubleText(s.Err)
	case !s.Synced:
		u.spinning()
		return u.glyph(paint.StateBusy) + " " + u.T("reading %s", "services")
	case p.services.Len() > 0:
		return ""
	case p.services.Filter() != "":
		return u.T("nothing matches %q; %s clears the filter", p.services.Filter(), u.keys.Key("back"))
	case u.state.namespace != "":
		return u.T("no %s in %q; %s another namespace, %s all", "services", u.state.namespace, u.keys.Key("namespace"), u.keys.Key("all"))
	}
	return u.T("there are no %s", "services")
}

// strip explains what is under the cursor: why nothing answers, and where it is reachable.
func (p *portsPage) strip(w, n int) []string {
	if n == 0 {
		return nil
	}
	u := p.u
	at, of := p.services.Position()
	where := fmt.Sprintf("%d/%d", at, of)
	if f := p.services.Filter(); f != "" {
		where = "/" + f + "  " + where
	}
	var parts []fact
	switch {
	case u.state.Services.Err != nil:
		parts = append(parts, fact{paint.Warn, u.troubleText(u.state.Services.Err)})
	case p.focused():
		if it, ok := p.ours.Current(); ok {
			if c, ok := it.Data.(cluster.PortStatus); ok {
				parts = append(parts, fact{paint.Plain, u.T("%s copies %s, %s closes it for good; %d connections so far", u.keys.Key("forward.copy"), keptURL(c.Port), u.keys.Key("forward.stop"), c.Served)})
				break
			}
			f := it.Data.(*forward)
			parts = append(parts, fact{paint.Plain, u.T("%s copies %s, %s stops it; it follows its pods and lasts until you quit", u.keys.Key("forward.copy"), f.url(), u.keys.Key("forward.stop"))})
			if f.err != nil {
				parts = append(parts, fact{paint.Fail, u.errorText(f.err)})
			}
		}
	default:
		if it, ok := p.services.Current(); ok {
			l := it.Data.(kube.ServiceLine)
			if why := p.whyNotReady(&l); why != "" {
				parts = append(parts, fact{paint.Warn, u.theme.Glyphs.Warn + " " + why})
			}
			if p.forwardTo(&l) != nil || u.nameURL(&l) != "" {
				parts = append(parts, fact{paint.Accent, p.reachable(&l)})
			}
			parts = append(parts, u.hostFacts(&l)...)
			for _, r := range l.Reachable {
				parts = append(parts, fact{paint.Accent, u.addressText(r)})
			}
			if len(l.Reachable) == 0 || n > 1 {
				parts = append(parts, fact{paint.Dim, u.T("%s forwards a port of this machine to it", u.keys.Key("forward"))})
			}
		}
	}
	lines := make([]string, 0, n)
	for i := range n {
		l := u.theme.Line(w).Add(paint.Plain, " ")
		room := w - 2
		if i == n-1 {
			room -= paint.Width(where) + 2
		}
		if i < len(parts) {
			text := parts[i].text
			if i == n-1 && len(parts) > n && n > 1 {
				text = u.T("and %d more", len(parts)-i)
			}
			l.Add(parts[i].role, paint.Cut(text, room, u.theme.Glyphs.More))
		}
		if i == n-1 {
			l.Right(paint.Dim, where+" ")
		}
		lines = append(lines, l.String())
	}
	return lines
}

// whyNotReady says why nothing, or not everything, answers behind a Service; "" if all is well.
func (p *portsPage) whyNotReady(l *kube.ServiceLine) string {
	u := p.u
	if external(l) || l.Ready > 0 && l.Ready == l.Total {
		return ""
	}
	for _, problem := range u.state.Snapshot.Problems {
		if problem.Object == "service/"+l.Namespace+"/"+l.Name {
			return paint.Clean(u.said(problem.Summary))
		}
	}
	if l.Total == 0 {
		return u.T("nothing answers: no pod matches its selector, or it has none")
	}
	text := u.T("nothing answers: %d/%d of its pods ready", l.Ready, l.Total)
	if l.Ready > 0 {
		text = u.T("%d/%d of its pods ready", l.Ready, l.Total)
	}
	if pod := p.suspect(l); pod != "" {
		text += "; " + pod
	}
	return text
}

// suspect is a pod that by its name belongs to a Service and is not healthy, and its state.
func (p *portsPage) suspect(l *kube.ServiceLine) string {
	best, status := "", ""
	for _, r := range p.u.state.Pods.All {
		if r.Namespace != l.Namespace || !strings.HasPrefix(r.Name, l.Name+"-") && r.Name != l.Name || best != "" && r.Name > best {
			continue
		}
		if s := rowState(p.u.state.Pods.Columns, &r); s == paint.StateOK || s == paint.StateOff {
			continue
		}
		best, status = r.Name, subjectOf(kube.PodType(), p.u.state.Pods.Columns, &r).state
	}
	if best == "" {
		return ""
	}
	return p.u.T("%s is %s", best, status)
}
