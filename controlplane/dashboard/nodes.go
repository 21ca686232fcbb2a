package dashboard

import (
	"context"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
)

// nodesData is what the page nodes shows.
type nodesData struct{ Nodes []nodeView }

// nodeView is one node with what it uses.
type nodeView struct {
	cluster.NodeStatus
	// Usage is nil until it was measured.
	Usage *cluster.NodeUsage
	// CPU and Memory are plots of the last hour, if Plotted.
	CPU, Memory plot
	Plotted     bool
}

func nodesOf(snapshot cluster.Snapshot, load *cluster.Load, points []usagePoint, now time.Time) nodesData {
	var d nodesData
	for _, n := range snapshot.Nodes {
		v := nodeView{NodeStatus: n}
		v.CPU, v.Memory, v.Plotted = plotsOf(points, n.Name, now)
		if load != nil {
			for i := range load.Nodes {
				if load.Nodes[i].Node == n.Name && load.Nodes[i].CPUs > 0 {
					v.Usage = &load.Nodes[i]
				}
			}
		}
		d.Nodes = append(d.Nodes, v)
	}
	return d
}

func (s *Server) loadNodes(ctx context.Context, _ *request) (any, error) {
	return nodesOf(s.snapshot(ctx), nil, s.used.all(), time.Now()), nil
}

func (s *Server) followNodes(ctx context.Context, _ *request, send func(any) error) error {
	var p pulse
	return newest(ctx, func() error {
		snapshot, load, _ := p.now()
		return send(nodesOf(snapshot, load, s.used.all(), time.Now()))
	}, s.watch(&p), s.load(&p))
}

// pulse is what a page knows of several sources. It is safe for concurrent use.
type pulse struct {
	mu       sync.Mutex // guards the rest
	snapshot cluster.Snapshot
	load     *cluster.Load // nil before the first
	pods     map[string]podBox
}

func (p *pulse) now() (cluster.Snapshot, *cluster.Load, []podBox) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.snapshot, p.load, sortedPods(p.pods)
}

// watch keeps the snapshot of a pulse current.
func (s *Server) watch(p *pulse) func(context.Context, func()) error {
	return func(ctx context.Context, changed func()) error {
		return s.o.Cluster.Watch(ctx, func(v cluster.Snapshot) error {
			p.mu.Lock()
			p.snapshot = v
			p.mu.Unlock()
			changed()
			return nil
		})
	}
}

// load keeps the load of a pulse current. It is measured only meanwhile.
func (s *Server) load(p *pulse) func(context.Context, func()) error {
	return func(ctx context.Context, changed func()) error {
		return s.o.Cluster.Load(ctx, func(v cluster.Load) error {
			p.mu.Lock()
			p.load = &v
			known := !p.snapshot.Time.IsZero()
			p.mu.Unlock()
			if known {
				changed()
			}
			return nil
		})
	}
}
