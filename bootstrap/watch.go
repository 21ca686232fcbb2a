package bootstrap

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
)

// The pauses between two questions about the containers of nodes: while all nodes are known to run, and while one may not.
const (
	calmLook  = 10 * time.Second
	worryLook = time.Second
)

// firstAnswer is how long the first snapshot waits for the engine's first answer, so that as a rule it is complete.
const firstAnswer = 500 * time.Millisecond

// Watch calls f with snapshots of a running cluster, at once and after each change, until its daemon or ctx ends or f
// fails; the end of the daemon is not an error. The daemon knows of a node what its agent reports; the engine is asked for
// the rest, also while the daemon reports nothing: f may be called although nothing has changed. An engine that does not
// answer delays no snapshot; it becomes a problem in them.
func (m *Manager) Watch(ctx context.Context, name string, f func(cluster.Snapshot) error) error {
	state := m.env.Dir.Cluster(name)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	news := make(chan cluster.Snapshot)
	var watched error // is set when news is closed
	go func() {
		defer close(news)
		watched = m.clientOf(state).Watch(ctx, func(v cluster.Snapshot) error {
			select {
			case news <- v:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	err := withHosts(ctx, news, func(ctx context.Context) func(*cluster.Snapshot) {
		spec, err := state.LoadSpec()
		if err != nil {
			return nil // it is being deleted
		}
		return m.hosts(ctx, spec)
	}, f)
	cancel()
	for range news { // until the goroutine has ended
		continue
	}
	return cmp.Or(err, watched)
}

// withHosts calls f with each snapshot of news, to which is added what ask has returned last, until news is closed or f
// fails. ask blocks for as long as the engine takes; it runs beside all else, one question at a time, and has ended when
// withHosts returns. It returns nil if there is nothing to add that was not known before.
func withHosts(ctx context.Context, news <-chan cluster.Snapshot, ask func(context.Context) func(*cluster.Snapshot), f func(cluster.Snapshot) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	answers := make(chan func(*cluster.Snapshot), 1)
	var (
		newest   cluster.Snapshot
		addHosts = func(*cluster.Snapshot) {}
		busy     bool             // a question is under way
		answered time.Time        // when the last one ended
		heard    bool             // one has ended, or took too long to wait for
		patience <-chan time.Time // for the first one
		worried  bool             // by the last answer
	)
	look := time.NewTimer(calmLook)
	defer look.Stop()
	for {
		fresh := true
		select {
		case v, ok := <-news:
			if !ok {
				return nil
			}
			newest = v
		case add := <-answers:
			busy, heard, answered, patience = false, true, time.Now(), nil
			if add != nil {
				addHosts = add
			}
		case <-patience:
			heard = true
		case <-look.C:
			fresh = false
		}
		if fresh && !newest.Time.IsZero() && (heard || len(newest.Nodes) == 0) {
			full := newest
			full.Nodes, full.Problems = slices.Clone(newest.Nodes), slices.Clone(newest.Problems)
			addHosts(&full)
			worried = !allRun(&full) || len(full.Problems) != len(newest.Problems)
			cluster.SortProblems(full.Problems)
			if err := f(full); err != nil {
				return err
			}
		}
		if busy || len(newest.Nodes) == 0 {
			continue
		}
		pause := calmLook
		if worried || !allRun(&newest) {
			pause = worryLook
		}
		if pause -= time.Since(answered); pause > 0 {
			look.Reset(pause)
			continue
		}
		busy = true
		asking.Go(func() { answers <- ask(ctx) })
		if !heard && patience == nil {
			patience = time.After(firstAnswer)
		}
	}
}

func allRun(s *cluster.Snapshot) bool {
	return !slices.ContainsFunc(s.Nodes, func(n cluster.NodeStatus) bool { return !n.Stopped && n.Host != cluster.PhaseRunning })
}
