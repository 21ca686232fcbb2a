package tui

import (
	"context"
	"errors"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
	"bonsai/tui/feed"
)

// state is what several pages show: the newest snapshot, the load and its past, the pods. It is followed as long as the
// UI lives.
type state struct {
	u        *ui
	snapshot cluster.Snapshot
	// known says that there has been a snapshot; heard is when the cluster told one last, and link why no more come.
	known bool
	heard time.Time
	link  error

	load    cluster.Load
	loadAt  time.Time
	history loadHistory

	pods      *rowStore
	services  *serviceStore // followed while a page looks at them
	summary   podSummary
	namespace string // that lists are narrowed to; empty is all
	types     []kube.ResourceType
	snapFeed  *feed.Feed
	loadFeed  *feed.Feed
	listeners []func() // after a new snapshot
}

// podType is the one type that the UI knows by itself, with nodes and events.
var (
	podType  = kube.ResourceType{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true, Short: []string{"po"}}
	nodeType = kube.ResourceType{Version: "v1", Resource: "nodes", Kind: "Node", Short: []string{"no"}}
)

// singular is the lower-case kind: "pod".
func singular(t kube.ResourceType) string { return lower(t.Kind) }

func newState(u *ui) *state {
	s := &state{u: u, history: loadHistory{nodes: map[string]*series{}, links: map[string]*series{}, pods: map[string]cluster.PodUsage{}}}
	// What was told by the cluster, or seen from outside.
	type look struct {
		cluster.Snapshot
		told bool
	}
	snapshots := feed.NewBox(u.hub, nil, func(v look) {
		if v.told || s.heard.IsZero() {
			s.heard = u.clock.now()
		}
		s.snapshot, s.known = v.Snapshot, true
		for _, f := range s.listeners {
			f()
		}
		u.touch()
	})
	s.snapFeed = feed.New(u.hub, func(ctx context.Context, healthy func()) error {
		err := u.session.Watch(ctx, func(v cluster.Snapshot) error {
			healthy()
			snapshots.Put(look{v, true})
			return nil
		})
		if ctx.Err() != nil {
			return nil
		}
		// Nobody tells by itself: the cluster is stopped, or starting, or gone. A look says which.
		seen, err2 := u.session.Observe(ctx)
		if err2 == nil {
			snapshots.Put(look{seen, false})
		}
		if err == nil {
			err = feed.ErrEnded
		}
		return errors.Join(err, err2)
	}, func(err error) {
		s.link = err
		u.touch()
	})
	loads := feed.NewBox(u.hub, nil, func(v cluster.Load) {
		s.load, s.loadAt = v, u.clock.now()
		s.history.add(v)
		u.touch()
	})
	s.loadFeed = feed.New(u.hub, func(ctx context.Context, healthy func()) error {
		return u.session.Load(ctx, func(v cluster.Load) error {
			healthy()
			loads.Put(v)
			return nil
		})
	}, func(error) {})
	s.pods = newRowStore(u, kube.RowQuery{Type: podType})
	s.services = newServiceStore(u)
	return s
}

// begin follows everything.
func (s *state) begin() {
	s.snapFeed.Use()
	s.loadFeed.Use()
	s.summary = podSummary{u: s.u}
	s.pods.read(&s.summary)
}

// again looks anew at once, where the next try may be seconds away.
func (s *state) again() {
	s.snapFeed.Again()
	s.loadFeed.Again()
	s.pods.feed.Again()
}

// alive says that the daemon tells what happens.
func (s *state) alive() bool { return s.known && s.link == nil }

// running says that the API server serves.
func (s *state) running() bool {
	return s.known && (s.snapshot.APIServer == cluster.PhaseRunning || s.snapshot.APIServer == cluster.PhaseDegraded)
}

// absent says that there is no cluster, or a stopped one: there is nothing to look at but a start.
func (s *state) absent() bool {
	if !s.known {
		return false
	}
	switch s.snapshot.Phase {
	case cluster.PhaseAbsent, cluster.PhaseStopped:
		return true
	}
	return false
}

// stale says since when nothing was heard of a cluster that should talk, or zero.
func (s *state) stale() time.Time {
	if s.link == nil || !s.known || s.absent() || fault.KindOf(s.link) == fault.NotFound {
		return time.Time{}
	}
	return s.heard
}

// loadHistory is the last five minutes of load.
type loadHistory struct {
	nodes map[string]*series // CPU
	// cpuTop is the top of the nodes' graphs, low enough for an idle cluster to show its pulse.
	cpuTop float64
	links  map[string]*series // rate by "from>to"
	pods   map[string]cluster.PodUsage
}

// historyLength is in steps of cluster.LoadInterval.
const historyLength = 300

// series is the newest values of something that is measured in steps.
type series struct {
	values []float64
	total  int // how many there have ever been
}

func (s *series) add(v float64) {
	if len(s.values) >= historyLength {
		s.values = append(s.values[:0], s.values[1:]...)
	}
	s.values = append(s.values, v)
	s.total++
}

// lately is the mean of the last n values.
func (s *series) lately(n int) float64 {
	tail := s.values[max(0, len(s.values)-n):]
	if len(tail) == 0 {
		return 0
	}
	sum := 0.0
	for _, v := range tail {
		sum += v
	}
	return sum / float64(len(tail))
}

// shape is all of it in w values or a few more, for a graph of which the last w are seen. Each is the mean of so many
// steps that w of them reach back to the beginning; which steps belong together does not change as new ones come, or
// the graph would tremble. A nil series has no shape.
func (s *series) shape(w int) []float64 {
	if s == nil || w <= 0 {
		return nil
	}
	step := 1
	for _, n := range []int{1, 2, 5, 10, 15, 30, 60, historyLength} {
		if step = n; step*w >= len(s.values) {
			break
		}
	}
	var out []float64
	sum, n := 0.0, 0
	for i, v := range s.values {
		sum += v
		n++
		if at := s.total - len(s.values) + i + 1; at%step == 0 || i == len(s.values)-1 {
			out = append(out, sum/float64(n))
			sum, n = 0, 0
		}
	}
	return out
}

func (h *loadHistory) add(l cluster.Load) {
	clear(h.pods)
	for _, n := range l.Nodes {
		if h.nodes[n.Node] == nil {
			h.nodes[n.Node] = &series{}
		}
		h.nodes[n.Node].add(n.CPU)
		for _, p := range n.Pods {
			h.pods[p.UID] = p
		}
	}
	h.cpuTop = 0.2
	for _, s := range h.nodes {
		h.cpuTop = max(h.cpuTop, topOf(s.shape(sparkMost), 0))
	}
	for _, link := range l.ControlPlane.Links {
		key := link.From + ">" + link.To
		if h.links[key] == nil {
			h.links[key] = &series{}
		}
		h.links[key].add(link.Rate)
	}
}
