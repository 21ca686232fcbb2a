package history

import (
	"sync"

	"bonsai/controlplane/observe/history/journal"
)

// maxWriters bounds how many writes are remembered whose change has not been recorded yet; it is a few seconds of a busy
// cluster, or all that happens before recording begins.
const maxWriters = 4096

// Writers remember who made which change, from the answer of etcd until it is recorded.
type Writers struct {
	mu    sync.Mutex // guards the rest
	by    map[int64]journal.Writer
	order []int64 // of the revisions, oldest first; some are gone from by
}

// Add remembers the writer of a revision: the first one, for a later one has changed nothing. The oldest is forgotten if
// there are too many.
func (w *Writers) Add(revision int64, writer journal.Writer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.by == nil {
		w.by = map[int64]journal.Writer{}
	}
	if _, ok := w.by[revision]; ok {
		return
	}
	if len(w.order) == maxWriters {
		delete(w.by, w.order[0])
		w.order = w.order[:copy(w.order, w.order[1:])]
	}
	w.by[revision] = writer
	w.order = append(w.order, revision)
}

// take fills in the writers of records, and forgets them and all of earlier revisions: those of changes that are not
// recorded.
func (w *Writers) take(records []journal.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	last := int64(0)
	for i, r := range records {
		if writer, ok := w.by[r.Revision]; ok {
			records[i].Writer = writer
		}
		last = max(last, r.Revision)
	}
	kept := w.order[:0]
	for _, revision := range w.order { // requests are answered in another order than etcd has written
		if revision <= last {
			delete(w.by, revision)
		} else {
			kept = append(kept, revision)
		}
	}
	w.order = kept
}
