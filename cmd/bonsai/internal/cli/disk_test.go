package cli

import (
	"context"
	"encoding/json"
	"os"
	"slices"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// DiskUse says what disk.json in the current folder says.
func (f *fakeEngine) DiskUse(context.Context) (use cluster.DiskUse, err error) {
	data, err := os.ReadFile("disk.json")
	if err != nil {
		return use, fault.New(fault.State, "measure", err)
	}
	err = json.Unmarshal(data, &use)
	use.Sum()
	return use, err
}

// Prune removes items from disk.json, as the real one chooses them.
func (f *fakeEngine) Prune(ctx context.Context, w bootstrap.PruneWish) (removed []cluster.DiskItem, err error) {
	use, err := f.DiskUse(ctx)
	if err != nil {
		return nil, err
	}
	use.Items = slices.DeleteFunc(use.Items, func(i cluster.DiskItem) bool {
		asked := w.Images && i.Kind == cluster.DiskImage || w.Checkpoints && i.Kind == cluster.DiskCheckpoint
		gone := i.Prunable || asked && i.Offered && i.Cluster == w.Cluster
		if gone {
			removed = append(removed, i)
		}
		return gone
	})
	if w.DryRun {
		return removed, nil
	}
	data, err := json.Marshal(use)
	if err != nil {
		return nil, err
	}
	return removed, os.WriteFile("disk.json", data, 0o600)
}
