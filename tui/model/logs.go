package model

import (
	"context"
	"slices"
	"time"

	"bonsai/bootstrap/kube"
	"bonsai/tui/feed"
)

// LogTail is the end of one pod's log, which is followed while it is pointed at.
type LogTail struct {
	o Options
	// Namespace and Name are the pod; empty for none.
	Namespace, Name string
	Lines           []kube.LogLine
	// Err is why nothing comes.
	Err error

	feed *feed.Feed
	news *feed.Box[tailNews]
	run  int // counts what was pointed at, so that late lines of another pod are not mixed in
}

// tailNews is lines; the first ones of a run take the place of all before.
type tailNews struct {
	run   int
	first bool
	lines []kube.LogLine
}

// tailKept bounds the lines that are kept.
const tailKept = 200

// NewLogTail makes one that points at nothing.
func (c *Cluster) NewLogTail() *LogTail {
	t := &LogTail{o: c.o}
	t.news = feed.NewBox(c.o.Hub, func(old, new tailNews) tailNews {
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
			n.lines[i].Text = c.o.CleanLog(n.lines[i].Text)
		}
		if n.first {
			t.Lines = nil
		}
		t.Lines = append(t.Lines, n.lines...)
		t.Lines = t.Lines[max(0, len(t.Lines)-tailKept):]
		t.Err = nil
		c.o.Changed()
	})
	return t
}

// Point follows the log of a pod, or of none.
func (t *LogTail) Point(namespace, name string) {
	if t.Namespace == namespace && t.Name == name {
		return
	}
	if t.feed != nil {
		t.feed.Leave()
		t.feed = nil
	}
	t.Namespace, t.Name, t.Lines, t.Err = namespace, name, nil, nil
	t.run++
	if name == "" {
		return
	}
	run := t.run
	q := kube.LogQuery{Namespace: namespace, Pods: []string{name}, Tail: tailKept, Follow: true}
	t.feed = feed.New(t.o.Hub, func(ctx context.Context, healthy func()) error {
		first := true
		return t.o.Source.PodLogs(ctx, q, func(lines []kube.LogLine) error {
			if first {
				healthy()
			}
			t.news.Put(tailNews{run, first, slices.Clone(lines)})
			first = false
			return nil
		})
	}, func(err error) {
		if run == t.run {
			t.Err = err
			t.o.Changed()
		}
	})
	t.feed.Use()
}

// LogPositions is how far the sources of a stream of logs came, over several runs of the stream.
type LogPositions map[kube.LogSource]time.Time

// LogRun is one run of a stream, which repeats the end of what an earlier run has sent.
type LogRun struct {
	positions LogPositions
	// before is how far the earlier runs came, of the sources that this run has not taken up yet.
	before map[kube.LogSource]position
}

type position struct {
	last    time.Time
	overlap bool // this run has repeated something, so nothing is missing between them
}

// Begin begins another run, which moves the positions on.
func (p LogPositions) Begin() *LogRun {
	r := &LogRun{positions: p, before: make(map[kube.LogSource]position, len(p))}
	for source, last := range p {
		r.before[source] = position{last: last}
	}
	return r
}

// News calls f for each line that no earlier run has sent. Where lines may be missing between two runs, f gets a marker
// of the kind LogGap first.
func (r *LogRun) News(list []kube.LogLine, f func(*kube.LogLine)) {
	for i := range list {
		l := &list[i]
		if before, seen := r.before[l.Source]; seen && !l.Time.IsZero() {
			if !l.Time.After(before.last) {
				r.before[l.Source] = position{before.last, true}
				continue
			}
			delete(r.before, l.Source)
			if !before.overlap && l.Marker == nil {
				f(&kube.LogLine{Time: l.Time, Source: l.Source, Marker: &kube.LogMarker{Kind: kube.LogGap}})
			}
		}
		if l.Time.After(r.positions[l.Source]) {
			r.positions[l.Source] = l.Time
		}
		f(l)
	}
}
