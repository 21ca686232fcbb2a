// Package entrance judges the API server by what its users get. A component that runs says nothing about whether
// anybody gets in: the process may have no file descriptor left for a connection, or etcd may not answer. So somebody
// asks, through the port that users use.
package entrance

import (
	"context"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
)

const (
	// askLimit bounds one question. It is less than what "bonsai status" waits for the daemon.
	askLimit = 2 * time.Second
	// waitLimit bounds Wait; what is short for a moment is there again by then.
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

// New returns a Check of the component name. ready asks once, blocks until the answer is there or its context ends, and
// says what is wrong. As long as nobody has asked, everything is well.
func New(name string, ready func(context.Context) error, scale wait.Scale) *Check {
	return &Check{name: name, ready: ready, scale: scale}
}

// Ask asks, and says whether the answer is another one than before. It blocks for two seconds at most. Whoever ends ctx
// changes nothing.
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

// Wait returns once the answer is that all is well, or with what it was when fifteen seconds were over or ctx ended.
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
