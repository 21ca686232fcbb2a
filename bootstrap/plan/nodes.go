package plan

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// NewNodes are nodes to add to a cluster.
type NewNodes struct {
	Count int
	// CPUs and MemoryBytes limit each; 0 means that there is no limit.
	CPUs         float64
	MemoryBytes  int64
	ControlPlane bool
	Labels       map[string]string
	Taints       []cluster.Taint
	Mounts       []cluster.Mount
}

// Wanted is the state with these nodes: they run if the cluster does.
func (a NewNodes) Wanted(current State, env Environment) (State, error) {
	wanted := copied(current)
	spec := wanted.Spec
	if len(spec.Nodes) == 0 && env.MTU != 0 {
		spec.MTU = env.MTU // there is no network yet
	}
	had := len(spec.Nodes)
	if err := addNodes(spec, had+a.Count); err != nil {
		return current, err
	}
	for i := range spec.Nodes[had:] {
		n := &spec.Nodes[had+i]
		n.CPUs, n.MemoryBytes, n.Labels, n.Taints, n.Mounts = a.CPUs, a.MemoryBytes, a.Labels, a.Taints, cluster.MountWith(nil, a.Mounts...)
		n.ControlPlane = n.ControlPlane || a.ControlPlane
		n.Pending = !current.Running
	}
	return wanted, nil
}

// WithoutNodes wants a cluster without the nodes of these names or numbers.
func WithoutNodes(names []string) func(State, Environment) (State, error) {
	return func(current State, _ Environment) (State, error) {
		leaving, err := FindNodes(current.Spec, names)
		if err != nil {
			return current, err
		}
		wanted := copied(current)
		removeNodes(wanted.Spec, leaving)
		for _, n := range leaving {
			delete(wanted.Down, n.Name)
		}
		return wanted, nil
	}
}

// StoppedNodes wants the nodes of these names or numbers to be down, and to stay so when the cluster starts.
func StoppedNodes(names []string) func(State, Environment) (State, error) {
	return eachNamed(names, func(s *State, i int) {
		n := &s.Spec.Nodes[i]
		n.Stopped, s.Down[n.Name] = true, true
	})
}

// StartedNodes wants the nodes of these names or numbers to run, now or with their cluster.
func StartedNodes(names []string) func(State, Environment) (State, error) {
	return eachNamed(names, func(s *State, i int) {
		n := &s.Spec.Nodes[i]
		n.Stopped = false
		if s.Running {
			n.Pending = false
			delete(s.Down, n.Name)
		}
	})
}

// HaltedNodes wants the nodes of these names or numbers to be down for a moment.
func HaltedNodes(names []string) func(State, Environment) (State, error) {
	return eachNamed(names, func(s *State, i int) { s.Down[s.Spec.Nodes[i].Name] = true })
}

// ResizedNodes wants the nodes of these names or numbers to have these limits; nil leaves one as it is, 0 removes it.
func ResizedNodes(names []string, cpus *float64, memoryBytes *int64) func(State, Environment) (State, error) {
	return eachNamed(names, func(s *State, i int) {
		n := &s.Spec.Nodes[i]
		if cpus != nil {
			n.CPUs = *cpus
		}
		if memoryBytes != nil {
			n.MemoryBytes = *memoryBytes
		}
	})
}

// eachNamed changes a copy of the current state for each named node.
func eachNamed(names []string, change func(s *State, node int)) func(State, Environment) (State, error) {
	return func(current State, _ Environment) (State, error) {
		found, err := FindNodes(current.Spec, names)
		if err != nil {
			return current, err
		}
		wanted := copied(current)
		for _, n := range found {
			change(&wanted, slices.IndexFunc(wanted.Spec.Nodes, func(m cluster.Node) bool { return m.Name == n.Name }))
		}
		return wanted, nil
	}
}

// FindNodes returns the nodes of these names or numbers, each once. It fails with a fault that lists the names of all nodes
// if there is no such node.
func FindNodes(spec *cluster.Spec, names []string) (found []cluster.Node, err error) {
	if len(spec.Nodes) == 0 {
		return nil, fault.Newf(fault.NodeNotFound, "cluster %q has no nodes", spec.Name).
			Advise("add one", cluster.Bonsai("node", "add").Of(spec.Name).Change())
	}
	var all []string
	for _, n := range spec.Nodes {
		all = append(all, n.Name)
	}
	for _, name := range names {
		i := slices.IndexFunc(spec.Nodes, func(n cluster.Node) bool { return n.Name == name || strconv.Itoa(n.Number()) == name })
		if i < 0 {
			return nil, fault.Newf(fault.NodeNotFound, "cluster %q has no node %q", spec.Name, name).
				Advisef("its nodes: %s", strings.Join(all, ", "))
		}
		if n := spec.Nodes[i]; !slices.ContainsFunc(found, func(f cluster.Node) bool { return f.Name == n.Name }) {
			found = append(found, n)
		}
	}
	return found, nil
}

// copied is a copy of a state, of which nodes, their order and what is down can be changed.
func copied(s State) State {
	spec := *s.Spec
	spec.Nodes = slices.Clone(spec.Nodes)
	s.Spec, s.Down = &spec, maps.Clone(s.Down)
	if s.Down == nil {
		s.Down = map[string]bool{}
	}
	return s
}

// addNodes adds nodes at the end until there are n. The first node of a cluster has the control-plane role, as users of
// other tools expect.
func addNodes(spec *cluster.Spec, n int) error {
	first := len(spec.Nodes) == 0
	for len(spec.Nodes) < n {
		next, ok := spec.NextNode()
		if !ok {
			return fault.Newf(fault.Usage, "cluster %q cannot have %d nodes: at most %d are possible", spec.Name, n, cluster.MaxNodes)
		}
		next.ControlPlane = first
		first = false
		spec.Nodes = append(spec.Nodes, next)
	}
	return nil
}
