package tui

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/tui/paint"
)

// fallEvent is an event at a moment after fakeNow: "started engine", "progress engine waits for it".
const milli = time.Millisecond

func fallEvent(at time.Duration, text string) cluster.Event {
	parts := strings.SplitN(text, " ", 3)
	e := cluster.Event{Kind: cluster.EventKind(parts[0]), Step: parts[1], Time: fakeNow.Add(at)}
	if len(parts) > 2 {
		e.Detail = parts[2]
	}
	return e
}

// picture draws a waterfall for comparison: state, step, bar and detail.
func picture(w *waterfall, now time.Time) string {
	var b strings.Builder
	for _, s := range w.ordered() {
		at, full, rest := w.bar(&s, now, 10)
		sign := map[paint.State]string{paint.StateNone: ".", paint.StateBusy: "~", paint.StateOK: "+", paint.StateFail: "x", paint.StateOff: "-"}[s.state]
		bar := strings.Repeat(" ", at) + strings.Repeat("#", full) + strings.Repeat(":", rest)
		b.WriteString(strings.TrimRight(fmt.Sprintf("%s %s |%-10s| %s", sign, s.id, bar, s.detail), " ") + "\n")
	}
	return b.String()
}

func TestWaterfallOfEvents(t *testing.T) {
	past := []cluster.Timeline{
		{Operation: "start", Total: 1000 * milli, Steps: []cluster.TimelineStep{{Step: "a", Title: "A", End: 300 * milli}, {Step: "b", Title: "B", Begin: 300 * milli, End: 1000 * milli}}},
		{Operation: "stop", Total: time.Hour},
		{Operation: "start", Total: 800 * milli}, {Operation: "start", Total: 5000 * milli}, {Operation: "start", Total: time.Hour},
	}
	for name, c := range map[string]struct {
		past   []cluster.Timeline
		events []string // "MILLISECONDS event"
		now    time.Duration
		want   string
	}{
		"nothing yet":     {nil, nil, 0, ""},
		"the first":       {nil, []string{"100 started a", "200 progress a waits for b"}, 400 * milli, "~ a |  ########| waits for b\n"},
		"done":            {nil, []string{"0 started a", "0 progress a waits", "500 done a", "500 started b"}, 1000 * milli, "+ a |#####|\n~ b |     #####|\n"},
		"side by side":    {nil, []string{"0 started a", "500 started b"}, 1000 * milli, "~ a |##########|\n~ b |     #####|\n"},
		"failed":          {nil, []string{"0 started a", "500 failed a no such host"}, 1000 * milli, "x a |#####     | no such host\n"},
		"never begun":     {nil, []string{"500 done a found it"}, 1000 * milli, "+ a |     #    | found it\n"},
		"begun by a word": {nil, []string{"500 progress a waits"}, 1000 * milli, "~ a |     #####| waits\n"},
		"expected":        {past, nil, 0, ". a |:::       |\n. b |   :::::::|\n"},
		"runs as before":  {past, []string{"0 started a"}, 100 * milli, "~ a |#::       |\n. b |   :::::::|\n"},
		"takes longer":    {past, []string{"0 started a"}, 500 * milli, "~ a |#####     |\n. b |   :::::::|\n"},
		"twice":           {nil, []string{"0 started a", "200 failed a", "500 started a"}, 1000 * milli, "~ a |     #####|\n"},
		"a later surprise": {past, []string{"0 started a", "100 started c"}, 200 * milli,
			"~ a |##:       |\n~ c | #        |\n. b |   :::::::|\n"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWaterfall("start", fakeNow)
			w.expect(pastOf("start", c.past))
			for _, e := range c.events {
				at, text, _ := strings.Cut(e, " ")
				var n time.Duration
				if _, err := fmt.Sscan(at, &n); err != nil {
					t.Fatal(err)
				}
				w.event(fallEvent(n*milli, text))
			}
			if got := picture(w, fakeNow.Add(c.now)); normal(got) != normal(c.want) {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
	if p := pastOf("start", past); p.estimate() != 1000*milli || len(p.totals) != 3 {
		t.Errorf("estimate %s of %v", p.estimate(), p.totals)
	}
	if (pastRuns{}).estimate() != 0 {
		t.Error("an estimate out of nothing")
	}
}

// normal leaves the blanks behind a bar away.
func normal(s string) string {
	var lines []string
	for line := range strings.Lines(s) {
		line = strings.TrimSuffix(line, "\n")
		at := strings.LastIndex(line, "|")
		lines = append(lines, strings.TrimRight(line[:at], " ")+line[at:])
	}
	return strings.Join(lines, "\n")
}

func TestWaterfallEnds(t *testing.T) {
	w := newWaterfall("start", fakeNow)
	w.expect(pastRuns{steps: []cluster.TimelineStep{{Step: "never", End: time.Second}}})
	for _, e := range []cluster.Event{
		fallEvent(0, "started a"), fallEvent(100*milli, "warning engine cgroup v1 is old"), fallEvent(100*milli, "warning engine cgroup v1 is old"),
		fallEvent(200*milli, "done a"), fallEvent(200*milli, "started b"), fallEvent(300*milli, "progress start note: 1.35 is emulated"),
		{Kind: cluster.StepFailed, Step: "start", Time: fakeNow, Problem: &cluster.Problem{Summary: "no"}},
	} {
		w.event(e)
	}
	w.finish(fakeNow.Add(500*milli), &cluster.Problem{Summary: "interrupted"})
	if got, want := picture(w, fakeNow.Add(time.Hour)), "+ a |####      |\n- b |    ######|\n"; normal(got) != normal(want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if len(w.warnings) != 1 || len(w.notes) != 1 || w.notes[0] != "1.35 is emulated" || w.problem.Summary != "interrupted" {
		t.Errorf("%q %q %v", w.warnings, w.notes, w.problem)
	}
	if done, all := w.counts(); done != 2 || all != 2 {
		t.Errorf("%d of %d", done, all)
	}
}

// A warning says what to do about it, once.
func TestWaterfallWarningWithAdvice(t *testing.T) {
	w := newWaterfall("start", fakeNow)
	warning := cluster.Event{Kind: cluster.StepWarning, Step: "kubeconfig", Time: fakeNow, Problem: &cluster.Problem{
		Summary: "change the kubeconfig", Cause: "read-only",
		Advice: []cluster.Advice{cluster.Advise("write it", cluster.Bonsai("update-context")), cluster.Advise("or\x1b[2J")},
	}}
	w.event(warning)
	w.event(warning)
	want := []string{"change the kubeconfig: read-only", "write it:  bonsai update-context", paint.Clean("or\x1b[2J")}
	if !slices.Equal(w.warnings, want) {
		t.Errorf("got %q, want %q", w.warnings, want)
	}
}

// TestWaterfallFolds keeps what runs and what failed where there is little room.
func TestWaterfallFolds(t *testing.T) {
	w := newWaterfall("start", fakeNow)
	for i := range 30 {
		w.event(fallEvent(time.Duration(i)*milli, fmt.Sprintf("started s%02d", i)))
		if i < 25 {
			w.event(fallEvent(time.Duration(i+1)*milli, fmt.Sprintf("done s%02d", i)))
		}
	}
	w.event(fallEvent(50*milli, "failed s03"))
	for rows := range 40 {
		list, hidden := w.folded(rows)
		if len(list) > rows || len(list)+hidden != 30 {
			t.Fatalf("%d rows and %d hidden of 30 in %d", len(list), hidden, rows)
		}
		failed, running := 0, 0
		for _, s := range list {
			switch s.state {
			case paint.StateFail:
				failed++
			case paint.StateBusy:
				running++
			}
		}
		if rows >= 1 && failed != 1 || rows >= 6 && running != 5 {
			t.Errorf("%d rows show %d failed and %d running", rows, failed, running)
		}
	}
}

func TestWaterfallOfASnapshot(t *testing.T) {
	s := cluster.Snapshot{Phase: cluster.PhaseStarting, Time: fakeNow, Components: []cluster.Component{
		{Name: "etcd", Phase: cluster.PhaseRunning, Since: fakeNow.Add(-time.Second)}, {Name: "kube-apiserver", Phase: cluster.PhaseStarting, Since: fakeNow.Add(-2 * time.Second), Reason: "waits for etcd"},
	}, Nodes: []cluster.NodeStatus{{Name: "dev-1", Host: cluster.PhaseRunning}, {Name: "dev-2", Host: cluster.PhaseStopped}, {Name: "dev-3", Ready: true, Host: cluster.PhaseRunning}}}
	want := "+ etcd |#####     |\n~ kube-apiserver |##########| waits for etcd\n~ node/dev-1 |##########| waits for its kubelet to report Ready\n+ node/dev-3 |#         |\n. node/dev-2 || its container does not run yet\n"
	if got := picture(fallOfSnapshot(&s), fakeNow); normal(got) != normal(want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
