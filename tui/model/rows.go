package model

import (
	"context"
	"maps"
	"slices"

	"bonsai/bootstrap/kube"
	"bonsai/tui/feed"
)

// Rows follows the objects of one type while somebody reads them, and keeps them. Several may read one Rows; each is
// notified of what changed.
type Rows struct {
	o     Options
	feed  *feed.Feed
	Query kube.RowQuery
	// Columns and All, the rows by UID, are changed by nobody else.
	Columns []kube.Column
	All     map[string]kube.Row
	// Synced says that All is complete; Err is why nothing comes at the moment.
	Synced  bool
	Err     error
	readers []RowReader
}

// RowReader is called for every change of Rows, after it was made.
type RowReader interface {
	// ColumnsChanged comes before rows with other columns.
	ColumnsChanged([]kube.Column)
	// RowsReset says that all rows are gone, to come again.
	RowsReset()
	RowsChanged(set []kube.Row, deleted []string)
	// ErrChanged says that Err has changed.
	ErrChanged()
}

// NewRows makes a store that follows nothing until somebody reads it.
func (c *Cluster) NewRows(q kube.RowQuery) *Rows {
	s := &Rows{o: c.o, Query: q, All: map[string]kube.Row{}}
	news := feed.NewBox(c.o.Hub, mergeBatches, s.apply)
	s.feed = feed.New(c.o.Hub, func(ctx context.Context, healthy func()) error {
		// Each run lists again; what it does not send again is gone.
		first := true
		return c.o.Source.WatchRows(ctx, q, func(b kube.RowBatch) error {
			healthy()
			b.Reset = b.Reset || first
			first = false
			news.Put(b)
			return nil
		})
	}, func(err error) {
		s.Err = err
		for _, r := range s.readers {
			r.ErrChanged()
		}
	})
	return s
}

// mergeBatches makes one batch of two that come after each other.
func mergeBatches(old, new kube.RowBatch) kube.RowBatch {
	if new.Reset {
		return new
	}
	if new.Columns == nil {
		new.Columns = old.Columns
	}
	new.Reset, new.Synced = old.Reset, old.Synced || new.Synced
	gone := map[string]bool{}
	for _, id := range new.Delete {
		gone[id] = true
	}
	for _, r := range new.Set {
		gone[r.UID] = false
	}
	newer := map[string]bool{}
	for _, r := range new.Set {
		newer[r.UID] = true
	}
	set := make([]kube.Row, 0, len(old.Set)+len(new.Set))
	for _, r := range old.Set {
		if !gone[r.UID] && !newer[r.UID] {
			set = append(set, r)
		}
	}
	deleted := new.Delete
	for _, id := range old.Delete {
		if !newer[id] {
			deleted = append(deleted, id)
		}
	}
	new.Set, new.Delete = append(set, new.Set...), deleted
	return new
}

func (s *Rows) apply(b kube.RowBatch) {
	if b.Reset {
		clear(s.All)
		s.Synced = false
		for _, r := range s.readers {
			r.RowsReset()
		}
	}
	if b.Columns != nil && !slices.Equal(b.Columns, s.Columns) {
		s.Columns = b.Columns
		for _, r := range s.readers {
			r.ColumnsChanged(s.Columns)
		}
	}
	for i := range b.Set {
		s.clean(&b.Set[i])
		s.All[b.Set[i].UID] = b.Set[i]
	}
	for _, id := range b.Delete {
		delete(s.All, id)
	}
	s.Synced = s.Synced || b.Synced
	for _, r := range s.readers {
		r.RowsChanged(b.Set, b.Delete)
	}
}

// clean makes the text of a row harmless.
func (s *Rows) clean(r *kube.Row) {
	clean := s.o.Clean
	r.Name, r.Namespace = clean(r.Name), clean(r.Namespace)
	r.Owner = kube.Object{Kind: clean(r.Owner.Kind), Name: clean(r.Owner.Name)}
	for i := range r.Cells {
		r.Cells[i] = clean(r.Cells[i])
	}
}

// Read adds a reader, which receives everything that is there. The first one starts to follow.
func (s *Rows) Read(r RowReader) {
	s.readers = append(s.readers, r)
	s.feed.Use()
	r.RowsReset()
	if s.Columns != nil {
		r.ColumnsChanged(s.Columns)
	}
	r.RowsChanged(slices.Collect(maps.Values(s.All)), nil)
}

// Unread takes a reader away. The last one ends following.
func (s *Rows) Unread(r RowReader) {
	s.readers = slices.DeleteFunc(s.readers, func(o RowReader) bool { return o == r })
	s.feed.Leave()
}
