// Package feed carries news from the goroutines that follow a cluster to the one goroutine that owns what is shown. It
// knows neither a screen nor a cluster.
//
// A goroutine puts what it has into a Box, which merges it with what nobody has taken yet, and goes on. The Hub
// announces that there is something, at most once per pace; the owner then calls Drain, which empties the boxes. So an
// editor that holds the owner for an hour costs nothing but the merging, and a thousand changes a second cost ten
// frames.
//
// A Feed is something that is followed while somebody watches it, again after each failure. Start reading at New.
package feed

import (
	"context"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Hub connects boxes and goroutines with their owner.
type Hub struct {
	ctx    context.Context //nolint:containedctx // it is the life of the hub's own goroutines
	cancel func()
	wait   sync.WaitGroup
	crash  atomic.Pointer[Crash]

	mu    sync.Mutex // guards the rest
	dirty []receiver
	pace  time.Duration
	wake  chan struct{}
}

// Crash is a panic in a goroutine of a hub.
type Crash struct {
	Reason any
	Stack  string
}

// receiver is a box without its type. take hands over what was put in; it is called by the owner only.
type receiver interface{ take() }

// NewHub makes a hub whose goroutines end with ctx. pace is the least pause between two announcements.
func NewHub(ctx context.Context, pace time.Duration) *Hub {
	ctx, cancel := context.WithCancel(ctx)
	return &Hub{ctx: ctx, cancel: cancel, pace: pace, wake: make(chan struct{}, 1)}
}

// Context ends when the hub's goroutines have to end: with the context of NewHub, or after a panic in one of them.
func (h *Hub) Context() context.Context { return h.ctx }

// Go runs f in a goroutine that Wait waits for. A panic in it ends the hub's context instead of the process.
func (h *Hub) Go(f func()) {
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

// Wait returns when all goroutines of the hub have ended.
func (h *Hub) Wait() { h.wait.Wait() }

// Crash is the first panic of a goroutine, nil if there was none.
func (h *Hub) Crash() *Crash { return h.crash.Load() }

// Pump calls announce when there is news, until the hub's context ends. announce may block for as long as it likes.
func (h *Hub) Pump(announce func()) {
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-h.wake:
		}
		announce()
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

// SetPace sets the least pause between two announcements.
func (h *Hub) SetPace(d time.Duration) {
	h.mu.Lock()
	h.pace = d
	h.mu.Unlock()
}

// Drain empties all boxes into what they are for. Only the owner calls it.
func (h *Hub) Drain() {
	h.mu.Lock()
	dirty := h.dirty
	h.dirty = nil
	h.mu.Unlock()
	for _, r := range dirty {
		r.take()
	}
}

func (h *Hub) mark(r receiver) {
	h.mu.Lock()
	h.dirty = append(h.dirty, r)
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// Box holds what was put in and not taken yet.
type Box[T any] struct {
	hub   *Hub
	merge func(old, new T) T
	give  func(T)

	mu   sync.Mutex // guards the rest
	full bool
	held T
}

// NewBox makes a box. merge joins what nobody has taken with something newer, in the goroutine that puts; nil keeps the
// newer. give gets it, in the owner's goroutine.
func NewBox[T any](h *Hub, merge func(old, new T) T, give func(T)) *Box[T] {
	return &Box[T]{hub: h, merge: merge, give: give}
}

// Put may be called by any goroutine, and does not block.
func (b *Box[T]) Put(v T) {
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

func (b *Box[T]) take() {
	b.mu.Lock()
	v := b.held
	var zero T
	b.held, b.full = zero, false
	b.mu.Unlock()
	b.give(v)
}
