package load

import (
	"context"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/observe/objects"
)

// measurer computes a Load every cluster.LoadInterval.
type measurer struct {
	mu   sync.Mutex // guards the rest
	last *cluster.Load
	// changed is closed and replaced with each Load.
	changed chan struct{}
}

// newest returns the last Load, nil before the first, and a channel that is closed when there is another.
func (m *measurer) newest() (*cluster.Load, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last, m.changed
}

func (m *measurer) publish(l *cluster.Load) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last = l
	close(m.changed)
	m.changed = make(chan struct{})
}

// start starts measuring. The returned function stops it and waits.
func (v *View) start() (m *measurer, end func()) {
	m = &measurer{changed: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { v.measure(ctx, m) })
	return m, func() {
		cancel()
		running.Wait()
	}
}

// measure publishes until ctx ends, for the first time after an interval: a rate needs a time span.
func (v *View) measure(ctx context.Context, m *measurer) {
	measure := v.ControlPlane()
	pods := objects.Follow(v.Objects, func(*corev1.Pod, bool) {})
	defer pods.Stop()
	nodes := map[string]*node{}
	defer func() {
		for _, n := range nodes {
			n.stop()
		}
	}()
	tick := time.NewTicker(cluster.LoadInterval)
	defer tick.Stop()
	for {
		planned := v.Nodes()
		v.followNodes(nodes, planned)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		l := &cluster.Load{Time: time.Now(), ControlPlane: measure()}
		names := namesOf(pods.All())
		for _, p := range planned {
			l.Nodes = append(l.Nodes, names.fill(nodes[p.Name].newest()))
		}
		m.publish(l)
	}
}

// followNodes starts querying nodes that were added to the cluster, and stops for those that were removed.
func (v *View) followNodes(nodes map[string]*node, planned []cluster.Node) {
	for name, n := range nodes {
		if !slices.ContainsFunc(planned, n.plan.Same) { // also one whose address has changed
			n.stop()
			delete(nodes, name)
		}
	}
	for _, p := range planned {
		if nodes[p.Name] == nil {
			nodes[p.Name] = v.ask(p)
		}
	}
}
