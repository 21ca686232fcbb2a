// Package feed publishes the questions that a DNS server has just answered.
//
// It keeps no history: without subscribers a question costs the server one atomic load, and nothing is stored. A
// subscriber that is too slow loses questions and receives their number; the server never waits for it. The tries of a
// search path, which would be most of the questions, are folded into the question that ended the search. Begin reading
// at Feed; the folding is Folder.
package feed

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bonsai/bootstrap/cluster"
)

// queueLength is how many questions wait for a slow subscriber, a quarter of a megabyte of them.
const queueLength = 1024

// Feed connects one server with its subscribers. Its methods may be called from any goroutine.
type Feed struct {
	node string

	mu sync.Mutex // held while the list below is replaced
	// list is nil while there are no subscribers. It is never changed, only replaced.
	list atomic.Pointer[[]*subscriber]
}

type subscriber struct {
	queue chan cluster.DNSQuery
	// dropped counts questions that found the queue full since the last one was sent.
	dropped atomic.Uint64
}

// New returns the feed of one node's server.
func New(node string) *Feed { return &Feed{node: node} }

// Active reports whether there are subscribers. The server calls it before it prepares a question for Publish.
func (f *Feed) Active() bool { return f.list.Load() != nil }

// Publish sends a question to all subscribers and returns at once. q's slices must not be changed afterwards.
func (f *Feed) Publish(q cluster.DNSQuery) {
	list := f.list.Load()
	if list == nil {
		return
	}
	q.Node = f.node
	for _, s := range *list {
		select {
		case s.queue <- q:
		default:
			s.dropped.Add(1)
		}
	}
}

// Subscribe calls send with every question that is answered from now on, one at a time, until ctx ends, which is not an
// error, or send fails. With fold the tries of search paths are folded, and are sent up to Hold later.
func (f *Feed) Subscribe(ctx context.Context, fold bool, send func(cluster.DNSQuery) error) error {
	s := &subscriber{queue: make(chan cluster.DNSQuery, queueLength)}
	f.change(func(list []*subscriber) []*subscriber { return append(list, s) })
	defer f.change(func(list []*subscriber) []*subscriber {
		return slices.DeleteFunc(list, func(other *subscriber) bool { return other == s })
	})
	emit := func(list []cluster.DNSQuery) error {
		for _, q := range list {
			// Questions are dropped when the queue is full, so there is always a later one that can carry their number.
			q.Dropped = s.dropped.Swap(0)
			if err := send(q); err != nil {
				return err
			}
		}
		return nil
	}
	var folder Folder
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var due <-chan time.Time
		if next, ok := folder.Next(); ok {
			timer.Reset(time.Until(next))
			due = timer.C
		}
		var err error
		select {
		case <-ctx.Done():
			return nil
		case q := <-s.queue:
			if fold {
				err = emit(folder.Add(time.Now(), q))
			} else {
				err = emit([]cluster.DNSQuery{q})
			}
		case now := <-due:
			err = emit(folder.Due(now))
		}
		if err != nil {
			return err
		}
	}
}

// change replaces the list of subscribers by the result of edit on a copy of it.
func (f *Feed) change(edit func([]*subscriber) []*subscriber) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []*subscriber
	if old := f.list.Load(); old != nil {
		list = slices.Clone(*old)
	}
	if list = edit(list); len(list) == 0 {
		f.list.Store(nil)
		return
	}
	f.list.Store(&list)
}
