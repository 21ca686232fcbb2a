package bootstrap

import (
	"context"

	"bonsai/bootstrap/plan"
)

// ApplyWish changes an existing cluster as wished, and returns what it changed. What does not run does not run afterwards.
// Nodes that are no longer wished are emptied and removed; if something keeps them from being emptied, the fault is Blocked,
// and nothing has changed then, except pods that have moved. Otherwise it is like Apply.
func (m *Manager) ApplyWish(ctx context.Context, w plan.Wish, d DeleteOptions, run Run) (plan.Plan, error) {
	p := parts{engine: true}
	if spec, err := m.env.Dir.Cluster(w.Name).LoadSpec(); err == nil {
		p.engine = max(len(spec.Nodes), w.NodeCount(len(spec.Nodes))) > 0
	}
	p.before, p.after = d.emptying()
	p.finally = func(ctx context.Context, o *operation) error { return o.applyManifests(ctx, w.Manifests) }
	return m.change(ctx, "apply", w.Name, w.Kept, run, p)
}

// PlanWish returns what ApplyWish would change, or Start for a cluster that does not exist, and changes nothing. If a change
// is impossible, it returns the plan with the error.
func (m *Manager) PlanWish(ctx context.Context, w plan.Wish) (plan.Plan, error) {
	o := m.operation("plan", w.Name, Run{})
	defer o.close()
	if err := o.lookAroundForStart(ctx, w); err != nil {
		return plan.Plan{}, err
	}
	want := w.Kept
	if o.Current.Spec == nil {
		want = w.Started
	}
	err := o.plan(want)
	return o.Plan, err
}
