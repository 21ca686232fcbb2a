// Package flows shows who talks to whom in a cluster: it joins what the kernels of all nodes say about connections with the
// pods and Services that have the addresses, and with the names that pods asked for.
//
// Nothing runs without requests. While somebody watches, one stream for each node, one of DNS questions, and informers of
// pods and Services serve all watchers together. Begin reading at View; join.go and objects.go are pure.
package flows

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
	store "bonsai/controlplane/observe/objects"
)

const (
	// The pause before a node is tried again grows from the first to the second.
	firstPause = 200 * time.Millisecond
	lastPause  = 5 * time.Second
)

// Options are the dependencies of a View.
type Options struct {
	// Nodes returns the nodes that the cluster currently has.
	Nodes func() []cluster.Node
	// Machine is the address at which nodes reach this machine.
	Machine netip.Addr
	Agents  Agents
	// Names calls send with each question that DNS answers, until ctx ends; nil without cluster DNS.
	Names func(ctx context.Context, send func(cluster.DNSQuery) error) error
	// Objects has the pods and Services.
	Objects *store.Store
	Log     *slog.Logger
}

// Agents are the agents of nodes. They limit every wait.
type Agents interface {
	Flows(ctx context.Context, n cluster.Node, each func(cluster.NodeFlows)) error
}

// View answers requests about traffic. It is safe for concurrent use.
type View struct {
	Options

	mu    sync.Mutex // guards the rest, and is held while a watch starts or ends
	users int
	watch *watch // nil while there are no users
	end   func()
}

// New returns a View. It starts nothing.
func New(o Options) *View { return &View{Options: o} }

// Flows calls send with the traffic of all nodes every cluster.FlowInterval, for the first time after about one interval,
// until ctx ends or send fails, and returns that failure. A slow reader misses some.
func (v *View) Flows(ctx context.Context, send func(cluster.Flows) error) error {
	w, leave := v.enter()
	defer leave()
	for sent := (*cluster.Flows)(nil); ; {
		newest, changed := w.newest()
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
func (v *View) enter() (w *watch, leave func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.users++; v.users == 1 {
		v.watch = &watch{changed: make(chan struct{}), joiner: newJoiner(time.Now())}
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { v.run(ctx, v.watch) })
		v.end = func() {
			cancel()
			running.Wait()
		}
	}
	return v.watch, func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.users--; v.users == 0 {
			v.end()
			v.watch, v.end = nil, nil
		}
	}
}

// watch is what all watchers share.
type watch struct {
	mu     sync.Mutex // guards the rest
	joiner *joiner
	last   *cluster.Flows
	// changed is closed and replaced with each last.
	changed chan struct{}
}

// newest returns the last Flows, nil before the first, and a channel that is closed when there is another.
func (w *watch) newest() (*cluster.Flows, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last, w.changed
}

// with calls f with the joiner.
func (w *watch) with(f func(*joiner)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(w.joiner)
}

// run measures until ctx ends.
func (v *View) run(ctx context.Context, w *watch) {
	pods := store.Follow(v.Objects, func(*corev1.Pod, bool) {})
	defer pods.Stop()
	services := store.Follow(v.Objects, func(*corev1.Service, bool) {})
	defer services.Stop()
	var streams sync.WaitGroup
	defer streams.Wait()
	if v.Names != nil {
		streams.Go(func() {
			again(ctx, func(func()) error {
				return v.Names(ctx, func(q cluster.DNSQuery) error {
					w.with(func(j *joiner) { j.query(q) })
					return nil
				})
			})
		})
	}
	ends := map[string]context.CancelFunc{}
	defer func() {
		for _, end := range ends {
			end()
		}
	}()
	ticker := time.NewTicker(cluster.FlowInterval)
	defer ticker.Stop()
	for {
		nodes := v.Nodes()
		there := func(name string) bool {
			return slices.ContainsFunc(nodes, func(n cluster.Node) bool { return n.Name == name })
		}
		for name, end := range ends {
			if !there(name) {
				end()
				delete(ends, name)
			}
		}
		for _, n := range nodes {
			if ends[n.Name] == nil {
				stream, end := context.WithCancel(ctx)
				ends[n.Name] = end
				streams.Go(func() { v.follow(stream, n, w) })
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		o := index(pods.All(), services.All(), nodes, v.Machine)
		w.mu.Lock()
		w.joiner.gone(there)
		flows := w.joiner.result(o, time.Now())
		w.last = &flows
		close(w.changed)
		w.changed = make(chan struct{})
		w.mu.Unlock()
	}
}

// follow takes the samples of a node until ctx ends.
func (v *View) follow(ctx context.Context, n cluster.Node, w *watch) {
	again(ctx, func(connected func()) error {
		err := v.Agents.Flows(ctx, n, func(s cluster.NodeFlows) {
			connected()
			w.with(func(j *joiner) { j.add(n.Name, s, time.Now()) })
		})
		if ctx.Err() == nil {
			v.Log.Debug("the traffic of a node is not measured", "node", n.Name, "cause", err)
			w.with(func(j *joiner) { j.away(n.Name, err.Error()) })
		}
		return err
	})
}

// again calls f until ctx ends, with a pause that grows while f does not call connected.
func again(ctx context.Context, f func(connected func()) error) {
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, lastPause) {
		_ = f(func() { pause = firstPause }) // it is called again, whatever ended it
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}
