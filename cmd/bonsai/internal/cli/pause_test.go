package cli

import (
	"context"
	"time"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/plan"
)

func (f *fakeEngine) Pause(_ context.Context, name string, idle bool, events func(cluster.Event)) error {
	if _, err := f.dir.Cluster(name).LoadSpec(); err != nil {
		return err
	}
	if idle && f.mood == "used" {
		return fault.Newf(fault.Busy, "cluster %q is in use", name)
	}
	events(cluster.Event{Kind: cluster.StepDone, Step: "container/" + name + "-1", Title: "Freezing node " + name + "-1", Time: time.Now(), Elapsed: time.Second})
	return f.dir.Cluster(name).SavePause(cluster.Pause{Since: time.Now(), Auto: idle})
}

func (f *fakeEngine) Unpause(_ context.Context, name string, _ func(cluster.Event)) error {
	if _, err := f.dir.Cluster(name).LoadSpec(); err != nil {
		return err
	}
	return f.dir.Cluster(name).DropPause()
}

func (f *fakeEngine) Wake(ctx context.Context, name string, events func(cluster.Event)) error {
	if f.dir.Cluster(name).Paused() == nil {
		return nil
	}
	return f.Unpause(ctx, name, events)
}

func (f *fakeEngine) SetAutoPause(ctx context.Context, name string, after time.Duration) (plan.Plan, error) {
	return f.Apply(ctx, "pause", name, plan.Wish{Name: name, AutoPause: &after}.Kept, bootstrap.Run{Events: func(cluster.Event) {}})
}
