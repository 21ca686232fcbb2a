package history

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/controlplane/observe/history/journal"
)

// store is an etcd in memory: all versions since its last compaction.
type store struct {
	mu        sync.Mutex // guards the rest
	events    []Event
	revision  int64
	compacted int64
	changed   chan struct{}
}

func newStore() *store { return &store{revision: 1, changed: make(chan struct{})} }

func (s *store) put(key, value string) int64 { return s.write(Event{Key: key, Value: []byte(value)}) }
func (s *store) delete(key string) int64     { return s.write(Event{Key: key, Deleted: true}) }

func (s *store) write(e Event) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision++
	e.Revision = s.revision
	e.Created = !e.Deleted && s.valueAt(e.Key, e.Revision) == nil
	s.events = append(s.events, e)
	close(s.changed)
	s.changed = make(chan struct{})
	return e.Revision
}

func (s *store) compact() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.compacted = s.revision
}

func (s *store) Revision() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.revision
}

func (s *store) valueAt(key string, revision int64) (value []byte) {
	for _, e := range s.events {
		if e.Key == key && e.Revision <= revision {
			value = e.Value
		}
	}
	return value
}

func (s *store) Value(key string, revision int64) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if revision < s.compacted {
		return nil, ErrCompacted
	}
	return s.valueAt(key, revision), nil
}

func (s *store) Watch(ctx context.Context, after int64, recorded func([]byte) bool, progress <-chan struct{}, to chan<- Batch) error {
	for {
		s.mu.Lock()
		changed, b := s.changed, Batch{Revision: s.revision}
		if after < s.compacted {
			s.mu.Unlock()
			return ErrCompacted
		}
		for _, e := range s.events {
			if e.Revision > after && recorded([]byte(e.Key)) {
				b.Events = append(b.Events, e)
			}
		}
		after = s.revision
		s.mu.Unlock()
		if len(b.Events) == 0 {
			select {
			case <-changed:
				continue
			case <-progress:
			case <-ctx.Done():
				return nil
			}
		}
		select {
		case to <- b:
		case <-ctx.Done():
			return nil
		}
	}
}

// recording runs a History on a folder until the returned function is called.
func recording(t *testing.T, s Store, w *Writers, dir string) (h *History, stop func()) {
	t.Helper()
	h, err := Open(Options{
		Cluster: "dev", Dir: dir, Limits: journal.DefaultLimits, Store: s, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Scale: 1,
		Client: &rest.Config{Host: "127.0.0.1:1"}, // nobody is there
	}, w)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); h.Run(ctx) }()
	return h, func() {
		cancel()
		<-done
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
}

func configMap(value string) string {
	return `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "` + value + `"}}`
}

const key = "/registry/configmaps/default/c"

// seen returns what has happened as lines, the newest first.
func seen(t *testing.T, h *History, q cluster.HistoryQuery) (lines []string) {
	t.Helper()
	all, err := h.Changes(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all.Changes {
		line := fmt.Sprintf("%d %s %s/%s by %s", c.Revision, c.Change, c.Resource, c.Name, c.Who)
		for _, f := range c.Fields {
			line += fmt.Sprintf(" %s: %s -> %s", f.Path, f.Before, f.After)
		}
		lines = append(lines, line)
	}
	return lines
}

func same(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestRecording(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, w := newStore(), &Writers{}
		s.put(key, configMap("before"))
		h, stop := recording(t, s, w, dir)
		synctest.Wait()
		w.Add(s.put(key, configMap("1")), journal.Writer{Who: "kubectl apply", User: "jane"})
		s.put("/registry/leases/kube-node-lease/n", "{}")
		w.Add(s.put(key, configMap("2")), journal.Writer{Who: "kubectl apply", User: "jane"})
		w.Add(s.Revision(), journal.Writer{Who: "somebody who changed nothing"})
		w.Add(s.put(key, `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "2"}, "status": {}}`), journal.Writer{Who: "controller", Subresource: "status"})
		want := []string{
			`5 updated configmaps/c by kubectl apply data.a: "1" -> "2"`,
			`3 updated configmaps/c by kubectl apply data.a: "before" -> "1"`,
		}
		same(t, seen(t, h, cluster.HistoryQuery{}), want...)
		all, err := h.Changes(t.Context(), cluster.HistoryQuery{Limit: 1})
		if err != nil || len(all.Changes) != 1 || !all.More || all.Hidden != 1 || len(all.Gaps) != 0 {
			t.Errorf("got %+v, %v", all, err)
		}
		same(t, seen(t, h, cluster.HistoryQuery{ObjectQuery: cluster.ObjectQuery{Namespace: "shop"}}))
		w.Add(s.delete(key), journal.Writer{Who: "kubectl delete"})
		stop()

		// What happens while nothing records is recorded by the next process, as long as etcd has it.
		s.put(key, configMap("3"))
		h, stop = recording(t, s, &Writers{}, dir)
		want = append([]string{"8 created configmaps/c by ", "7 deleted configmaps/c by kubectl delete"}, want...)
		same(t, seen(t, h, cluster.HistoryQuery{}), want...)
		stop()

		s.put(key, configMap("4"))
		s.put(key, configMap("5"))
		s.compact()
		h, stop = recording(t, s, &Writers{}, dir)
		defer stop()
		synctest.Wait()
		s.put(key, configMap("6"))
		want = append([]string{`11 updated configmaps/c by  data.a: "5" -> "6"`}, want...)
		same(t, seen(t, h, cluster.HistoryQuery{}), want...)
		if all, err := h.Changes(t.Context(), cluster.HistoryQuery{}); err != nil || len(all.Gaps) != 1 || !all.Begun.Equal(all.Gaps[0]) {
			t.Errorf("got %+v, %v, want a gap", all, err)
		}
	})
}

// TestKilled: of a process that is killed, changes of the last seconds are recorded by the next one.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, w := newStore(), &Writers{}
		ctx, kill := context.WithCancel(t.Context())
		h, err := Open(Options{Dir: dir, Limits: journal.DefaultLimits, Store: s, Log: slog.New(slog.DiscardHandler), Scale: 1}, w)
		if err != nil {
			t.Fatal(err)
		}
		batches, ended := make(chan Batch), make(chan error, 1)
		after := h.begin()
		go func() { ended <- s.Watch(ctx, after, recorded, nil, batches) }()
		w.Add(s.put(key, configMap("1")), journal.Writer{Who: "kubectl"})
		h.add(<-batches, time.Now())
		h.flush()
		w.Add(s.put(key, configMap("2")), journal.Writer{Who: "kubectl"})
		h.add(<-batches, time.Now())
		kill()
		<-ended
		_ = h.Close() // writes nothing

		h, stop := recording(t, s, &Writers{}, dir)
		defer stop()
		same(t, seen(t, h, cluster.HistoryQuery{}),
			`3 updated configmaps/c by  data.a: "1" -> "2"`,
			`2 created configmaps/c by kubectl`)
	})
}

// TestIdle: a position that is too old would be a gap after the next start.
func TestIdle(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		h, stop := recording(t, s, &Writers{}, dir)
		synctest.Wait()
		for range 60 {
			s.put("/registry/leases/kube-node-lease/n", "{}")
			time.Sleep(10 * time.Second)
		}
		if behind := s.Revision() - h.journal.Position(); behind > int64(progressTime/(10*time.Second))+1 {
			t.Errorf("the position is %d behind", behind)
		}
		stop()
		if size := h.journal.Size(); size > 1000 {
			t.Errorf("ten idle minutes take %d bytes", size)
		}
	})
}

func TestDifferencesSinceATime(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.put(key, configMap("before"))
		s.put(key+"2", configMap("before"))
		h, stop := recording(t, s, &Writers{}, dir)
		defer stop()
		time.Sleep(time.Minute)
		s.put(key, configMap("1"))
		s.put(key+"3", configMap("1"))
		time.Sleep(time.Minute)
		s.put(key, configMap("2"))
		s.delete(key + "2")
		s.put(key+"4", configMap("1"))
		s.delete(key + "4")
		time.Sleep(time.Minute)

		at := func(ago time.Duration) (lines []string) {
			t.Helper()
			list, err := h.Differences(t.Context(), cluster.DifferenceQuery{At: time.Now().Add(-ago)})
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range list {
				line := d.Change + " " + d.Name
				for _, f := range d.Fields {
					line += fmt.Sprintf(" %s: %s -> %s", f.Path, f.Before, f.After)
				}
				lines = append(lines, line)
			}
			return lines
		}
		same(t, at(30*time.Second))
		same(t, at(90*time.Second), "deleted c2", `updated c data.a: "1" -> "2"`)
		same(t, at(150*time.Second), "deleted c2", `updated c data.a: "before" -> "2"`, "created c3")
		if _, err := h.Differences(t.Context(), cluster.DifferenceQuery{At: time.Now().Add(-time.Hour)}); fault.KindOf(err) != fault.ObjectNotFound {
			t.Errorf("before everything: %v", err)
		}

		// The same times are those that an object is reverted to.
		for _, c := range []struct {
			name string
			r    cluster.RevertRequest
			want string // "" for a fault
		}{
			{"c", cluster.RevertRequest{At: time.Now().Add(-90 * time.Second)}, configMap("1")},
			{"c", cluster.RevertRequest{At: time.Now().Add(-150 * time.Second)}, configMap("before")},
			{"c", cluster.RevertRequest{To: 4}, configMap("1")},
			{"c2", cluster.RevertRequest{}, configMap("before")},
			{"c2", cluster.RevertRequest{At: time.Now().Add(-150 * time.Second)}, configMap("before")},
			{"c3", cluster.RevertRequest{At: time.Now().Add(-150 * time.Second)}, ""}, // it did not exist
			{"c", cluster.RevertRequest{}, ""},                                        // it exists
			{"c", cluster.RevertRequest{To: 5}, ""},                                   // of another object
			{"c2", cluster.RevertRequest{To: 7}, ""},                                  // its deletion
			{"c9", cluster.RevertRequest{}, ""},
		} {
			value, _, err := h.past(selector{resource: "configmaps", ObjectQuery: cluster.ObjectQuery{Type: "cm", Namespace: "default", Name: c.name}}, c.r)
			if c.want == "" && fault.KindOf(err) != fault.ObjectNotFound && fault.KindOf(err) != fault.Usage || c.want != "" && (err != nil || string(value) != c.want) {
				t.Errorf("%s %+v: %s, %v", c.name, c.r, value, err)
			}
		}
	})
}

func TestWritersAreBounded(t *testing.T) {
	w := &Writers{}
	for n := range int64(maxWriters + 10) {
		w.Add(n, journal.Writer{Who: fmt.Sprint(n)})
	}
	records := []journal.Record{{Revision: 5}, {Revision: maxWriters}}
	w.take(records)
	if records[0].Writer.Who != "" || records[1].Writer.Who != fmt.Sprint(maxWriters) {
		t.Errorf("got %+v", records)
	}
	if len(w.by) != 9 || len(w.order) != 9 {
		t.Errorf("%d are left", len(w.by))
	}
}

// BenchmarkChanges is what two questions take after 30 seconds of 50 changes a second, of objects of 4 kB: what has happened to one,
// and what has happened last.
func BenchmarkChanges(b *testing.B) {
	var asked atomic.Int32
	h, err := Open(Options{
		Cluster: "dev", Dir: b.TempDir(), Limits: journal.DefaultLimits, Store: newStore(), Log: slog.New(slog.DiscardHandler), Scale: 1, Client: serving(b, &asked),
	}, &Writers{})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	for n := range int64(1500) {
		name := fmt.Sprintf("changed-%d", n%50)
		m := &corev1.ConfigMap{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID(name)},
			Data: map[string]string{"text": strings.Repeat("Recorded as it is stored. ", 160), "count": fmt.Sprint(n)},
		}
		var value bytes.Buffer
		if err := h.decoder.builtin.Encode(m, &value); err != nil {
			b.Fatal(err)
		}
		e := Event{Key: "/registry/configmaps/default/" + name, Value: value.Bytes(), Revision: n + 2, Created: n < 50}
		h.add(Batch{Events: []Event{e}, Revision: n + 2}, time.Now())
	}
	for name, q := range map[string]cluster.HistoryQuery{
		"one object": {ObjectQuery: cluster.ObjectQuery{Type: "configmap", Namespace: "default", Name: "changed-0"}, Limit: 50}, "newest": {Limit: 50},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if all, err := h.Changes(b.Context(), q); err != nil || len(all.Changes) < 30 {
					b.Fatalf("%d changes, %v", len(all.Changes), err)
				}
			}
		})
	}
}
