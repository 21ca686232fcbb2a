package tui

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/tui/keymap"
	"bonsai/tui/paint"
)

// startPage offers to start the cluster, and shows how that goes: a line per step with its time and what it waits for.
// A stop and a delete look the same. It also shows the start that another process runs, as far as that can be seen.
type startPage struct {
	blankPage
	u       *ui
	cursor  int
	nodes   int // chosen, -1 for as it is
	version string
	// clusters are the others of this user; starts the past runs.
	clusters []cluster.Info
	starts   []cluster.Timeline
	scroll   int // in the story of a failure
	// offerRows are the lines on which the offers were drawn.
	offerRows []int
}

func newStartPage(u *ui) *startPage { return &startPage{u: u, nodes: -1} }

func (p *startPage) crumb() string { return p.u.T("start") }

func (p *startPage) contexts() []keymap.Context {
	switch o := p.u.operation; {
	case o == nil && p.u.state.Absent():
		return []keymap.Context{keymap.Offers}
	case o == nil || !o.done:
		return []keymap.Context{keymap.Start}
	case o.err != nil:
		return []keymap.Context{keymap.Failed}
	}
	return []keymap.Context{keymap.Started}
}

func (p *startPage) show() {
	p.u.fetchStarts(func(starts []cluster.Timeline) { p.starts = starts })
	fetch(p.u, p.u.session.Clusters, func(list []cluster.Info, err error) {
		if err != nil {
			return // those of others are a courtesy
		}
		p.clusters = slices.DeleteFunc(list, func(c cluster.Info) bool { return c.Name == p.u.session.Name() })
	})
}

func (p *startPage) hints() []hint {
	u := p.u
	switch o := u.operation; {
	case o == nil && u.state.Absent():
		return hintsOf("start.open", "start.nodes", "start.version", "palette", "quit")
	case o == nil:
		return hintsOf("start.log", "start.copy", "quit")
	case !o.done:
		abort := hint{"cluster.stop", u.T("abort it and clean up")}
		if o.existed {
			abort.word = u.T("abort it")
		}
		return []hint{{"quit", u.T("leave it running")}, abort, {id: "start.copy"}}
	case o.err != nil:
		hints := hintsOf("start.retry")
		if p.canKeep(o) {
			hints = append(hints, hint{id: "start.keep"})
		}
		hints = append(hints, hintsOf("start.copy", "start.log")...)
		if p.exists() {
			hints = append(hints, hint{id: "start.delete"})
		}
		return append(hints, hint{id: "start.back"})
	}
	return []hint{{"start.open", u.T("to the overview")}}
}

// takeKey ends the picture of a success at any key; one that counts everywhere is done as well.
func (p *startPage) takeKey(key string) bool {
	o := p.u.operation
	if o == nil || !o.done || o.err != nil {
		return false
	}
	everywhere := p.u.keys.Find(keymap.Chain(keymap.Started), key) == "" && p.u.keys.Find(keymap.Chain(keymap.Global), key) != ""
	p.u.leaveOperation(o)
	return !everywhere
}

func (p *startPage) act(id string) bool {
	switch {
	case id == "start.copy":
		p.u.copyText(p.report(), p.u.T("the report"))
		return true
	case id == "start.log":
		p.openLog()
		return true
	}
	o := p.u.operation
	switch {
	case o == nil && p.u.state.Absent():
		return p.actOffers(id)
	case o != nil && o.done:
		return p.actEnded(id, o)
	}
	return false
}

// keepFlag has a start that fails keep what it has made.
const keepFlag = "--keep"

// canKeep says that a failed operation can be repeated so that what it makes is there to be looked at.
func (p *startPage) canKeep(o *operation) bool {
	return o.verb() == "start" && !slices.Contains(o.args, keepFlag)
}

// openLog shows the log of the control plane, at the first line that a failure was explained with.
func (p *startPage) openLog() {
	page := newOutputPage(p.u, bonsaiCommand("logs", "daemon").String())
	if o := p.u.operation; o != nil && o.err != nil {
		for _, problem := range p.problems() {
			page.seek = append(page.seek, problem.Evidence...)
		}
	}
	p.u.push(page)
	p.u.runInto(page, []string{"logs", "daemon"})
}

func (p *startPage) actOffers(id string) bool {
	offers := p.offers()
	switch id {
	case "start.down":
		p.cursor = min(p.cursor+1, len(offers)-1)
	case "start.up":
		p.cursor = max(p.cursor-1, 0)
	case "start.open":
		p.cursor = max(0, min(p.cursor, len(offers)-1))
		if c := offers[p.cursor]; c.off != "" {
			p.u.toast.say(paint.Warn, c.off)
		} else {
			c.run()
		}
	case "start.nodes":
		p.chooseNodes()
	case "start.version":
		p.chooseVersion()
	case "start.retry":
		p.begin()
	case "start.delete":
		if p.exists() {
			p.u.confirmDelete()
		}
	default:
		return false
	}
	return true
}

func (p *startPage) actEnded(id string, o *operation) bool {
	if o.err == nil {
		if id == "start.open" {
			p.u.leaveOperation(o)
		}
		return id == "start.open"
	}
	switch id {
	case "start.retry", "start.open":
		p.u.operation = nil
		p.u.beginOperation(o.args...)
	case "start.keep":
		if !p.canKeep(o) {
			p.u.toast.say(paint.Dim, p.u.T("only what a start has made is kept"))
			break
		}
		p.u.operation = nil
		p.u.beginOperation(append(slices.Clone(o.args), keepFlag)...)
	case "start.back":
		p.scroll = 0
		p.u.leaveOperation(o)
	case "start.delete":
		p.u.confirmDelete()
	case "start.down":
		p.scroll++
	case "start.up":
		p.scroll = max(0, p.scroll-1)
	default:
		return false
	}
	return true
}

func (p *startPage) click(_, y int) {
	if p.u.operation != nil || !p.u.state.Absent() {
		return
	}
	if i := slices.Index(p.offerRows, y); i >= 0 {
		p.cursor = i
		p.act("start.open")
	}
}

func (p *startPage) wheel(rows int) {
	if o := p.u.operation; o != nil && o.done {
		p.scroll = max(0, p.scroll+rows)
	}
}

// exists says that there is something to start again.
func (p *startPage) exists() bool { return p.u.state.Snapshot.Phase != cluster.PhaseAbsent }

// begin starts the cluster as it was chosen.
func (p *startPage) begin() {
	args := []string{"start"}
	if p.nodes >= 0 {
		args = append(args, "--nodes", strconv.Itoa(p.nodes))
	}
	if p.version != "" {
		args = append(args, "--kubernetes-version", p.version)
	}
	p.u.beginOperation(args...)
}

func (p *startPage) chooseNodes() {
	p.u.promptNodes(func(n int) { p.nodes = n })
}

func (p *startPage) chooseVersion() {
	if p.exists() {
		p.u.toast.say(paint.Warn, p.u.T("a cluster keeps its Kubernetes version; another one needs a new cluster"))
		return
	}
	var choices []choice
	for i, v := range cluster.PossibleVersions(p.u.opts.Kubernetes) {
		name, note, _ := strings.Cut(v, " ")
		if i == 0 {
			choices = append(choices, choice{title: name, hint: p.u.T("built in"), run: func() { p.version = "" }})
			continue
		}
		_ = note
		choices = append(choices, choice{title: name, hint: p.u.T("emulated: its API and features, not its code"), run: func() { p.version = name }})
	}
	p.u.choose(p.u.T("Kubernetes version"), choices)
}

// offer is one line of what can be done where no cluster runs.
type offer struct {
	state            paint.State
	title, note, off string
	run              func()
}

func (p *startPage) offers() []offer {
	u := p.u
	nodes := p.nodes
	start := offer{title: u.T("start it as it was"), run: p.begin}
	if p.exists() {
		if nodes < 0 {
			nodes = len(u.state.Snapshot.Nodes)
		}
		if past := pastOf("start", p.starts); len(past.totals) > 0 {
			start.note = u.T("about %s s", seconds(past.estimate())) + "  " + p.lastRuns(past)
		}
		if p.nodes > len(u.state.Snapshot.Nodes) {
			start.title = u.T("start it with %d nodes", p.nodes)
		}
	} else {
		start.title = u.T("start a new cluster")
		start.note = u.T("real Kubernetes in seconds; nothing is downloaded")
		if nodes < 0 {
			nodes = cluster.DefaultNodes
		}
	}
	if u.opts.ReadOnly {
		start.off = u.T("bonsai ui runs with --readonly")
	}
	version := p.version
	if version == "" {
		version = u.opts.Kubernetes
		if v := u.state.Snapshot.KubernetesVersion; v != "" {
			version = v
		}
	}
	list := []offer{
		start,
		{title: u.T("nodes"), note: strconv.Itoa(nodes), run: p.chooseNodes},
		{title: u.T("Kubernetes"), note: version, run: p.chooseVersion},
	}
	for _, c := range p.clusters {
		list = append(list, offer{
			state: phaseState(c.Phase), title: paint.Clean(c.Name), note: u.T(lower(string(c.Phase))) + "  " + u.nodesWord(c.Nodes),
			run: func() { u.goToCluster(c.Name) },
		})
	}
	return list
}

// lastRuns are the times of the last runs, as "(last three: 6.6 6.9 7.1)".
func (p *startPage) lastRuns(past pastRuns) string {
	if len(past.totals) == 0 {
		return ""
	}
	var list []string
	for _, total := range slices.Backward(past.totals) {
		list = append(list, seconds(total))
	}
	switch len(list) {
	case 1:
		return p.u.T("(last time: %s)", list[0])
	case 2:
		return p.u.T("(last two: %s)", strings.Join(list, " "))
	}
	return p.u.T("(last three: %s)", strings.Join(list, " "))
}

// nodesWord counts nodes.
func (u *ui) nodesWord(n int) string {
	if n == 1 {
		return u.T("1 node")
	}
	return u.T("%d nodes", n)
}

// seconds is a time in seconds with one digit behind the point.
func seconds(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()) }

// report is what helps somebody else to see what went wrong.
func (p *startPage) report() string {
	u := p.u
	var b strings.Builder
	w := p.fall()
	fmt.Fprintf(&b, "cluster %s, Kubernetes %s\n", u.session.Name(), u.opts.Kubernetes)
	if o := u.operation; o != nil {
		fmt.Fprintf(&b, "%s\n", u.toShell(bonsaiCommand(o.args...)))
	}
	if w == nil {
		return b.String()
	}
	now := u.clock.now()
	fmt.Fprintf(&b, "began %s, %s s\n", w.began.Format(time.RFC3339), seconds(w.elapsed(now)))
	for _, s := range w.ordered() {
		word := map[paint.State]string{paint.StateNone: "not begun", paint.StateOK: "done", paint.StateBusy: "runs", paint.StateFail: "FAILED", paint.StateWarn: "degraded"}[s.state]
		if word == "" {
			word = "broken off"
		}
		end := s.end
		if s.state == paint.StateBusy {
			end = w.elapsed(now)
		}
		fmt.Fprintln(&b, strings.TrimRight(fmt.Sprintf("%-10s %7.2fs +%6.2fs  %s  %s", word, s.begin.Seconds(), (end-s.begin).Seconds(), s.title, s.detail), " "))
	}
	for _, text := range w.warnings {
		fmt.Fprintf(&b, "warning: %s\n", text)
	}
	for _, problem := range p.problems() {
		fmt.Fprintf(&b, "%s: %s\n", problem.Kind, paint.Clean(problem.Summary))
		if problem.Cause != "" {
			fmt.Fprintf(&b, "cause: %s\n", paint.Clean(problem.Cause))
		}
		for _, line := range problem.Evidence {
			fmt.Fprintf(&b, "| %s\n", paint.CleanLog(line))
		}
		for _, a := range problem.Advice {
			fmt.Fprintf(&b, "hint: %s\n", u.advice(a))
		}
	}
	return b.String()
}

// fall is the waterfall that is visible, nil if there is none.
func (p *startPage) fall() *waterfall {
	switch o := p.u.operation; {
	case o != nil:
		return o.fall
	case p.u.state.Absent():
		if len(p.starts) > 0 {
			return fallOfTimeline(&p.starts[0])
		}
		return nil
	}
	w := fallOfSnapshot(&p.u.state.Snapshot)
	w.past = pastOf("start", p.starts)
	return w
}

// problems are why the operation failed, each part separately.
func (p *startPage) problems() []cluster.Problem {
	o := p.u.operation
	if o == nil {
		return p.u.state.Snapshot.Problems
	}
	if o.err == nil {
		return nil
	}
	var list []cluster.Problem
	for _, err := range joined(o.err) {
		list = append(list, p.u.problemOf(err))
	}
	return list
}

// joined takes apart what errors.Join put together.
func joined(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{err}
}
