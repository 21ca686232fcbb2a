package bootstrap

import (
	"context"
	"fmt"
	"slices"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/node"
)

const (
	// leaveLimit bounds what the control plane does in half a second before a node is restarted.
	leaveLimit = 10 * time.Second
	// servingLimit bounds the wait for the pods of a restarted node, which may start slowly. Then the next node follows all the
	// same: a pod that does not start must not keep a cluster half upgraded.
	servingLimit = time.Minute
)

// rolling are those of nodes that run and have the payload of another executable: they are replaced one after the other, so that
// pods elsewhere serve meanwhile. None if there is nothing that could go on, or if nothing is to be waited for.
func (o *operation) rolling(nodes []cluster.Node, payload node.Payload) []cluster.Node {
	if !o.Current.Running || o.run.NoWait || len(o.containers) < 2 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(nodes), func(n cluster.Node) bool {
		c, _ := o.containerOf(n.Name)
		return !c.Running && !c.Paused() || c.Payload == payload.Hash
	})
}

// roll replaces running nodes one after the other, in the order of the plan, which begins with the control plane's. Before a node
// ends, its pods leave Services; before the next one does, the node is Ready and its pods serve as before. Pods are not evicted:
// they stay on their node, with their data. No node may be newer than the control plane, which serving says is ready.
func (o *operation) roll(ctx context.Context, nodes []cluster.Node, payload node.Payload, serving <-chan struct{}) error {
	if len(nodes) == 0 {
		return nil
	}
	select {
	case <-serving:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for _, n := range nodes {
		served := o.leave(ctx, n.Name)
		c, _ := o.containerOf(n.Name)
		err := o.rec.step("container/"+n.Name, "Container "+n.Name+" of this version of bonsai", func(waitingFor func(string)) error {
			waitingFor("its pods are ending")
			if err := o.driver.StopNode(ctx, c.Name, o.env.Scale.Of(nodeGrace)); err != nil {
				return err
			}
			waitingFor("it is created again")
			return o.ensureNode(ctx, o.Wanted.Spec, n, payload)
		})
		if err != nil {
			return err
		}
		if err := o.waitFor(ctx, []cluster.Node{n}, false); err != nil {
			return err
		}
		o.rolled = append(o.rolled, n.Name)
		if err := o.awaitPods(ctx, n.Name, served); err != nil {
			return err
		}
	}
	return nil
}

// leave takes the pods of a node out of Services, and returns those that were Ready. Without that, some requests fail meanwhile,
// which is better than no upgrade, so that trouble is a warning.
func (o *operation) leave(ctx context.Context, name string) []cluster.ServingPod {
	ctx, cancel := o.limit(ctx, leaveLimit, "Services to leave out node "+name)
	defer cancel()
	pods, err := o.client().Leave(ctx, name)
	if err != nil && ctx.Err() == nil {
		o.rec.warnOf("pods/"+name, err)
	}
	return pods
}

// awaitPods waits for the pods that served before a node was replaced. Its error is that of ctx.
func (o *operation) awaitPods(ctx context.Context, name string, pods []cluster.ServingPod) error {
	if len(pods) == 0 {
		return nil
	}
	return o.rec.step("pods/"+name, "Pods of "+name, func(waitingFor func(string)) error {
		limited, cancel := o.limit(ctx, servingLimit, "the pods of node "+name+" to be Ready again")
		defer cancel()
		last := ""
		err := o.client().Await(limited, name, pods, func(p cluster.DrainProgress) error {
			last = p.Detail
			waitingFor(last)
			return nil
		})
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && limited.Err() != nil && last != "":
			err = fmt.Errorf("%s: %w", last, context.Cause(limited))
		}
		if err != nil {
			o.rec.warnOf("pods/"+name, err)
		}
		return nil
	})
}
