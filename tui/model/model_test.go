package model

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
	"bonsai/tui/feed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source sends what comes over its channels; a closed one ends the call.
type source struct {
	snapshots chan cluster.Snapshot
	seen      cluster.Snapshot
	rows      chan kube.RowBatch
	services  chan []kube.ServiceLine
	events    chan []kube.EventLine
	queries   chan cluster.DNSQuery
	logs      chan []kube.LogLine
	asked     kube.LogQuery // of PodLogs
}

func newSource() *source {
	return &source{
		snapshots: make(chan cluster.Snapshot), rows: make(chan kube.RowBatch), services: make(chan []kube.ServiceLine),
		events: make(chan []kube.EventLine), queries: make(chan cluster.DNSQuery), logs: make(chan []kube.LogLine),
	}
}

var errStopped = fault.Newf(fault.NotRunning, "the cluster was stopped")

func pass[T any](ctx context.Context, c chan T, f func(T) error) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case v, ok := <-c:
			if !ok {
				return errStopped
			}
			if err := f(v); err != nil {
				return err
			}
		}
	}
}

func (s *source) Observe(context.Context) (cluster.Snapshot, error) { return s.seen, nil }
func (s *source) Watch(ctx context.Context, f func(cluster.Snapshot) error) error {
	return pass(ctx, s.snapshots, f)
}
func (s *source) Load(ctx context.Context, _ func(cluster.Load) error) error {
	<-ctx.Done()
	return ctx.Err()
}
func (s *source) WatchRows(ctx context.Context, q kube.RowQuery, f func(kube.RowBatch) error) error {
	if q.Type.Resource != "pods" {
		return errors.New("only pods are known")
	}
	return pass(ctx, s.rows, f)
}
func (s *source) Services(ctx context.Context, f func([]kube.ServiceLine) error) error {
	return pass(ctx, s.services, f)
}

func (s *source) Events(ctx context.Context, f func([]kube.EventLine) error) error {
	return pass(ctx, s.events, f)
}
func (s *source) PodLogs(ctx context.Context, q kube.LogQuery, f func([]kube.LogLine) error) error {
	s.asked = q
	return pass(ctx, s.logs, f)
}
func (s *source) DNSLog(ctx context.Context, watching func(), f func(cluster.DNSQuery) error) error {
	watching()
	return pass(ctx, s.queries, f)
}

// begin makes a model of a source, in a bubble of its own time; settle has it take in all that was sent.
func begin(t *testing.T, s *source) (c *Cluster, settle func()) {
	ctx, cancel := context.WithCancel(t.Context())
	hub := feed.NewHub(ctx, 0)
	c = New(Options{Source: s, Hub: hub, Now: time.Now, Clean: strings.TrimSpace, CleanLog: strings.TrimSpace, Changed: func() {}})
	c.Begin()
	t.Cleanup(func() {
		cancel()
		hub.Wait()
	})
	return c, func() {
		synctest.Wait()
		hub.Drain()
	}
}

func TestAClusterThatStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		c, settle := begin(t, s)
		heard := 0
		c.Listen(func() { heard++ })
		settle()
		if c.Known || c.Alive() || c.Running() || c.Absent() || !c.Stale().IsZero() {
			t.Errorf("before the first snapshot: %+v", c.Snapshot)
		}
		s.snapshots <- cluster.Snapshot{Name: "dev", Phase: cluster.PhaseRunning, APIServer: cluster.PhaseRunning}
		settle()
		if !c.Alive() || !c.Running() || !c.Stale().IsZero() || heard != 1 {
			t.Errorf("running: %+v, %d times heard", c.Snapshot, heard)
		}
		at := c.Heard
		time.Sleep(time.Minute)
		s.seen = cluster.Snapshot{Name: "dev", Phase: cluster.PhaseDegraded, APIServer: cluster.PhaseUnknown}
		close(s.snapshots)
		settle()
		if c.Alive() || c.Running() || !c.Stale().Equal(at) || fault.KindOf(c.Link) != fault.NotRunning {
			t.Errorf("its daemon ended: %+v, stale since %s, %v", c.Snapshot, c.Stale(), c.Link)
		}
		s.seen = cluster.Snapshot{Name: "dev", Phase: cluster.PhaseStopped}
		c.Again()
		settle()
		if !c.Absent() || !c.Stale().IsZero() {
			t.Errorf("stopped: %+v, stale since %s", c.Snapshot, c.Stale())
		}
	})
}

// log is a reader of rows that records what it receives.
type log []string

func (l *log) ColumnsChanged(c []kube.Column) { *l = append(*l, fmt.Sprintf("%d columns", len(c))) }
func (l *log) RowsReset()                     { *l = append(*l, "reset") }
func (l *log) ErrChanged()                    { *l = append(*l, "error") }
func (l *log) RowsChanged(set []kube.Row, deleted []string) {
	*l = append(*l, fmt.Sprintf("set %d delete %d", len(set), len(deleted)))
}

func (l *log) take() string {
	text := strings.Join(*l, ", ")
	*l = nil
	return text
}

func TestReadersOfRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		c, settle := begin(t, s)
		var l log
		c.Pods.Read(&l)
		step := func(what, want string) {
			t.Helper()
			settle()
			if got := l.take(); got != want {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
		}
		step("no rows yet", "reset, set 0 delete 0")
		s.rows <- kube.RowBatch{Columns: make([]kube.Column, 2), Set: []kube.Row{
			{UID: "a", Name: " web ", Cells: []string{" web ", "Running"}, Owner: kube.Object{Kind: "Job", Name: " x "}}, {UID: "b"},
		}}
		s.rows <- kube.RowBatch{Synced: true, Set: []kube.Row{{UID: "c"}}, Delete: []string{"b"}}
		step("two batches before anybody looks", "reset, 2 columns, set 2 delete 1")
		if r := c.Pods.All["a"]; !c.Pods.Synced || len(c.Pods.All) != 2 || r.Name != "web" || r.Cells[0] != "web" || r.Owner.Name != "x" {
			t.Errorf("rows %+v", c.Pods.All)
		}
		var late log
		c.Pods.Read(&late)
		if got := late.take(); got != "reset, 2 columns, set 2 delete 0" {
			t.Errorf("a later reader receives %q", got)
		}
		c.Pods.Unread(&late)
		s.rows <- kube.RowBatch{Delete: []string{"c"}}
		step("a deletion", "set 0 delete 1")
		close(s.rows)
		step("it breaks off", "error")
		if len(late) != 0 || c.Pods.Err == nil || len(c.Pods.All) != 1 {
			t.Errorf("after the end: %q, %v, %d rows", late, c.Pods.Err, len(c.Pods.All))
		}
	})
}

func TestMergedBatches(t *testing.T) {
	rows := func(names string) []kube.Row {
		var list []kube.Row
		for n := range strings.FieldsSeq(names) {
			list = append(list, kube.Row{UID: n[:1], Name: n})
		}
		return list
	}
	columns := []kube.Column{{Name: "Name"}}
	for _, test := range []struct {
		what           string
		old, new, want kube.RowBatch
	}{
		{"the newer of two", kube.RowBatch{Set: rows("a1 b1")}, kube.RowBatch{Set: rows("a2")}, kube.RowBatch{Set: rows("b1 a2")}},
		{"gone at once", kube.RowBatch{Set: rows("a1")}, kube.RowBatch{Delete: []string{"a"}}, kube.RowBatch{Set: []kube.Row{}, Delete: []string{"a"}}},
		{"back again", kube.RowBatch{Delete: []string{"a"}}, kube.RowBatch{Set: rows("a2")}, kube.RowBatch{Set: rows("a2")}},
		{
			"what was first stays first", kube.RowBatch{Reset: true, Columns: columns, Synced: true}, kube.RowBatch{Set: rows("a1")},
			kube.RowBatch{Reset: true, Columns: columns, Synced: true, Set: rows("a1")},
		},
		{"a new list", kube.RowBatch{Set: rows("a1"), Synced: true}, kube.RowBatch{Reset: true, Set: rows("b1")}, kube.RowBatch{Reset: true, Set: rows("b1")}},
	} {
		if got := mergeBatches(test.old, test.new); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %+v, want %+v", test.what, got, test.want)
		}
	}
}

func TestServicesAreInOrderAndClean(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		c, settle := begin(t, s)
		c.Services.Feed.Use()
		lines := []kube.ServiceLine{
			{Namespace: "shop", Name: "web", Ports: []kube.ServicePort{{Port: 80, Target: " http "}}, Reachable: []kube.Address{{Address: " 10.96.0.1:80 "}}},
			{Namespace: "default", Name: "kubernetes"},
		}
		s.services <- lines
		settle()
		l := c.Services.Get("shop", "web")
		if l == nil || c.Services.List[0].Name != "kubernetes" || l.Ports[0].Target != "http" || l.Reachable[0].Address != "10.96.0.1:80" {
			t.Errorf("%+v", c.Services.List)
		}
		if lines[0].Ports[0].Target != " http " {
			t.Error("what was sent has changed")
		}
		version := c.Services.Version
		s.services <- lines
		settle()
		if c.Services.Version != version || c.Services.Get("shop", "nobody") != nil {
			t.Errorf("version %d, want %d", c.Services.Version, version)
		}
	})
}

func TestHealthOfRows(t *testing.T) {
	columns := []kube.Column{{Name: "Name"}, {Name: "Ready"}, {Name: "Status"}}
	for _, test := range []struct {
		ready, status string
		row           kube.Row
		want          Health
	}{
		{"1/1", "Running", kube.Row{}, OK},
		{"1/2", "Running", kube.Row{}, Warn},
		{"0/1", "CrashLoopBackOff", kube.Row{}, Fail},
		{"", "Init:0/2", kube.Row{}, Busy},
		{"0/1", "ContainerCreating", kube.Row{}, Warn},
		{"0/1", "Init:Error", kube.Row{}, Fail},
		{"0/1", "Completed", kube.Row{}, Off},
		{"", "Pending", kube.Row{}, Warn},
		{"", "something", kube.Row{}, Unclear},
		{"True", "", kube.Row{}, OK},
		{"1/1", "Running", kube.Row{Deleting: true}, Ending},
		{"", "Ready,SchedulingDisabled", kube.Row{Cordoned: true}, Warn},
		{"", "NotReady,SchedulingDisabled", kube.Row{Cordoned: true}, Warn},
	} {
		test.row.Cells = []string{"x", test.ready, test.status}
		if got := HealthOf(columns, &test.row); got != test.want {
			t.Errorf("%q %q cordoned %v deleting %v: %d, want %d", test.ready, test.status, test.row.Cordoned, test.row.Deleting, got, test.want)
		}
	}
}

// TestPodSummaryCountsLikeACountOfAll changes pods at random; the counts that are kept up to date are those of a new
// count.
func TestPodSummaryCountsLikeACountOfAll(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	store := &Rows{Columns: []kube.Column{{Name: "Name"}, {Name: "Status"}, {Name: "Node"}}}
	p, fresh := PodSummary{store: store, changed: func() {}}, PodSummary{store: store, changed: func() {}}
	rows := map[string]kube.Row{}
	p.RowsReset()
	for range 3000 {
		id := fmt.Sprint("u", rnd.IntN(60))
		if rnd.IntN(3) == 0 {
			delete(rows, id)
			p.RowsChanged(nil, []string{id})
			continue
		}
		status := []string{"Running", "Pending", "Completed", "Error", "ContainerCreating"}[rnd.IntN(5)]
		rows[id] = kube.Row{UID: id, Namespace: fmt.Sprint("ns", rnd.IntN(4)), Name: id, Cells: []string{id, status, fmt.Sprint("dev-", rnd.IntN(3))}}
		p.RowsChanged([]kube.Row{rows[id]}, nil)
		if rnd.IntN(4) == 0 {
			p.Refresh()
		}
	}
	p.Refresh()
	fresh.RowsReset()
	fresh.RowsChanged(slices.Collect(maps.Values(rows)), nil)
	fresh.Refresh()
	if p.Len() != len(rows) || p.Ready != fresh.Ready || p.Total != fresh.Total || len(p.Spaces) != len(fresh.Spaces) {
		t.Fatalf("%d of %d in %d namespaces, want %d of %d in %d", p.Ready, p.Total, len(p.Spaces), fresh.Ready, fresh.Total, len(fresh.Spaces))
	}
	for i, s := range p.Spaces {
		want := fresh.Spaces[i]
		if s.Name != want.Name || s.Counts != want.Counts || s.Worst() != want.Worst() || !slices.Equal(s.Marks, want.Marks) {
			t.Errorf("%s has %v, want %v", s.Name, s.Counts, want.Counts)
		}
	}
	for node, n := range fresh.Nodes {
		if p.Nodes[node] != n {
			t.Errorf("%s has %v, want %v", node, p.Nodes[node], n)
		}
	}
}
