package tui

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

// hub carries news from goroutines to the screen. A goroutine puts what it has into a box, which merges it with what
// nobody has taken yet, and goes on. One pump tells the program that there is something, at most once per pace; the
// program then empties the boxes. So an editor that holds the program for an hour costs nothing but the merging, and a
// thousand changes a second cost ten frames.
type hub struct {
	ctx  context.Context
	wait sync.WaitGroup // all goroutines of the UI

	crash  atomic.Pointer[Crash]
	cancel func()

	mu    sync.Mutex // guards the rest
	dirty []receiver
	pace  time.Duration
	wake  chan struct{}
}

// receiver is a box without its type. take hands over what was put in; it is called by the program only.
type receiver interface{ take() }

const (
	// calmPace is the pause between two frames that data cause, livePace that while a log is followed.
	calmPace = 100 * time.Millisecond
	livePace = 33 * time.Millisecond
)

// frameMsg says that boxes have something.
type frameMsg struct{}

func newHub(ctx context.Context) *hub {
	ctx, cancel := context.WithCancel(ctx)
	return &hub{ctx: ctx, cancel: cancel, pace: calmPace, wake: make(chan struct{}, 1)}
}

// spawn runs f in a goroutine that Run waits for. A panic in it ends the UI in order, with the terminal given back.
func (h *hub) spawn(f func()) {
	h.wait.Go(func() {
		defer func() {
			if r := recover(); r != nil {
				h.crash.CompareAndSwap(nil, &Crash{r, string(debug.Stack())})
				h.cancel()
			}
		}()
		f()
	})
}

// pump tells send of news until the hub's context ends. send may block for as long as it likes.
func (h *hub) pump(send func(tea.Msg)) {
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-h.wake:
		}
		send(frameMsg{})
		h.mu.Lock()
		pace := h.pace
		h.mu.Unlock()
		select {
		case <-h.ctx.Done():
			return
		case <-time.After(pace):
		}
	}
}

// setPace sets the pause between frames.
func (h *hub) setPace(d time.Duration) {
	h.mu.Lock()
	h.pace = d
	h.mu.Unlock()
}

// drain empties all boxes into their owners. Only the program calls it.
func (h *hub) drain() {
	h.mu.Lock()
	dirty := h.dirty
	h.dirty = nil
	h.mu.Unlock()
	for _, r := range dirty {
		r.take()
	}
}

func (h *hub) mark(r receiver) {
	h.mu.Lock()
	h.dirty = append(h.dirty, r)
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// box holds what was put in and not taken yet.
type box[T any] struct {
	hub   *hub
	merge func(old, new T) T
	give  func(T)

	mu   sync.Mutex // guards the rest
	full bool
	held T
}

// newBox makes a box. merge joins what nobody has taken with something newer; nil keeps the newer. give is called by
// the program.
func newBox[T any](h *hub, merge func(old, new T) T, give func(T)) *box[T] {
	return &box[T]{hub: h, merge: merge, give: give}
}

func (b *box[T]) put(v T) {
	b.mu.Lock()
	was := b.full
	if was && b.merge != nil {
		v = b.merge(b.held, v)
	}
	b.full, b.held = true, v
	b.mu.Unlock()
	if !was {
		b.hub.mark(b)
	}
}

func (b *box[T]) take() {
	b.mu.Lock()
	v := b.held
	var zero T
	b.held, b.full = zero, false
	b.mu.Unlock()
	b.give(v)
}

// feed is something that is followed as long as somebody looks at it. Only the program calls its methods.
type feed struct {
	hub *hub
	// run follows until ctx ends; when it ends before that, it is run again after a pause.
	run func(ctx context.Context) error

	users int
	stop  context.CancelFunc
	done  chan struct{}
}

const (
	// retryFirst and retryMost are the pauses before a feed is followed again.
	retryFirst = 200 * time.Millisecond
	retryMost  = 2 * time.Second
)

var errFeedEnded = errors.New("it ended")

// newFeed makes a feed that nobody looks at. run calls well when news come, which ends the story of an error.
func newFeed(h *hub, run func(ctx context.Context, well func()) error, state func(error)) *feed {
	f := &feed{hub: h}
	trouble := newBox(h, nil, state)
	f.run = func(ctx context.Context) error {
		pause := retryFirst
		ill := false
		for {
			err := run(ctx, func() {
				pause = retryFirst
				if ill {
					ill = false
					trouble.put(nil)
				}
			})
			if ctx.Err() != nil {
				return nil
			}
			if err == nil {
				err = errFeedEnded
			}
			ill = true
			trouble.put(err)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(pause):
			}
			pause = min(2*pause, retryMost)
		}
	}
	return f
}

// use counts somebody in; the first one starts the feed.
func (f *feed) use() {
	f.users++
	if f.users == 1 {
		f.begin()
	}
}

func (f *feed) begin() {
	ctx, cancel := context.WithCancel(f.hub.ctx)
	before := f.done
	done := make(chan struct{})
	f.stop, f.done = cancel, done
	f.hub.spawn(func() {
		defer close(done)
		if before != nil {
			<-before // the run before has been told to end
		}
		_ = f.run(ctx)
	})
}

// again ends a pause before the next try, and whatever runs: it is followed anew at once.
func (f *feed) again() {
	if f.users > 0 {
		f.stop()
		f.begin()
	}
}

// leave counts somebody out; the last one ends the feed, without waiting for that.
func (f *feed) leave() {
	if f.users--; f.users == 0 {
		f.stop()
	}
}
