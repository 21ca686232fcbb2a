package feed

import (
	"context"
	"errors"
	"time"
)

// Feed is something that is followed as long as somebody watches it. Only the owner calls its methods.
type Feed struct {
	hub *Hub
	// run follows until ctx ends; when it returns before that, it is restarted after a pause.
	run func(ctx context.Context)

	users int
	stop  context.CancelFunc
	done  chan struct{}
}

const (
	// retryFirst and retryMost are the pauses before something is followed again.
	retryFirst = 200 * time.Millisecond
	retryMost  = 2 * time.Second
)

// ErrEnded stands for the reason of something that ended without one.
var ErrEnded = errors.New("it ended")

// New makes a feed that nobody watches. follow runs in a goroutine and returns when its context ends or nothing more
// comes; it calls healthy when news arrive. After an error, and after an end without one, it is called again, later
// each time. state gets the error in the owner's goroutine, and nil when news arrive again.
func New(h *Hub, follow func(ctx context.Context, healthy func()) error, state func(error)) *Feed {
	f := &Feed{hub: h}
	trouble := NewBox(h, nil, state)
	f.run = func(ctx context.Context) {
		pause := retryFirst
		failing := false
		for {
			err := follow(ctx, func() {
				pause = retryFirst
				if failing {
					failing = false
					trouble.Put(nil)
				}
			})
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				err = ErrEnded
			}
			failing = true
			trouble.Put(err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
			pause = min(2*pause, retryMost)
		}
	}
	return f
}

// Use counts somebody in; the first one starts the feed.
func (f *Feed) Use() {
	f.users++
	if f.users == 1 {
		f.begin()
	}
}

// Users is how many look at it now.
func (f *Feed) Users() int { return f.users }

func (f *Feed) begin() {
	ctx, cancel := context.WithCancel(f.hub.ctx)
	before := f.done
	done := make(chan struct{})
	f.stop, f.done = cancel, done
	f.hub.Go(func() {
		defer close(done)
		if before != nil {
			<-before // its context has ended
		}
		f.run(ctx)
	})
}

// Again ends a pause before the next try, and the current run, and follows again at once.
func (f *Feed) Again() {
	if f.users > 0 {
		f.stop()
		f.begin()
	}
}

// Leave counts somebody out; the last one ends the feed, without waiting for that.
func (f *Feed) Leave() {
	if f.users--; f.users == 0 {
		f.stop()
	}
}
