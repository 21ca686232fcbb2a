package daemon

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane"
	"bonsai/controlplane/observe/problems"
	"bonsai/controlplane/observe/problems/diagnose"
)

// settleLimit is how long workloads are not looked at while the cluster comes up: everything is starting then, and
// the looking would make it slower.
const settleLimit = 8 * time.Second

// newProblemView makes what looks at workloads; d.mu is held. The caller closes it before the control plane stops,
// whose API server would wait for its watches.
func (d *daemon) newProblemView(cp *controlplane.ControlPlane) *problems.View {
	return problems.New(problems.Options{
		Cluster: d.state.Name, Client: cp.Client(), Log: d.log, Begun: d.begun, Scale: d.scale,
		DNS: func() problems.DNS {
			if v, err := d.dns(); err == nil {
				return v
			}
			return nil
		},
	})
}

// problemView is nil until the control plane is ready.
func (d *daemon) problemView() *problems.View {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.problems
}

// settled says whether it is time to look at workloads.
func (d *daemon) settled(s cluster.Snapshot) bool {
	d.mu.Lock()
	view, begun := d.problems, d.begun
	d.mu.Unlock()
	if view == nil {
		return false
	}
	up := !slices.ContainsFunc(s.Nodes, func(n cluster.NodeStatus) bool { return !n.Ready || n.DNS == cluster.PhaseStarting })
	return up || time.Since(begun) > d.scale.Of(settleLimit)
}

// ownProblems are those of the cluster itself: its nodes, components and addons. d.mu is held.
func (d *daemon) ownProblems(s cluster.Snapshot) []cluster.Problem {
	list := diagnose.Parts(s)
	if d.nodes == nil {
		return list
	}
	nodes, err := d.nodes.List(labels.Everything())
	if err != nil {
		return list // a cache does not fail
	}
	of, _ := diagnose.Nodes(diagnose.State{Now: s.Time, Cluster: s.Name, Begun: d.begun, Scale: d.scale, Nodes: nodes})
	return append(list, of...)
}

// withProblems adds those of workloads and puts all in order.
func withProblems(s cluster.Snapshot, workloads []cluster.Problem) cluster.Snapshot {
	s.Problems = append(s.Problems, workloads...)
	cluster.SortProblems(s.Problems)
	return s
}
