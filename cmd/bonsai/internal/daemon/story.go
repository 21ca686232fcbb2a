package daemon

import (
	"context"
	"slices"
	"sync"

	"bonsai/bootstrap/cluster"
)

// story is what happened since the daemon began, until its start succeeded or failed.
type story struct {
	mu     sync.Mutex // guards the rest
	events []cluster.Event
	ended  bool
	// changed is closed and replaced with each event.
	changed chan struct{}
}

func newStory() story { return story{changed: make(chan struct{})} }

// add adds an event.
func (s *story) add(e cluster.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.take(e)
}

// end adds the last event.
func (s *story) end(e cluster.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.take(e)
}

func (s *story) take(e cluster.Event) {
	s.events = append(s.events, e)
	close(s.changed)
	s.changed = make(chan struct{})
}

// follow calls send with every event from the first on, and returns after the last, when ctx ends, or with send's error. What
// happened before ctx ended is sent: a daemon whose start fails ends at once.
func (s *story) follow(ctx context.Context, send func(cluster.Event) error) error {
	for sent, last := 0, false; ; {
		s.mu.Lock()
		fresh, ended, changed := slices.Clone(s.events[sent:]), s.ended, s.changed
		s.mu.Unlock()
		for _, e := range fresh {
			if err := send(e); err != nil {
				return err
			}
		}
		sent += len(fresh)
		if ended || last {
			return nil
		}
		select {
		case <-ctx.Done():
			last = true
		case <-changed:
		}
	}
}
