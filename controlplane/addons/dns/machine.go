package dns

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
)

// Machine calls each with the resolvers of this machine, at once and after each change, until ctx ends.
type Machine func(ctx context.Context, log *slog.Logger, each func(cluster.Resolvers))

// machine is what is known of this machine's resolvers.
type machine struct {
	mu      sync.Mutex // guards the rest
	now     cluster.Resolvers
	known   bool
	changed chan struct{} // closed and replaced when that changes
}

func newMachine() *machine { return &machine{changed: make(chan struct{})} }

func (m *machine) set(r cluster.Resolvers) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now, m.known = r, true
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *machine) get() (now cluster.Resolvers, known bool, changed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now, m.known, m.changed
}

// inform sends the resolvers of this machine to the node's server until ctx ends: whenever they change, and whenever the server
// reports something, because one that was restarted does not know them.
func (f *follower) inform(ctx context.Context) {
	for {
		now, known, changed := f.machine.get()
		var again <-chan time.Time
		if known {
			err := f.agents.SetDNSMachine(ctx, f.node, now)
			if err != nil && ctx.Err() == nil {
				f.log.Debug("a node's DNS server does not know this machine's resolvers", "node", f.node.Name, "err", err)
				again = time.After(patientPause)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-f.heard:
		case <-again:
		}
	}
}
