// Package idle wakes a paused cluster for whoever uses it, and pauses one that nobody has used for some time.
//
// It knows when the cluster is used (Keeper.Use, called for each request of a user) and whether it is paused
// (Keeper.SetPaused, called by what pauses and unpauses it, whoever asked for that). Pausing and unpausing themselves are
// functions that it is given. Begin reading at Keeper.
package idle

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"bonsai/bootstrap/wait"
)

// Options are what a Keeper needs.
type Options struct {
	// Paused says that the cluster is paused at the beginning; After is as in SetAfter.
	Paused bool
	After  time.Duration
	// Pause and Unpause make the cluster so, and return when it is. They cause a call of SetPaused.
	Pause, Unpause func(context.Context) error
	// Limit bounds Unpause; Scale multiplies it.
	Limit time.Duration
	Scale wait.Scale
	Log   *slog.Logger
}

// Keeper is safe for concurrent use. Its zero value is not useful; see New.
type Keeper struct {
	o Options
	// life ends with Close.
	life context.Context //nolint:containedctx // that of attempts to wake the cluster, which outlive the call that begins them
	end  context.CancelFunc

	mu     sync.Mutex // guards the rest
	paused bool
	after  time.Duration
	// using are the uses that have not ended; last is when one did, or when the cluster became ready or was woken.
	using int
	last  time.Time
	// waking is the attempt to wake the cluster that is under way, nil if there is none.
	waking *waking
	// changed is closed and replaced whenever it may be time for something else.
	changed chan struct{}
	work    sync.WaitGroup
}

// waking is one attempt to unpause a cluster.
type waking struct {
	done chan struct{} // closed at its end; err is set then
	err  error
}

// errClosed is why a cluster is not woken any more.
var errClosed = errors.New("the control plane is stopping")

// New returns a Keeper of a cluster that is used now. The caller closes it.
func New(o Options) *Keeper {
	k := &Keeper{o: o, paused: o.Paused, after: o.After, last: time.Now(), changed: make(chan struct{})}
	k.life, k.end = context.WithCancel(context.Background())
	return k
}

// PauseIdle is SetPaused(true) for a pause that Run has asked for; it refuses if somebody has used the cluster since.
func (k *Keeper) PauseIdle() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.using > 0 || time.Since(k.last) < k.after {
		return false
	}
	k.paused = true
	k.notify()
	return true
}

// Use says that somebody begins to use the cluster, and returns when it is not paused. It wakes the cluster if it is, which all
// uses that begin meanwhile share. The caller calls done when the use ends; until then nobody pauses the cluster for idleness.
// If the cluster cannot be woken, or ctx ends before it is, there is an error and no done. what says who does what, for the log.
func (k *Keeper) Use(ctx context.Context, what string) (done func(), err error) {
	k.mu.Lock()
	k.using++
	w := k.wake(what)
	if w == nil && k.paused {
		err = errClosed
	}
	k.mu.Unlock()
	if w != nil {
		select {
		case <-w.done:
			err = w.err
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	if err != nil {
		k.leave()
		return nil, err
	}
	return sync.OnceFunc(k.leave), nil
}

// leave is the end of a use.
func (k *Keeper) leave() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.using--
	k.last = time.Now()
}

// wake begins to wake a paused cluster, unless that is under way; nil if it is not paused, or the Keeper closed. k.mu is held.
func (k *Keeper) wake(what string) *waking {
	if !k.paused || k.waking != nil || k.life.Err() != nil {
		return k.waking
	}
	w := &waking{done: make(chan struct{})}
	k.waking = w
	k.work.Go(func() {
		began := time.Now()
		// Whoever asked first may give up, and others wait.
		ctx, cancel := k.o.Scale.Limit(k.life, k.o.Limit, "the cluster to wake")
		defer cancel()
		w.err = k.o.Unpause(ctx)
		if w.err != nil {
			k.o.Log.Warn("the paused cluster cannot be woken", "for", what, "err", w.err)
		} else {
			k.o.Log.Info("the paused cluster was woken", "for", what, "took", time.Since(began).Round(time.Millisecond))
		}
		k.mu.Lock()
		k.waking = nil
		k.mu.Unlock()
		close(w.done)
	})
	return w
}

// SetPaused says what the cluster is from now on.
func (k *Keeper) SetPaused(paused bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.paused, k.last = paused, time.Now()
	k.notify()
}

// SetAfter says after how long without a use the cluster is paused; 0: never.
func (k *Keeper) SetAfter(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.after != d {
		k.after, k.last = d, time.Now()
		k.notify()
	}
}

// notify has Run look again. k.mu is held.
func (k *Keeper) notify() {
	close(k.changed)
	k.changed = make(chan struct{})
}

// Run pauses the cluster whenever nobody has used it for long enough, until ctx ends. After an attempt that fails, it waits as
// long again.
func (k *Keeper) Run(ctx context.Context) {
	for ctx.Err() == nil {
		left, changed := k.left()
		if left != 0 {
			var due <-chan time.Time
			if left > 0 {
				due = time.After(left)
			}
			select {
			case <-ctx.Done():
			case <-changed:
			case <-due:
			}
			continue
		}
		k.o.Log.Info("nobody uses the cluster, pausing it")
		if err := k.o.Pause(ctx); err != nil && ctx.Err() == nil {
			k.o.Log.Warn("the idle cluster cannot be paused", "err", err)
		}
		k.mu.Lock()
		k.last = time.Now()
		k.mu.Unlock()
	}
}

// left is how long it takes until the cluster may have to be paused, 0 if it has to be now; less than 0 means that this is not
// foreseen until changed is closed.
func (k *Keeper) left() (_ time.Duration, changed <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.paused || k.after == 0:
		return -1, k.changed
	case k.using > 0: // its end is not before now
		return k.after, k.changed
	}
	return max(0, k.after-time.Since(k.last)), k.changed
}

// Close ends an attempt to wake the cluster, and waits for that. After it, none is begun: uses of a paused cluster fail.
func (k *Keeper) Close() {
	k.mu.Lock() // nobody begins one beside
	k.end()
	k.mu.Unlock()
	k.work.Wait()
}
