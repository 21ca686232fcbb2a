package load

import (
	"context"
	"sync"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/observe/objects"
)

// Options are the dependencies of a View.
type Options struct {
	// Nodes returns the nodes that the cluster currently has.
	Nodes  func() []cluster.Node
	Agents Agents
	// ControlPlane starts measuring the control plane. The function that it returns reports what happened since it was
	// last called.
	ControlPlane func() (measure func() cluster.ControlPlaneLoad)
	// Objects has the pods, for their names.
	Objects *objects.Store
}

// Agents are the agents of nodes. They limit every wait for an answer.
type Agents interface {
	Usage(ctx context.Context, n cluster.Node) (cluster.NodeCounters, error)
}

// View answers requests about load. It is safe for concurrent use.
type View struct {
	Options
	samples sampler

	mu       sync.Mutex // guards the rest, and is held while a measurer starts or ends
	users    int
	measurer *measurer // nil while there are none
	end      func()
}

// New returns a View. It starts nothing.
func New(o Options) *View { return &View{Options: o} }

// Load calls send with a Load every cluster.LoadInterval, for the first time after about one interval, until ctx ends
// or send fails, and returns that failure. A slow reader misses some.
func (v *View) Load(ctx context.Context, send func(cluster.Load) error) error {
	m, leave := v.enter()
	defer leave()
	for sent := (*cluster.Load)(nil); ; {
		newest, changed := m.newest()
		if newest != sent {
			if err := send(*newest); err != nil {
				return err
			}
			sent = newest
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// enter counts a watcher, which calls leave at the end.
func (v *View) enter() (m *measurer, leave func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.users++; v.users == 1 {
		v.measurer, v.end = v.start()
	}
	return v.measurer, func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.users--; v.users == 0 {
			v.end()
			v.measurer, v.end = nil, nil
		}
	}
}
