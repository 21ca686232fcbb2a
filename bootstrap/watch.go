package bootstrap

import (
	"cmp"
	"context"
	"slices"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/localapi"
)

// The pauses between two looks at the containers of nodes: while all nodes are known to run, and while one may not.
const (
	calmLook  = 10 * time.Second
	worryLook = time.Second
)

// Watch tells f of a running cluster, at once and after each change, until its daemon or ctx ends or f fails; the end of
// the daemon is no error. The daemon knows of a node what its agent says; the engine is asked for the rest, and is looked
// at by itself too: a snapshot may be told again although nothing has changed.
func (m *Manager) Watch(ctx context.Context, name string, f func(cluster.Snapshot) error) error {
	state := m.env.Dir.Cluster(name)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	news, ended := make(chan cluster.Snapshot), make(chan error, 1)
	go func() {
		ended <- localapi.NewClient(state.APISocket()).Watch(ctx, func(v cluster.Snapshot) error {
			select {
			case news <- v:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	var newest cluster.Snapshot
	addHosts := func(*cluster.Snapshot) {}
	var asked time.Time
	worried := false // by the engine's last answer
	look := time.NewTimer(calmLook)
	defer look.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case newest = <-news:
		case <-look.C:
		}
		pause := calmLook
		if worried || !allRun(&newest) {
			pause = worryLook
		}
		if time.Since(asked) >= pause {
			asked = time.Now()
			if len(newest.Nodes) > 0 {
				if spec, err := state.LoadSpec(); err == nil { // else it is being deleted
					addHosts = m.hosts(ctx, spec)
				}
			}
		}
		look.Reset(pause - time.Since(asked))
		if newest.Time.IsZero() {
			continue // the daemon has said nothing yet
		}
		told := newest
		told.Nodes, told.Problems = slices.Clone(newest.Nodes), slices.Clone(newest.Problems)
		addHosts(&told)
		worried = !allRun(&told) || len(told.Problems) != len(newest.Problems)
		cluster.SortProblems(told.Problems)
		if err := f(told); err != nil {
			cancel()
			return cmp.Or(err, <-ended) // which waits for its end
		}
	}
}

func allRun(s *cluster.Snapshot) bool {
	return !slices.ContainsFunc(s.Nodes, func(n cluster.NodeStatus) bool { return n.Host != cluster.PhaseRunning })
}
