package bootstrap

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"bonsai/bootstrap/cluster"
)

// engineSays is an answer of the engine: the node's container runs, or it does not answer.
func engineSays(runs bool) func(*cluster.Snapshot) {
	return func(s *cluster.Snapshot) {
		if !runs {
			s.Problems = append(s.Problems, cluster.Problem{Object: "engine"})
			return
		}
		for i := range s.Nodes {
			s.Nodes[i].Host = cluster.PhaseRunning
		}
	}
}

// seen is one snapshot that was passed on.
type seen struct {
	after time.Duration
	host  cluster.Phase
	down  bool // it says that the engine does not answer
}

// watching runs withHosts in a bubble with one node, of which the daemon reports when sent to.
type watching struct {
	news  chan cluster.Snapshot
	began time.Time
	done  chan error

	mu   sync.Mutex // guards seen
	seen []seen
}

func watch(ctx context.Context, ask func(context.Context) func(*cluster.Snapshot), fail error) *watching {
	w := &watching{news: make(chan cluster.Snapshot), began: time.Now(), done: make(chan error, 1)}
	go func() {
		w.done <- withHosts(ctx, w.news, ask, func(s cluster.Snapshot) error {
			down := slices.ContainsFunc(s.Problems, func(p cluster.Problem) bool { return p.Object == "engine" })
			w.mu.Lock()
			defer w.mu.Unlock()
			w.seen = append(w.seen, seen{time.Since(w.began), s.Nodes[0].Host, down})
			return fail
		})
	}()
	return w
}

func (w *watching) report() {
	w.news <- cluster.Snapshot{Time: time.Now(), Nodes: []cluster.NodeStatus{{Name: "dev-1"}}}
	synctest.Wait()
}

func (w *watching) want(t *testing.T, want ...seen) {
	t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.seen, want) {
		t.Errorf("got %v, want %v", w.seen, want)
	}
}

func (w *watching) end(t *testing.T) {
	t.Helper()
	close(w.news)
	if err := <-w.done; err != nil {
		t.Error(err)
	}
}

func TestTheFirstSnapshotHasTheEnginesAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t.Context(), func(context.Context) func(*cluster.Snapshot) {
			time.Sleep(20 * time.Millisecond)
			return engineSays(true)
		}, nil)
		w.report()
		time.Sleep(100 * time.Millisecond)
		w.want(t, seen{20 * time.Millisecond, cluster.PhaseRunning, false})
		w.end(t)
	})
}

func TestASilentEngineDelaysNoSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		w := watch(t.Context(), func(context.Context) func(*cluster.Snapshot) {
			asked.Add(1)
			time.Sleep(3 * time.Second) // its limit
			return engineSays(false)
		}, nil)
		w.report()
		for range 2 {
			time.Sleep(time.Second)
			w.report()
		}
		w.want(t, seen{firstAnswer, "", false}, seen{time.Second, "", false}, seen{2 * time.Second, "", false})
		if n := asked.Load(); n != 1 {
			t.Errorf("it was asked %d times at once", n)
		}
		time.Sleep(1500 * time.Millisecond)
		w.report()
		w.want(t, seen{firstAnswer, "", false}, seen{time.Second, "", false}, seen{2 * time.Second, "", false},
			seen{3 * time.Second, "", true}, seen{3500 * time.Millisecond, "", true})
		time.Sleep(600 * time.Millisecond)
		synctest.Wait()
		if n := asked.Load(); n != 2 {
			t.Errorf("a second after its answer it was asked %d times in all, want 2", n)
		}
		w.end(t)
	})
}

func TestTheEngineIsAskedAgainWhileTheDaemonReportsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		w := watch(t.Context(), func(context.Context) func(*cluster.Snapshot) { return engineSays(!down.Load()) }, nil)
		w.report()
		down.Store(true)
		time.Sleep(worryLook + time.Millisecond)
		w.want(t, seen{0, cluster.PhaseRunning, false}, seen{worryLook, "", true})
		w.end(t)
	})
}

func TestWhoWatchesAndFailsEndsTheQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := false
		w := watch(t.Context(), func(ctx context.Context) func(*cluster.Snapshot) {
			<-ctx.Done()
			ended = true
			return nil
		}, errors.New("the terminal is gone"))
		w.report()
		if err := <-w.done; err == nil || !ended {
			t.Errorf("got %v, the question ended: %v", err, ended)
		}
	})
}
