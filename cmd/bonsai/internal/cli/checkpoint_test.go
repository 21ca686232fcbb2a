package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"bonsai/bootstrap"
	"bonsai/bootstrap/checkpoint"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/plan"
)

// The fake engine has real checkpoints, of nothing.

func (f *fakeEngine) Checkpoints(name string) ([]cluster.Checkpoint, error) {
	if _, err := f.dir.Cluster(name).LoadSpec(); err != nil {
		return nil, err
	}
	return bootstrap.CheckpointsOf(f.dir.Cluster(name)).List()
}

func (f *fakeEngine) SaveCheckpoint(_ context.Context, name, cp string, withVolumes bool) (cluster.Checkpoint, error) {
	spec, err := f.dir.Cluster(name).LoadSpec()
	if err != nil {
		return cluster.Checkpoint{}, err
	}
	if os.Getenv("FAKE_RUNNING") == "" {
		return cluster.Checkpoint{}, fault.Newf(fault.NotRunning, "it is not running")
	}
	c := cluster.Checkpoint{Name: cp, Created: time.Now(), Cluster: name, KubernetesVersion: "1.37", WithVolumes: withVolumes}
	var volumes []checkpoint.Volume
	if withVolumes {
		volumes = append(volumes, checkpoint.Volume{Node: name + "-1", Write: func(w io.Writer) error {
			_, err := w.Write(make([]byte, 5<<20))
			return err
		}})
	}
	return bootstrap.CheckpointsOf(f.dir.Cluster(name)).Save(c, *spec, func(w io.Writer) (cluster.StoreCopy, error) {
		_, err := w.Write(make([]byte, 1<<20))
		return cluster.StoreCopy{Objects: 321, StoreBytes: 1 << 20}, err
	}, volumes...)
}

func (f *fakeEngine) RestoreCheckpoint(ctx context.Context, name, cp string, run bootstrap.Run) error {
	if _, _, err := bootstrap.CheckpointsOf(f.dir.Cluster(name)).Verify(ctx, cp); err != nil {
		return fault.New(fault.CheckpointNotFound, "restore checkpoint "+cp, err)
	}
	run.Events(cluster.Event{Kind: cluster.StepDone, Step: "daemon", Title: "Control plane", Time: time.Now()})
	return nil
}

// Fork starts a cluster of the name, with nothing in it.
func (f *fakeEngine) Fork(ctx context.Context, name, cp, as string, withVolumes bool, run bootstrap.Run) (*cluster.Timeline, error) {
	c, spec, err := bootstrap.CheckpointsOf(f.dir.Cluster(name)).Verify(ctx, cp)
	if err != nil {
		return nil, fault.New(fault.CheckpointNotFound, "fork checkpoint "+cp, err)
	}
	if withVolumes && !c.WithVolumes {
		return nil, fault.Newf(fault.Checkpoint, "checkpoint %s does not have the data of claims", cp)
	}
	run.Started = func(*cluster.Timeline) {}
	return f.Start(ctx, plan.Wish{Name: as, Like: &spec}, run)
}

// ExportCluster writes the plan of the cluster, and StartFrom reads that.
func (f *fakeEngine) ExportCluster(ctx context.Context, name, cp string, w io.Writer, run bootstrap.Run) (bootstrap.Export, error) {
	var c cluster.Checkpoint
	var err error
	if cp == "" {
		c, err = f.SaveCheckpoint(ctx, name, fmt.Sprintf("%s%d", cluster.AutomaticCheckpoint, time.Now().UnixNano()), false)
	} else if c, _, err = bootstrap.CheckpointsOf(f.dir.Cluster(name)).Verify(ctx, cp); err != nil {
		err = fault.New(fault.CheckpointNotFound, "export checkpoint "+cp, err)
	}
	if err != nil {
		return bootstrap.Export{}, err
	}
	spec, err := f.dir.Cluster(name).LoadSpec()
	if err != nil {
		return bootstrap.Export{}, err
	}
	run.Events(cluster.Event{Kind: cluster.StepDone, Step: "export", Title: "Writing the file", Time: time.Now()})
	return bootstrap.Export{Checkpoint: c, Images: 2, NodesWithClaims: 1}, json.NewEncoder(w).Encode(spec)
}

func (f *fakeEngine) StartFrom(ctx context.Context, name string, r io.Reader, run bootstrap.Run) (*cluster.Timeline, error) {
	var spec cluster.Spec
	if err := json.NewDecoder(r).Decode(&spec); err != nil {
		return nil, fault.New(fault.Checkpoint, "read the exported cluster", err)
	}
	return f.Start(ctx, plan.Wish{Name: name, Like: &spec}, run)
}

func (f *fakeEngine) DeleteCheckpoint(_ context.Context, name, cp string) error {
	if err := bootstrap.CheckpointsOf(f.dir.Cluster(name)).Delete(cp); err != nil {
		return fault.New(fault.CheckpointNotFound, fmt.Sprintf("delete checkpoint %s", cp), err)
	}
	return nil
}
