package tui

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"bonsai/bootstrap/kube"
	"bonsai/tui/feed"
	"bonsai/tui/grid"
	"bonsai/tui/paint"
)

// rowStore follows the objects of one type and keeps them as rows. Several pages may look at one store; each is told
// what changed. It belongs to the program's goroutine.
type rowStore struct {
	u       *ui
	query   kube.RowQuery
	feed    *feed.Feed
	columns []kube.Column
	rows    map[string]kube.Row
	synced  bool
	err     error // why nothing comes at the moment
	readers []rowReader
}

// rowReader is told of every change of a store, after it was made.
type rowReader interface {
	// columnsChanged comes before rows with other columns.
	columnsChanged([]kube.Column)
	// rowsReset says that all rows are gone, to come again.
	rowsReset()
	rowsChanged(set []kube.Row, deleted []string)
	storeState()
}

func newRowStore(u *ui, q kube.RowQuery) *rowStore {
	s := &rowStore{u: u, query: q, rows: map[string]kube.Row{}}
	news := feed.NewBox(u.hub, mergeBatches, s.apply)
	s.feed = feed.New(u.hub, func(ctx context.Context, healthy func()) error {
		// Each run lists anew; what it does not tell again is gone.
		first := true
		return u.session.WatchRows(ctx, q, func(b kube.RowBatch) error {
			healthy()
			b.Reset = b.Reset || first
			first = false
			news.Put(b)
			return nil
		})
	}, func(err error) {
		s.err = err
		for _, r := range s.readers {
			r.storeState()
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

func (s *rowStore) apply(b kube.RowBatch) {
	if b.Reset {
		clear(s.rows)
		s.synced = false
		for _, r := range s.readers {
			r.rowsReset()
		}
	}
	if b.Columns != nil && !slices.Equal(b.Columns, s.columns) {
		s.columns = b.Columns
		for _, r := range s.readers {
			r.columnsChanged(s.columns)
		}
	}
	for i := range b.Set {
		cleanRow(&b.Set[i])
		s.rows[b.Set[i].UID] = b.Set[i]
	}
	for _, id := range b.Delete {
		delete(s.rows, id)
	}
	s.synced = s.synced || b.Synced
	for _, r := range s.readers {
		r.rowsChanged(b.Set, b.Delete)
	}
}

// read adds a reader, who is told all that is there.
func (s *rowStore) read(r rowReader) {
	s.readers = append(s.readers, r)
	s.feed.Use()
	r.rowsReset()
	if s.columns != nil {
		r.columnsChanged(s.columns)
	}
	r.rowsChanged(slices.Collect(maps.Values(s.rows)), nil)
}

// unread takes a reader away.
func (s *rowStore) unread(r rowReader) {
	s.readers = slices.DeleteFunc(s.readers, func(o rowReader) bool { return o == r })
	s.feed.Leave()
}

// cleanRow makes the text of a row harmless.
func cleanRow(r *kube.Row) {
	r.Name, r.Namespace, r.Owner = paint.Clean(r.Name), paint.Clean(r.Namespace), cleanObject(r.Owner)
	for i := range r.Cells {
		r.Cells[i] = paint.Clean(r.Cells[i])
	}
}

// rowState is what the cells of an object say of how it does. It knows the words of kubectl's columns, of whatever
// type: STATUS, READY, and the phases and conditions of most CRDs.
func rowState(columns []kube.Column, r *kube.Row) paint.State {
	if r.Deleting {
		return paint.StateEnding
	}
	state := paint.StateNone
	for i, c := range columns {
		if i >= len(r.Cells) {
			break
		}
		switch strings.ToLower(c.Name) {
		case "status", "phase", "state":
			if s := wordState(r.Cells[i]); s > state || s == paint.StateFail {
				state = s
			}
		case "ready", "available", "synced", "established":
			s := readyState(r.Cells[i])
			if state == paint.StateNone || state == paint.StateOK && s == paint.StateWarn {
				state = s
			}
		}
	}
	if r.Cordoned && state == paint.StateOK {
		return paint.StateWarn
	}
	return state
}

// wordState reads one word of a status column.
func wordState(word string) paint.State {
	first, _, _ := strings.Cut(word, ",")
	switch first {
	case "":
		return paint.StateNone
	case "Running", "Active", "Bound", "Ready", "Available", "Healthy", "Complete", "True", "Established", "Approved", "Deployed":
		return paint.StateOK
	case "Completed", "Succeeded", "Released", "Suspended", "Terminated":
		return paint.StateOff
	case "Terminating":
		return paint.StateEnding
	case "Pending", "NotReady", "Unknown", "Waiting", "SchedulingGated", "Progressing":
		return paint.StateWarn
	case "ContainerCreating", "PodInitializing", "Creating", "Updating", "Provisioning", "Upgrading":
		return paint.StateBusy
	}
	if strings.HasPrefix(first, "Init:") && !strings.ContainsAny(first[5:], "BCE") {
		return paint.StateBusy // Init:0/1
	}
	for _, bad := range []string{"Err", "BackOff", "Fail", "OOM", "Evicted", "Invalid", "Lost", "False", "Degraded", "Unschedulable", "DeadlineExceeded"} {
		if strings.Contains(first, bad) {
			return paint.StateFail
		}
	}
	return paint.StateNone
}

// readyState reads "1/2", "True" or a number of ready things.
func readyState(text string) paint.State {
	if have, want, ok := strings.Cut(text, "/"); ok {
		h, err1 := strconv.Atoi(have)
		w, err2 := strconv.Atoi(want)
		switch {
		case err1 != nil || err2 != nil:
			return paint.StateNone
		case h < w:
			return paint.StateWarn
		}
		return paint.StateOK
	}
	switch text {
	case "True", "true":
		return paint.StateOK
	case "False", "false":
		return paint.StateWarn
	}
	return paint.StateNone
}

// gridColumns are the columns of a table as the grid wants them; with the namespace before them where all are shown.
func gridColumns(columns []kube.Column, namespace bool) []grid.Column {
	var list []grid.Column
	if namespace {
		list = append(list, grid.Column{Title: "Namespace", Drop: 3, Min: 7, Max: 24})
	}
	for i, c := range columns {
		g := grid.Column{Title: c.Name, Wide: c.Wide, Max: 48, Drop: 4 + i}
		switch {
		case strings.EqualFold(c.Name, "name"):
			g.Drop, g.Min, g.Max = 0, 14, 0
		case strings.EqualFold(c.Name, "status"), strings.EqualFold(c.Name, "ready"):
			g.Drop = 1
			g.Min = 5
		case strings.EqualFold(c.Name, "age") || c.Time:
			g.Kind, g.Drop = grid.Age, 2
		case c.Numeric:
			g.Kind = grid.Number
		}
		list = append(list, g)
	}
	return list
}

// gridItem is a row as an item of the grid.
func gridItem(columns []kube.Column, r kube.Row, namespace bool) grid.Item {
	it := grid.Item{
		ID: r.UID, Key: r.Namespace + "/" + r.Name, Cells: r.Cells, Time: r.Created, Labels: r.Labels, State: rowState(columns, &r), Data: r,
	}
	role := it.State.Role()
	roles := make([]paint.Role, 0, len(r.Cells)+1)
	if namespace {
		it.Cells = append([]string{r.Namespace}, r.Cells...)
		roles = append(roles, paint.Dim)
	}
	for _, c := range columns {
		switch strings.ToLower(c.Name) {
		case "status", "phase", "state":
			roles = append(roles, role)
		default:
			roles = append(roles, paint.Plain)
		}
	}
	it.Roles = roles
	return it
}
