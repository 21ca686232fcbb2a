package metricsserver

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"sigs.k8s.io/metrics-server/pkg/storage"

	"bonsai/bootstrap/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// nodes are scraped: those that answer have a figure that grows with time.
type nodes struct {
	began time.Time

	mu       sync.Mutex // guards the rest
	ready    []string
	silent   map[string]bool
	readings []time.Time
	takes    time.Duration
	changes  int
}

// Scrape implements scraper.Scraper.
func (n *nodes) Scrape(ctx context.Context) *storage.MetricsBatch {
	n.mu.Lock()
	n.readings = append(n.readings, time.Now())
	takes := n.takes
	n.mu.Unlock()
	if takes > 0 {
		select {
		case <-ctx.Done():
		case <-time.After(takes):
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	batch := &storage.MetricsBatch{Nodes: map[string]storage.MetricsPoint{}}
	for _, name := range n.ready {
		if !n.silent[name] {
			batch.Nodes[name] = storage.MetricsPoint{StartTime: n.began, Timestamp: time.Now(), CumulativeCPUUsed: uint64(time.Since(n.began)) + 1, MemoryUsage: 1}
		}
	}
	return batch
}

// set changes the nodes.
func (n *nodes) set(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
}

func (n *nodes) areReady() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ready
}

func (n *nodes) read() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.readings)
}

func (n *nodes) heard() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.changes
}

// within counts the readings of the last time.
func (n *nodes) within(d time.Duration) (count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, at := range n.readings {
		if time.Since(at) < d {
			count++
		}
	}
	return count
}

// reading runs figures over two nodes in a bubble, and stops them.
func reading(t *testing.T, test func(t *testing.T, n *nodes, f *figures)) {
	synctest.Test(t, func(t *testing.T) {
		n := &nodes{began: time.Now(), ready: []string{"n1", "n2"}, silent: map[string]bool{}}
		f := newFigures(n, storage.NewStorage(storedResolution), n.areReady, func() { n.set(func() { n.changes++ }) })
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { f.run(ctx); close(ended) }()
		defer func() { cancel(); <-ended }()
		synctest.Wait()
		test(t, n, f)
	})
}

func (n *nodes) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestFiguresAreReadOftenWhileSomebodyAsks(t *testing.T) {
	reading(t, func(t *testing.T, n *nodes, f *figures) {
		n.pass(eager)
		if !f.store.NodeReady() {
			t.Error("after two readings there are no figures")
		}
		before := n.read()
		n.pass(10 * time.Minute)
		if got := n.read() - before; got < 9 || got > 11 {
			t.Errorf("%d readings in ten minutes in which nobody asked", got)
		}
		n.pass(slow / 2)
		begin := time.Now()
		f.refresh(t.Context())
		if n.within(time.Second) != 1 || time.Since(begin) > time.Second {
			t.Errorf("a request was answered after %s", time.Since(begin))
		}
		before = n.read()
		n.pass(time.Minute)
		if got := n.read() - before; got < 5 || got > 7 {
			t.Errorf("%d readings in the minute after a request", got)
		}
		n.pass(keen)
		before = n.read()
		n.pass(10 * time.Minute)
		if got := n.read() - before; got > 11 {
			t.Errorf("%d readings in ten minutes, long after the last request", got)
		}
	})
}

func TestARequestDoesNotWaitForSlowNodes(t *testing.T) {
	reading(t, func(t *testing.T, n *nodes, f *figures) {
		n.pass(2 * slow)
		n.set(func() { n.takes = scrapeLimit })
		n.pass(slow / 2)
		begin := time.Now()
		f.refresh(t.Context())
		if waited := time.Since(begin); waited != freshLimit {
			t.Errorf("a request waited %s", waited)
		}
	})
}

func TestHealthOfFigures(t *testing.T) {
	reading(t, func(t *testing.T, n *nodes, f *figures) {
		is := func(want cluster.AddonState, reason string) {
			t.Helper()
			if got, why, _ := f.health(); got != want || !strings.Contains(why, reason) {
				t.Errorf("the addon is %s, %q; want %s, %q", got, why, want, reason)
			}
		}
		is(cluster.AddonInstalling, "take some seconds")
		n.pass(eager)
		is(cluster.AddonRunning, "")

		n.set(func() { n.silent["n2"] = true }) // its kubelet is being restarted
		f.soon()
		n.pass(time.Second)
		is(cluster.AddonRunning, "")
		n.pass(toleratedGaps * eager)
		is(cluster.AddonDegraded, "1 of 2 nodes have no figures: n2")
		n.set(func() { n.ready = []string{"n1"} }) // and is found to be away, which others report
		is(cluster.AddonRunning, "")
		n.set(func() { n.ready, n.silent = []string{"n1", "n2"}, map[string]bool{} })
		f.soon()
		n.pass(time.Second)
		is(cluster.AddonRunning, "")

		n.set(func() { n.ready = nil })
		f.soon()
		n.pass(time.Second)
		is(cluster.AddonRunning, "") // no node, no figures
	})
}

// A cluster's addons run before its first node is Ready: that its figures take some seconds then is not a fault.
func TestTheFirstNodeIsGivenTime(t *testing.T) {
	reading(t, func(t *testing.T, n *nodes, f *figures) {
		is := func(want cluster.AddonState) {
			t.Helper()
			if got, why, _ := f.health(); got != want {
				t.Errorf("the addon is %s, %q; want %s", got, why, want)
			}
		}
		n.set(func() { n.ready = nil })
		is(cluster.AddonRunning)
		n.set(func() { n.ready, n.silent = []string{"n1"}, map[string]bool{"n1": true} })
		f.soon()
		n.pass(eager)
		is(cluster.AddonRunning)
		n.pass(eagerTries * eager)
		is(cluster.AddonDegraded)
	})
}

func TestWatchersHearOfChangesOnly(t *testing.T) {
	reading(t, func(t *testing.T, n *nodes, f *figures) {
		n.pass(time.Hour)
		before := n.heard()
		if before > 2 { // that they come, and that they are there
			t.Errorf("%d changes in an hour without one", before)
		}
		n.set(func() { n.silent["n1"] = true })
		n.pass(toleratedGaps * slow)
		if got := n.heard() - before; got != 1 {
			t.Errorf("%d changes when a node has no figures any more", got)
		}
	})
}

func TestASilentClusterIsRarelyAsked(t *testing.T) {
	reading(t, func(t *testing.T, n *nodes, f *figures) {
		n.pass(time.Minute)
		n.set(func() { n.silent = map[string]bool{"n1": true, "n2": true} })
		n.pass(time.Hour)
		before := n.read()
		n.pass(time.Hour)
		if got := n.read() - before; got > 7 {
			t.Errorf("%d readings in an hour of nodes that do not answer", got)
		}
		n.set(func() { n.silent = map[string]bool{} })
		f.refresh(t.Context())
		if n.within(time.Second) == 0 {
			t.Error("a request finds no newer figures")
		}
	})
}
