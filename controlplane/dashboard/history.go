package dashboard

import (
	"context"
	"strings"
	"unicode/utf8"

	"bonsai/bootstrap/cluster"
)

const (
	// mostChanges is how many changes a page shows.
	mostChanges = 200
	// longestValue is how much of a field's value is shown.
	longestValue = 200
)

// historyData is what the page history shows, and a part of an object's.
type historyData struct {
	cluster.History
	Entries []changeView
	// Namespace and Type are what the user selected.
	Namespace, Type string
}

// changeView is one change.
type changeView struct {
	cluster.Change
	Where  string
	Fields []fieldView
	Rest   int // fields that are not shown
}

// fieldView is a field that changed.
type fieldView struct{ Path, Before, After string }

// mostFields is how many fields of a change are shown.
const mostFields = 12

func historyOf(h cluster.History) historyData {
	d := historyData{History: h}
	for _, c := range h.Changes {
		v := changeView{Change: c, Where: objectPath(typeName(c.Resource, groupOf(c.APIVersion)), c.Namespace, c.Name)}
		for i, f := range c.Fields {
			if i == mostFields {
				v.Rest = len(c.Fields) - i
				break
			}
			v.Fields = append(v.Fields, fieldView{f.Path, short(string(f.Before)), short(string(f.After))})
		}
		d.Entries = append(d.Entries, v)
	}
	return d
}

// groupOf is the group of an apiVersion, empty for the core group.
func groupOf(apiVersion string) string {
	group, _, ok := strings.Cut(apiVersion, "/")
	if !ok {
		return ""
	}
	return group
}

// typeName is how an address names a type: "pods", "deployments.apps".
func typeName(resource, group string) string {
	if group == "" {
		return resource
	}
	return resource + "." + group
}

// short is a text of bounded length.
func short(text string) string {
	if utf8.RuneCountInString(text) <= longestValue {
		return text
	}
	return string([]rune(text)[:longestValue]) + "…"
}

func (s *Server) loadHistory(ctx context.Context, q *request) (any, error) {
	query := cluster.HistoryQuery{Limit: mostChanges, ObjectQuery: cluster.ObjectQuery{Type: q.query.Get("type"), Namespace: q.query.Get("ns")}}
	h, err := s.o.Cluster.History(ctx, query)
	if err != nil {
		return nil, err
	}
	d := historyOf(h)
	d.Namespace, d.Type = query.Namespace, query.Type
	return d, nil
}

func lineOfHistory(q *request) cluster.Command {
	c := cluster.Bonsai("history")
	if ns := q.query.Get("ns"); ns != "" {
		c = c.With("-n", ns)
	}
	return c
}
