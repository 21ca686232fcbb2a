package load

import (
	"context"
	"net/http"
	"sync"

	"k8s.io/client-go/kubernetes"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
)

// Options are what a View is made of.
type Options struct {
	// Nodes are those that the cluster has at the moment.
	Nodes func() []cluster.Node
	// Agent is the way to the agent of a node. It is used for as long as somebody watches, and keeps its connection.
	Agent func(cluster.Node) http.RoundTripper
	// ControlPlane begins to measure the control plane. The function that it returns reports what happened since it was
	// last called.
	ControlPlane func() (measure func() cluster.ControlPlaneLoad)
	Client       kubernetes.Interface
	// Scale multiplies the limits on waits.
	Scale wait.Scale
}

// View answers questions about load. It is safe for concurrent use.
type View struct {
	Options

	closing  chan struct{} // closed by Close
	watchers sync.WaitGroup

	mu       sync.Mutex // guards the rest, and is held while a measurer starts or ends
	users    int
	measurer *measurer // nil while there are none
	end      func()
}

// New makes a View. It starts nothing.
func New(o Options) *View { return &View{Options: o, closing: make(chan struct{})} }

// Close ends all watching and waits for that. Whoever comes to watch later is sent home at once. It is called once.
func (v *View) Close() {
	v.mu.Lock()
	close(v.closing)
	v.mu.Unlock()
	v.watchers.Wait()
}

// Load calls send with a Load every cluster.LoadInterval, for the first time after about one, until ctx ends or send
// fails, and returns that failure. A slow reader misses some.
func (v *View) Load(ctx context.Context, send func(cluster.Load) error) error {
	m, leave := v.enter()
	if m == nil {
		return nil
	}
	defer leave()
	for told := (*cluster.Load)(nil); ; {
		newest, changed := m.newest()
		if newest != told {
			if err := send(*newest); err != nil {
				return err
			}
			told = newest
		}
		select {
		case <-ctx.Done():
			return nil
		case <-v.closing:
			return nil
		case <-changed:
		}
	}
}

// enter counts a watcher in, who calls leave at the end; it returns nil if the View is closed.
func (v *View) enter() (m *measurer, leave func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	select {
	case <-v.closing:
		return nil, nil
	default:
	}
	v.watchers.Add(1)
	if v.users++; v.users == 1 {
		v.measurer, v.end = v.start()
	}
	return v.measurer, func() {
		defer v.watchers.Done()
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.users--; v.users == 0 {
			v.end()
			v.measurer, v.end = nil, nil
		}
	}
}
