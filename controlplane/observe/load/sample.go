package load

import (
	"context"
	"sync"

	"bonsai/bootstrap/cluster"
)

// sampler remembers what nodes have counted when they were last sampled.
type sampler struct {
	mu     sync.Mutex // held while nodes are asked; guards before
	before map[string]cluster.NodeCounters
}

// Sample asks all nodes once what they use, which costs one request each and no watcher; CPU is the average since the last
// sample. Nodes that do not answer, or were not sampled before, are missing. Pods have no names, and are left out.
func (v *View) Sample(ctx context.Context) []cluster.NodeUsage {
	s := &v.samples
	s.mu.Lock()
	defer s.mu.Unlock()
	nodes := v.Nodes()
	counters, asked := make([]*cluster.NodeCounters, len(nodes)), sync.WaitGroup{}
	for i, n := range nodes {
		asked.Go(func() {
			if c, err := v.Agents.Usage(ctx, n); err == nil {
				c.Pods = nil
				counters[i] = &c
			}
		})
	}
	asked.Wait()
	before := s.before
	s.before = map[string]cluster.NodeCounters{}
	var all []cluster.NodeUsage
	for i, n := range nodes {
		if counters[i] == nil {
			continue
		}
		s.before[n.Name] = *counters[i]
		if earlier, ok := before[n.Name]; ok {
			u := between(earlier, *counters[i])
			u.Node = n.Name
			all = append(all, u)
		}
	}
	return all
}
