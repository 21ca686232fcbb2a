package netpolicy

import (
	"context"
	"sync"
)

// toggle is something that runs while it is wanted.
type toggle struct {
	mu      sync.Mutex // guards what follows
	wanted  bool
	changed chan struct{} // closed and replaced when wanted changes
}

func newToggle() *toggle { return &toggle{changed: make(chan struct{})} }

func (t *toggle) want(on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.wanted == on {
		return
	}
	t.wanted = on
	close(t.changed)
	t.changed = make(chan struct{})
}

func (t *toggle) state() (wanted bool, changed <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.wanted, t.changed
}

// run calls follow while it is wanted, each time with a context that ends when it is not any more, until ctx ends.
func (t *toggle) run(ctx context.Context, follow func(context.Context)) {
	for ctx.Err() == nil {
		wanted, changed := t.state()
		if !wanted {
			select {
			case <-ctx.Done():
			case <-changed:
			}
			continue
		}
		limited, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			follow(limited)
		}()
		select {
		case <-ctx.Done():
		case <-changed:
		}
		cancel()
		<-done
	}
}
