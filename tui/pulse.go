package tui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
	"bonsai/tui/model"
	"bonsai/tui/paint"
)

// dnsPulse is what the overview says of DNS.
type dnsPulse struct {
	*model.DNSPulse
	u *ui
}

// alarming is how many names have to be missing before their share says something.
const alarming = 10

// summary is DNS in one line.
func (d *dnsPulse) summary(w int, n model.DNSCount) string {
	u := d.u
	l := u.line(w).Add(paint.Plain, " ")
	serving, servers := 0, 0
	for _, node := range u.state.Snapshot.Nodes {
		if node.DNS != "" {
			servers++
			if node.DNS == cluster.PhaseRunning {
				serving++
			}
		}
	}
	off := slices.ContainsFunc(u.state.Snapshot.Addons, func(a cluster.AddonStatus) bool { return a.Name == "dns" && !a.Enabled })
	switch {
	case servers == 0 && !off:
		return l.Add(paint.Dim, u.theme.Glyphs.Off+" "+u.T("no server of cluster DNS is known")).String()
	case servers == 0:
		return l.Add(paint.Off, u.theme.Glyphs.Off+" "+u.T("cluster DNS is off; %s addons", u.keys.Key("screen.addons"))).String()
	case serving < servers:
		l.Add(paint.Warn, u.theme.Glyphs.Warn+" ").Add(paint.Plain, u.T("%d of %d servers answer", serving, servers)+"   ")
	default:
		l.Add(paint.OK, u.theme.Glyphs.OK+" ")
	}
	switch {
	case n.Asked > 0:
		span0 := min(model.PulseSpan, max(1, u.clock.now().Sub(d.Since).Seconds()))
		if d.Since.IsZero() {
			span0 = model.PulseSpan
		}
		l.Add(paint.Plain, rate(float64(n.Asked)/span0)+"/s")
		none := float64(n.None) / float64(n.Asked)
		role := paint.Plain
		mark := ""
		if n.None >= alarming && none >= 0.25 {
			role, mark = paint.Warn, " "+u.theme.Glyphs.Warn
		}
		l.Add(paint.Dim, "   NXDOMAIN ").Add(role, percent(none)+mark)
		if n.Failed > 0 {
			l.Add(paint.Dim, "   "+u.T("failed")+" ").Add(paint.Fail, percent(float64(n.Failed)/float64(n.Asked)))
		}
		if n.FromMemory > 0 && l.Room() > 30 {
			l.Add(paint.Dim, "   "+u.T("cache")+" ").Add(paint.Plain, percent(float64(n.FromMemory)/float64(n.Asked)))
		}
		if p := d.P99(); p >= 0 && l.Room() > 14 {
			l.Add(paint.Dim, "   p99 ").Add(paint.Plain, span(p))
		}
	case d.Err != nil:
		l.Add(paint.Warn, u.troubleText(d.Err))
	case d.Since.IsZero():
		l.Add(paint.Dim, u.T("listening"))
	default:
		l.Add(paint.Dim, u.T("no questions at the moment"))
	}
	return l.String()
}

// rows are the newest questions and their answers, the newest first.
func (d *dnsPulse) rows(w, n int) []string {
	u := d.u
	type shown struct {
		q           *cluster.DNSQuery
		who, answer string
		state       paint.State
	}
	var list []shown
	who, answer := 0, 0
	for i := len(d.Recent) - 1; i >= 0 && len(list) < n; i-- {
		q := &d.Recent[i]
		s := shown{q: q, who: q.Pod, answer: q.Rcode, state: paint.StateFail}
		if _, name, ok := strings.Cut(s.who, "/"); ok && w < 90 {
			s.who = name
		}
		if s.who == "" {
			s.who = q.Client.String()
		}
		switch {
		case q.Rcode == "NOERROR" && len(q.Answers) > 0:
			s.state, s.answer = paint.StateOK, q.Answers[0]
		case q.Rcode == "NOERROR" && q.Type == "AAAA":
			// Programs ask for both families; that there is one is normal.
			s.state, s.answer = paint.StateOff, u.T("no such record")
		case q.Rcode == "NOERROR":
			s.state, s.answer = paint.StateWarn, u.T("no such record")
		}
		who, answer = max(who, paint.Width(s.who)), max(answer, paint.Width(s.answer))
		list = append(list, s)
	}
	who, answer = min(who, w*28/100), min(answer, max(10, w/4))
	var lines []string
	for _, s := range list {
		l := u.line(w).Add(paint.Plain, " ").Add(paint.Dim, u.timeOf(s.q.Time)+" ").Col(paint.Plain, s.who, who)
		if w >= 70 {
			l.Add(paint.Plain, " ").Col(paint.Dim, s.q.Type, 5)
		}
		l.Col(paint.Plain, strings.TrimSuffix(s.q.Name, "."), max(8, l.Room()-answer-5)).State(s.state, u.tick)
		lines = append(lines, l.Add(s.state.Role(), paint.Cut(s.answer, answer, u.theme.Glyphs.More)).String())
	}
	return lines
}

// timeOf is a time of today as a clock shows it.
func (u *ui) timeOf(t time.Time) string {
	return t.In(u.clock.now().Location()).Format("15:04:05")
}

// warningList is the newest warnings among the events of the cluster.
type warningList struct {
	*model.EventTail
	u *ui
}

// warningsKept bounds the list.
const warningsKept = 60

func newWarningList(u *ui) warningList {
	l := warningList{u.state.NewEventTail(warningsKept), u}
	l.Wants = func(e *kube.EventLine) bool { return e.Warning }
	return l
}

// newest are the warnings, the newest first.
func (l *warningList) newest() []kube.EventLine {
	return slices.SortedStableFunc(slices.Values(l.Lines), func(a, b kube.EventLine) int { return b.Time.Compare(a.Time) })
}

// foldedWarning is one line of what is said about several objects of a kind.
type foldedWarning struct {
	kube.EventLine
	more int // objects beside the one that is named
}

// object names the first object, and counts the others.
func (w *foldedWarning) object() string {
	if w.more == 0 {
		return objectText(w.Object)
	}
	return fmt.Sprintf("%s +%d", objectText(w.Object), w.more)
}

// foldWarnings makes one line of what is said about several objects of a kind, as kubelets do of their nodes.
func foldWarnings(list []kube.EventLine) []foldedWarning {
	type same struct{ kind, namespace, reason, message string }
	at := map[same]int{}
	var out []foldedWarning
	for _, e := range list {
		key := same{e.Object.Kind, e.Namespace, e.Reason, e.Message}
		if i, ok := at[key]; ok {
			out[i].more++
			continue
		}
		at[key] = len(out)
		out = append(out, foldedWarning{EventLine: e})
	}
	return out
}

func (l *warningList) draw(w, rows int) []string {
	u := l.u
	if len(l.Lines) == 0 {
		line := u.line(w).Add(paint.Plain, " ")
		switch {
		case l.Err != nil:
			line.Add(paint.Warn, u.troubleText(l.Err))
		case !l.Read:
			u.spinning()
			line.Add(paint.Dim, u.glyph(paint.StateBusy)+" "+u.T("reading events"))
		default:
			line.Add(paint.Dim, u.T("no warnings in the last hour"))
		}
		return []string{line.String()}
	}
	shown := foldWarnings(l.newest())
	shown = shown[:min(rows, len(shown))]
	reason, object := 0, 0
	for i := range shown {
		reason = max(reason, paint.Width(shown[i].Reason))
		object = max(object, paint.Width(shown[i].object()))
	}
	reason, object = min(reason, w/5), min(object, w*3/10)
	var lines []string
	for i := range shown {
		e := &shown[i]
		line := u.line(w).Add(paint.Plain, " ").Add(paint.Dim, u.timeOf(e.Time)+" ").State(paint.StateWarn, 0).
			Col(paint.Warn, e.Reason, reason).Add(paint.Plain, " ").Col(paint.Plain, e.object(), object)
		count := ""
		if e.Count > 1 {
			count = fmt.Sprintf("x%d", e.Count)
		}
		if w >= 60 {
			line.Col(paint.Dim, count, 5)
		}
		lines = append(lines, line.Add(paint.Plain, e.Message).String())
	}
	return lines
}

// logTail is the end of one pod's log.
type logTail struct {
	*model.LogTail
	u *ui
}

// draw returns the newest lines under a heading.
func (t *logTail) draw(w, h int) []string {
	u := t.u
	if t.Name == "" {
		return fill([]string{u.heading(w, u.T("LOG"), ""), u.line(w).Add(paint.Plain, " ").Add(paint.Dim, u.T("the log of a pod with a problem is shown here")).String()}, w, h)
	}
	lines := []string{u.heading(w, u.T("LOG"), t.Namespace+"/"+t.Name)}
	if len(t.Lines) == 0 {
		text := u.T("no lines yet")
		if t.Err != nil {
			text = u.troubleText(t.Err)
		}
		return fill(append(lines, u.line(w).Add(paint.Plain, " ").Add(paint.Dim, text).String()), w, h)
	}
	for _, line := range t.Lines[max(0, len(t.Lines)-h+1):] {
		l := u.line(w).Add(paint.Plain, " ")
		if line.Marker != nil {
			l.Add(paint.Dim, strings.Repeat(u.theme.Glyphs.Rule, 3)+" "+paint.Clean(markerText(u.words, line.Source.Node, line.Marker))+" ").Rule()
		} else {
			l.Add(paint.Dim, u.timeOf(line.Time)+" ").Add(levelRole(line.Text), line.Text)
		}
		lines = append(lines, l.String())
	}
	return fill(lines, w, h)
}

// levelRole colours a line of a log by the level that it names early on.
func levelRole(text string) paint.Role {
	head := text[:min(len(text), 60)]
	for _, word := range []string{"ERROR", "FATAL", "PANIC", "panic:", "error", "Error"} {
		if strings.Contains(head, word) {
			return paint.Fail
		}
	}
	for _, word := range []string{"WARN", "warn"} {
		if strings.Contains(head, word) {
			return paint.Warn
		}
	}
	return paint.Plain
}
