package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"bonsai/bootstrap/buildinfo"
	"bonsai/bootstrap/checkpoint"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/statedir"
)

// saveLimit bounds a copy of etcd's data, which is 2 GB at most.
const saveLimit = time.Minute

// CheckpointsOf is where the checkpoints of a cluster are. They go with its folder.
func CheckpointsOf(state statedir.Cluster) checkpoint.Folder {
	return checkpoint.Folder{Path: filepath.Join(state.Dir(), "checkpoints"), Limits: checkpoint.DefaultLimits}
}

// Checkpoints lists the checkpoints of a cluster, the newest first.
func (m *Manager) Checkpoints(name string) ([]cluster.Checkpoint, error) {
	state := m.env.Dir.Cluster(name)
	if !state.Exists() {
		return nil, statedir.NotFound(name)
	}
	list, err := CheckpointsOf(state).List()
	return list, checkpointFault(state, "list checkpoints", "", err)
}

// SaveCheckpoint copies all objects of a running cluster, as they are at one moment, and withVolumes the data of claims after
// that, for which all nodes have to run. Without a name the checkpoint is called after the time. The cluster goes on meanwhile.
func (m *Manager) SaveCheckpoint(ctx context.Context, name, checkpoint string, withVolumes bool) (cluster.Checkpoint, error) {
	const verb = "checkpoint save"
	o := m.operation(verb, name, Run{})
	defer o.close()
	lock, err := o.state.LockExisting(ctx, verb)
	if err != nil {
		return cluster.Checkpoint{}, err
	}
	defer func() { _ = lock.Release() }()
	if checkpoint == "" {
		checkpoint = nameOf(time.Now())
	}
	c := cluster.Checkpoint{Name: checkpoint}
	if !withVolumes {
		return m.saveCheckpoint(ctx, o.state, c)
	}
	if err := o.lookAround(); err != nil {
		return c, err
	}
	return o.saveWithVolumes(ctx, c, "")
}

func nameOf(t time.Time) string { return t.Format("20060102-150405") }

// saveCheckpoint is SaveCheckpoint for somebody who has locked the cluster.
func (m *Manager) saveCheckpoint(ctx context.Context, state statedir.Cluster, c cluster.Checkpoint) (cluster.Checkpoint, error) {
	return m.saveInto(ctx, CheckpointsOf(state), state, c)
}

// saveInto is saveCheckpoint with the data of claims in volumes.
func (m *Manager) saveInto(ctx context.Context, folder checkpoint.Folder, state statedir.Cluster, c cluster.Checkpoint, volumes ...checkpoint.Volume) (cluster.Checkpoint, error) {
	op := "save checkpoint " + c.Name
	spec, err := state.LoadSpec()
	if err != nil {
		return c, err
	}
	copying, cancel := m.limit(ctx, saveLimit, "a copy of all objects")
	defer cancel()
	c.Created, c.Cluster, c.ClusterID, c.KubernetesVersion = time.Now().UTC(), spec.Name, spec.ID, spec.KubernetesVersion
	c.Bonsai = buildinfo.Get().Version
	c, err = folder.Save(c, *spec, func(w io.Writer) (about cluster.StoreCopy, err error) {
		err = m.clientOf(state).CopyStore(copying, func(a cluster.StoreCopy, r io.Reader) error {
			about = a
			_, err := io.Copy(w, r)
			return err
		})
		return about, err
	}, volumes...)
	return c, checkpointFault(state, op, c.Name, err)
}

// protect takes a checkpoint before something that cannot be changed back. It does not remove the checkpoint spare, however many
// there are.
func (o *operation) protect(ctx context.Context, spare string) error {
	return o.rec.step("checkpoint", "Checkpoint of the present objects", func(func(string)) error {
		folder := CheckpointsOf(o.state)
		folder.Spare = spare
		_, err := o.saveInto(ctx, folder, o.state, automatic("before "+o.verb))
		return err
	})
}

// automatic is a checkpoint that bonsai takes itself. Two of them may be of one second.
func automatic(reason string) cluster.Checkpoint {
	now := time.Now()
	return cluster.Checkpoint{Name: cluster.AutomaticCheckpoint + nameOf(now) + fmt.Sprintf("-%03d", now.Nanosecond()/1e6), Reason: reason}
}

// lastCheckpoint is the newest checkpoint that can be used, "" if there is none.
func lastCheckpoint(state statedir.Cluster) string {
	list, err := CheckpointsOf(state).List()
	if err != nil {
		return ""
	}
	for _, c := range list {
		if c.Problem == "" {
			return c.Name
		}
	}
	return ""
}

// DeleteCheckpoint removes a checkpoint.
func (m *Manager) DeleteCheckpoint(ctx context.Context, name, checkpoint string) error {
	state := m.env.Dir.Cluster(name)
	lock, err := state.LockExisting(ctx, "checkpoint delete")
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }()
	return checkpointFault(state, "delete checkpoint "+checkpoint, checkpoint, CheckpointsOf(state).Delete(checkpoint))
}

// RestoreCheckpoint replaces all objects of a cluster by those of a checkpoint, and returns when the API server serves them.
// The nodes keep running: their kubelets start and stop pods as the objects say. The plan of the cluster stays, so that
// nodes and addons are as they are wanted now. Before that, a checkpoint of the present objects is taken. If the control
// plane does not become ready with the new objects, it runs with the old ones again.
//
// A checkpoint with the data of claims brings that back, too: the nodes that had some are stopped meanwhile, so that nothing
// uses it.
//
// A cluster that does not run is started.
func (m *Manager) RestoreCheckpoint(ctx context.Context, name, checkpoint string, run Run) error {
	const verb = "checkpoint restore"
	state := m.env.Dir.Cluster(name)
	lock, err := state.LockExisting(ctx, verb)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }()
	c, from, err := m.checkRestorable(ctx, state, checkpoint)
	if err != nil {
		return err
	}
	if len(c.Volumes) > 0 {
		return m.restoreWithVolumes(ctx, lock, name, c, from, run)
	}
	if !state.DaemonAlive() {
		_, err := m.startLocked(ctx, lock, plan.Wish{Name: name}, run, restoring{checkpoint: checkpoint})
		return err
	}
	o := m.operation(verb, name, run)
	defer o.close()
	if err := o.lookAround(); err != nil {
		return err
	}
	if err := o.wake(ctx); err != nil {
		return err
	}
	if err := o.protect(ctx, checkpoint); err != nil {
		return err
	}
	o.Plan = plan.Plan{Current: o.Current, Wanted: o.Current}
	o.restoring.checkpoint = checkpoint
	if err := o.ensureDaemon(ctx); err != nil {
		err = o.explain(ctx, err)
		return errors.Join(err, o.giveUpRestoring(context.WithoutCancel(ctx)))
	}
	return nil
}

// restoring is a checkpoint whose objects a daemon starts with. The zero value means those that are there.
type restoring struct {
	checkpoint string
	// bring is called before the daemon is spawned, to have the checkpoint there; it may be nil.
	bring func(context.Context, statedir.Cluster) error
	// claims opens what a new node has to have in its folders of claims, by the place of the node in the plan; see
	// node.NodeSpec.Data. It may be nil.
	claims func(place int) func() (io.ReadCloser, error)
}

// Fork creates a cluster of the name as with the settings and the objects of another one, and returns the record of its
// start. The objects are those of a checkpoint, or as they are now if that is empty; the other cluster has to run then. The
// new one has an identity of its own: authority, certificates, addresses, ports of this machine. Claims have the data that the
// checkpoint has of them, which it must have withVolumes; without a checkpoint, all nodes have to run then. A warning names claims
// that are empty.
func (m *Manager) Fork(ctx context.Context, name, checkpoint, as string, withVolumes bool, run Run) (*cluster.Timeline, error) {
	const verb = "fork"
	from, to := m.env.Dir.Cluster(name), m.env.Dir.Cluster(as)
	lock, err := from.LockExisting(ctx, verb)
	if err != nil {
		return nil, err
	}
	defer func() { _ = lock.Release() }()
	if to.Exists() {
		return nil, fault.Newf(fault.Conflict, "there is a cluster %q already", as).
			Advise("use another name, or delete it first", cluster.Bonsai("delete").Of(as).Change())
	}
	if checkpoint == "" {
		c, err := m.saveForFork(ctx, name, as, withVolumes, run)
		if err != nil {
			return nil, err
		}
		checkpoint = c.Name
	}
	c, spec, err := CheckpointsOf(from).Verify(ctx, checkpoint)
	if err != nil {
		return nil, checkpointFault(from, "fork checkpoint "+checkpoint, checkpoint, err)
	}
	if withVolumes && !c.WithVolumes {
		return nil, fault.Newf(fault.Checkpoint, "checkpoint %s does not have the data of claims", checkpoint).
			Advise("fork what the cluster has now", cluster.Bonsai("fork").Of(name).With("--as", as, "--with-volumes").Change()).
			Advise("or leave the claims empty", cluster.Bonsai("fork").On(checkpoint).Of(name).With("--as", as).Change())
	}
	newLock, err := to.Lock(ctx, verb)
	if err != nil {
		return nil, err
	}
	defer func() { _ = newLock.Release() }()
	bring := func(ctx context.Context, to statedir.Cluster) error {
		if err := CheckpointsOf(to).Import(CheckpointsOf(from), checkpoint, originName(checkpoint)); err != nil {
			return checkpointFault(to, "copy checkpoint "+checkpoint, checkpoint, err)
		}
		return to.RecordImages(ctx, from.LoadedImages())
	}
	timeline, err := m.startLocked(ctx, newLock, plan.Wish{Name: as, Like: &spec}, run, restoring{
		checkpoint: originName(checkpoint), bring: bring, claims: savedClaims(CheckpointsOf(from), c),
	})
	if err == nil && !c.WithVolumes {
		m.warnOfEmptyClaims(ctx, name, to, run)
	}
	return timeline, err
}

// saveForFork saves what the cluster of the name, which is locked, has now.
func (m *Manager) saveForFork(ctx context.Context, name, as string, withVolumes bool, run Run) (c cluster.Checkpoint, err error) {
	o := m.operation("fork", name, run)
	defer o.close()
	c = automatic("for fork " + as)
	if !withVolumes {
		return o.saveCheckpoint(ctx, o.state, c)
	}
	if err := o.lookAround(); err != nil {
		return c, err
	}
	err = o.rec.step("checkpoint", "Checkpoint of the present objects and claims", func(func(string)) error {
		c, err = o.saveWithVolumes(ctx, c, "")
		return err
	})
	return c, err
}

// warnOfEmptyClaims names the claims of a fork whose data did not come along. What runs is not affected by trouble with that.
func (m *Manager) warnOfEmptyClaims(ctx context.Context, name string, fork statedir.Cluster, run Run) {
	o := m.operation("fork", fork.Name, run)
	ctx, cancel := o.limit(ctx, claimsLimit, "the list of volumes")
	defer cancel()
	spec, err := fork.LoadSpec()
	if err != nil || len(spec.Nodes) == 0 {
		return
	}
	list, err := o.getVolumes(ctx, fork, spec)
	if err != nil {
		o.env.Log.Debug("nothing is known about the claims of a fork", "err", err)
		return
	}
	claims, err := claimsOf(list)
	if err != nil || len(claims) == 0 {
		return
	}
	names := slices.Concat(slices.Collect(maps.Values(claims))...)
	slices.Sort(names)
	o.rec.warnOf("claims", fault.Newf(fault.Checkpoint, "claims of %s are empty: %s", fork.Name, strings.Join(names, ", ")),
		cluster.Advise("fork again with their data", cluster.Bonsai("delete").Of(fork.Name).Change(),
			cluster.Bonsai("fork").Of(name).With("--as", fork.Name, "--with-volumes").Change()))
}

// checkRestorable reads a whole checkpoint before anything changes.
func (m *Manager) checkRestorable(ctx context.Context, state statedir.Cluster, name string) (c cluster.Checkpoint, from cluster.Spec, err error) {
	op := "restore checkpoint " + name
	spec, err := state.LoadSpec()
	if err != nil {
		return c, from, err
	}
	c, from, err = CheckpointsOf(state).Verify(ctx, name)
	if err != nil {
		return c, from, checkpointFault(state, op, name, err)
	}
	switch {
	case c.ClusterID != spec.ID && !c.Imported:
		return c, from, fault.Newf(fault.Checkpoint, "%s: it is of another cluster, %s (ID %s)", op, c.Cluster, c.ClusterID)
	case c.Newer(spec.KubernetesVersion):
		return c, from, fault.Newf(fault.Checkpoint, "%s: its objects are of Kubernetes %s, and the cluster is of version %s, which may not be able to read them",
			op, c.KubernetesVersion, spec.KubernetesVersion)
	}
	return c, from, nil
}

// giveUpRestoring starts the control plane with the old objects: a daemon that finds an unfinished restore goes back.
func (o *operation) giveUpRestoring(ctx context.Context) error {
	ctx, cancel := o.limit(ctx, cleanupLimit+daemonLimit, "the control plane to be as before")
	defer cancel()
	return o.rec.step("cleanup", "Going back to the objects before", func(func(string)) error {
		if o.daemon != nil {
			if err := o.kill(ctx, o.daemon); err != nil {
				return err
			}
			o.daemon = nil
		}
		o.restoring = restoring{}
		o.Current.Running = o.state.DaemonAlive()
		return o.ensureDaemon(ctx)
	})
}

// checkpointFault explains why a checkpoint cannot be saved or used. An error that is a fault already is returned as it is.
func checkpointFault(state statedir.Cluster, op, name string, err error) error {
	list := cluster.Advise("see the checkpoints", cluster.Bonsai("checkpoint", "list"))
	var f *fault.Fault
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f):
		return err
	case errors.Is(err, checkpoint.ErrNotFound):
		f = fault.New(fault.CheckpointNotFound, op, err)
		f.Advice = append(f.Advice, list)
	case errors.Is(err, checkpoint.ErrExists):
		f = fault.New(fault.Conflict, op, err).
			Advise("use another name, or delete that one first", cluster.Bonsai("checkpoint", "delete").On(name).Change())
	case errors.Is(err, checkpoint.ErrFull):
		f = fault.New(fault.Checkpoint, op, err).
			Advise("delete some first", cluster.Bonsai("checkpoint", "list"), cluster.Bonsai("checkpoint", "delete").On("NAME").Fill("NAME").Change())
	case errors.Is(err, checkpoint.ErrDamaged), errors.Is(err, checkpoint.ErrNewer):
		f = fault.New(fault.Checkpoint, op, err)
		f.Advice = append(f.Advice, list)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	default:
		f = statedir.Fault(op, state.Dir(), err)
	}
	return f
}
