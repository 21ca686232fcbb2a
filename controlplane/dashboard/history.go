package dashboard

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"time"
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
	// Slider is where in the past the page is; nil on an object's page. Since is how the cluster differs from that.
	Slider *sliderData
	Since  []differenceView
}

// changeView is one change.
type changeView struct {
	cluster.Change
	Where  string
	Fields []fieldView
	Rest   int // fields that are not shown
	// Was is where the object is seen as it was after the change, of a deletion as it was before.
	Was string
}

// fieldView is a field that changed.
type fieldView struct{ Path, Before, After string }

// mostFields is how many fields of a change are shown.
const mostFields = 12

func historyOf(h cluster.History) historyData {
	d := historyData{History: h}
	for _, c := range h.Changes {
		id := typeName(c.Resource, groupOf(c.APIVersion))
		v := changeView{Change: c, Where: objectPath(id, c.Namespace, c.Name)}
		v.Fields, v.Rest = fieldsOf(c.Fields)
		to := url.Values{"to": {strconv.FormatInt(c.Revision, 10)}}
		if c.Change == cluster.ChangeDeleted {
			to = nil
		}
		v.Was = pastPath(id, c.Namespace, c.Name, to)
		d.Entries = append(d.Entries, v)
	}
	return d
}

// fieldsOf are fields that differ, and how many more there are.
func fieldsOf(all []cluster.FieldChange) (list []fieldView, rest int) {
	for i, f := range all {
		if i == mostFields {
			return list, len(all) - i
		}
		list = append(list, fieldView{f.Path, short(string(f.Before)), short(string(f.After))})
	}
	return list, 0
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
	at, err := timeOf(q.query)
	if err != nil {
		return nil, err
	}
	query := cluster.HistoryQuery{Limit: mostChanges, ObjectQuery: cluster.ObjectQuery{Type: q.query.Get("type"), Namespace: q.query.Get("ns")}}
	h, err := s.o.Cluster.History(ctx, query)
	if err != nil {
		return nil, err
	}
	d := historyOf(h)
	d.Namespace, d.Type = query.Namespace, query.Type
	if !h.Begun.IsZero() {
		slider := sliderOf(h, q.query, at, time.Now())
		d.Slider = &slider
	}
	if !at.IsZero() {
		if d.Since, err = s.since(ctx, q, at); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func lineOfHistory(q *request) cluster.Command {
	c := cluster.Bonsai("history")
	if at, err := timeOf(q.query); err == nil && !at.IsZero() {
		c = cluster.Bonsai("diff").With("--at", at.Format(time.RFC3339))
	}
	if ns := q.query.Get("ns"); ns != "" {
		c = c.With("-n", ns)
	}
	return c
}
