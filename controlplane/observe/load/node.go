package load

import (
	"context"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
)

const (
	// askInterval is the pause between two requests to a node.
	askInterval = 2 * time.Second
	// secondQuestion comes sooner, so that the first Load already has figures.
	secondQuestion = cluster.LoadInterval * 3 / 4
)

// node is one node that is queried repeatedly, independently of the others, so that one that is gone delays none of
// them.
type node struct {
	plan cluster.Node
	stop func() // and wait

	mu   sync.Mutex // guards the rest
	last cluster.NodeUsage
}

// newest returns what the node last reported. Its Pods must not be changed.
func (n *node) newest() cluster.NodeUsage {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.last
}

// ask starts querying a node.
func (v *View) ask(plan cluster.Node) *node {
	n := &node{plan: plan, last: cluster.NodeUsage{Node: plan.Name}}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { n.run(ctx, v.Agents) })
	n.stop = func() {
		cancel()
		running.Wait()
	}
	return n
}

func (n *node) run(ctx context.Context, agents Agents) {
	for before := (*cluster.NodeCounters)(nil); ; {
		pause := askInterval
		now, err := agents.Usage(ctx, n.plan)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err != nil:
			n.failed(err)
		case before == nil:
			before, pause = &now, secondQuestion
		default:
			n.measured(between(*before, now))
			before = &now
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (n *node) measured(u cluster.NodeUsage) {
	n.mu.Lock()
	defer n.mu.Unlock()
	u.Node = n.plan.Name
	n.last = u
}

func (n *node) failed(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last.Reason = err.Error()
}
