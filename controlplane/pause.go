package controlplane

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
	"bonsai/controlplane/internal/controllers"
	"bonsai/controlplane/internal/scheduler"
)

// clients are those of the API server that can be stopped and run again: controllers and scheduler.
type clients struct {
	mu     sync.Mutex // guards the rest, and is held while they stop
	cancel context.CancelFunc
	done   chan struct{} // closed when they have ended; nil if they do not run
	// paused is when they ended for a pause, zero if they began without them; ready are the nodes that were Ready then.
	paused time.Time
	ready  []string
}

// stop ends them and waits, for limit at most; false if they have not ended by then. mu is held.
func (c *clients) stop(limit time.Duration) bool {
	if c.done == nil {
		return true
	}
	c.cancel()
	select {
	case <-c.done:
		c.done = nil
		return true
	case <-time.After(limit):
		return false
	}
}

const (
	// pauseLimit bounds the end of controllers and scheduler, which takes a fraction of a second.
	pauseLimit = 10 * time.Second
	// shortPause is that after which kubelets find nothing unusual.
	shortPause = 20 * time.Second
	// After a pause, controllers run once the nodes have been Ready for nodesCalm, or after nodesLimit.
	nodesCalm, nodesLimit = 2 * time.Second, 20 * time.Second
	// nodesLook is the pause between two looks at them, callLimit bounds one.
	nodesLook = 200 * time.Millisecond
	callLimit = 5 * time.Second
)

// Pause ends controllers and scheduler and waits for that: nobody notices then that nodes no longer report, and nobody
// evicts their pods. The API server serves.
func (cp *ControlPlane) Pause() error {
	c := &cp.clients
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stop(cp.opts.Scale.Of(pauseLimit)) {
		// They can neither be run again in this process, nor left ending.
		err := fmt.Errorf("it does not end within %s", cp.opts.Scale.Of(pauseLimit))
		cp.fail(ControllerManager, err)
		return err
	}
	cp.beginPause(time.Now())
	return nil
}

// beginPause remembers which nodes are to be waited for when the pause ends. c.mu is held.
func (cp *ControlPlane) beginPause(at time.Time) {
	c := &cp.clients
	cp.setClients(cluster.PhasePaused)
	c.paused, c.ready = at, nil
	ctx, cancel := cp.opts.Scale.Limit(context.Background(), callLimit, "the list of nodes")
	defer cancel()
	list, err := cp.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		cp.opts.Log.Warn("which nodes are Ready is not known", "err", err)
		return
	}
	for _, n := range list.Items {
		if isReady(&n) {
			c.ready = append(c.ready, n.Name)
		}
	}
}

// Resume runs controllers and scheduler, and returns at once; if they run, it does nothing. They begin when the nodes that were
// Ready before the pause are so again: a kubelet that was frozen for half a minute calls its node not ready for some seconds,
// because its runtime has not answered for so long, and controllers would take that seriously.
func (cp *ControlPlane) Resume() {
	c := &cp.clients
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	c.cancel, c.done = cancel, done
	ready := c.ready
	if time.Since(c.paused) < shortPause {
		ready = nil
	}
	cp.setClients(cluster.PhaseStarting)
	go func() { // ends with them
		defer close(done)
		if len(ready) > 0 {
			cp.awaitNodes(ctx, ready, time.Now())
		}
		if ctx.Err() == nil {
			cp.runClients(ctx)
		}
	}()
	if len(ready) == 0 {
		cp.setClients(cluster.PhaseRunning)
	}
}

// awaitNodes returns when these nodes have renewed their leases since the pause, which ended just before from, and have been
// Ready for a moment; or after its limit. Those that are deleted meanwhile do not count.
func (cp *ControlPlane) awaitNodes(ctx context.Context, names []string, from time.Time) {
	ctx, cancel := cp.opts.Scale.Limit(ctx, nodesLimit, "the nodes to be Ready after the pause")
	defer cancel()
	well := time.Time{} // since when they are
	for {
		missing, err := cp.notReported(ctx, names, from.Add(-shortPause/4))
		switch {
		case err != nil || len(missing) > 0:
			well = time.Time{}
		case well.IsZero():
			well = time.Now()
		case time.Since(well) >= cp.opts.Scale.Of(nodesCalm):
			return
		}
		if wait.Pause(ctx, nodesLook) != nil {
			cp.opts.Log.Warn("not all nodes are Ready after the pause", "missing", missing, "err", err)
			return
		}
	}
}

// notReported are those of the named nodes that are not Ready, or whose lease is older than since.
func (cp *ControlPlane) notReported(ctx context.Context, names []string, since time.Time) (missing []string, err error) {
	nodes, err := cp.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return nil, err
	}
	leases, err := cp.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return nil, err
	}
	renewed := map[string]bool{}
	for _, l := range leases.Items {
		renewed[l.Name] = l.Spec.RenewTime != nil && l.Spec.RenewTime.After(since)
	}
	for _, n := range nodes.Items {
		if slices.Contains(names, n.Name) && !(renewed[n.Name] && isReady(&n)) {
			missing = append(missing, n.Name)
		}
	}
	return missing, nil
}

func isReady(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// runClients runs controllers and scheduler until ctx ends.
func (cp *ControlPlane) runClients(ctx context.Context) {
	cp.setClients(cluster.PhaseRunning)
	var running sync.WaitGroup
	spec := &cp.opts.Config.Spec
	run := func(name string, flags []string, f func(context.Context, []string) error) {
		if !spec.Runs(name) {
			return
		}
		running.Go(func() {
			ctx := klog.NewContext(ctx, logr.FromSlogHandler(cp.opts.LogHandler(name)))
			if err := f(ctx, flags); err != nil || ctx.Err() == nil {
				cp.fail(name, err)
			}
		})
	}
	run(Scheduler, cp.opts.Config.SchedulerFlags(), func(ctx context.Context, flags []string) error {
		return scheduler.Run(ctx, flags, cp.births)
	})
	run(ControllerManager, cp.opts.Config.ControllerManagerFlags(), controllers.Run)
	running.Wait()
}

func (cp *ControlPlane) setClients(phase cluster.Phase) {
	cp.set(Scheduler, phase, "")
	cp.set(ControllerManager, phase, "")
}
