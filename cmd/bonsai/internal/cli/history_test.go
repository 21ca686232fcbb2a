package cli

import (
	"context"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

func (b *scripted) History(_ context.Context, q cluster.HistoryQuery) (cluster.History, error) {
	return b.script.History, b.note(q)
}

func (b *scripted) Differences(_ context.Context, q cluster.DifferenceQuery) ([]cluster.Difference, error) {
	return b.script.Differences, b.note(q)
}

func (b *scripted) Revert(_ context.Context, r cluster.RevertRequest) (cluster.Reverted, error) {
	return b.script.Reverted, b.note(r)
}

func TestMoment(t *testing.T) {
	zone := time.FixedZone("", 2*60*60)
	now := time.Date(2026, 3, 4, 10, 0, 0, 0, zone)
	for text, want := range map[string]time.Time{
		"":                     {},
		"10m":                  now.Add(-10 * time.Minute),
		"0s":                   now,
		"09:30":                time.Date(2026, 3, 4, 9, 30, 0, 0, zone),
		"09:30:05":             time.Date(2026, 3, 4, 9, 30, 5, 0, zone),
		"10:01":                time.Date(2026, 3, 3, 10, 1, 0, 0, zone), // yesterday
		"2026-03-01 08:00":     time.Date(2026, 3, 1, 8, 0, 0, 0, zone),
		"2026-03-01 08:00:01":  time.Date(2026, 3, 1, 8, 0, 1, 0, zone),
		"2026-03-04T07:00:00Z": time.Date(2026, 3, 4, 9, 0, 0, 0, zone),
	} {
		if got, err := moment("--at", text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q is %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"x", "-1m", "25:00", "10", "2026-03-04 10:00:01", "2026-13-01 08:00"} {
		if got, err := moment("--at", text, now); fault.KindOf(err) != fault.Usage {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
}
