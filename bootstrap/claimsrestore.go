package bootstrap

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/statedir"
)

// A restore with the data of claims has two parts that only make sense together: objects and data. The data is written into the
// nodes beside the present one; they are stopped for it. The objects follow, and decide: once they are the cluster's for good,
// nodes that start put the data in place; before that, nodes that start remove it. A record in the state folder says so to the
// next command, wherever this one is interrupted; see statedir.ClaimsRestore.

// arrival is a node that gets data of claims.
type arrival struct {
	node      cluster.Node
	container node.Container
	open      func() (io.ReadCloser, error)
}

// restoreWithVolumes is RestoreCheckpoint for a checkpoint with the data of claims, which was verified.
func (m *Manager) restoreWithVolumes(ctx context.Context, lock *statedir.Lock, name string, c cluster.Checkpoint, from cluster.Spec, run Run) error {
	o := m.operation("checkpoint restore", name, run)
	defer o.close()
	if err := o.lookAround(); err != nil {
		return err
	}
	if err := o.connect(ctx); err != nil {
		return err
	}
	if err := o.wake(ctx); err != nil {
		return err
	}
	arrivals, err := o.arrivals(c, from)
	if err != nil {
		return err
	}
	if o.Current.Running {
		run.OwnKubeconfig = true // which context is current does not change
		if err := o.rec.step("checkpoint", "Checkpoint of the present objects and claims", func(func(string)) error {
			_, err := o.saveWithVolumes(ctx, automatic("before "+o.verb), c.Name)
			return err
		}); err != nil {
			return err
		}
	}
	record := statedir.ClaimsRestore{ID: strings.ToLower(rand.Text()[:12]), Checkpoint: c.Name}
	for _, a := range arrivals {
		record.Nodes = append(record.Nodes, a.node.Name)
	}
	if err := o.state.SaveClaimsRestore(record); err != nil {
		return err
	}
	if err = o.deliver(ctx, arrivals, record.ID); err == nil {
		_, err = m.startLocked(ctx, lock, plan.Wish{Name: name}, run, restoring{checkpoint: c.Name})
	}
	if err == nil {
		return nil
	}
	return errors.Join(err, o.settleClaims(context.WithoutCancel(ctx), lock))
}

// arrivals are the nodes that get data of the checkpoint. They have to exist, and if the cluster runs, to run, so that what they
// have now can be saved before.
func (o *operation) arrivals(c cluster.Checkpoint, from cluster.Spec) (list []arrival, err error) {
	op := "restore checkpoint " + c.Name
	saved := savedClaims(CheckpointsOf(o.state), c)
	for _, v := range c.Volumes {
		n, ok := counterpart(o.Current.Spec, from, v)
		if !ok {
			o.rec.warn("claims/"+v.Node, "node "+v.Node+" does not exist any more: the data of its claims is not restored")
			continue
		}
		there, ok := o.containerOf(n.Name)
		if !ok || n.Stopped || o.Current.Running && !there.Running {
			return nil, o.notRunning(op, n)
		}
		list = append(list, arrival{node: n, container: there, open: saved(v.Place)})
	}
	return list, nil
}

// counterpart is the node that has the claims of a node of a checkpoint: the same one, or in another cluster that in the same
// place.
func counterpart(spec *cluster.Spec, from cluster.Spec, v cluster.VolumeCopy) (cluster.Node, bool) {
	if spec.ID == from.ID {
		return spec.NodeByName(v.Node)
	}
	if v.Place >= len(spec.Nodes) {
		return cluster.Node{}, false
	}
	return spec.Nodes[v.Place], true
}

// deliver stops nodes and writes the data of claims into them, beside what they have.
func (o *operation) deliver(ctx context.Context, arrivals []arrival, id string) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, a := range arrivals {
		g.Go(func() error {
			if a.container.Up() {
				if err := o.rec.step("stop/"+a.node.Name, "Stopping node "+a.node.Name+", whose claims are replaced", func(func(string)) error {
					return o.driver.StopNode(ctx, a.container.Name, o.env.Scale.Of(nodeGrace))
				}); err != nil {
					return err
				}
			}
			return o.rec.step("claims/"+a.node.Name, "Data of claims for "+a.node.Name, func(func(string)) error {
				err := o.driver.FillNode(ctx, a.container.Name, moved(a.open, strings.TrimPrefix(cluster.NodeIncoming, "/")+"-"+id))
				if f, ok := errors.AsType[*fault.Fault](err); ok && strings.Contains(err.Error(), "no space left") {
					return f.Advise("make room on the disk of the container engine", cluster.Bonsai("df"))
				}
				return err
			})
		})
	}
	return g.Wait()
}

// settleClaims ends a restore that failed. If the objects have been replaced by then, the data is, too; otherwise the cluster is
// as before. The record stays for the start, which stops the nodes first: the engine may still be about to do that.
func (o *operation) settleClaims(ctx context.Context, lock *statedir.Lock) error {
	if _, done, _ := o.state.ClaimsRestore(); !done && !o.Current.Running {
		return o.state.DropClaimsRestore()
	}
	ctx, cancel := o.limit(ctx, cleanupLimit+daemonLimit+nodesLimit, "the cluster to run")
	defer cancel()
	_, err := o.startLocked(ctx, lock, plan.Wish{Name: o.state.Name}, Run{OwnKubeconfig: true, Events: o.run.Events}, restoring{})
	return err
}

// haltArrivals stops the nodes of an unfinished restore that run. One that the engine was about to stop when the command was killed
// may look as if it ran on, and one that somebody has started has its data as before: both have to start with what has been decided
// since then.
func (o *operation) haltArrivals(ctx context.Context, r statedir.ClaimsRestore) error {
	if o.driver == nil || !o.touchesNodes() {
		return nil
	}
	containers, err := o.driver.List(ctx, o.Wanted.Spec.ID)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, c := range containers {
		if c.Up() && slices.Contains(r.Nodes, c.Node) {
			g.Go(func() error { return o.driver.StopNode(ctx, c.Name, o.env.Scale.Of(nodeGrace)) })
		}
	}
	return g.Wait()
}

// endClaimsRestore removes the record of a restore when its nodes have been started with it: they put the data in place, or
// remove it.
func (o *operation) endClaimsRestore(r statedir.ClaimsRestore) error {
	started := o.affectedNodes()
	for _, name := range r.Nodes {
		if _, planned := o.Wanted.Spec.NodeByName(name); !planned {
			continue
		}
		if !o.touchesNodes() || !slices.ContainsFunc(started, func(n cluster.Node) bool { return n.Name == name }) {
			return nil
		}
	}
	return o.state.DropClaimsRestore()
}
