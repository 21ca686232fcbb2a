package bootstrap

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kubeconfig"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/statedir"
)

// Status observes the cluster: what the daemon knows, what the engine reports about the containers, and whether the
// kubeconfig points to it. What cannot be determined becomes a problem in the snapshot, not an error.
func (m *Manager) Status(ctx context.Context, name string) (cluster.Snapshot, error) {
	state := m.env.Dir.Cluster(name)
	spec, err := state.LoadSpec()
	if err != nil {
		return cluster.Snapshot{}, err
	}
	s := m.daemonSnapshot(ctx, state, spec)
	s.LastStart = state.LoadTimeline()
	if s.Restarts == nil {
		s.Restarts = state.Restarts()
	}
	s.Server = serverURL(spec)
	if entry, err := kubeconfigEntry(state, spec); err == nil {
		access := kubeconfig.Inspect(entry)
		s.Kubeconfig, s.Contexts = access.State, access.Contexts
		if s.Kubeconfig == kubeconfig.Missing && state.Apart() {
			s.Kubeconfig = kubeconfig.Own
		}
	} else {
		s.Kubeconfig = kubeconfig.Missing
	}
	if len(spec.Nodes) > 0 {
		m.hosts(ctx, spec)(&s)
	}
	// A start or stop in progress has such a moment, too.
	if p := ended(state, &s); p != nil && !state.DaemonAlive() && !state.Working() {
		s.Problems = append(s.Problems, *p)
	}
	s.Problems = append(s.Problems, certificateProblems(state, time.Now())...)
	for i := range s.Problems {
		s.Problems[i] = s.Problems[i].For(spec.Name)
	}
	cluster.SortProblems(s.Problems)
	s.Phase = overall(s)
	return s, nil
}

// daemonSnapshot asks the daemon; without one, everything in the plan is stopped.
func (m *Manager) daemonSnapshot(ctx context.Context, state statedir.Cluster, spec *cluster.Spec) cluster.Snapshot {
	s := cluster.Snapshot{Name: spec.Name, Time: time.Now(), APIServer: cluster.PhaseStopped}
	if state.DaemonAlive() {
		ctx, cancel := m.limit(ctx, 3*time.Second, "an answer from the daemon")
		defer cancel()
		observed, err := m.clientOf(state).Snapshot(ctx)
		if err == nil {
			return observed
		}
		s.APIServer = cluster.PhaseUnknown
		s.Problems = append(s.Problems, cluster.Problem{
			Kind: string(fault.ControlPlane), Severity: cluster.SeverityError, Object: "daemon",
			Summary: "the control plane's process does not answer", Cause: err.Error(),
			Advice: []cluster.Advice{cluster.Advise("restart it", cluster.Bonsai("stop").Change(), cluster.Bonsai("start").Change())},
		})
	} else if lastWords(state) != nil {
		s.APIServer = cluster.PhaseFailed
	}
	for _, n := range spec.Nodes {
		s.Nodes = append(s.Nodes, cluster.NodeStatus{Name: n.Name, IP: n.IP.String(), Role: n.Role(), Stopped: n.Stopped, Host: cluster.PhaseUnknown, Kubelet: cluster.PhaseUnknown})
	}
	return s
}

// hosts gets the state of a cluster's node containers from the engine, and returns a function that adds it to a
// snapshot of the cluster. It blocks for three seconds at most; if the engine does not answer, that is added as a
// problem.
func (m *Manager) hosts(ctx context.Context, spec *cluster.Spec) func(*cluster.Snapshot) {
	ctx, cancel := m.limit(ctx, 3*time.Second, "an answer from the container engine")
	defer cancel()
	var containers map[string]node.Container
	driver, err := m.env.Driver()
	if err == nil {
		defer func() { _ = driver.Close() }()
		containers, err = node.ByName(ctx, driver, spec.ID)
	}
	var lost map[string]bool
	var claims claimsOn
	if err == nil {
		if lost = lostNodes(ctx, driver, spec, containers); len(lost) > 0 {
			claims = loadClaims(m.env.Dir.Cluster(spec.Name))
		}
	}
	if err != nil {
		problem := fault.Problem(err).For(spec.Name)
		problem.Object, problem.Cause = "engine", cmp.Or(problem.Cause, problem.Summary)
		problem.Summary = "the container engine does not answer; running containers continue without it"
		return func(s *cluster.Snapshot) { s.Problems = append(s.Problems, problem) }
	}
	return func(s *cluster.Snapshot) {
		for i := range s.Nodes {
			n := &s.Nodes[i]
			planned, _ := spec.NodeByName(n.Name)
			if n.Stopped = planned.Stopped; planned.Pending {
				n.Host, n.Kubelet = cluster.PhaseAbsent, cluster.PhaseStopped
				continue
			}
			addHost(s, n, containers, lost, claims, spec.Name)
		}
	}
}

// addHost adds the state of a node's container.
func addHost(s *cluster.Snapshot, n *cluster.NodeStatus, containers map[string]node.Container, lost map[string]bool, claims claimsOn, name string) {
	c, ok := containers[n.Name]
	switch {
	case n.Stopped && ok && !c.Up():
		n.Host = cluster.PhaseStopped
	case !ok:
		n.Host = cluster.PhaseAbsent
		replaceProblems(s, lostProblem(n.Name, name, lost[n.Name], claims[n.Name]))
	case c.Running:
		n.Host = cluster.PhaseRunning
	case s.Paused != nil && c.Paused():
		n.Host, n.Kubelet = cluster.PhasePaused, cluster.PhasePaused
		return
	default:
		n.Host = cluster.PhaseStopped
		how := "has stopped"
		if c.Up() {
			how = "is " + c.State
		}
		if s.APIServer == cluster.PhaseRunning {
			replaceProblems(s, cluster.Problem{
				Kind: string(fault.Node), Severity: cluster.SeverityWarning, Object: "node/" + n.Name,
				Summary: "the container of node " + n.Name + " " + how, Advice: []cluster.Advice{cluster.Advise("start it", cluster.Bonsai("start").Of(name).Cure())},
			})
		}
	}
	if n.Host != cluster.PhaseRunning {
		n.Kubelet, n.Ready = cluster.PhaseStopped, false
		n.Components = nil
	}
}

// replaceProblems replaces everything that is reported about p's object by p: what the control plane sees of a node
// whose container does not run is a consequence.
func replaceProblems(s *cluster.Snapshot, p cluster.Problem) {
	s.Problems = append(slices.DeleteFunc(s.Problems, func(q cluster.Problem) bool { return q.Object == p.Object }), p)
}

// headless reports whether nodes run without a control plane.
func headless(s *cluster.Snapshot) bool {
	return s.APIServer == cluster.PhaseStopped && slices.ContainsFunc(s.Nodes, func(n cluster.NodeStatus) bool { return n.Host == cluster.PhaseRunning })
}

// overall is the cluster's phase in one word.
func overall(s cluster.Snapshot) cluster.Phase {
	if headless(&s) {
		return cluster.PhaseDegraded
	}
	if s.APIServer != cluster.PhaseRunning {
		return s.APIServer
	}
	for _, n := range s.Nodes {
		if !n.Stopped && (!n.Ready || n.Host != cluster.PhaseRunning) {
			return cluster.PhaseDegraded
		}
	}
	return cluster.PhaseRunning
}

func serverURL(spec *cluster.Spec) string {
	return "https://" + netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(spec.APIPort)).String()
}

// kubeconfigEntry is the context of this cluster for the user's kubeconfig.
func kubeconfigEntry(state statedir.Cluster, spec *cluster.Spec) (kubeconfig.Entry, error) {
	read := func(name string) (data []byte, err error) { return os.ReadFile(filepath.Join(state.PKI(), name)) }
	ca, err1 := read("ca.crt")
	cert, err2 := read("admin.crt")
	key, err3 := read("admin.key")
	if err := errors.Join(err1, err2, err3); err != nil {
		return kubeconfig.Entry{}, fault.New(fault.State, "read the certificates of cluster "+spec.Name, err).
			Advise("create them again", cluster.Bonsai("start").Of(spec.Name).Cure())
	}
	return kubeconfig.Entry{Name: spec.Name, Server: serverURL(spec), CA: ca, Cert: cert, Key: key}, nil
}

// UpdateContext makes the user's kubeconfig lead to the cluster's current address, and returns how it does.
func (m *Manager) UpdateContext(name string) (kubeconfig.Merged, error) {
	state := m.env.Dir.Cluster(name)
	spec, err := state.LoadSpec()
	if err != nil {
		return kubeconfig.Merged{}, err
	}
	entry, err := kubeconfigEntry(state, spec)
	if err != nil {
		return kubeconfig.Merged{}, err
	}
	if err := state.SaveApart(false); err != nil {
		return kubeconfig.Merged{}, err
	}
	return kubeconfig.Merge(entry)
}
