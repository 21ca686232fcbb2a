package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"bonsai/bootstrap/buildinfo"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/clusterarchive"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/imagestore"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/statedir"
)

// exportLimit bounds the writing or reading of an archive or of the data of claims, which may be gigabytes.
const exportLimit = 30 * time.Minute

// Export is what an archive has of a cluster.
type Export struct {
	Checkpoint cluster.Checkpoint `json:"checkpoint"`
	// Images is how many names of images are in it, NodesWithClaims how many nodes had data of claims.
	Images          int `json:"images"`
	NodesWithClaims int `json:"nodesWithClaims"`
}

// ExportCluster writes a cluster into w: a checkpoint, or the present objects if that is "", for which the cluster has to run;
// the images that were loaded into it; and the data of claims: that on its running nodes with the present objects, otherwise that
// of the checkpoint. Pods go on
// meanwhile, so that data which they write is copied as it is at some moment of that.
func (m *Manager) ExportCluster(ctx context.Context, name, checkpoint string, w io.Writer, run Run) (Export, error) {
	const verb = "checkpoint export"
	o := m.operation(verb, name, run)
	defer o.close()
	lock, err := o.state.LockExisting(ctx, verb)
	if err != nil {
		return Export{}, err
	}
	defer func() { _ = lock.Release() }()
	if err := o.lookAround(); err != nil {
		return Export{}, err
	}
	ctx, cancel := m.limit(ctx, exportLimit, "the cluster to be written into a file")
	defer cancel()
	x := exporter{operation: o, d: clusterarchive.Description{Created: time.Now().UTC(), Bonsai: buildinfo.Get().Version}}
	if err := x.findCheckpoint(ctx, checkpoint); err != nil {
		return Export{}, err
	}
	release, err := x.findImages(ctx)
	if err != nil {
		return Export{}, err
	}
	defer release()
	if checkpoint == "" && len(o.Current.Spec.Nodes) > 0 {
		defer func() { _ = os.RemoveAll(x.scratch) }()
		if err := x.copyClaims(ctx); err != nil {
			return Export{}, err
		}
	}
	err = o.rec.step("export", "Writing the file", func(func(string)) error {
		return clusterarchive.Write(ctx, w, x.d, clusterarchive.Source{
			Checkpoint: filepath.Join(CheckpointsOf(o.state).Path, x.d.Checkpoint.Name), Store: x.store,
			Volumes: x.scratch,
		})
	})
	if err != nil {
		err = fault.New(fault.Output, "export cluster "+name, err).Advise("make room, or write it elsewhere")
	}
	return Export{
		Checkpoint: x.d.Checkpoint, Images: len(x.d.Images), NodesWithClaims: len(x.d.Volumes) + len(x.d.Checkpoint.Volumes),
	}, err
}

// exporter collects what an archive gets.
type exporter struct {
	*operation
	d     clusterarchive.Description
	store imagestore.Store
	// scratch has the data of claims, whose length has to be known before it is written.
	scratch string
}

// findCheckpoint verifies the checkpoint, or saves one.
func (x *exporter) findCheckpoint(ctx context.Context, name string) error {
	if name == "" {
		return x.rec.step("checkpoint", "Checkpoint of the present objects", func(func(string)) (err error) {
			x.d.Checkpoint, err = x.saveCheckpoint(ctx, x.state, automatic("for an export"))
			return err
		})
	}
	c, _, err := CheckpointsOf(x.state).Verify(ctx, name)
	x.d.Checkpoint = c
	return checkpointFault(x.state, "export checkpoint "+name, name, err)
}

// findImages keeps the images from being collected until release is called.
func (x *exporter) findImages(ctx context.Context) (release func(), err error) {
	x.store = imagestore.New(x.env.Dir.ImageStore())
	if release, err = x.store.Use(ctx); err != nil {
		return nil, fault.New(fault.State, "export the images", err)
	}
	x.d.Images = map[string]string{}
	blobs := map[string]bool{}
	for name, source := range x.state.LoadedImages() {
		if source.Target == "" || !x.store.Has(source.Target) {
			x.rec.warn("images", fmt.Sprintf("image %s is not in the image store, and not in the file; load it again before, if it has to be", name))
			continue
		}
		x.d.Images[name] = source.Target
		for _, digest := range x.store.Reachable(source.Target) {
			blobs[digest] = true
		}
	}
	x.d.Blobs = slices.Sorted(maps.Keys(blobs))
	return release, nil
}

// copyClaims copies the data of claims of all running nodes.
func (x *exporter) copyClaims(ctx context.Context) (err error) {
	if err := x.connect(ctx); err != nil {
		return err
	}
	if err := x.wake(ctx); err != nil {
		return err
	}
	if x.scratch, err = os.MkdirTemp(x.state.Dir(), "export-"); err != nil {
		return statedir.Fault("export the data of claims", x.state.Dir(), err)
	}
	has := make([]bool, len(x.Current.Spec.Nodes))
	g, ctx := errgroup.WithContext(ctx)
	for place, n := range x.Current.Spec.Nodes {
		c, ok := x.containerOf(n.Name)
		if !ok || !c.Running {
			x.rec.warn("claims/"+n.Name, "node "+n.Name+" does not run: the data of its claims is not in the file")
			continue
		}
		g.Go(func() error {
			return x.rec.step("claims/"+n.Name, "Data of claims on "+n.Name, func(func(string)) (err error) {
				has[place], err = x.copyClaimsOf(ctx, c, clusterarchive.VolumeFile(x.scratch, place))
				return err
			})
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for place, there := range has {
		if there {
			x.d.Volumes = append(x.d.Volumes, place)
		}
	}
	return nil
}

// copyClaimsOf reports whether there was any data.
func (x *exporter) copyClaimsOf(ctx context.Context, c node.Container, path string) (bool, error) {
	if has, err := x.hasClaims(ctx, c); !has || err != nil {
		return false, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return false, statedir.Fault("copy the data of claims on node "+c.Node, x.state.Dir(), err)
	}
	return true, errors.Join(x.writeClaims(ctx, c, f), f.Close())
}
