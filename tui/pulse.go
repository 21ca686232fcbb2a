package tui

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
	"bonsai/tui/feed"
	"bonsai/tui/paint"
)

// dnsPulse is what the overview says of DNS: how much was asked in the last minute, how much of it for nothing, and the
// newest questions.
type dnsPulse struct {
	u       *ui
	feed    *feed.Feed
	err     error
	since   time.Time // since when nothing is missed
	seconds [pulseSpan]dnsSecond
	// recent are the newest questions, the newest last; failures stay longer than others.
	recent []cluster.DNSQuery
	took   []time.Duration // of the newest questions
}

// pulseSpan is in seconds; dnsRecent and dnsTook bound what is kept.
const (
	pulseSpan = 60
	dnsRecent = 12
	dnsTook   = 256
)

// dnsSecond counts the questions of one second.
type dnsSecond struct {
	at                           int64
	asked, none, failed, fromMem int
}

func (d *dnsPulse) init(u *ui) {
	d.u = u
	news := feed.NewBox(u.hub, func(old, new []cluster.DNSQuery) []cluster.DNSQuery { return append(old, new...) }, d.apply)
	watching := feed.NewBox(u.hub, nil, func(struct{}) {
		// What was asked while nobody listened is not known: counting begins anew.
		d.since, d.err, d.seconds = u.clock.now(), nil, [pulseSpan]dnsSecond{}
		u.touch()
	})
	d.feed = feed.New(u.hub, func(ctx context.Context, healthy func()) error {
		return u.session.DNSLog(ctx, func() {
			healthy()
			watching.Put(struct{}{})
		}, func(q cluster.DNSQuery) error {
			news.Put([]cluster.DNSQuery{q})
			return nil
		})
	}, func(err error) {
		d.err = err
		u.touch()
	})
}

func (d *dnsPulse) apply(list []cluster.DNSQuery) {
	for i := range list {
		q := &list[i]
		at := q.Time.Unix()
		s := &d.seconds[((at%pulseSpan)+pulseSpan)%pulseSpan]
		if s.at != at {
			*s = dnsSecond{at: at}
		}
		// A search of three names is three questions for nothing and one for something.
		s.asked += 1 + len(q.Tries)
		s.none += len(q.Tries)
		switch q.Rcode {
		case "NXDOMAIN":
			s.none++
		case "SERVFAIL", "REFUSED":
			s.failed++
		}
		if q.Source == cluster.DNSFromCache || q.Source == cluster.DNSFromStale {
			s.fromMem++
		}
		d.took = append(d.took, q.Took)
	}
	if n := len(d.took); n > dnsTook {
		d.took = append(d.took[:0], d.took[n-dnsTook:]...)
	}
	for _, q := range list[max(0, len(list)-dnsRecent):] {
		q.Name, q.Pod, q.Answers = paint.Clean(q.Name), paint.Clean(q.Pod), slices.Clone(q.Answers)
		for i := range q.Answers {
			q.Answers[i] = paint.Clean(q.Answers[i])
		}
		d.recent = append(d.recent, q)
	}
	if n := len(d.recent); n > dnsRecent {
		d.recent = append(d.recent[:0], d.recent[n-dnsRecent:]...)
	}
	d.u.touch()
}

// count adds up the last minute.
func (d *dnsPulse) count() dnsSecond {
	var all dnsSecond
	now := d.u.clock.now().Unix()
	for _, s := range d.seconds {
		if s.asked > 0 && s.at > now-pulseSpan {
			all.asked += s.asked
			all.none += s.none
			all.failed += s.failed
			all.fromMem += s.fromMem
		}
	}
	if all.asked > 0 {
		d.u.clock.changesIn(time.Second)
	}
	return all
}

// p99 of the newest questions, -1 without any.
func (d *dnsPulse) p99() time.Duration {
	if len(d.took) == 0 {
		return -1
	}
	sorted := slices.Sorted(slices.Values(d.took))
	return sorted[(len(sorted)-1)*99/100]
}

// alarming is how many names have to be missing before their share says something.
const alarming = 10

// summary is DNS in one line.
func (d *dnsPulse) summary(w int, n dnsSecond) string {
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
	case n.asked > 0:
		span0 := min(pulseSpan, max(1, u.clock.now().Sub(d.since).Seconds()))
		if d.since.IsZero() {
			span0 = pulseSpan
		}
		l.Add(paint.Plain, rate(float64(n.asked)/span0)+"/s")
		none := float64(n.none) / float64(n.asked)
		role := paint.Plain
		mark := ""
		if n.none >= alarming && none >= 0.25 {
			role, mark = paint.Warn, " "+u.theme.Glyphs.Warn
		}
		l.Add(paint.Dim, "   NXDOMAIN ").Add(role, percent(none)+mark)
		if n.failed > 0 {
			l.Add(paint.Dim, "   "+u.T("failed")+" ").Add(paint.Fail, percent(float64(n.failed)/float64(n.asked)))
		}
		if n.fromMem > 0 && l.Room() > 30 {
			l.Add(paint.Dim, "   "+u.T("cache")+" ").Add(paint.Plain, percent(float64(n.fromMem)/float64(n.asked)))
		}
		if p := d.p99(); p >= 0 && l.Room() > 14 {
			l.Add(paint.Dim, "   p99 ").Add(paint.Plain, span(p))
		}
	case d.err != nil:
		l.Add(paint.Warn, u.errorText(d.err))
	case d.since.IsZero():
		l.Add(paint.Dim, u.T("listening"))
	default:
		l.Add(paint.Dim, u.T("nobody asks at the moment"))
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
	for i := len(d.recent) - 1; i >= 0 && len(list) < n; i-- {
		q := &d.recent[i]
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

// warningList is the newest warnings among the events of the cluster, the newest first.
type warningList struct {
	u    *ui
	feed *feed.Feed
	err  error
	read bool
	list []kube.EventLine
}

// warningsKept bounds the list.
const warningsKept = 60

func (l *warningList) init(u *ui) {
	l.u = u
	news := feed.NewBox(u.hub, func(old, new []kube.EventLine) []kube.EventLine { return append(old, new...) }, l.apply)
	l.feed = feed.New(u.hub, func(ctx context.Context, healthy func()) error {
		return u.session.Events(ctx, func(list []kube.EventLine) error {
			healthy()
			news.Put(slices.Clone(list))
			return nil
		})
	}, func(err error) {
		l.err = err
		u.touch()
	})
}

func (l *warningList) apply(list []kube.EventLine) {
	l.read, l.err = true, nil
	for _, e := range list {
		if !e.Warning {
			continue
		}
		e.Reason, e.Object, e.Message, e.Namespace = paint.Clean(e.Reason), cleanObject(e.Object), paint.Clean(e.Message), paint.Clean(e.Namespace)
		l.list = slices.DeleteFunc(l.list, func(o kube.EventLine) bool { return o.UID == e.UID })
		l.list = append(l.list, e)
	}
	slices.SortStableFunc(l.list, func(a, b kube.EventLine) int { return b.Time.Compare(a.Time) })
	if len(l.list) > warningsKept {
		l.list = l.list[:warningsKept]
	}
	l.u.touch()
}

// foldedWarning is one line of what is said of several objects of a kind.
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

// foldWarnings makes one line of what is said of several objects of a kind, as kubelets do of their nodes.
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
	if len(l.list) == 0 {
		line := u.line(w).Add(paint.Plain, " ")
		switch {
		case l.err != nil:
			line.Add(paint.Warn, u.errorText(l.err))
		case !l.read:
			u.spinning()
			line.Add(paint.Dim, u.glyph(paint.StateBusy)+" "+u.T("reading events"))
		default:
			line.Add(paint.Dim, u.T("no warnings in the last hour"))
		}
		return []string{line.String()}
	}
	shown := foldWarnings(l.list)
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
	u               *ui
	namespace, name string
	feed            *feed.Feed
	news            *feed.Box[tailNews]
	lines           []kube.LogLine
	err             error
	run             int // counts what was pointed at, so that late lines of another pod are not mixed in
}

// tailNews is lines; the first ones of a run take the place of all before.
type tailNews struct {
	run   int
	first bool
	lines []kube.LogLine
}

// tailKept bounds the lines that are kept.
const tailKept = 200

func (t *logTail) init(u *ui) {
	t.u = u
	t.news = feed.NewBox(u.hub, func(old, new tailNews) tailNews {
		if old.run != new.run || new.first {
			return new
		}
		lines := append(old.lines, new.lines...)
		return tailNews{new.run, old.first, lines[max(0, len(lines)-tailKept):]}
	}, func(n tailNews) {
		if n.run != t.run {
			return
		}
		for i := range n.lines {
			n.lines[i].Text = paint.Clean(n.lines[i].Text)
		}
		if n.first {
			t.lines = nil
		}
		t.lines = append(t.lines, n.lines...)
		t.lines = t.lines[max(0, len(t.lines)-tailKept):]
		t.err = nil
		u.touch()
	})
}

// point follows the log of a pod, or nothing.
func (t *logTail) point(namespace, name string) {
	if t.namespace == namespace && t.name == name {
		return
	}
	if t.feed != nil {
		t.feed.Leave()
		t.feed = nil
	}
	t.namespace, t.name, t.lines, t.err = namespace, name, nil, nil
	t.run++
	if name == "" {
		return
	}
	u, run := t.u, t.run
	q := kube.LogQuery{Namespace: namespace, Pods: []string{name}, Tail: tailKept, Follow: true}
	t.feed = feed.New(u.hub, func(ctx context.Context, healthy func()) error {
		first := true
		return u.session.PodLogs(ctx, q, func(lines []kube.LogLine) error {
			if first {
				healthy()
			}
			t.news.Put(tailNews{run, first, slices.Clone(lines)})
			first = false
			return nil
		})
	}, func(err error) {
		if run == t.run {
			t.err = err
			u.touch()
		}
	})
	t.feed.Use()
}

// draw returns the newest lines under a heading.
func (t *logTail) draw(w, h int) []string {
	u := t.u
	if t.name == "" {
		return fill([]string{u.heading(w, u.T("LOG"), ""), u.line(w).Add(paint.Plain, " ").Add(paint.Dim, u.T("the log of a pod with a problem stands here")).String()}, w, h)
	}
	lines := []string{u.heading(w, u.T("LOG"), t.namespace+"/"+t.name)}
	if len(t.lines) == 0 {
		text := u.T("no lines yet")
		if t.err != nil {
			text = u.errorText(t.err)
		}
		return fill(append(lines, u.line(w).Add(paint.Plain, " ").Add(paint.Dim, text).String()), w, h)
	}
	for _, line := range t.lines[max(0, len(t.lines)-h+1):] {
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
