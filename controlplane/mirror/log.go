package mirror

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/componentlog"
)

// Log is the log of a component that is shown as a pod.
type Log struct {
	// Container is the only one of the pod.
	Container string
	// known is false before the first news of the component. Lines of its log from before started are of earlier runs; zero:
	// it has not run yet.
	known   bool
	started time.Time
	// only is in the lines that are about the component, if others are in its log too.
	only []byte
	// tail is componentlog.Tail of the file, wherever it is.
	tail func(ctx context.Context, lines int, follow bool, w io.Writer) error
}

// Query selects lines of a log, as "kubectl logs" does.
type Query struct {
	// Lines from the end; negative: all.
	Lines  int
	Follow bool
	// Previous are the lines from before the component was restarted last.
	Previous bool
	// Since leaves out older lines, unless it is zero.
	Since time.Time
	// Timestamps are put before each line.
	Timestamps bool
	// Limit is the most bytes to write; 0 means that there is no limit.
	Limit int64
}

// ErrNoPrevious says that the component has not been restarted, as far as its log goes back.
var ErrNoPrevious = errors.New("no log exists from before the last restart")

var (
	errNotRunning = errors.New("the control plane is starting or stopping")
	errUnknown    = errors.New("when the component was started is not known yet; try again in a few seconds")
	errLimit      = errors.New("the limit is reached")
)

// Log returns the log of a pod in kube-system, false if it is not one of a component.
func (k *Keeper) Log(pod string) (Log, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	plan := k.plan(k.spec)
	i := slices.IndexFunc(plan, func(s shown) bool { return s.podName() == pod })
	if i < 0 {
		return Log{}, false
	}
	s, live := plan[i], k.live
	l := Log{Container: s.Name}
	if s.host {
		if live != nil {
			l.since(nodeState{components: live.Components()}.component(s.Name))
		}
		l.tail = func(ctx context.Context, lines int, follow bool, w io.Writer) error {
			return componentlog.Tail(ctx, k.o.LogFile(s.Name), lines, follow, w)
		}
		return l, true
	}
	file := s.Name
	if s.Name == dns {
		file, l.only = agent, []byte(" component=dns")
	}
	l.since(k.nodes[s.node.Name].component(file))
	l.tail = func(ctx context.Context, lines int, follow bool, w io.Writer) error {
		if live == nil {
			return errNotRunning
		}
		return live.Agents.Log(ctx, s.node, file, lines, follow, w)
	}
	return l, true
}

// since takes over when the component began its present run or, if it does not run, ended the last one. That is not the time
// from which it has been ready: by then it has written a part of this run's log.
func (l *Log) since(c cluster.Component, known bool) {
	l.known, l.started = known, c.Started
	if c.Started.IsZero() {
		l.started = c.Ended
	}
}

// Copy writes what q selects to w, and with q.Follow goes on with new lines until ctx ends, which is not an error then.
func (l Log) Copy(ctx context.Context, q Query, w io.Writer) error {
	if q.Previous {
		if !l.known {
			return errUnknown
		}
		q.Follow = false // nothing is added to it
	}
	var last time.Time
	if l.only != nil || q.Previous {
		// How many lines of the file are needed depends on how many of them are selected.
		var err error
		if q.Lines, last, err = l.reach(ctx, q); err != nil {
			return err
		}
	}
	left := q.Limit
	err := l.tail(ctx, q.Lines, q.Follow, componentlog.EachLine(func(line []byte) error {
		last = timeOf(line, last)
		if !l.selects(line, last, q) || last.Before(q.Since) {
			return nil
		}
		if q.Timestamps && !last.IsZero() {
			line = append(last.UTC().AppendFormat(nil, time.RFC3339Nano+" "), line...)
		}
		if q.Limit > 0 {
			line = line[:min(int64(len(line)), left)]
			left -= int64(len(line))
		}
		_, err := w.Write(line)
		if err == nil && q.Limit > 0 && left == 0 {
			err = errLimit
		}
		return err
	}))
	if errors.Is(err, errLimit) {
		return nil
	}
	return err
}

// reach is the number of lines, from the end of the file, that hold the last q.Lines selected ones, and the time of the first
// of them.
func (l Log) reach(ctx context.Context, q Query) (lines int, from time.Time, err error) {
	var last time.Time
	var at []int // the line numbers of selected ones
	var times []time.Time
	total := 0
	err = l.tail(ctx, -1, false, componentlog.EachLine(func(line []byte) error {
		last = timeOf(line, last)
		if l.selects(line, last, q) {
			at, times = append(at, total), append(times, last)
		}
		total++
		return nil
	}))
	switch {
	case err != nil:
		return 0, from, err
	case q.Previous && len(at) == 0:
		return 0, from, ErrNoPrevious
	case q.Lines < 0:
		return -1, from, nil
	case q.Lines == 0 || len(at) == 0:
		return 0, from, nil
	}
	i := max(0, len(at)-q.Lines)
	return total - at[i], times[i], nil
}

// selects reports whether a line is of the run and of the component that are wanted.
func (l Log) selects(line []byte, at time.Time, q Query) bool {
	if l.only != nil && !bytes.Contains(line, l.only) {
		return false
	}
	// The header of a line has no more than microseconds.
	return !q.Previous || !l.started.IsZero() && !at.IsZero() && at.Before(l.started.Truncate(time.Microsecond))
}

// timeOf is the time of a line; one without belongs to the one before it.
func timeOf(line []byte, last time.Time) time.Time {
	if t := componentlog.LineTime(line, time.Now()); !t.IsZero() {
		return t
	}
	return last
}
