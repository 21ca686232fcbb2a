package cluster

import (
	"strings"
	"testing"
	"time"
)

func TestTheRecordOfRestartsIsBounded(t *testing.T) {
	var r Restarts
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 40 {
		reason := strings.Repeat("x", i/2) // each twice in a row
		r.Add(Restart{Last: begin.Add(time.Duration(i) * time.Minute), Reason: reason, Stack: strings.Repeat("s", 1<<20), Log: make([]string, 100)})
	}
	if r.Count != 40 || len(r.List) != maxRestarts {
		t.Fatalf("%d restarts and %d records, want 40 and %d", r.Count, len(r.List), maxRestarts)
	}
	newest := r.List[0]
	if newest.Reason != strings.Repeat("x", 19) || newest.Times != 2 || newest.Last.Sub(newest.First) != time.Minute {
		t.Errorf("the newest is %q, %d times from %s to %s", newest.Reason, newest.Times, newest.First, newest.Last)
	}
	if len(newest.Stack) > maxRestartStack || len(newest.Log) > maxRestartLines {
		t.Errorf("stack of %d bytes and %d lines", len(newest.Stack), len(newest.Log))
	}
}
