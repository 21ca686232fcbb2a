package bootstrap

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"bonsai/bootstrap/checkpoint"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/clusterarchive"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/imagestore"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/statedir"
)

// originCheckpoint is what a new cluster calls the checkpoint that it was made of, if nobody gave that a name. Those that are
// called automatic are removed when they are too many.
const originCheckpoint = "origin"

func originName(c string) string {
	if (cluster.Checkpoint{Name: c}).Automatic() {
		return originCheckpoint
	}
	return c
}

// StartFrom creates a cluster of the name from what ExportCluster has written, with an identity of its own, and returns the
// record of its start. r is read to its end and verified before anything else happens.
func (m *Manager) StartFrom(ctx context.Context, name string, r io.Reader, run Run) (*cluster.Timeline, error) {
	state := m.env.Dir.Cluster(name)
	lock, err := state.Lock(ctx, "start")
	if err != nil {
		return nil, err
	}
	defer func() { _ = lock.Release() }()
	if state.Exists() {
		return nil, fault.Newf(fault.Conflict, "there is a cluster %q already", name).
			Advise("use another name, or delete it first", cluster.Bonsai("delete").Of(name).Change())
	}
	in, err := m.readArchive(ctx, state, r)
	if err != nil {
		return nil, errors.Join(err, state.Remove(), in.discard(ctx))
	}
	timeline, err := m.startLocked(ctx, lock, plan.Wish{Name: name, Like: &in.spec}, run, restoring{checkpoint: in.as, claims: in.claims, bring: in.bring})
	return timeline, errors.Join(err, in.discard(ctx))
}

// incoming is an archive that was read, and waits to become a cluster.
type incoming struct {
	m     *Manager
	state statedir.Cluster // of the new cluster
	d     clusterarchive.Description
	spec  cluster.Spec
	// checkpoint is the one in it.
	checkpoint cluster.Checkpoint
	// dir has the parts that are not in the image store.
	dir string
	// as is how the new cluster calls the checkpoint.
	as      string
	release func() // lets go of the image store
}

// readArchive reads everything, and verifies what can be verified without a cluster. Call discard, also after an error.
func (m *Manager) readArchive(ctx context.Context, state statedir.Cluster, r io.Reader) (in *incoming, err error) {
	const op = "read the exported cluster"
	in = &incoming{m: m, state: state, dir: filepath.Join(state.Dir(), "incoming"), release: func() {}}
	ctx, cancel := m.limit(ctx, exportLimit, "the file to be read")
	defer cancel()
	if err := errors.Join(os.RemoveAll(in.dir), statedir.MkdirPrivate(in.dir)); err != nil {
		return in, statedir.Fault(op, state.Dir(), err)
	}
	store := imagestore.New(m.env.Dir.ImageStore())
	release, err := store.Use(ctx)
	if err != nil {
		return in, fault.New(fault.State, op, err)
	}
	in.release = release
	if in.d, err = clusterarchive.Read(ctx, r, clusterarchive.Target{Dir: in.dir, Store: store}); err != nil {
		if errors.Is(err, clusterarchive.ErrDamaged) || errors.Is(err, clusterarchive.ErrNewer) {
			return in, fault.New(fault.Checkpoint, op, err)
		}
		if ctx.Err() != nil {
			return in, context.Cause(ctx)
		}
		return in, statedir.Fault(op, state.Dir(), err)
	}
	in.as = originName(in.d.Checkpoint.Name)
	if in.checkpoint, in.spec, err = in.from().Verify(ctx, in.d.Checkpoint.Name); err != nil {
		return in, checkpointFault(state, op, in.d.Checkpoint.Name, err)
	}
	return in, nil
}

// from is the folder of the archive's checkpoint.
func (in *incoming) from() checkpoint.Folder {
	return checkpoint.Folder{Path: in.dir, Limits: checkpoint.DefaultLimits}
}

// bring gives the new cluster what it does not get otherwise.
func (in *incoming) bring(ctx context.Context, to statedir.Cluster) error {
	if err := CheckpointsOf(to).Import(in.from(), in.d.Checkpoint.Name, in.as); err != nil {
		return checkpointFault(to, "copy the checkpoint", in.as, err)
	}
	images := map[string]statedir.ImageSource{}
	for name, target := range in.d.Images {
		images[name] = statedir.ImageSource{Target: target}
	}
	return to.RecordImages(ctx, images)
}

// claims opens the data of the claims on the node in a place, as an archive of its root folder; nil if there is none.
func (in *incoming) claims(place int) func() (io.ReadCloser, error) {
	path := clusterarchive.VolumeFile(in.dir, place)
	if _, err := os.Stat(path); err != nil {
		return savedClaims(in.from(), in.checkpoint)(place)
	}
	return withParents(func() (io.ReadCloser, error) { return os.Open(path) })
}

// discard removes what the cluster does not need any more, or never got.
func (in *incoming) discard(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	in.release()
	err := os.RemoveAll(in.dir)
	if in.state.Exists() {
		return err
	}
	ctx, cancel := in.m.limit(ctx, cleanupLimit, "the image store to be cleaned")
	defer cancel()
	_, collectErr := CollectImages(ctx, in.m.env.Dir)
	return errors.Join(err, collectErr)
}
