package bootstrap

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kubeconfig"
	"bonsai/bootstrap/statedir"
)

const (
	// nodeGrace is what a node gets to end its pods.
	nodeGrace       = 2 * time.Second
	daemonStopLimit = 15 * time.Second
	deleteLimit     = 60 * time.Second
)

// Stop ends nodes and control plane and keeps everything. Stopping a stopped cluster is no error. Events may be nil.
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
	rec := newRecorder("stop", events)
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

// Delete removes every trace of the cluster: daemon, containers, volumes, network, state folder and the entries in
// the kubeconfig. It works on half-made and broken clusters too. If the engine does not answer, all else is removed
// and the fault says that containers remain; a later Delete finds those by their labels.
func (m *Manager) Delete(ctx context.Context, name string, events func(cluster.Event)) error {
	state := m.env.Dir.Cluster(name)
	rec := newRecorder("delete", events)
	driver, driverErr := m.env.Driver()
	if driverErr == nil {
		defer func() { _ = driver.Close() }()
	}
	existed := state.Exists()
	needsEngine := true
	ids := []string{state.ID()}
	if existed {
		if spec, err := state.LoadSpec(); err == nil && len(spec.Nodes) == 0 {
			needsEngine = false // made without an engine; it may not even be installed
		}
	} else {
		if driverErr != nil {
			return errors.Join(statedir.NotFound(name), driverErr)
		}
		holdings, err := driver.Holdings(ctx)
		if err != nil {
			return errors.Join(statedir.NotFound(name), err)
		}
		ids = nil
		for _, h := range holdings {
			if h.Cluster == name {
				ids = append(ids, h.ID)
			}
		}
		if len(ids) == 0 {
			return statedir.NotFound(name)
		}
	}
	if existed {
		lock, err := state.Lock(ctx, "delete")
		if err != nil {
			return err
		}
		defer func() { _ = lock.Release() }()
	}
	ctx, cancel := m.limit(ctx, deleteLimit, "the delete")
	defer cancel()

	var g errgroup.Group
	g.Go(func() error {
		return rec.step("daemon", "Control plane", func(func(string)) error {
			// Its data goes away: there is nothing to end in order.
			return m.killDaemon(ctx, state)
		})
	})
	if needsEngine {
		g.Go(func() error {
			return rec.step("containers", "Containers, volumes and network", func(func(string)) error {
				if driverErr != nil {
					return driverErr
				}
				var errs []error
				for _, id := range ids {
					errs = append(errs, driver.RemoveCluster(ctx, id))
				}
				return errors.Join(errs...)
			})
		})
	}
	engineErr := g.Wait()
	err := rec.step("state", "Certificates, data and kubeconfig entries", func(func(string)) error {
		_, err := kubeconfig.Remove(name)
		return errors.Join(err, state.Remove())
	})
	if engineErr != nil {
		if f, ok := errors.AsType[*fault.Fault](engineErr); ok && len(f.Advice) == 0 {
			engineErr = f.WithHint("run it again when the container engine answers:  bonsai delete -p %s", name)
		}
	} else if needsEngine && err == nil {
		err = m.prunePayloads(ctx)
	}
	return errors.Join(engineErr, err)
}

// prunePayloads removes the payloads of versions that no cluster uses.
func (m *Manager) prunePayloads(ctx context.Context) error {
	payload, err := m.env.Payload()
	if err != nil {
		return nil // an executable without one has nothing to keep, and cannot tell what others need
	}
	driver, err := m.env.Driver()
	if err != nil {
		return err
	}
	defer func() { _ = driver.Close() }()
	return driver.PrunePayloads(ctx, payload.Hash)
}
