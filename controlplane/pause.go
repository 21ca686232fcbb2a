package controlplane

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/internal/controllers"
	"bonsai/controlplane/internal/scheduler"
)

// clients are those of the API server that can be stopped and run again: controllers and scheduler.
type clients struct {
	mu     sync.Mutex // guards the rest, and is held while they stop
	cancel context.CancelFunc
	done   chan struct{} // closed when they have ended; nil if they do not run
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

// pauseLimit bounds the end of controllers and scheduler, which takes a fraction of a second.
const pauseLimit = 10 * time.Second

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
	cp.setClients(cluster.PhasePaused)
	return nil
}

// Resume runs controllers and scheduler; if they run, it does nothing. What they know is new: of a node whose last report is
// old, the node controller assumes that it has reported just now, so that it has the whole grace period to do so again
// (tryUpdateNodeHealth in pkg/controller/nodelifecycle).
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
	cp.setClients(cluster.PhaseRunning)
	var running sync.WaitGroup
	run := func(name string, flags []string, f func(context.Context, []string) error) {
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
	go func() { // ends with them
		running.Wait()
		close(done)
	}()
}

func (cp *ControlPlane) setClients(phase cluster.Phase) {
	cp.set(Scheduler, phase, "")
	cp.set(ControllerManager, phase, "")
}
