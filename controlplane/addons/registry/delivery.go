package registry

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
	"bonsai/controlplane/addons"
)

const (
	// eagerPause is the pause between two attempts to reach an agent for eagerTime, which is longer than one takes to restart;
	// patientPause is used from then on.
	eagerPause   = 50 * time.Millisecond
	eagerTime    = 15 * time.Second
	patientPause = time.Second
)

// Delivery notifies all nodes of what an addon serves, as long as Run runs: also those that come later, and those that were restarted. Its
// zero value with a name is ready.
type Delivery struct {
	// Addon is what serves it.
	Addon string

	dropped addons.OnNodes
	mu      sync.Mutex // guards the rest
	began   bool
	held    map[string]bool // by node
}

// target is a node, and what it receives.
type target struct {
	node cluster.Node
	what cluster.NodeRegistries
}

// Run sends to nodes what want returns, which is asked again when the plan changes, until ctx ends. With an empty URL they receive
// nothing.
func (d *Delivery) Run(ctx context.Context, c addons.Cluster, want func() cluster.NodeRegistries) error {
	d.mu.Lock()
	d.began, d.held = true, map[string]bool{}
	d.mu.Unlock()
	d.dropped.Forget()
	var following sync.WaitGroup
	defer following.Wait()
	stops := map[string]context.CancelFunc{}
	now := map[string]target{}
	for {
		changed := c.Changed()
		what := want()
		spec := c.Spec()
		planned := map[string]target{}
		for _, n := range spec.ActiveNodes() {
			if what.URL != "" {
				planned[n.Name] = target{n, what}
			}
		}
		for name, old := range now {
			if next, ok := planned[name]; !ok || !old.node.Same(next.node) || !reflect.DeepEqual(old.what, next.what) {
				stops[name]()
				delete(now, name)
				d.hold(c, name, false)
			}
		}
		for name, t := range planned {
			if _, ok := now[name]; ok {
				continue
			}
			followed, stop := context.WithCancel(ctx)
			now[name], stops[name] = t, stop
			following.Go(func() { d.follow(followed, c, t) })
		}
		select {
		case <-ctx.Done():
			for _, stop := range stops {
				stop()
			}
			return context.Cause(ctx)
		case <-changed:
		}
	}
}

// follow keeps one node notified until ctx ends.
func (d *Delivery) follow(ctx context.Context, c addons.Cluster, t target) {
	since := time.Now()
	for ctx.Err() == nil {
		err := c.Agents.HoldRegistries(ctx, t.node, d.Addon, t.what, func() {
			d.hold(c, t.node.Name, true)
			since = time.Now()
		})
		if ctx.Err() != nil {
			return
		}
		c.Log.Debug("a node is not notified of where images are", "addon", d.Addon, "node", t.node.Name, "err", err)
		pause := eagerPause
		if time.Since(since) > c.Scale.Of(eagerTime) {
			pause = patientPause
			d.hold(c, t.node.Name, false)
		}
		_ = wait.Pause(ctx, pause)
	}
}

func (d *Delivery) hold(c addons.Cluster, node string, held bool) {
	d.mu.Lock()
	was := d.held[node]
	d.held[node] = held
	d.mu.Unlock()
	if was != held {
		c.Notify()
	}
}

// Missing are the planned nodes that are not notified yet, sorted.
func (d *Delivery) Missing(c addons.Cluster) (list []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	spec := c.Spec()
	for _, n := range spec.ActiveNodes() {
		if !d.held[n.Name] {
			list = append(list, n.Name)
		}
	}
	slices.Sort(list)
	return list
}

// Remove has all nodes forget it. A cluster that has never had the addon is left alone.
func (d *Delivery) Remove(ctx context.Context, c addons.Cluster) {
	d.mu.Lock()
	began := d.began
	d.held = nil
	d.mu.Unlock()
	// If the user has disabled it, a daemon before this one may have had it.
	if _, chosen := c.Spec().Addons[d.Addon]; began || chosen {
		d.dropped.Do(ctx, c, func(ctx context.Context, n cluster.Node) error { return c.Agents.DropRegistries(ctx, n, d.Addon) })
	}
}

// Waiting is the state of an addon some of whose nodes are not notified; ok is false if there are none.
func (d *Delivery) Waiting(c addons.Cluster, s cluster.RegistryStatus) (state cluster.AddonState, reason string, ok bool) {
	missing := d.Missing(c)
	switch {
	case len(missing) == 0:
		return "", "", false
	case s.NodesReason != "":
		return cluster.AddonDegraded, "nodes cannot pull from this machine: " + s.NodesReason, true
	}
	return cluster.AddonInstalling, "these nodes do not know yet where images are: " + strings.Join(missing, ", "), true
}
