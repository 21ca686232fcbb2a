package observe

import (
	"context"
	"reflect"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/observe/problems"
	"bonsai/controlplane/observe/problems/diagnose"
)

const (
	// askInterval is how often port and agents are queried while there are watchers.
	askInterval = 2 * time.Second
	// settleLimit is how long workloads are not diagnosed while the cluster starts: everything is starting then, and
	// the diagnosis would slow it down.
	settleLimit = 8 * time.Second
	// A watcher gets a few snapshots at once, and then no more than so many a second: a screen shows no more, and each is
	// encoded, sent and decoded.
	snapshotsAtOnce, snapshotsPerSecond = 5, 10
	// apiServer is the component that represents the whole control plane.
	apiServer = "kube-apiserver"
)

// Snapshot queries the API server's port and every agent, checks addons and workloads, and returns what is known.
func (o *Observer) Snapshot(ctx context.Context) cluster.Snapshot {
	var looking sync.WaitGroup
	var workloads []cluster.Problem
	if o.paused() == nil {
		looking.Go(func() { o.Addons.Observe(ctx) })
		if v := o.running(); v != nil && o.judgesWorkloads() {
			looking.Go(func() { workloads = v.problems.Once(ctx) })
		}
	}
	o.askAround(ctx)
	looking.Wait()
	s, _ := o.look()
	return withProblems(s, workloads)
}

// Watch calls send with the newest snapshot at once, and then after each change, until ctx ends or send fails, and
// returns that failure. A burst of changes is sent as one snapshot; the last state is always sent. The port and the
// agents are queried every two seconds meanwhile.
func (o *Observer) Watch(ctx context.Context, send func(cluster.Snapshot) error) error {
	w := watch{Observer: o, pace: rate.NewLimiter(snapshotsPerSecond, snapshotsAtOnce)}
	defer w.end()
	ask := time.NewTicker(askInterval)
	defer ask.Stop()
	var sent *cluster.Snapshot
	for {
		s, changed, news := w.look()
		if sent == nil || !same(s, *sent) {
			turn := w.pace.Reserve()
			if d := turn.Delay(); d > 0 {
				turn.Cancel()
				select {
				case <-ctx.Done():
					return nil
				case <-time.After(d):
				}
				continue // with what has changed meanwhile
			}
			if err := send(s); err != nil {
				return err
			}
			sent = &s
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-news:
		case <-ask.C:
			o.askAround(ctx)
		}
	}
}

// watch is one Watch.
type watch struct {
	*Observer
	pace      *rate.Limiter
	workloads *problems.Watcher // nil until it is time to look at workloads
}

func (w *watch) end() {
	if w.workloads != nil {
		w.workloads.Close()
	}
}

// look returns the newest snapshot, and channels of which one is closed when there is another.
func (w *watch) look() (s cluster.Snapshot, changed, news <-chan struct{}) {
	s, changed = w.Observer.look()
	if w.workloads == nil && w.settled(s) {
		w.workloads = w.running().problems.Watch()
	}
	var workloads []cluster.Problem
	if w.workloads != nil {
		workloads, news = w.workloads.Problems()
	}
	if s.Paused != nil {
		workloads = nil
	}
	return withProblems(s, workloads), changed, news
}

// same reports whether two snapshots are equal apart from their times.
func same(a, b cluster.Snapshot) bool {
	a.Time = b.Time
	return reflect.DeepEqual(a, b)
}

// running returns the views, nil before the control plane is ready.
func (o *Observer) running() *views {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.views
}

// paused is Options.Paused, which may be nil.
func (o *Observer) paused() *cluster.Pause {
	if o.Paused == nil {
		return nil
	}
	return o.Paused()
}

// pause makes a snapshot say that the cluster is paused: its nodes report nothing, and what they reported last is outdated.
func pause(s *cluster.Snapshot, p *cluster.Pause) {
	s.Paused = p
	if s.APIServer == cluster.PhaseRunning {
		s.APIServer, s.Phase = cluster.PhasePaused, cluster.PhasePaused
	}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if n.Stopped {
			continue
		}
		n.Host, n.Kubelet, n.Ready, n.Components = cluster.PhasePaused, cluster.PhasePaused, false, nil
		if n.DNS != "" {
			n.DNS = cluster.PhasePaused
		}
	}
}

// judgesWorkloads reports whether workloads can have problems: without controllers, which the user has left out then, nothing
// becomes of them.
func (o *Observer) judgesWorkloads() bool {
	spec := o.Spec()
	return spec.Runs(cluster.ControllerManager)
}

// settled reports whether it is time to look at workloads.
func (o *Observer) settled(s cluster.Snapshot) bool {
	v := o.running()
	if v == nil || !o.judgesWorkloads() {
		return false
	}
	up := !slices.ContainsFunc(s.Nodes, func(n cluster.NodeStatus) bool { return !n.Stopped && (!n.Ready || n.DNS == cluster.PhaseStarting) })
	return up || time.Since(v.begun) > o.Scale.Of(settleLimit)
}

// look returns what is known except workloads, and a channel that is closed when that has changed.
func (o *Observer) look() (cluster.Snapshot, <-chan struct{}) {
	o.mu.Lock()
	changed := o.changed // before anything is read, so that no change is missed
	o.mu.Unlock()
	spec, paused, addons, dns := o.Spec(), o.paused(), o.Addons.Status(), o.Addons.Nodes(cluster.DNSAddon)
	o.mu.Lock()
	defer o.mu.Unlock()
	s := cluster.Snapshot{Name: spec.Name, Time: time.Now(), APIServer: cluster.PhaseStarting, Phase: cluster.PhaseStarting, Restarts: o.Restarts}
	if o.views != nil {
		s.KubernetesVersion, s.Emulated = o.KubernetesVersion, o.Emulated
		s.Components = o.views.control.Components()
		for i := range s.Components {
			s.Components[i].Restarts = o.Restarts.Total()
		}
		o.views.entrance.Judge(s.Components)
		i := slices.IndexFunc(s.Components, func(c cluster.Component) bool { return c.Name == apiServer })
		s.APIServer, s.Phase, s.Store = s.Components[i].Phase, s.Components[i].Phase, o.store
	}
	if o.Names != nil {
		names := o.Names()
		s.Names = &names
	}
	for _, a := range addons {
		if a.State != cluster.AddonDisabled {
			s.Addons = append(s.Addons, a)
		}
	}
	for _, n := range spec.Nodes {
		status := cluster.NodeStatus{Name: n.Name, IP: n.IP.String(), Role: n.Role(), Stopped: n.Stopped, Host: cluster.PhaseUnknown, Kubelet: cluster.PhaseUnknown}
		if o.views != nil {
			if object, ok := o.views.nodes.Get("", n.Name); ok {
				status.Kubelet, status.Heartbeat = kubeletPhase(object)
				status.Ready = status.Kubelet == cluster.PhaseRunning
				status.Cordoned, status.Version = object.Spec.Unschedulable, object.Status.NodeInfo.KubeletVersion
			}
		}
		if !n.Stopped {
			status.Components, status.DNS = o.components[n.Name], dns[n.Name]
		}
		if len(status.Components) > 0 {
			status.Host = cluster.PhaseRunning // only the engine knows about an agent that does not answer
		}
		s.Nodes = append(s.Nodes, status)
	}
	if paused != nil {
		pause(&s, paused)
		if o.Own != nil {
			s.Problems = o.Own(s.Time)
		}
		return s, changed
	}
	s.Problems = o.ownProblems(s)
	return s, changed
}

// kubeletPhase reads the Ready condition; until the first heartbeat there is none.
func kubeletPhase(n *corev1.Node) (cluster.Phase, time.Time) {
	for _, c := range n.Status.Conditions {
		if c.Type != corev1.NodeReady {
			continue
		}
		switch c.Status {
		case corev1.ConditionTrue:
			return cluster.PhaseRunning, c.LastHeartbeatTime.Time
		case corev1.ConditionFalse:
			return cluster.PhaseDegraded, c.LastHeartbeatTime.Time
		default:
			return cluster.PhaseUnknown, c.LastHeartbeatTime.Time // no heartbeat for about 40 s
		}
	}
	return cluster.PhaseStarting, time.Time{}
}

// askAround refreshes the states of the API server's port, of etcd's file and of the agents, all in parallel.
func (o *Observer) askAround(ctx context.Context) {
	var asking sync.WaitGroup
	if v := o.running(); v != nil {
		asking.Go(func() {
			if v.entrance.Ask(ctx) {
				o.Notify()
			}
		})
		asking.Go(func() {
			store := v.control.Store()
			o.mu.Lock()
			defer o.mu.Unlock()
			o.store = &store
		})
	}
	if o.Beside != nil {
		beside := o.Beside(o.Spec())
		o.mu.Lock()
		news := !slices.Equal(beside, o.beside)
		o.beside = beside
		o.mu.Unlock()
		if news {
			o.Notify()
		}
	}
	o.askAgents(ctx)
	asking.Wait()
}

// askAgents refreshes what the agents report about their children, all in parallel.
func (o *Observer) askAgents(ctx context.Context) {
	v := o.running()
	if v == nil {
		return
	}
	nodes := o.nodes()
	answers := make([][]cluster.Component, len(nodes))
	var asking sync.WaitGroup
	for i, n := range nodes {
		asking.Go(func() {
			answers[i], _ = v.control.Agents().State(ctx, n) // one that does not answer reports nothing
		})
	}
	asking.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, n := range nodes {
		o.components[n.Name] = answers[i]
	}
}

// ownProblems are those of the cluster itself: its nodes, components and addons. o.mu is held.
func (o *Observer) ownProblems(s cluster.Snapshot) []cluster.Problem {
	list := append(diagnose.Parts(s), diagnose.Ranges(o.Spec(), o.beside)...)
	if o.Own != nil {
		list = append(list, o.Own(s.Time)...)
	}
	if o.views == nil {
		return list
	}
	stopped := func(n *corev1.Node) bool { // by the user: not a problem
		return slices.ContainsFunc(s.Nodes, func(status cluster.NodeStatus) bool { return status.Name == n.Name && status.Stopped })
	}
	of, _ := diagnose.Nodes(diagnose.State{
		Now: s.Time, Cluster: s.Name, Begun: o.views.begun, Scale: o.Scale, Nodes: slices.DeleteFunc(slices.Clone(o.views.nodes.All()), stopped),
	})
	return append(list, of...)
}

// withProblems adds those of workloads and puts all in order.
func withProblems(s cluster.Snapshot, workloads []cluster.Problem) cluster.Snapshot {
	s.Problems = append(s.Problems, workloads...)
	diagnose.Relate(s.Problems)
	cluster.SortProblems(s.Problems)
	return s
}
