package bootstrap

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/statedir"
)

// pauseLimit bounds the end and the start of controllers in the daemon.
const pauseLimit = 20 * time.Second

// Pause freezes the nodes of a running cluster, and ends everything of its control plane but etcd and the API server. That lasts
// until Unpause, a start, any other change, or a request of a user to the API server. Pausing a paused cluster completes what
// is missing. With idle, which the daemon sets that has seen no request for long, it is refused with the fault Busy if the
// cluster is used after all. If it fails, the cluster runs again.
func (m *Manager) Pause(ctx context.Context, name string, idle bool, events func(cluster.Event)) error {
	p, release, err := m.lockedPauser(ctx, name, "pause", events)
	if err != nil {
		return err
	}
	defer release()
	// First the record, so that a daemon that is killed meanwhile does not run what should not.
	fresh := p.state.Paused() == nil
	if fresh {
		if err := p.state.SavePause(cluster.Pause{Since: time.Now(), Auto: idle}); err != nil {
			return err
		}
	}
	err = p.rec.step("daemon", "Controllers and scheduler", func(func(string)) error {
		ctx, cancel := m.limit(ctx, pauseLimit, "controllers and scheduler to end")
		defer cancel()
		return m.clientOf(p.state).Pause(ctx, idle)
	})
	switch fault.KindOf(err) {
	case fault.Busy, fault.NotRunning: // it is used, or still starting: nothing has happened
		if fresh {
			err = errors.Join(err, p.state.DropPause())
		}
		return err
	}
	if err == nil {
		// Only now: nothing is left that would miss the nodes.
		err = p.nodes(ctx, "Freezing node ", func(c node.Container) bool { return c.Running }, node.Driver.PauseNode)
	}
	if err != nil {
		undo, cancel := m.limit(context.WithoutCancel(ctx), cleanupLimit, "the cluster to run again")
		defer cancel()
		return errors.Join(err, p.unpause(undo))
	}
	return nil
}

// Unpause makes a paused cluster run again. One that is not paused stays as it is, except that nodes run that somebody has
// paused by other means.
func (m *Manager) Unpause(ctx context.Context, name string, events func(cluster.Event)) error {
	p, release, err := m.lockedPauser(ctx, name, "unpause", events)
	if err != nil {
		return err
	}
	defer release()
	return p.unpause(ctx)
}

// Wake is Unpause for a cluster that is paused; of any other it asks nothing. Commands that need nodes call it.
func (m *Manager) Wake(ctx context.Context, name string, events func(cluster.Event)) error {
	state := m.env.Dir.Cluster(name)
	if state.Paused() == nil || !state.DaemonAlive() {
		return nil
	}
	return m.Unpause(ctx, name, events)
}

// notRunning is the fault of a verb that needs a running cluster.
func notRunning(name, verb string) error {
	return fault.Newf(fault.NotRunning, "cluster %q is not running, so there is nothing to %s", name, verb).
		Advise("start it", cluster.Bonsai("start").Of(name).Cure())
}

// pauser pauses and unpauses one cluster, whose lock the caller holds.
type pauser struct {
	*Manager
	rec   *recorder
	state statedir.Cluster
	spec  *cluster.Spec
}

// lockedPauser is the pauser of a running cluster, which it locks for the verb until release is called.
func (m *Manager) lockedPauser(ctx context.Context, name, verb string, events func(cluster.Event)) (p *pauser, release func(), err error) {
	state := m.env.Dir.Cluster(name)
	lock, err := state.LockExisting(ctx, verb)
	if err != nil {
		return nil, nil, err
	}
	release = func() { _ = lock.Release() }
	spec, err := state.LoadSpec()
	if err == nil && !state.DaemonAlive() {
		err = notRunning(name, verb)
	}
	if err != nil {
		release()
		return nil, nil, err
	}
	return m.pauserOf(newRecorder(verb, events, m.env.Log), state, spec), release, nil
}

func (m *Manager) pauserOf(rec *recorder, state statedir.Cluster, spec *cluster.Spec) *pauser {
	return &pauser{Manager: m, rec: rec, state: state, spec: spec}
}

// unpause lets nodes and then the control plane continue. The record goes last: whatever is interrupted before is completed by
// the next attempt.
func (p *pauser) unpause(ctx context.Context) error {
	if err := p.nodes(ctx, "Node ", node.Container.Paused, node.Driver.UnpauseNode); err != nil {
		return err
	}
	if err := p.rec.step("daemon", "Controllers and scheduler", func(func(string)) error {
		ctx, cancel := p.limit(ctx, pauseLimit, "controllers and scheduler to run")
		defer cancel()
		return p.clientOf(p.state).Resume(ctx)
	}); err != nil {
		return err
	}
	return p.state.DropPause()
}

// nodes calls f for the containers of the cluster that are in a state, all at once.
func (p *pauser) nodes(ctx context.Context, title string, in func(node.Container) bool, f func(node.Driver, context.Context, string) error) error {
	if len(p.spec.Nodes) == 0 {
		return nil // such a cluster needs no engine
	}
	driver, err := p.env.Driver()
	if err != nil {
		return err
	}
	defer func() { _ = driver.Close() }()
	containers, err := driver.List(ctx, p.spec.ID)
	if err != nil {
		return err
	}
	var g errgroup.Group // without a context: one that fails does not leave others half-way
	for _, c := range containers {
		if !in(c) {
			continue
		}
		g.Go(func() error {
			return p.rec.step("container/"+c.Node, title+c.Node, func(func(string)) error { return f(driver, ctx, c.Name) })
		})
	}
	return g.Wait()
}

// wake makes a paused cluster run again before it is changed.
func (o *operation) wake(ctx context.Context) error {
	if !o.paused || !o.Current.Running {
		return nil
	}
	if err := o.pauserOf(o.rec, o.state, o.Current.Spec).unpause(ctx); err != nil {
		return err
	}
	o.paused = false
	if o.driver == nil {
		return nil
	}
	containers, err := o.driver.List(ctx, o.Current.Spec.ID)
	if err == nil {
		o.containers = containers
	}
	return err
}

// SetAutoPause sets after how long without a request of a user an existing cluster pauses; 0: never. It takes effect at once,
// and a cluster that is paused stays so.
func (m *Manager) SetAutoPause(ctx context.Context, name string, after time.Duration) (plan.Plan, error) {
	return m.change(ctx, "pause", name, plan.Wish{Name: name, AutoPause: &after}.Kept, Run{}, parts{})
}

// leavesPaused reports whether a paused cluster can be changed as planned without being woken.
func (o *operation) leavesPaused() bool {
	for _, c := range o.Changes {
		if c.Kind() != plan.KindAutoPause {
			return false
		}
	}
	return true
}
