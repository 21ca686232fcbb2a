package addons

import (
	"context"
	"sync"

	"bonsai/bootstrap/cluster"
)

// OnNodes does something once on every node that runs, for a Remover: a node that does not answer is tried again in the next pass.
// The zero value is ready.
type OnNodes struct {
	mu   sync.Mutex // guards done
	done map[string]cluster.Node
}

// Do calls f for all nodes on which it has not succeeded yet, in parallel, and waits for them. What fails is logged.
func (o *OnNodes) Do(ctx context.Context, c Cluster, f func(context.Context, cluster.Node) error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	spec := c.Spec()
	nodes := spec.ActiveNodes()
	errs := make([]error, len(nodes))
	var working sync.WaitGroup
	for i, n := range nodes {
		if old, ok := o.done[n.Name]; !ok || !old.Same(n) {
			working.Go(func() { errs[i] = f(ctx, n) })
		}
	}
	working.Wait()
	o.done = map[string]cluster.Node{} // without those that are no longer planned: they come back as new ones
	for i, n := range nodes {
		if errs[i] != nil {
			c.Log.Debug("a node still has something of an addon that is disabled", "node", n.Name, "err", errs[i])
			continue
		}
		o.done[n.Name] = n
	}
}

// Forget has it done again: the addon runs.
func (o *OnNodes) Forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.done = nil
}
