package bootstrap

import (
	"context"
	"errors"
	"fmt"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kubeconfig"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/statedir"
)

// Run is how one command runs, apart from what is wanted of the cluster. Its zero value waits for everything, removes
// what it created if it fails, and reports no progress.
type Run struct {
	// Keep leaves everything in place on failure.
	Keep bool
	// NoWait returns as soon as the API server is ready, without waiting for nodes.
	NoWait bool
	// Foreground keeps the daemon attached: its output goes to this process's stderr, and Start returns after it was
	// stopped, by the end of ctx or from elsewhere. Only Start reads it.
	Foreground bool
	// OwnKubeconfig writes only the cluster's own kubeconfig: nobody at a terminal expects kubectl's context to change.
	OwnKubeconfig bool
	// Owner is the process that the cluster is for: it is deleted when that has ended. Nil changes nothing, except for a
	// cluster whose owner has ended: it stays from now on. Only Start reads it.
	Owner *statedir.Process
	// Events is called with progress; it may be nil and must not block.
	Events func(cluster.Event)
	// Started is called when the cluster is ready, before Start returns, which Foreground delays; it may be nil.
	Started func(*cluster.Timeline)
}

// Start makes sure that the cluster exists, is as wished, and runs, and returns the record of the start. It blocks
// until every node is Ready. If it fails, or ctx ends, what this run created is removed (except with Run.Keep).
func (m *Manager) Start(ctx context.Context, w plan.Wish, run Run) (*cluster.Timeline, error) {
	lock, err := m.env.Dir.Cluster(w.Name).Lock(ctx, "start")
	if err != nil {
		return nil, err
	}
	defer func() { _ = lock.Release() }()
	return m.startLocked(ctx, lock, w, run, restoring{})
}

// startLocked is Start for somebody who has locked the cluster.
func (m *Manager) startLocked(ctx context.Context, lock *statedir.Lock, w plan.Wish, run Run, restoring restoring) (*cluster.Timeline, error) {
	o := m.operation("start", w.Name, run)
	defer o.close()
	o.restoring = restoring
	defer o.choice.endTurn()

	if err := o.prepareStart(ctx, w); err != nil {
		return nil, errors.Join(err, o.forget())
	}
	if err := o.startChoosing(ctx, w); err != nil {
		o.choice.endTurn() // explaining and undoing take their time
		return o.rec.timeline(), o.failed(ctx, err)
	}
	if w.Manifests == nil {
		o.applyPending(ctx)
	} else if err := o.applyManifests(ctx, w.Manifests); err != nil {
		return o.rec.timeline(), o.explain(ctx, err)
	}
	timeline := o.rec.timeline()
	timeline.Context = o.context
	if err := o.state.SaveTimeline(timeline); err != nil {
		o.rec.warn("timeline", err.Error())
	}
	if run.Started != nil {
		run.Started(timeline)
	}
	if run.Foreground {
		return timeline, o.attend(ctx, lock)
	}
	return timeline, nil
}

// Plan returns what Start would change, and changes nothing. It fails as Start would before its first change.
func (m *Manager) Plan(ctx context.Context, w plan.Wish) (plan.Plan, error) {
	o := m.operation("plan", w.Name, Run{})
	defer o.close()
	if err := o.lookAroundForStart(ctx, w); err != nil {
		return plan.Plan{}, err
	}
	err := o.plan(w.Started)
	return o.Plan, err
}

// prepareStart does everything in a start that changes nothing, so that impossible requests are refused before anything
// has changed.
func (o *operation) prepareStart(ctx context.Context, w plan.Wish) error {
	if err := o.lookAroundForStart(ctx, w); err != nil {
		return err
	}
	if err := o.choose(ctx, w); err != nil {
		return err
	}
	if o.run.Foreground && o.Current.Running {
		return fault.Newf(fault.Usage, "cluster %q is already running; --foreground attaches only to a control plane that it starts", w.Name).
			Advise("see its log", cluster.Bonsai("logs", "daemon").Of(w.Name).With("--follow")).
			Advise("or stop it first", cluster.Bonsai("stop").Of(w.Name).Change(), cluster.Bonsai("start").Of(w.Name).With("--foreground").Change())
	}
	if o.run.Owner != nil && o.Current.Spec != nil && o.state.Owner() == nil {
		return fault.Newf(fault.Usage, "cluster %q exists and is for no process: with --while-pid it would be deleted, with all that is in it", w.Name).
			Advise("give the cluster for the process another name", cluster.Bonsai("start").Of("NAME").Fill("NAME").Change()).
			Advise("or delete this one first, if you do not need it", cluster.Bonsai("delete").Of(w.Name).Change())
	}
	if o.Current.Spec == nil && !o.run.OwnKubeconfig { // one that exists can be used without it
		if err := kubeconfig.Check(); err != nil { // now, and not when everything else is done
			return err
		}
	}
	if err := o.checkPorts(); err != nil {
		return err
	}
	o.warnOfLoss(ctx)
	return o.checkLimits(ctx)
}

// lookAroundForStart finds out what the state folder and, if there are or will be nodes, the engine know of the cluster.
func (o *operation) lookAroundForStart(ctx context.Context, w plan.Wish) error {
	if err := o.lookAround(); err != nil {
		return err
	}
	nodes := w.NodeCount(cluster.DefaultNodes)
	if o.Current.Spec != nil {
		nodes = max(len(o.Current.Spec.Nodes), w.NodeCount(0))
	}
	if nodes == 0 {
		return nil
	}
	return o.connect(ctx)
}

// startChoosing is start, and again with other choices while those of a new cluster turn out to be taken.
func (o *operation) startChoosing(ctx context.Context, w plan.Wish) error {
	for {
		err := o.start(ctx)
		if err == nil {
			return nil
		}
		again, undoErr := o.chooseAgain(ctx, w, err)
		if !again {
			return err
		}
		if undoErr != nil {
			return errors.Join(err, undoErr)
		}
		if err := o.choose(ctx, w); err != nil {
			return err
		}
	}
}

// start applies the plan and makes the cluster the user's current one. A cluster that is started is not paused.
func (o *operation) start(ctx context.Context) error {
	if err := o.wake(ctx); err != nil {
		return err
	}
	if err := o.state.DropPause(); err != nil { // of a control plane that ended while it was
		return err
	}
	if err := o.keepOwner(); err != nil {
		return err
	}
	if err := o.apply(ctx); err != nil {
		return err
	}
	return o.rec.step("kubeconfig", "kubeconfig", func(func(string)) error { return o.writeKubeconfig() })
}

// keepOwner records which process the cluster is for, before a daemon looks.
func (o *operation) keepOwner() error {
	if o.run.Owner == nil {
		if owner := o.state.Owner(); owner != nil && owner.Fate() != statedir.Running { // it was stopped when that ended
			return o.state.DropOwner()
		}
		return nil
	}
	if err := o.state.Create(); err != nil {
		return err
	}
	return o.state.SaveOwner(*o.run.Owner)
}

// writeKubeconfig writes the cluster's own kubeconfig, and merges its context into the user's. The cluster runs whether
// that can be changed or not, so trouble with it is a warning.
func (o *operation) writeKubeconfig() error {
	entry, err := kubeconfigEntry(o.state, o.Wanted.Spec)
	if err != nil {
		return err
	}
	if err := statedir.WriteFile(o.state.Kubeconfig(), entry.File()); err != nil {
		return err
	}
	o.wrote(o.state.Kubeconfig())
	if o.run.OwnKubeconfig {
		if o.Current.Spec == nil { // one that exists stays as it is
			return o.state.SaveApart(true)
		}
		return nil
	}
	if err := o.state.SaveApart(false); err != nil {
		return err
	}
	m, err := kubeconfig.Merge(entry)
	if err != nil {
		o.rec.warnOf("kubeconfig", err,
			cluster.Advise("then write the entry", cluster.Bonsai("update-context").Of(entry.Name).Change()),
			cluster.Advise("or use the cluster's own kubeconfig", cluster.Program("export").On("KUBECONFIG="+o.state.Kubeconfig())))
		return nil
	}
	if m.Displaced != "" {
		o.rec.warn("kubeconfig", fmt.Sprintf("kubectl's context %q pointed to another cluster, at %s; it points to this one now", m.Context, m.Displaced))
	}
	if m.Current != "" {
		o.rec.warnOf("kubeconfig", fault.Newf(fault.Kubeconfig, "kubectl's current context is still %q, which is set in a file that cannot be changed", m.Current).
			Advisef("kubectl --context %s uses this cluster", m.Context))
		return nil
	}
	o.context = m.Context
	return nil
}
