package cli

import (
	"context"
	"os"
	"time"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/plan"
)

// Apply plans as the real one does, and writes the spec.
func (f *fakeEngine) Apply(_ context.Context, verb, name string, want bootstrap.Want, run bootstrap.Run) (plan.Plan, error) {
	spec, err := f.dir.Cluster(name).LoadSpec()
	if err != nil {
		return plan.Plan{}, err
	}
	current := plan.State{Spec: spec, Running: os.Getenv("FAKE_RUNNING") != "", Down: map[string]bool{}}
	for _, n := range spec.Nodes {
		if !current.Running || n.Stopped {
			current.Down[n.Name] = true
		}
	}
	wanted, err := want(current, plan.Environment{Kubernetes: "v1.37.2"})
	if err != nil {
		return plan.Plan{}, err
	}
	p, err := plan.New(current, wanted)
	if err != nil {
		return p, err
	}
	run.Events(cluster.Event{Kind: cluster.StepDone, Step: "change", Title: "Changing nodes", Time: time.Now(), Elapsed: 120 * time.Millisecond})
	return p, f.dir.Cluster(name).SaveSpec(wanted.Spec)
}

func (f *fakeEngine) ApplyWish(ctx context.Context, w plan.Wish, d bootstrap.DeleteOptions, run bootstrap.Run) (plan.Plan, error) {
	if f.mood == "blocked" && !d.Force {
		return plan.Plan{}, fault.Newf(fault.Blocked, "1 thing on it would be lost").WithEvidence("pod default/a has no controller that would create it again")
	}
	return f.Apply(ctx, "apply", w.Name, w.Kept, run)
}

func (f *fakeEngine) PlanWish(ctx context.Context, w plan.Wish) (plan.Plan, error) {
	spec, err := f.dir.Cluster(w.Name).LoadSpec()
	if err != nil {
		return f.Plan(ctx, w)
	}
	current := plan.State{Spec: spec, Running: os.Getenv("FAKE_RUNNING") != ""}
	wanted, err := w.Kept(current, plan.Environment{Kubernetes: "v1.37.2"})
	if err != nil {
		return plan.Plan{}, err
	}
	return plan.New(current, wanted)
}

func (f *fakeEngine) DeleteNodes(ctx context.Context, name string, nodes []string, d bootstrap.DeleteOptions, run bootstrap.Run) (plan.Plan, error) {
	if f.mood == "blocked" && !d.Force {
		return plan.Plan{}, fault.Newf(fault.Blocked, "1 thing on it would be lost").WithEvidence("pod default/a has no controller that would create it again").
			Advise("delete it with everything that is on it", cluster.Bonsai("node", "delete").On(nodes...).With("--force").Change())
	}
	return f.Apply(ctx, "node delete", name, plan.WithoutNodes(nodes), run)
}

func (f *fakeEngine) RestartNodes(ctx context.Context, name string, nodes []string, run bootstrap.Run) error {
	_, err := f.Apply(ctx, "node restart", name, plan.StartedNodes(nodes), run)
	return err
}
