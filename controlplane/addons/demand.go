package addons

import (
	"context"

	"bonsai/bootstrap/wait"
)

// awaitDemand waits, in the background until ctx ends, for what needs an addon that is there on demand. While the user has
// chosen, nothing is looked at.
func (m *Manager) awaitDemand(ctx context.Context) {
	m.mu.Lock()
	c := m.cluster
	m.mu.Unlock()
	for name, a := range m.addons {
		if d, ok := a.(OnDemand); ok {
			c.Log = c.Log.With("addon", name)
			m.runners.Go(func() { m.demand(ctx, name, d, c) })
		}
	}
}

func (m *Manager) demand(ctx context.Context, name string, a OnDemand, c Cluster) {
	for pause := firstPause; ctx.Err() == nil; {
		changed := m.specChanged()
		if _, chosen := m.currentSpec().Addons[name]; chosen {
			select {
			case <-ctx.Done():
			case <-changed:
			}
			continue
		}
		err := a.Needed(ctx, c)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			c.Log.Warn("what needs the addon cannot be followed, trying again", "err", err, "pause", pause)
			_ = wait.Pause(ctx, pause)
			pause = min(2*pause, lastPause)
			continue
		}
		m.mu.Lock()
		m.demanded[name] = true
		spec := m.spec
		m.mu.Unlock()
		c.Log.Info("something in the cluster needs the addon")
		m.Reload(spec)
		return
	}
}
