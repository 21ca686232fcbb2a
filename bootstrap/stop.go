package bootstrap

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/statedir"
)

const (
	// nodeGrace is the time that a node gets to stop its pods.
	nodeGrace       = 2 * time.Second
	daemonStopLimit = 15 * time.Second
)

// Stop stops nodes and control plane and keeps everything. Stopping a stopped cluster is not an error. Events may be
// nil.
func (m *Manager) Stop(ctx context.Context, name string, events func(cluster.Event)) error {
	state := m.env.Dir.Cluster(name)
	if !state.Exists() {
		return statedir.NotFound(name)
	}
	lock, err := state.Lock(ctx, "stop")
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }()
	spec, err := state.LoadSpec()
	if err != nil {
		return err
	}
	rec := newRecorder("stop", events, m.env.Log)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return rec.step("daemon", "Control plane", func(func(string)) error { return m.stopDaemon(gctx, state) })
	})
	if len(spec.Nodes) > 0 {
		g.Go(func() error { return m.stopNodes(gctx, rec, spec) })
	}
	return g.Wait()
}

func (m *Manager) stopNodes(ctx context.Context, rec *recorder, spec *cluster.Spec) error {
	driver, err := m.env.Driver()
	if err != nil {
		return err
	}
	defer func() { _ = driver.Close() }()
	containers, err := driver.List(ctx, spec.ID)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, c := range containers {
		if !c.Running {
			continue
		}
		g.Go(func() error {
			return rec.step("container/"+c.Node, "Node "+c.Node, func(func(string)) error {
				return driver.StopNode(ctx, c.Name, m.env.Scale.Of(nodeGrace))
			})
		})
	}
	return g.Wait()
}
