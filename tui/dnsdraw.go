package tui

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"strconv"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/tui/dnslog"
	"bonsai/tui/paint"
)

const (
	// headRows are the lines above the list.
	headRows = 1
	// sideWidth is that of the summaries beside the list, sideFrom how wide a terminal has to be for them.
	sideWidth, sideFrom = 54, 160
	// restsFor is how long the newest question has to be the newest until it is explained although nobody has chosen it:
	// the list would jump up and down otherwise.
	restsFor = 700 * time.Millisecond
)

func itoa(n int) string { return strconv.Itoa(n) }

func keysSeq[V any](m map[string]V) iter.Seq[string] { return maps.Keys(m) }

func (p *dnsPage) draw(w, h int) []string {
	u, now := p.u, p.u.clock.now()
	if p.ring.Advance(now) {
		p.summarize()
		if p.grouped {
			p.regroup()
		}
	}
	if p.ring.Rate(now) > 0 {
		u.clock.changesIn(time.Second)
	} else if p.ring.Count() > 0 {
		u.clock.changesIn(10 * time.Second)
	}
	lines := make([]string, 0, h)
	lines = append(lines, p.head(w))
	body := h - headRows
	if p.ring.Next() == 1 {
		return fill(append(lines, u.note(p.emptyText(), w, body)...), w, h)
	}
	if w >= sideFrom && body >= 12 {
		main, side := p.main(w-sideWidth-3, body), p.side(sideWidth, body)
		rule := u.theme.Line(3).Add(paint.Dim, " "+u.theme.Glyphs.TreeUp).String()
		for i := range main {
			lines = append(lines, main[i]+rule+side[i])
		}
		return fill(lines, w, h)
	}
	if body >= 7 {
		lines = append(lines, p.main(w, body-1)...)
		return append(fill(lines, w, h-1), p.summaryLine(w))
	}
	return fill(append(lines, p.main(w, body)...), w, h)
}

// emptyText says why there is nothing to see.
func (p *dnsPage) emptyText() string {
	u := p.u
	switch {
	case u.state.Absent():
		return u.T("the cluster is not running, so there are no questions")
	case p.err != nil:
		return u.troubleText(p.err)
	case !p.watching:
		u.spinning()
		return u.glyph(paint.StateBusy) + " " + u.T("asking the DNS servers for their questions")
	}
	return u.T("no questions since %s was opened; new ones are shown as they arrive. %s resolves a name as a pod would", u.T("DNS"), u.keys.Key("resolve"))
}

// fact is a piece of the head line.
type fact struct {
	role paint.Role
	text string
}

// facts are the figures of the head line, the most important first.
func (p *dnsPage) facts(w int) [][]fact {
	u, r := p.u, p.ring
	warn := u.theme.Glyphs.Warn
	var list [][]fact
	miss := fact{paint.Plain, fmt.Sprintf("NXDOMAIN %.0f%%", 100*r.Share(dnslog.Missing))}
	broken := fact{paint.Plain, fmt.Sprintf("SERVFAIL %d", r.Of(dnslog.Broken))}
	if p.alarm != "" {
		if r.Of(dnslog.Broken) >= alarmBroken && r.Share(dnslog.Broken) >= alarmShare {
			broken.role, broken.text = paint.Warn, broken.text+" "+warn
		} else {
			miss.role, miss.text = paint.Warn, miss.text+" "+warn
		}
	}
	list = append(list, []fact{miss}, []fact{broken})
	for i := range p.servers {
		s := &p.servers[i]
		if s.Phase == cluster.PhaseRunning {
			continue
		}
		state := phaseState(s.Phase)
		text := u.theme.Glyph(state, 0) + " " + s.Node + " " + u.T(lower(string(s.Phase)))
		if s.Reason != "" {
			text += ": " + s.Reason
		}
		list = append(list, []fact{{state.Role(), text}})
	}
	if up := p.upstream(); up != nil {
		state := phaseState(up.Phase)
		text := u.theme.Glyph(state, 0)
		if up.Phase == cluster.PhaseRunning && up.Latency > 0 {
			text += " " + span(up.Latency)
		} else if up.Reason != "" {
			text += " " + up.Reason
		}
		name := fact{paint.Dim, u.T("upstream") + " "}
		if w >= 110 {
			list = append(list, []fact{name, {paint.Plain, up.Address + " "}, {state.Role(), text}})
		} else {
			list = append(list, []fact{name, {state.Role(), text}})
		}
	}
	if share, ok := p.cacheShare(); ok {
		list = append(list, []fact{{paint.Plain, u.T("cache %.0f%%", 100*share)}})
	}
	if r.Count() > 0 {
		list = append(list, []fact{{paint.Plain, fmt.Sprintf("p50 %s  p99 %s", span(r.Percentile(0.5)), span(r.Percentile(0.99)))}})
	}
	return list
}

// headFacts is the text of the facts, to see whether they have changed.
func (p *dnsPage) headFacts() string { return fmt.Sprint(p.facts(200), p.warning()) }

// cacheShare is that of the last minutes, or else since the servers have started.
func (p *dnsPage) cacheShare() (float64, bool) {
	if share, ok := p.ring.Cached(); ok {
		return share, true
	}
	var hits, all uint64
	for i := range p.servers {
		hits += p.servers[i].Cache.Hits
		all += p.servers[i].Cache.Hits + p.servers[i].Cache.Misses
	}
	if all == 0 {
		return 0, false
	}
	return float64(hits) / float64(all), true
}

// upstream is the one that does worst, of those that everything is forwarded to; nil if none is known.
func (p *dnsPage) upstream() *cluster.DNSUpstream {
	var worst *cluster.DNSUpstream
	rank := func(up *cluster.DNSUpstream) (int, time.Duration) {
		if up.Phase == cluster.PhaseRunning {
			return 0, up.Latency
		}
		return 1, 0
	}
	for i := range p.servers {
		for j := range p.servers[i].Upstreams {
			up := &p.servers[i].Upstreams[j]
			if worst == nil {
				worst = up
				continue
			}
			a, al := rank(up)
			b, bl := rank(worst)
			if cmp.Or(cmp.Compare(a, b), cmp.Compare(al, bl)) > 0 {
				worst = up
			}
		}
	}
	return worst
}

func (p *dnsPage) head(w int) string {
	u, now := p.u, p.u.clock.now()
	right, role := u.T("live"), paint.OK
	switch {
	case p.list.paused():
		right, role = u.T("paused, %d wait", p.list.waiting()), paint.Warn
	case p.err != nil && p.ring.Next() > 1:
		right, role = u.theme.Glyphs.Warn+" "+u.T("nothing new"), paint.Warn
	case !p.watching:
		right, role = "", paint.Plain
	case p.missed > 0:
		right, role = u.T("%d arrived too fast", p.missed), paint.Dim
	}
	if f := p.list.filter; f.Text() != "" || f.Failures() {
		shown := fmt.Sprintf("/%s %d", f.Text(), p.list.count())
		if f.Failures() {
			shown = u.T("failures only") + " " + shown
		}
		right = strings.TrimSpace(shown + "  " + right)
	}
	l := u.theme.Line(w).Add(paint.Plain, " ").Add(paint.Title, "DNS").Add(paint.Strong, " "+rate(p.ring.Rate(now))+" q/s ")
	if past := p.ring.Past(now, 12, 5); w >= 60 {
		top := 0.0
		for _, v := range past {
			top = max(top, v)
		}
		l.Spark(paint.Accent, past, top*1.01, 12)
	}
	for _, f := range p.facts(w) {
		width := 2
		for _, part := range f {
			width += paint.Width(part.text)
		}
		if l.Room() < width+paint.Width(right)+2 {
			continue
		}
		l.Add(paint.Plain, "  ")
		for _, part := range f {
			l.Add(part.role, part.text)
		}
	}
	return l.Right(role, right+" ").String()
}

// queryColumns are the widths of the columns for a width; 0 is not shown.
type queryColumns struct{ time, from, kind, name, result, ms, via, cost int }

func queryLayout(w int) queryColumns {
	c := queryColumns{from: 9, result: 9}
	left := w - 3
	switch {
	case w >= 170:
		c = queryColumns{time: 12, from: 36, kind: 5, result: 28, ms: 6, via: 9, cost: 8}
	case w >= 130:
		c = queryColumns{time: 8, from: 28, kind: 5, result: 22, ms: 6, via: 8, cost: 8}
	case w >= 116:
		c = queryColumns{time: 8, from: 24, kind: 5, result: 16, ms: 6, via: 8, cost: 8}
	case w >= 100:
		c = queryColumns{time: 8, from: 20, kind: 4, result: 15, ms: 6, cost: 8}
	case w >= 76:
		c = queryColumns{time: 8, from: 18, kind: 4, result: 12, ms: 6}
	case w >= 60:
		c = queryColumns{time: 8, from: 14, kind: 0, result: 11}
	}
	for _, n := range []int{c.time, c.from, c.kind, c.result, c.ms, c.via, c.cost} {
		if n > 0 {
			left -= n + 1
		}
	}
	c.name = max(8, left-1)
	return c
}

// main is the list, or the groups.
func (p *dnsPage) main(w, h int) []string {
	u := p.u
	pale := p.err != nil || !u.state.Stale().IsZero()
	if p.grouped {
		below := 0
		if h >= 14 {
			below = 4
		}
		lines := p.groups.Draw(u.look(pale), w, h-below)
		if q := p.current(); q != nil && below > 0 {
			lines = append(lines, p.details(q, w)...)
		}
		return fill(lines, w, h)
	}
	c := queryLayout(w)
	lines := make([]string, 0, h)
	title := u.theme.Line(w).Add(paint.Plain, "   ")
	for _, t := range []struct {
		text  string
		width int
		right bool
	}{
		{u.T("Time"), c.time, false}, {u.T("From"), c.from, false}, {u.T("Type"), c.kind, false}, {u.T("Name"), c.name, false},
		{u.T("Result"), c.result, false}, {"ms", c.ms, true}, {u.T("Via"), c.via, false}, {u.T("Cost"), c.cost, false},
	} {
		switch text := strings.ToUpper(t.text); {
		case t.width == 0:
		case t.right:
			title.ColRight(paint.Dim, text, t.width)
		default:
			title.Col(paint.Dim, text, t.width)
		}
	}
	lines = append(lines, title.String())
	list := &p.list
	list.rows = h - 1
	list.at = list.at[:0]
	if list.count() == 0 {
		return fill(append(lines, u.note(u.T("nothing matches; %s clears the filter", u.keys.Key("back")), w, h-1)...), w, h)
	}
	var details []string
	if q := list.current(); q != nil && p.explains(q) {
		details = p.details(q, w)
	}
	details = details[:min(len(details), max(0, h-2))]
	// The cursor's line stays where it is, but its details have to be seen as well.
	at := list.position()
	list.line = max(0, min(list.line, h-2-len(details), at))
	if below := list.count() - 1 - at; below < h-2-len(details)-list.line {
		list.line = max(0, min(at, h-2-len(details)-below))
	}
	for pos := at - list.line; pos < list.count() && len(lines) < h; pos++ {
		n := list.number(pos)
		lines = append(lines, p.row(p.ring.Get(n), w, c, pos == at, pale))
		list.at = append(list.at, n)
		if pos == at {
			for _, d := range details {
				lines = append(lines, d)
				list.at = append(list.at, n)
			}
		}
	}
	return fill(lines, w, h)
}

func (p *dnsPage) row(q *dnslog.Query, w int, c queryColumns, selected, pale bool) string {
	u := p.u
	state := p.stateOf(q)
	l := u.theme.Line(w)
	if selected {
		l.Add(paint.Strong, u.theme.Glyphs.Cursor)
	} else {
		l.Add(paint.Plain, " ")
	}
	role := func(r paint.Role) paint.Role {
		if pale {
			return paint.Dim
		}
		return r
	}
	l.State(state, u.tick)
	if c.time > 0 {
		layout := "15:04:05"
		if c.time >= 12 {
			layout = "15:04:05.000"
		}
		l.Col(role(paint.Dim), time.Unix(0, q.Time).In(u.clock.now().Location()).Format(layout), c.time)
	}
	from := q.Client.Value()
	if u.state.namespace != "" {
		from = strings.TrimPrefix(from, u.state.namespace+"/")
	}
	l.Col(role(paint.Plain), from, c.from)
	if c.kind > 0 {
		l.Col(role(paint.Dim), q.Type.Value(), c.kind)
	}
	l.Col(role(paint.Strong), q.Asked.Value(), c.name)
	l.Col(role(state.Role()), q.Result.Value(), c.result)
	if c.ms > 0 {
		l.ColRight(role(paint.Plain), millis(q.Took), c.ms)
	}
	if c.via > 0 {
		l.Col(role(paint.Dim), p.via(q), c.via)
	}
	if c.cost > 0 && q.Steps > 1 {
		l.Col(role(paint.Dim), u.T("%d tries", q.Steps), c.cost)
	}
	if selected {
		l.Select()
	}
	return l.String()
}

// millis is a time in milliseconds, without the unit.
func millis(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	if ms < 100 {
		return fmt.Sprintf("%.1f", ms)
	}
	return fmt.Sprintf("%.0f", ms)
}

func (p *dnsPage) via(q *dnslog.Query) string { return p.viaName(cluster.DNSSource(q.Source.Value())) }

func (p *dnsPage) viaName(s cluster.DNSSource) string {
	switch s {
	case cluster.DNSFromForward:
		return p.u.T("upstream")
	case cluster.DNSFromCluster:
		return p.u.T("cluster")
	case cluster.DNSFromCache:
		return p.u.T("cache")
	case cluster.DNSFromStale:
		return p.u.T("stale")
	case cluster.DNSFromLocal:
		return p.u.T("local")
	case cluster.DNSRefused:
		return p.u.T("refused")
	}
	return paint.Clean(string(s))
}

// summaryLine says in one line what fails, and who asks.
func (p *dnsPage) summaryLine(w int) string {
	u := p.u
	l := u.theme.Line(w).Add(paint.Plain, " ")
	half := w/2 + w/10
	if len(p.failing) > 0 {
		l.Add(paint.Title, strings.ToUpper(u.T("failing"))+"  ")
		for i, n := range p.failing {
			text := fmt.Sprintf("%s %d", n.Asked.Value(), n.Fails)
			if who := n.Clients(); len(who) > 0 {
				text += " (" + short(who[0].Value()) + ")"
			}
			if i > 0 && w-l.Room()+paint.Width(text)+3 > half {
				break
			}
			if i > 0 {
				l.Add(paint.Dim, " · ")
			}
			l.Add(paint.Fail, paint.Cut(text, half-4, u.theme.Glyphs.More))
		}
		l.Add(paint.Plain, "   ")
	}
	if title := strings.ToUpper(u.T("asking")); l.Room() > paint.Width(title)+12 && p.ring.Count() > 0 {
		l.Add(paint.Title, title+"  ")
		for i, a := range p.asking {
			text := fmt.Sprintf("%s %d%%", short(a.Who.Value()), (a.Count*100+p.ring.Count()/2)/p.ring.Count())
			if l.Room() < paint.Width(text)+3 {
				break
			}
			if i > 0 {
				l.Add(paint.Dim, " · ")
			}
			l.Add(paint.Plain, text)
		}
	}
	return l.String()
}

// side is the summaries of wide terminals.
func (p *dnsPage) side(w, h int) []string {
	u := p.u
	var lines []string
	title := func(text string) {
		lines = append(lines, u.theme.Line(w).Add(paint.Title, strings.ToUpper(text)).Add(paint.Plain, " ").Rule().String())
	}
	room := max(3, (h-len(p.servers)-6)/2)
	title(u.T("failing"))
	for i, n := range p.failing {
		if i == room {
			break
		}
		who := ""
		if list := n.Clients(); len(list) > 0 {
			who = short(list[0].Value())
			if len(list) > 1 {
				who += fmt.Sprintf(" +%d", len(list)-1)
			}
		}
		l := u.theme.Line(w).ColRight(paint.Fail, itoa(n.Fails), 5).Col(paint.Plain, n.Asked.Value(), w-25).Add(paint.Dim, paint.Cut(who, 17, u.theme.Glyphs.More))
		lines = append(lines, l.String())
		if q := p.ring.Get(n.LastFail); q != nil {
			if m := p.guess(q); len(m) > 0 {
				lines = append(lines, u.theme.Line(w).Add(paint.Plain, "      ").Add(paint.Warn, u.theme.Glyphs.Right+" ").Add(paint.Strong, m[0].Right).String())
			}
		}
	}
	if len(p.failing) == 0 {
		lines = append(lines, u.theme.Line(w).Add(paint.OK, u.theme.Glyphs.OK+" ").Add(paint.Dim, u.T("nothing in the last few minutes")).String())
	}
	lines = append(lines, paint.Spaces(w))
	title(u.T("asking"))
	for i, a := range p.asking {
		if i == room {
			break
		}
		share := float64(a.Count) / float64(max(1, p.ring.Count()))
		l := u.theme.Line(w).ColRight(paint.Plain, fmt.Sprintf("%.0f%%", 100*share), 5).Bar(paint.Accent, share, 10).Add(paint.Plain, " ")
		if a.Fails > 0 {
			l.Add(paint.Fail, fmt.Sprintf("%s%d ", u.theme.Glyphs.Fail, a.Fails))
		}
		lines = append(lines, l.Add(paint.Plain, a.Who.Value()).String())
	}
	lines = append(lines, paint.Spaces(w))
	title(u.T("servers"))
	for i := range p.servers {
		s := &p.servers[i]
		state := phaseState(s.Phase)
		l := u.theme.Line(w).State(state, u.tick).Col(paint.Plain, s.Node, 14)
		if s.Reason != "" {
			l.Add(paint.Warn, s.Reason)
		} else {
			l.Add(paint.Dim, u.T("%d Services, cache %d of %d", s.Records.Services, s.Cache.Entries, s.Cache.Capacity))
		}
		lines = append(lines, l.String())
	}
	return fill(lines, w, h)
}
