package plan

import (
	"slices"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// MountNode gives a node other mounts. A container has those that it was created with.
type MountNode struct {
	Node string          `json:"node"`
	From []cluster.Mount `json:"from"`
	To   []cluster.Mount `json:"to"`
	// Running says that its container is running, and has to be recreated.
	Running bool `json:"running"`
}

func (c MountNode) Kind() Kind     { return KindMountNode }
func (c MountNode) Object() string { return "node/" + c.Node }
func (c MountNode) Needs() Need {
	if !c.Running {
		return Need{Effect: Live}
	}
	return Need{Effect: Recreate, Nodes: []string{c.Node}}
}
func (c MountNode) String() string {
	var parts []string
	for _, m := range c.To {
		if !slices.Contains(c.From, m) {
			how := "mount "
			if m.ReadOnly {
				how = "mount read-only "
			}
			parts = append(parts, how+m.Host+" at "+m.Path)
		}
	}
	for _, m := range c.From {
		if len(cluster.MountWithout(c.To, m.Path)) == len(c.To) {
			parts = append(parts, "remove the mount at "+m.Path)
		}
	}
	return strings.Join(parts, ", and ") + " of node " + c.Node
}

func diffMounts(have, want cluster.Node, running bool) []Change {
	if slices.Equal(have.Mounts, want.Mounts) {
		return nil
	}
	return []Change{MountNode{want.Name, have.Mounts, want.Mounts, running}}
}

// mountNodes gives every node the mounts of the wish. Of an exact wish, nodes that it says nothing else of have these alone.
func (w Wish) mountNodes(spec *cluster.Spec) error {
	if w.Mounts == nil {
		return nil
	}
	if len(spec.Nodes) == 0 && len(w.Mounts) > 0 {
		return fault.Newf(fault.Usage, "cluster %q has no nodes that could have mounts", spec.Name).
			Advise("omit the mounts, or add nodes:  --nodes 1")
	}
	for i := range spec.Nodes {
		n := &spec.Nodes[i]
		switch {
		case w.NodeList != nil: // has them already
		case w.Exact:
			n.Mounts = cluster.MountWith(nil, w.Mounts...)
		default:
			n.Mounts = cluster.MountWith(slices.Clone(n.Mounts), w.Mounts...)
		}
	}
	return nil
}

// RemountedNodes wants the nodes of these names or numbers to have more mounts, and none at the paths of without.
func RemountedNodes(names []string, more []cluster.Mount, without []string) func(State, Environment) (State, error) {
	return func(current State, env Environment) (State, error) {
		found, err := FindNodes(current.Spec, names)
		if err != nil {
			return current, err
		}
		for _, n := range found {
			for _, path := range without {
				if len(cluster.MountWithout(n.Mounts, path)) == len(n.Mounts) {
					return current, missingMount(n, path)
				}
			}
		}
		return eachNamed(names, func(s *State, i int) {
			n := &s.Spec.Nodes[i]
			for _, path := range without {
				n.Mounts = cluster.MountWithout(n.Mounts, path)
			}
			n.Mounts = cluster.MountWith(slices.Clone(n.Mounts), more...)
			if len(n.Mounts) == 0 {
				n.Mounts = nil
			}
		})(current, env)
	}
}

func missingMount(n cluster.Node, path string) error {
	f := fault.Newf(fault.Usage, "nothing is mounted at %s of node %s", path, n.Name)
	if len(n.Mounts) == 0 {
		return f.Advise("it has no mounts")
	}
	var all []string
	for _, m := range n.Mounts {
		all = append(all, m.String())
	}
	return f.Advisef("its mounts: %s", strings.Join(all, ", "))
}
