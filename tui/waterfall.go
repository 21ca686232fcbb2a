package tui

import (
	"slices"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/tui/paint"
)

// waterfall is one start, stop or delete as steps with their times. It is made of events, or of a snapshot where
// somebody else's start is watched; it knows no clock and no screen.
type waterfall struct {
	verb  string // "start"
	began time.Time
	// ended is zero while it goes on.
	ended time.Time
	steps []fallStep
	// warnings and notes are said beside the steps.
	warnings, notes []string
	// problem is why it failed.
	problem *cluster.Problem
	past    pastRuns
}

// fallStep is one line. Times are since the waterfall began.
type fallStep struct {
	id, title  string
	state      paint.State // StateNone has not begun yet
	begin, end time.Duration
	// detail is what a running step waits for, or what an ended one found.
	detail  string
	problem *cluster.Problem
	// expectBegin and expectEnd are those of the last time; both zero if it was not there.
	expectBegin, expectEnd time.Duration
}

// pastRuns is what earlier runs of the same verb tell about this one.
type pastRuns struct {
	totals []time.Duration // newest first
	steps  []cluster.TimelineStep
}

// shownRuns is how many past runs are named.
const shownRuns = 3

// estimate is how long it will take, 0 if nobody knows: the median of the last runs, so that one odd run says little.
func (p pastRuns) estimate() time.Duration {
	if len(p.totals) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(p.totals))
	return sorted[(len(sorted)-1)/2]
}

func pastOf(verb string, runs []cluster.Timeline) pastRuns {
	var p pastRuns
	for _, t := range runs {
		if t.Operation != verb || len(p.totals) == shownRuns {
			continue
		}
		if p.steps == nil {
			p.steps = t.Steps
		}
		p.totals = append(p.totals, t.Total)
	}
	return p
}

func newWaterfall(verb string, began time.Time) *waterfall {
	return &waterfall{verb: verb, began: began}
}

// expect has the waterfall expect what the last run did.
func (w *waterfall) expect(past pastRuns) {
	w.past = past
	if !w.ended.IsZero() {
		return
	}
	for _, e := range past.steps {
		s := w.step(e.Step)
		s.expectBegin, s.expectEnd = e.Begin, e.End
		if s.state == paint.StateNone {
			s.title = paint.Clean(e.Title)
		}
	}
}

// fallOfTimeline is a run that is over.
func fallOfTimeline(t *cluster.Timeline) *waterfall {
	w := &waterfall{verb: t.Operation, began: t.Started, ended: t.Started.Add(t.Total)}
	for _, s := range t.Steps {
		w.steps = append(w.steps, fallStep{id: s.Step, title: paint.Clean(s.Title), state: paint.StateOK, begin: s.Begin, end: s.End})
	}
	return w
}

// fallOfSnapshot is what is known about a start that another process runs: each component and node with its state and
// since when.
func fallOfSnapshot(s *cluster.Snapshot) *waterfall {
	w := &waterfall{verb: "start", began: s.Time}
	all := slices.Clone(s.Components)
	for _, n := range s.Nodes {
		all = append(all, n.Components...)
	}
	for _, c := range all {
		if !c.Since.IsZero() && c.Since.Before(w.began) && s.Time.Sub(c.Since) < time.Hour {
			w.began = c.Since
		}
	}
	since := func(t time.Time) time.Duration {
		if t.IsZero() {
			return 0
		}
		return max(0, t.Sub(w.began))
	}
	for _, c := range s.Components {
		st := fallStep{id: c.Name, title: paint.Clean(c.Name), state: phaseState(c.Phase), detail: paint.Clean(c.Reason), end: since(c.Since)}
		w.steps = append(w.steps, st)
	}
	for _, n := range s.Nodes {
		st := fallStep{id: "node/" + n.Name, title: paint.Clean("node " + n.Name), state: paint.StateBusy}
		switch {
		case n.Ready:
			st.state = paint.StateOK
			for _, c := range n.Components {
				st.end = max(st.end, since(c.Since))
			}
		case n.Host == cluster.PhaseFailed:
			st.state = paint.StateFail
		case n.Host == cluster.PhaseAbsent || n.Host == cluster.PhaseStopped:
			st.state, st.detail = paint.StateNone, "its container does not run yet"
		default:
			st.detail = "waits for its kubelet to report Ready"
		}
		for _, c := range n.Components {
			if c.Phase != cluster.PhaseRunning && c.Reason != "" && st.state != paint.StateOK {
				st.detail = paint.Clean(c.Name + ": " + c.Reason)
			}
		}
		w.steps = append(w.steps, st)
	}
	return w
}

// event takes one in. Events of one step come in their order.
func (w *waterfall) event(e cluster.Event) {
	at := max(0, e.Time.Sub(w.began))
	if e.Time.IsZero() {
		at = w.last()
	}
	detail := paint.Clean(firstLineOf(e.Detail))
	switch {
	case e.Kind == cluster.StepWarning:
		text := detail
		if e.Problem != nil {
			text = problemText(e.Problem)
		}
		if text == "" || slices.Contains(w.warnings, text) {
			return
		}
		w.warnings = append(w.warnings, text)
		if e.Problem != nil { // what to do is said below it, the most general last
			for _, a := range e.Problem.Advice {
				w.warnings = append(w.warnings, paint.Clean(a.String()))
			}
		}
		return
	case e.Step == w.verb: // the verb itself: its last word, or a line of text
		switch e.Kind {
		case cluster.StepProgress:
			if note := strings.TrimPrefix(detail, "note: "); note != "" && !slices.Contains(w.notes, note) {
				w.notes = append(w.notes, note)
			}
		case cluster.StepFailed:
			w.problem = e.Problem
		}
		return
	}
	s := w.step(e.Step)
	if e.Title != "" {
		s.title = paint.Clean(e.Title)
	}
	if detail != "" {
		s.detail = detail
	}
	switch e.Kind {
	case cluster.StepStarted:
		s.state, s.begin, s.end, s.problem = paint.StateBusy, at, 0, nil
	case cluster.StepProgress:
		if s.state == paint.StateNone {
			s.state, s.begin = paint.StateBusy, at
		}
	case cluster.StepDone, cluster.StepFailed:
		if s.state == paint.StateNone {
			s.begin = max(0, at-e.Elapsed)
		}
		s.end = max(at, s.begin)
		s.state = paint.StateOK
		if e.Kind == cluster.StepDone {
			s.detail = detail // what it waited for is over
			return
		}
		s.state, s.problem = paint.StateFail, e.Problem
		if e.Problem != nil {
			s.detail = problemText(e.Problem)
		}
	}
}

func (w *waterfall) step(id string) *fallStep {
	i := slices.IndexFunc(w.steps, func(s fallStep) bool { return s.id == id })
	if i < 0 {
		i = len(w.steps)
		w.steps = append(w.steps, fallStep{id: id, title: paint.Clean(id)})
	}
	return &w.steps[i]
}

// last is the newest time that is known.
func (w *waterfall) last() time.Duration {
	var d time.Duration
	for _, s := range w.steps {
		d = max(d, s.begin, s.end)
	}
	return d
}

// finish ends it. Steps that run then have been broken off; those that never began are not waited for any more.
func (w *waterfall) finish(at time.Time, problem *cluster.Problem) {
	w.ended = at
	if problem != nil {
		w.problem = problem
	}
	w.steps = slices.DeleteFunc(w.steps, func(s fallStep) bool { return s.state == paint.StateNone })
	for i := range w.steps {
		if s := &w.steps[i]; s.state == paint.StateBusy {
			s.end = max(s.begin, at.Sub(w.began))
			s.state = paint.StateOK
			if problem != nil {
				s.state = paint.StateOff
			}
		}
	}
}

// elapsed is how long it has run.
func (w *waterfall) elapsed(now time.Time) time.Duration {
	if !w.ended.IsZero() {
		now = w.ended
	}
	return max(0, now.Sub(w.began))
}

// span is the time that the bars have room for.
func (w *waterfall) span(now time.Time) time.Duration {
	d := max(w.elapsed(now), w.last())
	if w.ended.IsZero() {
		d = max(d, w.past.estimate())
		for _, s := range w.steps {
			d = max(d, s.expectEnd)
		}
	}
	return max(d, time.Millisecond)
}

// counts are the steps that ended, and all that are known.
func (w *waterfall) counts() (done, all int) {
	for _, s := range w.steps {
		if s.state != paint.StateNone && s.state != paint.StateBusy {
			done++
		}
	}
	return done, len(w.steps)
}

// ordered are the steps in the order in which they began or are expected to.
func (w *waterfall) ordered() []fallStep {
	list := slices.Clone(w.steps)
	slices.SortStableFunc(list, func(a, b fallStep) int {
		if (a.state == paint.StateNone) != (b.state == paint.StateNone) {
			if a.state == paint.StateNone {
				return 1
			}
			return -1
		}
		if a.state == paint.StateNone {
			return int(a.expectBegin - b.expectBegin)
		}
		return int(a.begin - b.begin)
	})
	return list
}

// folded are at most rows of ordered: where there are more, ended steps give way first, the oldest ones, then those that
// have not begun. hidden says how many did.
func (w *waterfall) folded(rows int) (list []fallStep, hidden int) {
	list = w.ordered()
	if rows < 1 {
		return nil, len(list)
	}
	drop := func(state paint.State, last bool) {
		for len(list) > rows {
			match := func(s fallStep) bool { return s.state == state }
			i := slices.IndexFunc(list, match)
			if last {
				for j := len(list) - 1; j > i; j-- {
					if match(list[j]) {
						i = j
						break
					}
				}
			}
			if i < 0 {
				return
			}
			list = slices.Delete(list, i, i+1)
			hidden++
		}
	}
	drop(paint.StateNone, true)
	drop(paint.StateOK, false)
	drop(paint.StateOff, true)
	drop(paint.StateBusy, true)
	if n := len(list) - rows; n > 0 {
		list, hidden = list[:rows], hidden+n
	}
	return list, hidden
}

// bar is where on a scale of cells a step is: first cell, cells that it has taken, and cells that it is expected to take
// yet.
func (w *waterfall) bar(s *fallStep, now time.Time, cells int) (at, full, estimate int) {
	if cells <= 0 {
		return 0, 0, 0
	}
	scale := func(d time.Duration) int { return min(cells, int(int64(d)*int64(cells)/int64(w.span(now)))) }
	round := func(d time.Duration) int { return min(cells, int((int64(d)*int64(cells)*2/int64(w.span(now))+1)/2)) }
	if s.state == paint.StateNone {
		if s.expectEnd == 0 {
			return 0, 0, 0
		}
		at = min(scale(s.expectBegin), cells-1)
		return at, 0, max(1, round(s.expectEnd)-at)
	}
	end := s.end
	if s.state == paint.StateBusy {
		end = w.elapsed(now)
	}
	at = min(scale(s.begin), cells-1)
	full = max(1, round(end)-at)
	if s.state == paint.StateBusy && s.expectEnd > s.expectBegin {
		if most := s.begin + s.expectEnd - s.expectBegin; most > end {
			estimate = round(most) - at - full
		}
	}
	return at, full, max(0, min(estimate, cells-at-full))
}

// waiting is what somebody who looks wants to know: the step that runs for longest and what it waits for.
func (w *waterfall) waiting() (title, detail string) {
	for _, s := range w.ordered() {
		if s.state == paint.StateBusy {
			return s.title, s.detail
		}
	}
	return "", ""
}

func problemText(p *cluster.Problem) string {
	text := p.Summary
	if p.Cause != "" {
		text += ": " + p.Cause
	}
	return paint.Clean(firstLineOf(text))
}

func firstLineOf(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
