package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sync/errgroup"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/plan"
)

// checkMounts refuses mounts of what this machine does not have, for nodes that are to run. The paths are those of the
// engine's machine: if that is another one, the engine decides, and new mounts are worth a word.
func (o *operation) checkMounts(wanted plan.State) error {
	if o.driver == nil || !wanted.Running {
		return nil
	}
	var errs []error
	elsewhere, missing := false, map[string]bool{}
	for _, n := range wanted.Spec.Nodes {
		if wanted.Down[n.Name] {
			continue
		}
		for _, m := range n.Mounts {
			if !o.engine.HostReachesNodes {
				elsewhere = elsewhere || !o.hadMount(n.Name, m)
				continue
			}
			_, err := os.Stat(m.Host)
			if err == nil || missing[m.Host] {
				continue
			}
			missing[m.Host] = true
			if errors.Is(err, fs.ErrNotExist) {
				err = errors.New("it does not exist")
			}
			f := fault.New(fault.Usage, fmt.Sprintf("mount %s at %s of node %s", m.Host, m.Path, n.Name), err).
				Advise("create it, or correct the path")
			if o.hadMount(n.Name, m) {
				f = f.Advise("or remove the mount", cluster.Bonsai("node", "update").On(n.Name).With("--unmount", m.Path).Of(wanted.Spec.Name).Change())
			}
			errs = append(errs, f)
		}
	}
	if elsewhere {
		o.rec.warn("mounts", "the container engine is not on this machine's system: the paths of mounts are those of the engine's machine")
	}
	return errors.Join(errs...)
}

// hadMount reports whether a node had a mount before this run.
func (o *operation) hadMount(name string, m cluster.Mount) bool {
	if o.Current.Spec == nil {
		return false
	}
	n, ok := o.Current.Spec.NodeByName(name)
	return ok && slices.Contains(n.Mounts, m)
}

// haltRemounted stops running nodes that get other mounts: their pods end in order before the container is replaced.
func (o *operation) haltRemounted(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, ch := range o.Changes {
		m, ok := ch.(plan.MountNode)
		i := slices.IndexFunc(o.containers, func(c node.Container) bool { return ok && c.Node == m.Node && c.Running })
		if i < 0 || o.Wanted.Down[m.Node] {
			continue
		}
		g.Go(func() error {
			return o.rec.step("mounts/"+m.Node, "Stopping node "+m.Node+" for its other mounts", func(func(string)) error {
				return o.driver.StopNode(ctx, o.containers[i].Name, o.env.Scale.Of(nodeGrace))
			})
		})
	}
	return g.Wait()
}
