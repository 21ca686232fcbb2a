package session

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"bonsai/bootstrap/kube"
)

// acceptTable requests what "kubectl get" prints. Types that the API server cannot print are returned as objects.
const acceptTable = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"

// WatchRows sends the objects of one type as rows.
func (s *Session) WatchRows(ctx context.Context, q kube.RowQuery, f func(kube.RowBatch) error) error {
	include := metav1.IncludeMetadata
	if q.Type.Group == "" && q.Type.Resource == "nodes" {
		include = metav1.IncludeObject // their metadata does not say whether they are cordoned
	}
	src := source{
		path:   path(q.Type, q.Namespace),
		accept: acceptTable,
		params: url.Values{"includeObject": {string(include)}},
	}
	if q.Name != "" {
		src.params.Set("fieldSelector", "metadata.name="+q.Name)
	}
	return s.follow(ctx, src, &rowSink{f: f})
}

// rowSink builds batches of rows from tables.
type rowSink struct {
	f       func(kube.RowBatch) error
	intern  interner
	columns []kube.Column
	// sent reports that f knows the columns since the last Reset.
	sent bool
	// The next batch. Changes are kept by UID, so that only the newest of an object is sent.
	batch  kube.RowBatch
	set    map[string]int // index in batch.Set
	gone   map[string]bool
	pushed bool // there is something to send
}

// table is metav1.Table with no more of each object than a row needs: managed fields, half of the bytes, are skipped.
type table struct {
	Kind              string                         `json:"kind"`
	Metadata          listMeta                       `json:"metadata"`
	ColumnDefinitions []metav1.TableColumnDefinition `json:"columnDefinitions"`
	Rows              []tableRow                     `json:"rows"`
	// Items and the object's own metadata are set if the server does not answer with a table.
	Items []struct {
		Metadata rowMeta `json:"metadata"`
	} `json:"items"`
}

type tableRow struct {
	Cells  []json.RawMessage `json:"cells"`
	Object struct {
		Metadata rowMeta `json:"metadata"`
		// Spec is set for nodes only.
		Spec struct {
			Unschedulable bool `json:"unschedulable"`
		} `json:"spec"`
	} `json:"object"`
}

type rowMeta struct {
	UID               string            `json:"uid"`
	Namespace         string            `json:"namespace"`
	Name              string            `json:"name"`
	ResourceVersion   string            `json:"resourceVersion"`
	CreationTimestamp time.Time         `json:"creationTimestamp"`
	DeletionTimestamp *time.Time        `json:"deletionTimestamp"`
	Labels            map[string]string `json:"labels"`
	OwnerReferences   []ownerReference  `json:"ownerReferences"`
}

type ownerReference struct {
	Kind       string `json:"kind"`
	Name       string `json:"name"`
	Controller bool   `json:"controller"`
}

// owner is the controlling owner, zero if there is none.
func (k *rowSink) owner(m *rowMeta) kube.Object {
	for _, o := range m.OwnerReferences {
		if o.Controller {
			return kube.Object{Kind: k.intern.string(o.Kind), Name: k.intern.string(o.Name)}
		}
	}
	return kube.Object{}
}

func (k *rowSink) begin() {
	k.sent = false
	k.clear()
	k.batch.Reset, k.pushed = true, true
}

func (k *rowSink) clear() {
	k.batch = kube.RowBatch{}
	k.set, k.gone = map[string]int{}, map[string]bool{}
	k.pushed = false
}

func (k *rowSink) page(body io.Reader) (listMeta, error) {
	var t table
	if err := json.NewDecoder(body).Decode(&t); err != nil {
		return listMeta{}, err
	}
	k.take(&t)
	for _, item := range t.Items { // no table: names and ages are all there is
		k.define([]metav1.TableColumnDefinition{{Name: "Name", Type: "string", Format: "name"}, {Name: "Age", Type: "string"}})
		name, _ := json.Marshal(item.Metadata.Name)
		row := tableRow{Cells: []json.RawMessage{name, nil}}
		row.Object.Metadata = item.Metadata
		k.put(k.row(&row))
	}
	return t.Metadata, nil
}

func (k *rowSink) synced() { k.batch.Synced, k.pushed = true, true }

func (k *rowSink) change(kind watch.EventType, object []byte) (string, error) {
	var t table
	if err := json.Unmarshal(object, &t); err != nil {
		return "", err
	}
	if t.Kind != "Table" {
		var o struct {
			Metadata rowMeta `json:"metadata"`
		}
		if err := json.Unmarshal(object, &o); err != nil {
			return "", err
		}
		name, _ := json.Marshal(o.Metadata.Name)
		t.Rows = []tableRow{{Cells: []json.RawMessage{name, nil}}}
		t.Rows[0].Object.Metadata = o.Metadata
	}
	version := t.Metadata.ResourceVersion
	for i := range t.Rows {
		if v := t.Rows[i].Object.Metadata.ResourceVersion; v != "" {
			version = v
		}
	}
	switch kind {
	case watch.Added, watch.Modified:
		k.take(&t)
	case watch.Deleted:
		for _, r := range t.Rows {
			k.drop(r.Object.Metadata.UID)
		}
	}
	return version, nil
}

// take adds all rows of a table to the batch.
func (k *rowSink) take(t *table) {
	if len(t.ColumnDefinitions) > 0 { // a watch has them in its first event only
		k.define(t.ColumnDefinitions)
	}
	for i := range t.Rows {
		k.put(k.row(&t.Rows[i]))
	}
}

func (k *rowSink) define(definitions []metav1.TableColumnDefinition) {
	columns := make([]kube.Column, len(definitions))
	for i, d := range definitions {
		columns[i] = kube.Column{
			Name: d.Name, Wide: d.Priority > 0, Numeric: d.Type == "integer" || d.Type == "number",
			// The one column whose time the object's metadata has; others ("Last Seen") are text as the server made it.
			Time: strings.EqualFold(d.Name, "Age"),
		}
	}
	if k.sent && slices.Equal(columns, k.columns) {
		return
	}
	k.columns, k.batch.Columns, k.sent, k.pushed = columns, columns, true, true
}

func (k *rowSink) put(r kube.Row) {
	if r.UID == "" {
		return // a bookmark, or something that is no object
	}
	k.pushed = true
	delete(k.gone, r.UID)
	if i, ok := k.set[r.UID]; ok {
		k.batch.Set[i] = r
		return
	}
	k.set[r.UID] = len(k.batch.Set)
	k.batch.Set = append(k.batch.Set, r)
}

func (k *rowSink) drop(uid string) {
	if i, ok := k.set[uid]; ok {
		k.batch.Set[i].UID = "" // left out by flush: most batches have one row
		delete(k.set, uid)
	}
	k.gone[uid], k.pushed = true, true
}

func (k *rowSink) flush() error {
	if !k.pushed {
		return nil
	}
	b := k.batch
	b.Set = slices.DeleteFunc(b.Set, func(r kube.Row) bool { return r.UID == "" })
	b.Delete = slices.Sorted(maps.Keys(k.gone))
	k.clear()
	return k.f(b)
}

func (k *rowSink) row(t *tableRow) kube.Row {
	m := &t.Object.Metadata
	r := kube.Row{
		UID: m.UID, Namespace: k.intern.string(m.Namespace), Name: m.Name, Cells: make([]string, len(t.Cells)),
		Created: m.CreationTimestamp, Deleting: m.DeletionTimestamp != nil, Labels: k.intern.labels(m.Labels),
		Owner: k.owner(m), Cordoned: t.Object.Spec.Unschedulable,
	}
	for i, raw := range t.Cells {
		if i < len(k.columns) && k.columns[i].Time {
			continue
		}
		if len(raw) == len(r.Name)+2 && string(raw[1:len(raw)-1]) == r.Name {
			r.Cells[i] = r.Name // the same memory
			continue
		}
		r.Cells[i] = k.cell(raw)
	}
	return r
}

// cell is a value as kubectl prints it, including line breaks.
func (k *rowSink) cell(raw json.RawMessage) string {
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return ""
	case raw[0] != '"':
		return k.intern.bytes(raw) // numbers, true and false; lists and maps as JSON
	case bytes.IndexByte(raw, '\\') < 0:
		return k.intern.bytes(raw[1 : len(raw)-1])
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return fmt.Sprint(string(raw))
	}
	return k.intern.string(text)
}
