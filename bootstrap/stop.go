package bootstrap

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
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
	lock, err := state.LockExisting(ctx, "stop")
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }()
	spec, err := state.LoadSpec()
	if err != nil {
		return err
	}
	rec := newRecorder("stop", events, m.env.Log)
	if err := m.recordClaims(ctx, state, spec); err != nil {
		m.env.Log.Debug("the claims are not recorded", "cluster", name, "cause", err)
	}
	var nodesErr error
	var nodes sync.WaitGroup
	if len(spec.Nodes) > 0 {
		nodes.Go(func() { nodesErr = m.stopNodes(ctx, rec, spec) })
	}
	// Neither waits for the other or ends with it: without an engine the control plane is stopped all the same.
	err = rec.step("daemon", "Control plane", func(func(string)) error { return m.stopDaemon(ctx, state) })
	nodes.Wait()
	return errors.Join(err, nodesErr)
}

func (m *Manager) stopNodes(ctx context.Context, rec *recorder, spec *cluster.Spec) error {
	driver, err := m.env.Driver()
	if err != nil {
		return nodesLeft(err, spec)
	}
	defer func() { _ = driver.Close() }()
	containers, err := driver.List(ctx, spec.ID)
	if err != nil {
		return nodesLeft(err, spec)
	}
	var g errgroup.Group // without a context: one that fails does not keep others running
	for _, c := range containers {
		if !c.Up() {
			continue
		}
		g.Go(func() error {
			return rec.step("container/"+c.Node, "Node "+c.Node, func(func(string)) error {
				return m.stopNode(ctx, driver, c)
			})
		})
	}
	return g.Wait()
}

// stopNode stops a container. One that is paused continues first: only then do its pods end in order.
func (m *Manager) stopNode(ctx context.Context, driver node.Driver, c node.Container) error {
	if c.Paused() {
		if err := driver.UnpauseNode(ctx, c.Name); err != nil {
			return err
		}
	}
	return driver.StopNode(ctx, c.Name, m.env.Scale.Of(nodeGrace))
}

// nodesLeft adds to the error of an engine that does not answer what a stop could not stop.
func nodesLeft(err error, spec *cluster.Spec) error {
	if f, ok := errors.AsType[*fault.Fault](err); ok {
		f.Advise("its nodes may still run; stop them when the container engine answers", cluster.Bonsai("stop").Of(spec.Name).Change())
	}
	return err
}
