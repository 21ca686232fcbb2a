package addons

import (
	"context"
	"errors"
	"time"

	"bonsai/bootstrap/wait"
)

// Pauses between the ends of a runner and its next starts; they double.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 30 * time.Second
)

// errEnded is the reason for restarting a runner that returned without an error.
var errEnded = errors.New("it returned")

// startRunners starts those of applied addons that do not run.
func (m *Manager) startRunners(ctx context.Context) {
	for _, name := range m.wanted() {
		r, ok := m.addons[name].(Runner)
		if !ok {
			continue
		}
		m.update(func() {
			p := m.parts[name]
			if !p.wanted || !p.applied || p.runner != nil {
				return
			}
			ctx, stop := context.WithCancel(ctx)
			p.runner = &runner{stop: stop, done: make(chan struct{}), began: time.Now()}
			life, c := p.runner, m.cluster
			c.Log = c.Log.With("addon", name)
			m.runners.Go(func() { m.keep(ctx, r, c, life) })
		})
	}
}

// keep runs r again and again until ctx ends.
func (m *Manager) keep(ctx context.Context, r Runner, c Cluster, life *runner) {
	defer close(life.done)
	defer life.stop()
	for rest := firstPause; ; rest = min(2*rest, lastPause) {
		began := time.Now()
		err := r.Run(ctx, c)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errEnded
		}
		if time.Since(began) > lastPause {
			rest = firstPause
		}
		c.Log.Warn("the addon's controller failed, restarting it", "err", err, "pause", rest)
		m.update(func() { life.err, life.began = err, time.Time{} })
		wake(m.look) // which repeats until the failure is old
		_ = wait.Pause(ctx, rest)
		m.update(func() { life.began = time.Now() })
	}
}

// stopRunner stops the runner of an addon and waits for it.
func (m *Manager) stopRunner(ctx context.Context, name string) error {
	m.mu.Lock()
	life := m.parts[name].runner
	m.mu.Unlock()
	if life == nil {
		return nil
	}
	life.stop()
	limit := time.NewTimer(m.opts.Scale.Of(runnerLimit))
	defer limit.Stop()
	select {
	case <-life.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-limit.C:
		return errors.New("its controller does not stop")
	}
	m.update(func() { m.parts[name].runner = nil })
	return nil
}
