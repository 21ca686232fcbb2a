package daemon

import (
	"context"
	"testing"

	"bonsai/bootstrap/cluster"
)

// Whoever follows learns the last event even if everything ends right after it.
func TestTheLastEventIsSent(t *testing.T) {
	for range 100 { // both ends are there at once, and either may be seen first
		s := newStory()
		s.add(cluster.Event{Step: "first"})
		ctx, cancel := context.WithCancel(t.Context())
		var got []string
		if err := s.follow(ctx, func(e cluster.Event) error {
			if got = append(got, e.Step); len(got) == 1 {
				s.end(cluster.Event{Step: "last"})
				cancel()
			}
			return nil
		}); err != nil || len(got) != 2 {
			t.Fatalf("got %q, %v", got, err)
		}
		cancel()
	}
}
