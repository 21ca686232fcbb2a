package bootstrap

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/plan"
)

// DeleteOptions are how nodes are deleted.
type DeleteOptions struct {
	// Force deletes nodes with whatever is on them.
	Force bool
	// Limit bounds the wait for their pods to end elsewhere.
	Limit time.Duration
}

// uncordonLimit bounds one request to the daemon for each node.
const uncordonLimit = 5 * time.Second

// DeleteNodes empties the nodes of these names or numbers and removes every trace of them. If something keeps them from
// being emptied, the fault is Blocked and names it; nothing has changed then, except pods that have moved.
func (m *Manager) DeleteNodes(ctx context.Context, name string, nodes []string, d DeleteOptions, run Run) (plan.Plan, error) {
	p := parts{engine: true}
	p.before, p.after = d.emptying()
	return m.change(ctx, "node delete", name, plan.WithoutNodes(nodes), run, p)
}

// emptying is what happens around a change that may remove nodes: they are emptied first, and take pods again if it fails.
func (d DeleteOptions) emptying() (before, after func(context.Context, *operation) error) {
	before = func(ctx context.Context, o *operation) error {
		if d.Force && o.Current.Running && len(o.leaving()) > 0 {
			if err := o.protect(ctx, ""); err != nil {
				o.rec.warnOf("checkpoint", err)
			}
		}
		return o.emptyNodes(ctx, d)
	}
	return before, func(ctx context.Context, o *operation) error { return o.uncordon(ctx) }
}

// RestartNodes stops the nodes of these names or numbers and starts them; those that were stopped are started.
func (m *Manager) RestartNodes(ctx context.Context, name string, nodes []string, run Run) error {
	if _, err := m.livingDaemon(name); err != nil {
		return err
	}
	if _, err := m.Apply(ctx, "node restart", name, plan.HaltedNodes(nodes), run); err != nil {
		return err
	}
	_, err := m.Apply(ctx, "node restart", name, plan.StartedNodes(nodes), run)
	return err
}

// leaving are the names of the nodes that the plan removes.
func (o *operation) leaving() (names []string) {
	for _, c := range o.Changes {
		if r, ok := c.(plan.RemoveNode); ok {
			names = append(names, r.Node)
		}
	}
	return names
}

// emptyNodes moves what is on the nodes that leave to others. Without a control plane nothing can move; then only data that
// was there when the cluster was stopped keeps a node.
func (o *operation) emptyNodes(ctx context.Context, d DeleteOptions) error {
	names := o.leaving()
	if len(names) == 0 {
		return nil
	}
	if !o.Current.Running {
		if d.Force {
			return nil
		}
		return lostClaims(names, loadClaims(o.state))
	}
	r := cluster.DrainRequest{Nodes: names, Force: d.Force, Limit: d.Limit}
	for _, n := range names {
		if o.Current.Down[n] {
			r.Down = append(r.Down, n)
		}
	}
	title := "Pods of " + strings.Join(names, ", ")
	return o.rec.step("drain", title, func(waitingFor func(string)) error {
		return o.client().Drain(ctx, r, func(p cluster.DrainProgress) error {
			waitingFor(p.Node + ": " + p.Detail)
			return nil
		})
	})
}

// lostClaims is the fault of deleting nodes that have the data of claims; nil if they have none.
func lostClaims(names []string, on claimsOn) error {
	var evidence []string
	for _, n := range names {
		for _, claim := range on[n] {
			evidence = append(evidence, fmt.Sprintf("claim %s has its data on node %s", claim, n))
		}
	}
	if len(evidence) == 0 {
		return nil
	}
	slices.Sort(evidence)
	return fault.NotEmptied(names, fmt.Errorf("the data of %s would be lost", plural(len(evidence), "a claim", "claims")), evidence)
}

// uncordon lets nodes take pods again that could not be removed after all.
func (o *operation) uncordon(ctx context.Context) error {
	names := o.leaving()
	if !o.Current.Running || len(names) == 0 {
		return nil
	}
	ctx, cancel := o.limit(context.WithoutCancel(ctx), uncordonLimit, "nodes to take pods again")
	defer cancel()
	return o.client().Uncordon(ctx, names)
}
