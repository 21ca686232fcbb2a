package dashboard

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"bonsai/bootstrap/kube"
)

// streamRows sends the rows of one type, and each change of them, as kube.RowBatch.
func (s *Server) streamRows(w http.ResponseWriter, q *request) {
	s.stream(w, q, func(ctx context.Context, out *stream) error {
		t, err := s.typeOf(ctx, q.query.Get("type"))
		if err != nil {
			return err
		}
		query := kube.RowQuery{Type: t, Namespace: q.query.Get("ns")}
		return s.o.Objects.WatchRows(ctx, query, func(b kube.RowBatch) error { return out.send("rows", b) })
	})
}

// errListed ends a watch of which only the list is wanted.
var errListed = errors.New("the list is complete")

// mostListed bounds a list that a page needs as a whole.
const mostListed = 20_000

// list returns the rows of one type as they are now.
func (s *Server) list(ctx context.Context, q kube.RowQuery) ([]kube.Row, error) {
	var rows []kube.Row
	err := s.o.Objects.WatchRows(ctx, q, func(b kube.RowBatch) error {
		if b.Reset {
			rows = nil
		}
		rows = append(rows, b.Set...)
		if b.Synced || len(rows) > mostListed {
			return errListed
		}
		return nil
	})
	if errors.Is(err, errListed) {
		err = nil
	}
	return rows, err
}

// eventsData is what the page events shows around its table.
type eventsData struct{ Filter, Source string }

func (s *Server) loadEvents(_ context.Context, q *request) (any, error) {
	return eventsData{Filter: q.query.Get("q"), Source: "/eventrows"}, nil
}

// streamEvents sends the Events of the cluster as rows, in the order of their columns here.
func (s *Server) streamEvents(w http.ResponseWriter, q *request) {
	columns := []kube.Column{
		{Name: q.words.T("last seen"), Time: true}, {Name: q.words.T("severity")}, {Name: q.words.T("reason")}, {Name: q.words.T("object")},
		{Name: q.words.T("message")}, {Name: q.words.T("count"), Numeric: true}, {Name: q.words.T("reported by")},
	}
	s.stream(w, q, func(ctx context.Context, out *stream) error {
		first := true
		return s.o.Objects.Events(ctx, func(lines []kube.EventLine) error {
			b := kube.RowBatch{Reset: first, Synced: first}
			if first {
				b.Columns = columns
			}
			first = false
			for _, l := range lines {
				b.Set = append(b.Set, eventRow(q.words, l))
			}
			return out.send("rows", b)
		})
	})
}

// eventRow is an Event as a row; Owner is what it is about.
func eventRow(w Words, l kube.EventLine) kube.Row {
	severity := w.T("normal")
	if l.Warning {
		severity = w.T("warning")
	}
	return kube.Row{
		UID: l.UID, Namespace: l.Namespace, Name: l.Object.Name, Created: l.Time, Owner: l.Object,
		Cells: []string{"", severity, l.Reason, l.Object.String(), l.Message, strconv.Itoa(l.Count), strings.TrimSpace(l.Source + " " + l.Node)},
	}
}
