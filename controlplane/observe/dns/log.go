package dns

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"bonsai/bootstrap/cluster"
)

const (
	// queueLength is how many questions of all nodes together wait for a slow watcher. A node's server never waits.
	queueLength = 4096
	// The pause before a node is tried again grows from the first to the second.
	firstPause = 100 * time.Millisecond
	lastPause  = 2 * time.Second
	// lookForNodes is how often a log checks for nodes that were added to the cluster.
	lookForNodes = 2 * time.Second
)

// DNSLog calls watching once it is connected to every node that can be reached, and send with each question that is
// answered from then on, until ctx ends or send fails. Other nodes are waited for.
func (v *View) DNSLog(ctx context.Context, q cluster.DNSLogQuery, watching func(), send func(cluster.DNSQuery) error) error {
	if _, err := v.selectNodes(q.Node); err != nil {
		return err
	}
	names, release := v.pods.use()
	defer release()
	m := merger{queue: make(chan cluster.DNSQuery, queueLength), tried: make(chan struct{})}
	ctx, cancel := context.WithCancel(ctx)
	defer m.streams.Wait()
	defer cancel()

	nodes := map[netip.Addr]string{}
	followed, untried := map[string]bool{}, 0
	followNew := func() {
		all := v.Nodes()
		nodes = nodeNames(all)
		for _, n := range all {
			if !followed[n.Name] && (q.Node == "" || q.Node == n.Name) {
				followed[n.Name] = true
				untried++
				m.streams.Go(func() { v.stream(ctx, n, q.Fold, &m) })
			}
		}
	}
	followNew()
	watching = sync.OnceFunc(watching) // nodes may be added later
	if untried == 0 {
		watching()
	}
	look := time.NewTicker(lookForNodes)
	defer look.Stop()

	naming := naming{limit: v.Scale.Of(nameLimit), name: func(q cluster.DNSQuery, now time.Time) (string, bool) {
		name, known := nameOf(q, nodes, names, now)
		return name, known || !v.Pods.Contains(q.Client.Unmap())
	}}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var due <-chan time.Time
		if next, ok := naming.next(); ok {
			timer.Reset(time.Until(next))
			due = timer.C
		}
		news := names.news() // before the names are read, so that none is missed
		ready := naming.ready(time.Now())
		if len(ready) == 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-look.C:
				followNew()
			case <-m.tried:
				if untried--; untried == 0 {
					watching()
				}
			case <-news:
			case <-due:
			case question := <-m.queue:
				ready = naming.add(time.Now(), question)
			}
		}
		for _, question := range ready {
			if q.Pod != "" && q.Pod != question.Pod {
				m.dropped.Add(question.Dropped)
				continue
			}
			question.Dropped += m.dropped.Swap(0)
			if err := send(question); err != nil {
				return err
			}
		}
	}
}

// nameOf returns the client of a question; false if it has no name, which a pod may still get.
func nameOf(q cluster.DNSQuery, nodes map[netip.Addr]string, pods *podNames, now time.Time) (string, bool) {
	addr := q.Client.Unmap()
	if name := nodes[addr]; name != "" {
		return name, true
	}
	if addr.IsLoopback() || addr == cluster.NodeResolver {
		return "node/" + q.Node, true
	}
	if name := pods.name(addr, now); name != "" {
		return name, true
	}
	return "", false
}

// merger merges the streams of all nodes.
type merger struct {
	streams sync.WaitGroup
	queue   chan cluster.DNSQuery
	// dropped counts questions that found the queue full since the last one was sent.
	dropped atomic.Uint64
	// tried gets a message from each stream when its node has answered or failed for the first time.
	tried chan struct{}
}

func (m *merger) add(q cluster.DNSQuery) {
	select {
	case m.queue <- q:
	default:
		m.dropped.Add(1 + q.Dropped)
	}
}

// stream passes on what one node's server answers until ctx ends, over any number of connections.
func (v *View) stream(ctx context.Context, n cluster.Node, fold bool, m *merger) {
	tried := sync.OnceFunc(func() {
		select {
		case m.tried <- struct{}{}:
		case <-ctx.Done():
		}
	})
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		connected := func() {
			pause = firstPause
			tried()
		}
		err := v.Agents.DNSLog(ctx, n, fold, connected, func(q cluster.DNSQuery) {
			q.Node = n.Name
			m.add(q)
		})
		tried()
		if ctx.Err() != nil {
			return
		}
		v.Log.Debug("the DNS log of a node broke off", "node", n.Name, "cause", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}
