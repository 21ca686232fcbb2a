package plan

import (
	"maps"
	"slices"
	"strings"

	"bonsai/bootstrap/cluster"
)

// NodeWish is one node of Wish.NodeList, with everything that can be said of it.
type NodeWish struct {
	ControlPlane bool `json:"controlPlane,omitempty"`
	// CPUs and MemoryBytes limit it; 0 means no limit.
	CPUs        float64           `json:"cpus,omitempty"`
	MemoryBytes int64             `json:"memoryBytes,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Taints      []cluster.Taint   `json:"taints,omitempty"`
	// Mounts are sorted by path.
	Mounts []cluster.Mount `json:"mounts,omitempty"`
}

// fitNodes makes the nodes of spec those of the wish: their number, and what is said of each. Nodes that exist are matched
// with those of the list that have the same role, labels and taints; what is left over is matched in order, and changes.
func (w Wish) fitNodes(spec *cluster.Spec) error {
	if w.NodeList == nil {
		if want := w.NodeCount(len(spec.Nodes)); want < len(spec.Nodes) {
			removeNodes(spec, spec.Nodes[want:])
		} else {
			return addNodes(spec, want)
		}
		return nil
	}
	match := matchNodes(spec.Nodes, w.NodeList)
	var leaving []cluster.Node
	taken := map[int]bool{}
	for i, n := range spec.Nodes {
		if taken[match[i]] = true; match[i] < 0 {
			leaving = append(leaving, n)
		}
	}
	removeNodes(spec, leaving)
	match = slices.DeleteFunc(match, func(m int) bool { return m < 0 })
	for m := range w.NodeList {
		if !taken[m] {
			match = append(match, m)
		}
	}
	if err := addNodes(spec, len(w.NodeList)); err != nil {
		return err
	}
	for i, m := range match {
		spec.Nodes[i] = w.NodeList[m].of(spec.Nodes[i])
	}
	return nil
}

// of is the node with what is said of it here.
func (w NodeWish) of(n cluster.Node) cluster.Node {
	n.ControlPlane, n.CPUs, n.MemoryBytes, n.Labels, n.Taints, n.Mounts = w.ControlPlane, w.CPUs, w.MemoryBytes, w.Labels, w.Taints, w.Mounts
	return n
}

// matchNodes returns for each node which of the list it becomes, -1 for none: the one that it is already, else one that
// only differs in its limits or mounts, else the first that is left.
func matchNodes(nodes []cluster.Node, list []NodeWish) []int {
	match, taken := make([]int, len(nodes)), make([]bool, len(list))
	for i := range match {
		match[i] = -1
	}
	for _, fits := range []func(n, as cluster.Node) bool{
		func(n, as cluster.Node) bool {
			return len(diffMarks(n, as)) == 0 && n.CPUs == as.CPUs && n.MemoryBytes == as.MemoryBytes && slices.Equal(n.Mounts, as.Mounts)
		},
		func(n, as cluster.Node) bool { return len(diffMarks(n, as)) == 0 },
		func(_, _ cluster.Node) bool { return true },
	} {
		for i, n := range nodes {
			for w := 0; w < len(list) && match[i] < 0; w++ {
				if !taken[w] && fits(n, list[w].of(n)) {
					match[i], taken[w] = w, true
				}
			}
		}
	}
	return match
}

// removeNodes takes nodes out of the plan, with the ports that lead to them: nothing would answer there again. Their numbers
// are not given again. If the control-plane role left with them, the oldest node that is not stopped gets it: charts and
// scripts expect that some node has it.
func removeNodes(spec *cluster.Spec, leaving []cluster.Node) {
	if len(leaving) == 0 {
		return
	}
	gone := map[string]bool{}
	had := false
	for _, n := range leaving {
		gone[n.Name] = true
		had = had || n.ControlPlane
	}
	spec.LastNumber = spec.HighestNumber()
	spec.Nodes = slices.DeleteFunc(slices.Clone(spec.Nodes), func(n cluster.Node) bool { return gone[n.Name] })
	spec.Ports = slices.DeleteFunc(slices.Clone(spec.Ports), func(p cluster.Port) bool { return gone[p.Node] })
	if has := func(n cluster.Node) bool { return n.ControlPlane }; !had || len(spec.Nodes) == 0 || slices.ContainsFunc(spec.Nodes, has) {
		return
	}
	heir := slices.IndexFunc(spec.Nodes, func(n cluster.Node) bool { return !n.Stopped })
	spec.Nodes[max(heir, 0)].ControlPlane = true
}

// LabelNode gives the Node object of a node other labels, or another role, which is one too.
type LabelNode struct {
	Node string            `json:"node"`
	Role string            `json:"role"`
	From map[string]string `json:"from"`
	To   map[string]string `json:"to"`
}

func (c LabelNode) Kind() Kind     { return KindLabelNode }
func (c LabelNode) Object() string { return "node/" + c.Node }
func (c LabelNode) Needs() Need    { return Need{Effect: Live} }
func (c LabelNode) String() string {
	var parts []string
	if c.Role != "" {
		parts = append(parts, "the role "+c.Role)
	}
	for _, key := range keys(c.From, c.To) {
		was, had := c.From[key]
		switch is, has := c.To[key]; {
		case !has:
			parts = append(parts, "no label "+key)
		case !had || is != was:
			parts = append(parts, "the label "+key+"="+is)
		}
	}
	return "give node " + c.Node + " " + strings.Join(parts, ", ")
}

// TaintNode gives the Node object of a node other taints.
type TaintNode struct {
	Node string          `json:"node"`
	From []cluster.Taint `json:"from"`
	To   []cluster.Taint `json:"to"`
}

func (c TaintNode) Kind() Kind     { return KindTaintNode }
func (c TaintNode) Object() string { return "node/" + c.Node }
func (c TaintNode) Needs() Need    { return Need{Effect: Live} }
func (c TaintNode) String() string {
	if len(c.To) == 0 {
		return "remove the taints of node " + c.Node
	}
	var texts []string
	for _, t := range c.To {
		texts = append(texts, t.String())
	}
	return "taint node " + c.Node + " with " + strings.Join(texts, ", ")
}

// diffMarks returns what differs in the labels, the role and the taints of a node.
func diffMarks(have, want cluster.Node) (changes []Change) {
	role := ""
	if have.ControlPlane != want.ControlPlane {
		role = want.Role()
	}
	if role != "" || !maps.Equal(have.Labels, want.Labels) {
		changes = append(changes, LabelNode{want.Name, role, have.Labels, want.Labels})
	}
	if !slices.Equal(have.Taints, want.Taints) {
		changes = append(changes, TaintNode{want.Name, have.Taints, want.Taints})
	}
	return changes
}
