// Package entrance checks the API server through the port that its users use. A component that runs does not prove that
// clients can connect: the process may have no file descriptor left for a connection, or etcd may not answer.
package entrance

import (
	"context"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
)

const (
	// askLimit bounds one check. It is less than the time that "bonsai status" waits for the daemon.
	askLimit = 2 * time.Second
	// waitLimit bounds Wait; a brief shortage is over by then.
	waitLimit = 15 * time.Second
	pause     = 100 * time.Millisecond
)

// Check remembers the last answer. It is safe for concurrent use.
type Check struct {
	name  string
	ready func(context.Context) error
	scale wait.Scale

	mu    sync.Mutex // guards what follows
	err   error
	since time.Time // when it began to fail
}

// New returns a Check of the component name. ready asks once, blocks until it has an answer or its context ends, and
// returns what is wrong. Until the first Ask the component counts as healthy.
func New(name string, ready func(context.Context) error, scale wait.Scale) *Check {
	return &Check{name: name, ready: ready, scale: scale}
}

// Ask checks once, and reports whether the answer has changed. It blocks for two seconds at most. If ctx ends before
// the answer, nothing changes.
func (c *Check) Ask(ctx context.Context) (changed bool) {
	err := c.once(ctx)
	if ctx.Err() != nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	changed = text(err) != text(c.err)
	if err != nil && c.err == nil {
		c.since = time.Now()
	}
	c.err = err
	return changed
}

// Wait returns nil once the API server is healthy, or the last error after fifteen seconds or when ctx ends.
func (c *Check) Wait(ctx context.Context) error {
	ctx, cancel := c.scale.Limit(ctx, waitLimit, "the API server to answer")
	defer cancel()
	for {
		err := c.once(ctx)
		if err == nil {
			return nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
	}
}

func (c *Check) once(ctx context.Context) error {
	ctx, cancel := c.scale.Limit(ctx, askLimit, "an answer from the API server")
	defer cancel()
	return c.ready(ctx)
}

// Judge marks the component as degraded if it runs and the last answer was not that all is well. The list is changed.
func (c *Check) Judge(components []cluster.Component) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range components {
		if p := &components[i]; c.err != nil && p.Name == c.name && p.Phase == cluster.PhaseRunning {
			p.Phase, p.Reason, p.Since = cluster.PhaseDegraded, c.err.Error(), c.since
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
