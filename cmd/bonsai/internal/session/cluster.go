package session

import (
	"context"
	"sync"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/controlplane/addons/catalog"
)

// Observe takes one snapshot, whether the cluster runs or not.
func (s *Session) Observe(ctx context.Context) (cluster.Snapshot, error) {
	snapshot, err := s.o.Engine.Status(ctx, s.o.Name)
	if fault.KindOf(err) == fault.NotFound {
		return cluster.Snapshot{Name: s.o.Name, Phase: cluster.PhaseAbsent, APIServer: cluster.PhaseAbsent}, nil
	}
	return snapshot, s.explain(ctx, "observe the cluster", err)
}

// Watch calls f with the newest snapshot, at once and after each change, until the daemon ends, which is also
// NotRunning.
func (s *Session) Watch(ctx context.Context, f func(cluster.Snapshot) error) error {
	own := &callback{}
	err := s.o.Engine.Watch(ctx, s.o.Name, func(v cluster.Snapshot) error { return own.keep(f(v)) })
	if own.err != nil {
		return own.err
	}
	if err == nil {
		err = fault.Newf(fault.NotRunning, "the cluster was stopped")
	}
	return s.explain(ctx, "watch the cluster", err)
}

// Load calls f once a second with what nodes, pods and control plane do, until the daemon ends, which is NotRunning.
func (s *Session) Load(ctx context.Context, f func(cluster.Load) error) error {
	own := &callback{}
	err := s.daemon().Load(ctx, func(v cluster.Load) error { return own.keep(f(v)) })
	if own.err != nil {
		return own.err
	}
	if err == nil {
		err = fault.Newf(fault.NotRunning, "the cluster was stopped")
	}
	return s.explain(ctx, "watch the load of the cluster", err)
}

// Why walks from a pod to something else.
func (s *Session) Why(ctx context.Context, q cluster.WhyQuestion) (cluster.Why, error) {
	ctx, cancel := s.limit(ctx, callLimit, "the way from one end to the other")
	defer cancel()
	way, err := s.daemon().Why(ctx, q)
	return way, s.explain(ctx, "walk from "+q.From+" to "+q.To, err)
}

// Flows calls f once a second with who talks to whom, until the daemon ends, which is NotRunning.
func (s *Session) Flows(ctx context.Context, f func(cluster.Flows) error) error {
	own := &callback{}
	err := s.daemon().Flows(ctx, func(v cluster.Flows) error { return own.keep(f(v)) })
	if own.err != nil {
		return own.err
	}
	if err == nil {
		err = fault.Newf(fault.NotRunning, "the cluster was stopped")
	}
	return s.explain(ctx, "watch the traffic of the cluster", err)
}

// callback keeps the error of the caller's function, which is returned unchanged.
type callback struct{ err error }

func (c *callback) keep(err error) error {
	c.err = err
	return err
}

// Starts are the records of past starts, newest first.
func (s *Session) Starts() []cluster.Timeline { return s.state().LoadTimelines() }

// Clusters are all clusters of this user, observed in parallel.
func (s *Session) Clusters(ctx context.Context) ([]cluster.Info, error) {
	names, err := s.o.Engine.List()
	if err != nil {
		return nil, s.explain(ctx, "list clusters", err)
	}
	infos := make([]cluster.Info, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			infos[i] = cluster.Info{Name: name, Phase: cluster.PhaseUnknown}
			if spec, err := s.o.State.Cluster(name).LoadSpec(); err == nil {
				infos[i].Nodes, infos[i].KubernetesVersion = len(spec.Nodes), spec.KubernetesVersion
			}
			if snapshot, err := s.o.Engine.Status(ctx, name); err == nil {
				infos[i].Phase = snapshot.Phase
			}
		})
	}
	wg.Wait()
	return infos, s.explain(ctx, "list clusters", ctx.Err())
}

// Addons are all addons of this executable, whatever the state of the cluster.
func (s *Session) Addons(ctx context.Context) ([]cluster.AddonStatus, error) {
	list, err := s.o.Engine.Addons(ctx, s.o.Name)
	switch fault.KindOf(err) {
	case fault.NotFound, fault.NotRunning:
	default:
		return list, s.explain(ctx, "look at the addons", err)
	}
	c, err := catalog.New(s.o.Addons)
	if err != nil {
		return nil, fault.New(fault.Internal, "read the list of addons", err)
	}
	spec, err := s.state().LoadSpec()
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return nil, err
	}
	return c.Idle(spec), nil
}
