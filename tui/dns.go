package tui

import (
	"context"
	"slices"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
	"bonsai/bootstrap/nearmiss"
	"bonsai/tui/dnslog"
	"bonsai/tui/feed"
	"bonsai/tui/grid"
	"bonsai/tui/keymap"
	"bonsai/tui/paint"
)

// dnsPage shows what pods ask cluster DNS, while they do, and what went wrong.
type dnsPage struct {
	u       *ui
	ring    *dnslog.Ring
	feed    *feed.Feed
	status  *feed.Feed
	linger  linger
	visible bool

	// err is why no questions come; watching says that they do.
	err      error
	watching bool
	missed   uint64 // questions that came too fast to be sent
	servers  []cluster.DNSStatus

	list   queryList
	groups *grid.Grid
	// grouped says that names are shown, not questions.
	grouped bool
	// closed says that the user does not want the row under the cursor explained.
	closed  bool
	guesses map[guessKey][]nearmiss.Meant
	guessed int // version of the Services that the guesses are of
	// alarm is what the tab warns of, "" if all is well.
	alarm   string
	failing []*dnslog.Name
	asking  []*dnslog.Client
}

type guessKey struct {
	asked     dnslog.Text
	namespace string
}

const (
	// statusEvery is the pause between two questions to the servers for their figures.
	statusEvery = 5 * time.Second
	// slowAnswer is what a user of a program begins to feel.
	slowAnswer = 500 * time.Millisecond
	// mostGroups bounds the names of the grouped view.
	mostGroups = 2000
)

func newDNSPage(u *ui) *dnsPage {
	p := &dnsPage{u: u, ring: dnslog.New(dnslog.Size), guesses: map[guessKey][]nearmiss.Meant{}}
	p.list = queryList{ring: p.ring, filter: dnslog.NewFilter("", false, "")}
	p.groups = grid.New([]grid.Column{
		{Title: "Name", Min: 16},
		{Title: "Count", Kind: grid.Number, Min: 6, Max: 7},
		{Title: "Failed", Kind: grid.Number, Min: 7, Max: 7, Drop: 1},
		{Title: "Last result", Min: 8, Max: 40, Drop: 2},
		{Title: "Asked by", Min: 10, Max: 44, Drop: 4},
	})
	p.groups.Sort(1, true)
	type batch struct {
		queries []dnslog.Query
		missed  uint64
	}
	queries := feed.NewBox(u.hub, func(old, new batch) batch {
		// Nobody looks for a while, in an editor say: what the ring would forget again is not kept.
		all := append(old.queries, new.queries...)
		if len(all) > 2*dnslog.Size {
			all = slices.Clone(all[len(all)-dnslog.Size:])
		}
		return batch{all, old.missed + new.missed}
	}, func(b batch) { p.take(b.queries, b.missed) })
	watching := feed.NewBox(u.hub, nil, func(on bool) {
		p.watching = on
		u.touch()
	})
	p.feed = feed.New(u.hub, func(ctx context.Context, healthy func()) error {
		defer watching.Put(false)
		return u.session.DNSLog(ctx, func() {
			healthy()
			watching.Put(true)
		}, func(q cluster.DNSQuery) error {
			queries.Put(batch{[]dnslog.Query{dnslog.Make(q, u.clock.now())}, q.Dropped})
			return nil
		})
	}, func(err error) {
		p.err = err
		u.touch()
	})
	statuses := feed.NewBox(u.hub, nil, func(list []cluster.DNSStatus) {
		before := p.headFacts()
		p.servers = list
		if now := p.headFacts(); now != before {
			u.touch()
		}
	})
	p.status = feed.New(u.hub, func(ctx context.Context, healthy func()) error {
		for {
			list, err := u.session.DNSStatus(ctx)
			if err != nil {
				return err
			}
			healthy()
			statuses.Put(cleanServers(list))
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(statusEvery):
			}
		}
	}, func(error) {})
	p.linger = linger{u: u, on: func() {
		p.feed.Use()
		p.status.Use()
		u.state.Services.Feed.Use()
	}, off: func() {
		p.feed.Leave()
		p.status.Leave()
		u.state.Services.Feed.Leave()
	}}
	return p
}

func cleanServers(list []cluster.DNSStatus) []cluster.DNSStatus {
	list = slices.Clone(list)
	for i := range list {
		s := &list[i]
		s.Node, s.Reason = paint.Clean(s.Node), paint.Clean(s.Reason)
		s.Upstreams = slices.Clone(s.Upstreams)
		for j := range s.Upstreams {
			up := &s.Upstreams[j]
			up.Zone, up.Address, up.Reason = paint.Clean(up.Zone), paint.Clean(up.Address), paint.Clean(up.Reason)
		}
	}
	return list
}

func (p *dnsPage) show() {
	p.visible = true
	p.linger.show()
}

func (p *dnsPage) hide() {
	p.visible = false
	p.linger.hide()
}

func (p *dnsPage) crumb() string         { return p.u.T("dns") }
func (p *dnsPage) filterPrompt() string  { return "/" }
func (p *dnsPage) namespaceChanged()     { p.refilter(p.list.filter.Text(), p.list.filter.Failures()) }
func (p *dnsPage) setFilter(text string) { p.refilter(text, p.list.filter.Failures()) }
func (p *dnsPage) filterText() string    { return p.list.filter.Text() }
func (p *dnsPage) lost() bool            { return !p.grouped && p.list.takeLost() }

func (p *dnsPage) contexts() []keymap.Context {
	if p.grouped {
		return []keymap.Context{keymap.DNS, keymap.Table}
	}
	return []keymap.Context{keymap.DNS}
}

func (p *dnsPage) hints() []hint {
	u := p.u
	either := func(id string, on bool, word string) hint {
		if on {
			return hint{id, word}
		}
		return hint{id: id}
	}
	return []hint{
		either("dns.failures", p.list.filter.Failures(), u.T("all answers")), {id: "dns.type"}, {id: "dns.pod"},
		either("dns.group", p.grouped, u.T("one by one")), {id: "trace"}, {id: "resolve"}, either("dns.pause", p.list.paused(), u.T("continue")),
	}
}

// take adds what came to the ring, the list and the groups.
func (p *dnsPage) take(queries []dnslog.Query, missed uint64) {
	p.missed += missed
	p.err, p.watching = nil, true
	for i := range queries {
		p.list.add(p.ring.Add(queries[i]))
	}
	p.list.trim()
	p.ring.Advance(p.u.clock.now())
	if p.grouped {
		p.regroup()
	}
	before := p.alarm
	p.summarize()
	if p.visible || p.alarm != before {
		p.u.touch()
	}
}

// mostSummed is how many names and pods the summaries have room for.
const mostSummed = 40

// summarize prepares what changes with every question but is the same until the next.
func (p *dnsPage) summarize() {
	p.failing, p.asking = p.ring.Failing(mostSummed), p.ring.Asking(mostSummed)
	// What is known to be a mistake comes before names of the world that do not exist.
	slices.SortStableFunc(p.failing, func(a, b *dnslog.Name) int {
		rank := func(n *dnslog.Name) int {
			q := p.ring.Get(n.LastFail)
			switch {
			case q == nil:
				return 3
			case len(p.guess(q)) > 0, q.Verdict == dnslog.Broken:
				return 0
			case ofCluster(n.Asked.Value()):
				return 1
			}
			return 2
		}
		return rank(a) - rank(b)
	})
	p.alarm = p.findAlarm()
}

func (p *dnsPage) refilter(text string, failures bool) {
	p.list.setFilter(dnslog.NewFilter(text, failures, p.u.state.namespace))
	p.groups.SetFilter(text)
	if p.grouped {
		p.groups.Reset()
		p.ring.Names(func(n *dnslog.Name) { p.regroupName(n) })
	}
	p.u.touch()
}

// regroup brings the groups up to date with what has changed.
func (p *dnsPage) regroup() {
	p.ring.Changed(func(asked dnslog.Text) {
		if n := p.ring.NameOf(asked); n != nil {
			p.regroupName(n)
		} else {
			p.groups.Remove(asked.Value())
		}
	})
}

func (p *dnsPage) regroupName(n *dnslog.Name) {
	if p.list.filter.Failures() && n.Fails == 0 {
		p.groups.Remove(n.Asked.Value())
		return
	}
	if _, ok := p.groups.Get(n.Asked.Value()); !ok && p.groups.Total() >= mostGroups {
		return
	}
	it := grid.Item{
		ID: n.Asked.Value(), Key: n.Asked.Value(), State: paint.StateOK, Data: n,
		Cells: []string{n.Asked.Value(), itoa(n.Count), itoa(n.Fails), "", ""}, Values: []float64{0, float64(n.Count), float64(n.Fails), 0, 0},
		Roles: []paint.Role{paint.Plain, paint.Plain, paint.Plain, paint.Plain, paint.Dim},
	}
	if q := p.ring.Get(n.Last); q != nil {
		it.State = p.stateOf(q)
		it.Cells[3] = q.Result.Value()
		it.Roles[3] = it.State.Role()
	}
	if n.Fails > 0 {
		it.Roles[2] = paint.Fail
	}
	if p.u.state.namespace != "" && !slices.ContainsFunc(n.Clients(), func(a dnslog.Text) bool {
		return strings.HasPrefix(a.Value(), p.u.state.namespace+"/")
	}) {
		return
	}
	var who []string
	for i, a := range n.Clients() {
		if i == 3 {
			who = append(who, p.u.theme.Glyphs.More)
			break
		}
		who = append(who, a.Value())
	}
	it.Cells[4] = strings.Join(who, ", ")
	p.groups.Set(it)
}

// stateOf is how a question looks in the list.
func (p *dnsPage) stateOf(q *dnslog.Query) paint.State {
	switch {
	case q.Verdict.Failed():
		return paint.StateFail
	case q.Verdict == dnslog.NoData:
		return paint.StateOff
	case q.Wasteful(), q.Took >= slowAnswer:
		return paint.StateWarn
	}
	return paint.StateOK
}

// guess returns what a failed question may have meant.
func (p *dnsPage) guess(q *dnslog.Query) []nearmiss.Meant {
	s := p.u.state.Services
	if p.guessed != s.Version || len(p.guesses) > 5000 {
		clear(p.guesses)
		p.guessed = s.Version
	}
	if q.Verdict != dnslog.Missing || len(s.Known) == 0 {
		return nil
	}
	key := guessKey{q.Asked, q.Namespace()}
	m, ok := p.guesses[key]
	if !ok {
		m = nearmiss.Find(q.Asked.Value(), key.namespace, s.Known)
		if full, ok := nearmiss.Full(q.Asked.Value(), key.namespace, s.Known); ok && len(q.Tries()) == 0 && q.Rest() == "" && full.Right != q.Asked.Value() {
			m = []nearmiss.Meant{full}
		}
		p.guesses[key] = m
	}
	return m
}

// meant returns what a name that does not exist may have meant.
func (p *dnsPage) meant(name, namespace string) []nearmiss.Meant {
	return nearmiss.Find(name, namespace, p.u.state.Services.Known)
}

// dnsPage is the one page of DNS.
func (u *ui) dnsPage() *dnsPage {
	for _, s := range u.screens {
		if p, ok := s.pages[0].(*dnsPage); ok {
			return p
		}
	}
	return newDNSPage(u)
}

const (
	// alarmFails is how often a name has to fail within the window before the tab warns: programs ask too early at times.
	alarmFails = 3
	// alarmBroken is how many questions without an answer are a warning, and alarmShare the least part of all.
	alarmBroken = 3
	alarmShare  = 0.02
)

// findAlarm looks for what is certainly wrong. Misses of the search path are not failures, and programs ask for many
// names of the world that do not exist: of missing names, only those count that a Service's name is near to, or that
// are names of the cluster.
func (p *dnsPage) findAlarm() string {
	u := p.u
	if n := p.ring.Of(dnslog.Broken); n >= alarmBroken && p.ring.Share(dnslog.Broken) >= alarmShare {
		return u.T("%d questions got no answer", n)
	}
	for _, name := range p.failing {
		if name.Fails < alarmFails {
			continue
		}
		q := p.ring.Get(name.LastFail)
		if q == nil || q.Verdict != dnslog.Missing {
			continue
		}
		if len(p.guess(q)) > 0 || ofCluster(q.Asked.Value()) {
			return u.T("%s does not exist, and was asked for %d times", q.Asked.Value(), name.Fails)
		}
	}
	return ""
}

// ofCluster says that only the cluster can have such a name.
func ofCluster(name string) bool {
	return strings.HasSuffix(name, ".svc") || strings.HasSuffix(name, ".svc."+cluster.ClusterDomain)
}

// warning says what the tab should warn of, "" for nothing.
func (p *dnsPage) warning() string {
	for i := range p.servers {
		if s := &p.servers[i]; s.Phase != cluster.PhaseRunning && s.Phase != cluster.PhaseStarting {
			return p.u.T("the DNS server of %s is %s", s.Node, p.u.T(lower(string(s.Phase))))
		}
	}
	for _, problem := range p.u.state.Snapshot.Problems {
		if problem.Kind == cluster.ProblemName && problem.Severity != cluster.SeverityInfo {
			return paint.Clean(p.u.said(problem.Summary))
		}
	}
	return p.alarm
}

// current is the question under the cursor; of a group its newest one, a failed one first.
func (p *dnsPage) current() *dnslog.Query {
	if !p.grouped {
		return p.list.current()
	}
	it, ok := p.groups.Current()
	if !ok {
		return nil
	}
	n := p.ring.NameOf(it.Data.(*dnslog.Name).Asked)
	if n == nil {
		return nil
	}
	if q := p.ring.Get(n.LastFail); q != nil && n.Fails > 0 {
		return q
	}
	return p.ring.Get(n.Last)
}

// subjects is the pod that asked.
func (p *dnsPage) subjects() []subject {
	q := p.current()
	if q == nil || q.Namespace() == "" {
		return nil
	}
	ns, name, _ := strings.Cut(q.Client.Value(), "/")
	for _, r := range p.u.state.Pods.All {
		if r.Namespace == ns && r.Name == name {
			return []subject{subjectOf(kube.PodType(), p.u.state.Pods.Columns, &r)}
		}
	}
	return []subject{{ref: kube.Ref{Type: kube.PodType(), Namespace: ns, Name: name}}}
}
