package session

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
)

const columns = `[{"name":"Name","type":"string","format":"name"},{"name":"Restarts","type":"integer"},{"name":"Age","type":"string"},{"name":"Node","type":"string","priority":1}]`

// pod is a row of a table.
func pod(name, version, node string) string {
	return fmt.Sprintf(`{"cells":[%q,3,"5m",%q],"object":{"metadata":{"name":%q,"namespace":"shop","uid":"uid-%s","resourceVersion":%q,
		"creationTimestamp":"2026-08-01T10:00:00Z","labels":{"app":"web","tier":"front"},
		"ownerReferences":[{"kind":"ReplicaSet","name":"web-1","controller":true}],"managedFields":[{"manager":"x","fieldsV1":{"f:a":{}}}]}}}`,
		name, node, name, name, version)
}

func tableOf(version, next string, rows ...string) string {
	return fmt.Sprintf(`{"kind":"Table","metadata":{"resourceVersion":%q,"continue":%q},"columnDefinitions":%s,"rows":[%s]}`,
		version, next, columns, strings.Join(rows, ","))
}

func event1(kind, table string) string {
	return fmt.Sprintf(`{"type":%q,"object":%s}`, kind, strings.ReplaceAll(table, "\n", ""))
}

// collect runs WatchRows and gives its batches to each.
func collect(t *testing.T, s *Session, each func(b kube.RowBatch) error) error {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit, errors.New("the test took too long"))
	defer cancel()
	return s.WatchRows(ctx, kube.RowQuery{Type: kube.PodType(), Namespace: "shop"}, each)
}

var errEnough = errors.New("enough")

func TestRowsOfPagesAndChanges(t *testing.T) {
	var pages []http.HandlerFunc
	for p := range 3 {
		var rows []string
		for i := range 500 {
			rows = append(rows, pod(fmt.Sprintf("p%d-%d", p, i), "1", "dev-1"))
		}
		next, asked := "", ""
		if p < 2 {
			next = fmt.Sprint("page", p+1)
		}
		if p > 0 {
			asked = fmt.Sprint("page", p)
		}
		pages = append(pages, answer(t, wantParam("continue", asked), tableOf("77", next, rows...)))
	}
	changes := make(chan string, 10)
	later := make(chan string, 10)
	watches := []http.HandlerFunc{
		func(w http.ResponseWriter, r *http.Request) {
			if got := r.URL.Query().Get("resourceVersion"); got != "77" {
				t.Errorf("the watch begins at %q, want 77", got)
			}
			if got := r.Header.Get("Accept"); !strings.Contains(got, "as=Table") {
				t.Errorf("Accept is %q", got)
			}
			feed(changes)(w, r)
		},
		func(w http.ResponseWriter, r *http.Request) {
			if got := r.URL.Query().Get("resourceVersion"); got != "90" {
				t.Errorf("the next watch begins at %q, want 90", got)
			}
			feed(later)(w, r)
		},
	}
	s := newSession(t, newScript(t, append(pages, watches...)...))

	changes <- event1("MODIFIED", tableOf("", "", pod("p0-1", "80", "dev-2")))
	step, rows := 0, 0
	err := collect(t, s, func(b kube.RowBatch) error {
		switch step++; step {
		case 1:
			want := []kube.Column{{Name: "Name"}, {Name: "Restarts", Numeric: true}, {Name: "Age", Time: true}, {Name: "Node", Wide: true}}
			if !b.Reset || !reflect.DeepEqual(b.Columns, want) || b.Synced {
				t.Errorf("first batch: reset %v, synced %v, columns %+v", b.Reset, b.Synced, b.Columns)
			}
			want1 := kube.Row{
				UID: "uid-p0-0", Namespace: "shop", Name: "p0-0", Cells: []string{"p0-0", "3", "", "dev-1"},
				Created: time.Date(2026, 8, 1, 10, 0, 0, 0, time.UTC), Labels: map[string]string{"app": "web", "tier": "front"}, Owner: kube.Object{Kind: "ReplicaSet", Name: "web-1"},
			}
			if !reflect.DeepEqual(b.Set[0], want1) {
				t.Errorf("first row %+v", b.Set[0])
			}
			rows += len(b.Set)
		case 2:
			if b.Reset || b.Columns != nil {
				t.Errorf("batch %d starts over: %v %v", step, b.Reset, b.Columns)
			}
			rows += len(b.Set)
		case 3:
			if !b.Synced || rows+len(b.Set) != 1500 {
				t.Errorf("synced %v with %d rows, want 1500", b.Synced, rows+len(b.Set))
			}
		}
		if step < 4 {
			return nil
		}
		switch {
		case len(b.Set) == 1 && b.Set[0].Cells[3] == "dev-2":
			// Added and deleted at once: only the end is reported. A bookmark moves the version on.
			changes <- event1("ADDED", tableOf("", "", pod("short", "85", "dev-1")))
			changes <- event1("DELETED", tableOf("", "", pod("short", "86", "dev-1")))
			changes <- event1("BOOKMARK", `{"kind":"Table","metadata":{"resourceVersion":"90"},"rows":[{"cells":["",0,"",""],"object":{"metadata":{"resourceVersion":"90","creationTimestamp":null}}}]}`)
			close(changes)
			later <- event1("DELETED", tableOf("", "", pod("p0-2", "91", "dev-1")))
		case reflect.DeepEqual(b.Delete, []string{"uid-p0-2"}):
			return errEnough
		case len(b.Delete) == 1 && b.Delete[0] == "uid-short" && len(b.Set) == 0: // in a batch of its own, if time passed between
		case len(b.Set) == 1 && b.Set[0].Name == "short":
		default:
			t.Errorf("batch %d: set %d, delete %v", step, len(b.Set), b.Delete)
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Error(err)
	}
}

func TestRowsAreListedAgainWhenAWatchExpires(t *testing.T) {
	for name, expire := range map[string]http.HandlerFunc{
		"as an event":  answer(t, nil, event1("ERROR", status(410, "Expired"))),
		"as an answer": failure(410, "Expired"),
	} {
		t.Run(name, func(t *testing.T) {
			s := newSession(t, newScript(t,
				answer(t, nil, tableOf("1", "", pod("a", "1", "dev-1"))), expire,
				answer(t, nil, tableOf("9", "", pod("b", "9", "dev-1"))),
			))
			resets := 0
			err := collect(t, s, func(b kube.RowBatch) error {
				if b.Reset {
					resets++
				}
				if resets == 2 && b.Synced {
					if len(b.Set) != 1 || b.Set[0].Name != "b" || len(b.Columns) == 0 {
						t.Errorf("after the second list: %+v", b)
					}
					return errEnough
				}
				return nil
			})
			if !errors.Is(err, errEnough) {
				t.Error(err)
			}
		})
	}
}

func TestManyChangesAreFewBatches(t *testing.T) {
	changes := make(chan string, 2000)
	s := newSession(t, newScript(t, answer(t, nil, tableOf("1", "")), feed(changes)))
	for i := range 2000 {
		changes <- event1("ADDED", tableOf("", "", pod(fmt.Sprint("p", i), "2", "dev-1")))
	}
	rows, batches := 0, 0
	began := time.Now()
	err := collect(t, s, func(b kube.RowBatch) error {
		batches++
		if rows += len(b.Set); rows == 2000 {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	if most := int(time.Since(began)/flushInterval) + 3; batches > most {
		t.Errorf("2000 changes in %d batches, want at most %d", batches, most)
	}
}

func TestRowsOfATypeWithoutATable(t *testing.T) {
	s := newSession(t, newScript(t, answer(t, nil, `{"kind":"ThingList","metadata":{"resourceVersion":"1"},"items":[{"metadata":{"name":"a","uid":"1"}}]}`),
		answer(t, nil, event1("ADDED", `{"kind":"Thing","metadata":{"name":"b","uid":"2","resourceVersion":"2"}}`))))
	var names []string
	err := collect(t, s, func(b kube.RowBatch) error {
		for _, r := range b.Set {
			names = append(names, r.Cells[0])
		}
		if len(names) == 2 {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) || !reflect.DeepEqual(names, []string{"a", "b"}) {
		t.Error(names, err)
	}
}

func TestAClusterThatMovesIsFoundAgain(t *testing.T) {
	s := newSession(t, newScript(t, answer(t, nil, tableOf("1", ""))))
	ask := func() error {
		return collect(t, s, func(b kube.RowBatch) error { return errEnough })
	}
	if err := ask(); !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	pointTo(t, s, "http://127.0.0.1:1") // nobody is there
	if err := ask(); fault.KindOf(err) != fault.NotRunning {
		t.Errorf("without an API server: %v", err)
	}
	other := newSession(t, newScript(t, answer(t, nil, tableOf("1", ""))))
	c, err := other.api()
	if err != nil {
		t.Fatal(err)
	}
	pointTo(t, s, c.config.Host)
	if err := ask(); !errors.Is(err, errEnough) {
		t.Errorf("at its new place: %v", err)
	}
}

func TestInternerForgetsWhatDoesNotComeAgain(t *testing.T) {
	var n interner
	a := n.bytes([]byte("Running"))
	for i := range 20 * generation {
		n.string(fmt.Sprint("once ", i))
		n.labels(map[string]string{"pod": fmt.Sprint(i)})
		n.string("Running")
	}
	if size := len(n.young) + len(n.old); size > 2*generation {
		t.Errorf("it remembers %d strings", size)
	}
	if size := len(n.youngLabels) + len(n.oldLabels); size > generation {
		t.Errorf("it remembers %d sets of labels", size)
	}
	one, two := n.labels(map[string]string{"a": "1", "b": "2"}), n.labels(map[string]string{"b": "2", "a": "1"})
	if reflect.ValueOf(one).Pointer() != reflect.ValueOf(two).Pointer() {
		t.Error("equal labels have two maps")
	}
	if a != "Running" {
		t.Error(a)
	}
}

// TestNodesSayWhetherTheyAreCordoned: the metadata of a node does not.
func TestNodesSayWhetherTheyAreCordoned(t *testing.T) {
	row := func(name, spec string) string {
		return fmt.Sprintf(`{"cells":[%q],"object":{"metadata":{"uid":%q,"name":%q,"resourceVersion":"7","creationTimestamp":"2026-08-01T10:00:00Z"},"spec":%s}}`, name, name, name, spec)
	}
	text := fmt.Sprintf(`{"kind":"Table","metadata":{"resourceVersion":"7"},"columnDefinitions":[{"name":"Name","type":"string"}],"rows":[%s,%s]}`,
		row("dev-1", `{"unschedulable":true,"podCIDR":"10.244.1.0/24"}`), row("dev-2", `{}`))
	s := newSession(t, newScript(t, answer(t, wantParam("includeObject", "Object"), text)))
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	got := map[string]bool{}
	err := s.WatchRows(ctx, kube.RowQuery{Type: kube.ResourceType{Version: "v1", Resource: "nodes", Kind: "Node"}}, func(b kube.RowBatch) error {
		for _, r := range b.Set {
			got[r.Name] = r.Cordoned
		}
		if b.Synced {
			return errEnough
		}
		return nil
	})
	if want := map[string]bool{"dev-1": true, "dev-2": false}; !errors.Is(err, errEnough) || !maps.Equal(got, want) {
		t.Errorf("cordoned %v, %v", got, err)
	}
}

func TestRowsOfOneObject(t *testing.T) {
	s := newSession(t, newScript(t, answer(t, wantParam("fieldSelector", "metadata.name=a"), tableOf("7", "", pod("a", "1", "dev-1")))))
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var got []string
	err := s.WatchRows(ctx, kube.RowQuery{Type: kube.PodType(), Namespace: "shop", Name: "a"}, func(b kube.RowBatch) error {
		for _, r := range b.Set {
			got = append(got, r.Name)
		}
		return errEnough
	})
	if !errors.Is(err, errEnough) || len(got) != 1 || got[0] != "a" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestObject(t *testing.T) {
	const text = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","uid":"u1","managedFields":[{"manager":"x"}]}}`
	s := newSession(t, newScript(t, answer(t, nil, text), answer(t, nil, text)))
	ref := kube.Ref{Type: kube.PodType(), Namespace: "shop", Name: "a"}
	o, err := s.Object(t.Context(), ref)
	if meta, _ := o["metadata"].(map[string]any); err != nil || meta["managedFields"] == nil {
		t.Errorf("got %v, %v", o, err)
	}
	ref.UID = "u2"
	if _, err := s.Object(t.Context(), ref); fault.KindOf(err) != fault.ObjectNotFound {
		t.Errorf("another object of that name: %v", err)
	}
}
