package plan

import (
	"errors"
	"fmt"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// State is what a cluster is, or is wanted to be, at one moment.
type State struct {
	// Spec is nil for a cluster that does not exist.
	Spec *cluster.Spec
	// Running says that the control plane's process is running.
	Running bool
	// Down are the planned nodes whose containers do not run, by name. If the engine was not asked it is nil, and
	// starts of nodes are not reported.
	Down map[string]bool
	// File is the cluster file that says what is wanted, if one does; advice names it.
	File string
}

// Plan is how a cluster gets from one state to another.
type Plan struct {
	Current, Wanted State
	Changes         []Change
}

// New plans the changes from what a cluster is to what is wanted. If a change is impossible, or needs a stopped cluster
// while this one runs, the error has a fault with the commands to type for each such change.
func New(current, wanted State) (Plan, error) {
	p := Plan{Current: current, Wanted: wanted, Changes: Diff(current, wanted)}
	errs := []error{checkComponents(wanted)}
	for _, c := range p.Changes {
		if err := refuse(c, current, wanted.File); err != nil {
			errs = append(errs, err)
		}
	}
	return p, errors.Join(errs...)
}

// refuse returns why a change cannot be made, nil if it can.
func refuse(c Change, current State, file string) error {
	name := ""
	if current.Spec != nil {
		name = current.Spec.Name
	}
	bonsai := func(verb string) cluster.Command { return cluster.Bonsai(verb).Of(name).Change() }
	again := bonsai("start")
	f, flagged := c.(interface{ flag() []string })
	switch {
	case file != "":
		again = again.With("-f", file)
	case flagged:
		again = again.With(f.flag()...)
	}
	runs := ""
	switch {
	case current.Running:
		runs = "it runs"
	case current.nodesRun():
		runs = "its nodes run"
	}
	switch need := c.Needs(); {
	case need.Effect == Impossible:
		f := fault.Newf(fault.Usage, "cluster %q cannot change %s: %s", name, what(c), need.Reason).
			Advise("recreate it, without its data", bonsai("delete"), again)
		if file != "" {
			return f.Advise("or keep it in the file as it is in the cluster")
		}
		return f.Advise("or omit the flag to start it as it is")
	case need.Effect == Stopped && runs != "":
		return fault.Newf(fault.Usage, "cluster %q cannot change %s while %s", name, what(c), runs).
			Advise("stop it first", bonsai("stop"), again)
	}
	return nil
}

// what is the description of a change without its verb.
func what(c Change) string { return strings.TrimPrefix(c.String(), "change ") }

// Has reports whether one of the changes is of one of the kinds.
func (p Plan) Has(kinds ...Kind) bool {
	for _, c := range p.Changes {
		for _, k := range kinds {
			if c.Kind() == k {
				return true
			}
		}
	}
	return false
}

// Described are the changes in the form that JSON output has.
func (p Plan) Described() []Description {
	list := make([]Description, 0, len(p.Changes))
	for _, c := range p.Changes {
		list = append(list, Describe(c))
	}
	return list
}

// Description is a change as JSON shows it.
type Description struct {
	Kind Kind `json:"kind"`
	// Object is what changes: "cluster/dev", "node/dev-2", "registry/docker.io", "addon/dns".
	Object  string `json:"object"`
	Summary string `json:"summary"`
	Needs   Need   `json:"needs"`
	// Details are the fields of the change's own type.
	Details Change `json:"details"`
}

// Describe combines everything that a change reports about itself.
func Describe(c Change) Description {
	return Description{Kind: c.Kind(), Object: c.Object(), Summary: c.String(), Needs: c.Needs(), Details: c}
}

// Effect is when a change takes effect.
type Effect string

// The effects, least disruptive first.
const (
	// Live interrupts nothing.
	Live Effect = "live"
	// Restart restarts processes that read what changes when they start: Need.Parts. Pods keep running.
	Restart Effect = "restart"
	// Recreate recreates the containers of some nodes: their pods start again, and their volumes are kept.
	Recreate Effect = "recreate"
	// Stopped is possible only while the cluster is stopped.
	Stopped Effect = "stopped"
	// Impossible requires recreating the cluster.
	Impossible Effect = "impossible"
)

// Need is what has to happen for a change.
type Need struct {
	Effect Effect `json:"effect"`
	// Nodes are those whose containers Recreate recreates.
	Nodes []string `json:"nodes,omitempty"`
	// Parts are what Restart restarts: the constants Part….
	Parts []string `json:"parts,omitempty"`
	// Reason says why it is Impossible.
	Reason string `json:"reason,omitempty"`
}

func (n Need) String() string {
	switch n.Effect {
	case Restart:
		var parts []string
		for _, p := range n.Parts {
			parts = append(parts, map[string]string{PartControlPlane: "the control plane", PartKubelet: "the kubelets"}[p])
		}
		return "restarts " + strings.Join(parts, " and ")
	case Recreate:
		noun := "node"
		if len(n.Nodes) != 1 {
			noun = "nodes"
		}
		return fmt.Sprintf("recreates %s %s, with the data", noun, strings.Join(n.Nodes, ", "))
	case Stopped:
		return "a stopped cluster"
	case Impossible:
		return "a new cluster: " + n.Reason
	}
	return "nothing"
}
