// Package history records what happens to the objects of a cluster, shows it, and brings objects back as they were.
//
// The record is made of etcd's own: one watch of all keys, without informers and without the API server. What it cannot
// know, who made a change, the API server's storage notes beside it (Wrote). Values are recorded as they are stored and
// read only when somebody asks. Because etcd keeps old versions for some minutes, what a process could not record any more
// before it was killed, the next one records when it starts.
//
// Package journal has the files. Begin reading at History; changes.go answers what has happened, differ.go how things were
// before, revert.go brings them back.
package history

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/wait"
	"bonsai/controlplane/observe/history/journal"
)

const (
	// pendingBytes is how many bytes of values are collected before they are written: similar ones compress well together.
	pendingBytes = 256 << 10
	// pendingTime is how long a change waits for others. If the process is killed meanwhile, the change is not lost, but who
	// made it is.
	pendingTime = 15 * time.Second
	// progressTime is how often the position is written if nothing was recorded. etcd keeps old versions for at least five
	// minutes: a process that starts must not find that those after the position are gone.
	progressTime = 2 * time.Minute
	// upToDateLimit bounds how long a question waits for what etcd has written before it.
	upToDateLimit = 2 * time.Second
	// askAgain is how soon etcd is asked again whether that is all: it does not answer while it sends older changes.
	askAgain = 50 * time.Millisecond
)

// ErrCompacted means that etcd does not have the versions any more.
var ErrCompacted = errors.New("etcd no longer has these versions")

// Event is a change of a key.
type Event struct {
	Key              string
	Value            []byte // nil if it was deleted
	Revision         int64
	Created, Deleted bool
}

// Batch are changes, in order.
type Batch struct {
	Events []Event
	// Revision is up to which one nothing else has changed.
	Revision int64
}

// Store is etcd.
type Store interface {
	// Revision is the newest one.
	Revision() int64
	// Watch sends the changes after a revision, without those of keys that recorded does not want, until ctx ends; it does
	// not close the channel. Each value from progress asks for a Batch that has only the revision; there is no answer while
	// older changes are still to come. The error is ErrCompacted, or nil once ctx has ended.
	Watch(ctx context.Context, after int64, recorded func(key []byte) bool, progress <-chan struct{}, to chan<- Batch) error
	// Value returns the value of a key at a revision; nil if there was none. The error is ErrCompacted if that is not known.
	Value(key string, revision int64) ([]byte, error)
}

// Options are what a History needs.
type Options struct {
	// Cluster is its name.
	Cluster string
	// Dir is the folder of the journal, Limits bound it.
	Dir    string
	Limits journal.Limits
	Store  Store
	// Client is the configuration of a client with the rights of the cluster's administrator, for types and reverts.
	Client *rest.Config
	Log    *slog.Logger
	// Scale multiplies the limits on waits.
	Scale wait.Scale
}

// History is the record of one cluster. It is safe for concurrent use.
type History struct {
	Options
	journal   *journal.Journal
	decoder   *decoder
	writers   *Writers
	progress  chan struct{} // asks for the revision up to which everything has come
	typesSeen typeCache

	mu      sync.Mutex // guards the rest
	pending []journal.Record
	size    int             // of the values in pending
	keys    map[string]bool // of pending
	// seen is the revision up to which everything is in the journal or pending; changed is closed and replaced with it.
	seen    int64
	changed chan struct{}
	// caughtUp is the revision at which recording began: earlier changes are those that nobody has recorded in time.
	caughtUp int64
	newest   time.Time // of the changes
	failing  bool      // to write
}

// Open opens the record in o.Dir. writers has collected who wrote since before the API server served. The caller calls Run,
// and Close afterwards.
func Open(o Options, writers *Writers) (*History, error) {
	d, err := newDecoder()
	if err != nil {
		return nil, err
	}
	j, err := journal.Open(o.Dir, o.Limits)
	if err != nil {
		return nil, err
	}
	return &History{
		Options: o, journal: j, decoder: d, writers: writers, progress: make(chan struct{}, 1), keys: map[string]bool{}, changed: make(chan struct{}),
		newest: j.Newest(),
	}, nil
}

// Close closes the files.
func (h *History) Close() error { return h.journal.Close() }

// Run records until ctx ends, and then what has happened until that moment. It goes on where the last process has stopped.
func (h *History) Run(ctx context.Context) {
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	for again := true; again; {
		batches, ended := make(chan Batch), make(chan error, 1)
		after := h.begin()
		go func() { ended <- h.Store.Watch(watching, after, recorded, h.progress, batches) }()
		again = h.collect(ctx, batches, ended, stop)
	}
}

// begin returns the revision after which recording goes on.
func (h *History) begin() int64 {
	now, position := h.Store.Revision(), h.journal.Position()
	h.mu.Lock()
	defer h.mu.Unlock()
	if position == 0 || position > now { // nothing is recorded, or the data of etcd was replaced by older data
		h.gap(now)
		position = now
	}
	h.seen, h.caughtUp = position, now
	return position
}

// gap notes that changes up to a revision may be missing. h.mu is held.
func (h *History) gap(revision int64) {
	h.pending, h.size = nil, 0
	clear(h.keys)
	h.journal.Break(revision)
	h.written(h.journal.Append(nil, revision, time.Now()))
}

// collect records what comes in batches, until ctx ends or the watch does. It reports whether there is to be another watch.
func (h *History) collect(ctx context.Context, batches <-chan Batch, ended <-chan error, stop context.CancelFunc) (again bool) {
	flush := time.NewTimer(0)
	<-flush.C
	defer flush.Stop()
	progress := time.NewTicker(progressTime)
	defer progress.Stop()
	for {
		select {
		case b := <-batches:
			if h.add(b, time.Now()) {
				flush.Reset(pendingTime)
			}
		case <-flush.C:
			h.flush()
		case <-progress.C:
			h.askProgress()
		case err := <-ended:
			if !errors.Is(err, ErrCompacted) {
				h.Log.Error("changes of objects are not recorded any more", "err", err)
				return false
			}
			h.Log.Info("the history has a gap: etcd no longer has all versions since the last record", "position", h.journal.Position())
			h.mu.Lock()
			h.gap(h.Store.Revision())
			h.mu.Unlock()
			return true
		case <-ctx.Done():
			h.finish(batches, ended, stop)
			return false
		}
	}
}

// finish records what is still to come, and ends the watch.
func (h *History) finish(batches <-chan Batch, ended <-chan error, stop context.CancelFunc) {
	target, limit, again := h.Store.Revision(), time.NewTimer(h.Scale.Of(upToDateLimit)), time.NewTicker(askAgain)
	defer limit.Stop()
	defer again.Stop()
	h.askProgress()
	for h.position() < target {
		select {
		case b := <-batches:
			h.add(b, time.Now())
			continue
		case <-again.C:
			h.askProgress()
			continue
		case err := <-ended:
			h.Log.Debug("the watch that the history is made of ended before it was asked to", "err", err)
			stop()
			h.flush()
			return
		case <-limit.C: // the next process records the rest
		}
		break
	}
	stop()
	for {
		select {
		case b := <-batches:
			h.add(b, time.Now())
			continue
		case err := <-ended:
			h.Log.Debug("the watch that the history is made of has ended", "err", err)
		}
		break
	}
	h.flush()
}

func (h *History) position() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seen
}

func (h *History) askProgress() {
	select {
	case h.progress <- struct{}{}:
	default: // it was asked for already
	}
}

// add takes changes over, and reports whether they are the first that wait to be written.
func (h *History) add(b Batch, now time.Time) (first bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	none := len(h.pending) == 0
	for _, e := range b.Events {
		if _, ok := identify(e.Key); ok {
			h.record(e, now)
		}
	}
	h.seen = max(h.seen, b.Revision)
	close(h.changed)
	h.changed = make(chan struct{})
	if h.size > pendingBytes {
		h.write()
	}
	if len(b.Events) == 0 && len(h.pending) == 0 && h.seen-h.journal.Position() > 0 {
		h.written(h.journal.Append(nil, h.seen, now))
	}
	return none && len(h.pending) > 0
}

// record adds one change. h.mu is held.
func (h *History) record(e Event, now time.Time) {
	h.typesSeen.seen(e.Key, now)
	r := journal.Record{Key: e.Key, Revision: e.Revision, Time: now, Op: journal.Updated, Value: e.Value}
	switch {
	case e.Deleted:
		r.Op, r.Value = journal.Deleted, nil
	case e.Created:
		r.Op = journal.Created
	}
	if !e.Created && !h.keys[e.Key] && !h.journal.Known(e.Key) {
		var err error
		if r.Before, err = h.Store.Value(e.Key, e.Revision-1); err != nil && !errors.Is(err, ErrCompacted) {
			h.Log.Warn("the value before a change is not recorded", "key", e.Key, "err", err)
		}
	}
	if e.Revision <= h.caughtUp { // nobody has seen when it happened
		if t := h.timeOf(r); !t.IsZero() && t.Before(now) {
			r.Time = t
		}
	}
	if r.Time.Before(h.newest) {
		r.Time = h.newest
	}
	h.newest = r.Time
	h.pending = append(h.pending, r)
	h.size += len(r.Value) + len(r.Before)
	h.keys[e.Key] = true
}

// timeOf is what an object itself says about the time of its last change; zero if nothing.
func (h *History) timeOf(r journal.Record) time.Time {
	o, err := h.decoder.decode(r.Value)
	if err != nil || o == nil {
		return time.Time{}
	}
	_, at := manager(o)
	if created, err := time.Parse(time.RFC3339, o.text("metadata", "creationTimestamp")); err == nil && created.After(at) {
		at = created
	}
	return at
}

// flush writes what is pending.
func (h *History) flush() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.write()
}

// write is flush; h.mu is held.
func (h *History) write() {
	if len(h.pending) == 0 && h.seen <= h.journal.Position() {
		return
	}
	h.writers.take(h.pending)
	err := h.journal.Append(h.pending, h.seen, time.Now())
	h.pending, h.size = nil, 0
	clear(h.keys)
	h.written(err)
	if err != nil {
		h.journal.Break(h.seen)
	}
}

// written logs the first of several failures, and that there are no more. h.mu is held.
func (h *History) written(err error) {
	if failed := err != nil; failed != h.failing {
		h.failing = failed
		if failed {
			h.Log.Warn("the history has a gap, for it cannot be written", "err", err)
		} else {
			h.Log.Info("the history can be written again")
		}
	}
}

// upToDate returns once everything that etcd has written until now is in the journal; otherwise the error is the fault
// Timeout.
func (h *History) upToDate(ctx context.Context) error {
	ctx, cancel := h.Scale.Limit(ctx, upToDateLimit, "the newest changes")
	defer cancel()
	again := time.NewTicker(askAgain)
	defer again.Stop()
	for target := h.Store.Revision(); ; {
		h.mu.Lock()
		changed, done := h.changed, h.seen >= target
		if done && len(h.pending) > 0 {
			h.write()
		}
		h.mu.Unlock()
		if done {
			return nil
		}
		h.askProgress()
		select {
		case <-changed:
		case <-again.C:
		case <-ctx.Done():
			return fault.New(fault.Timeout, "read the history", context.Cause(ctx))
		}
	}
}
