// Package model is what the terminal UI knows of its cluster, kept up to date: the newest snapshot, the load and its
// past, the objects of any type as rows, the Services, a count of all pods, and the ends of streams: Events, DNS, a
// log. It draws nothing and knows no terminal.
//
// Everything in it belongs to one goroutine, the owner of the Hub: news arrive there when it drains the hub. Begin
// reading at Cluster.
package model

import (
	"context"
	"errors"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
	"bonsai/tui/feed"
)

// Source is where the model has its news from. Every method blocks until ctx ends or nothing more comes, and calls its
// function for each piece of news.
type Source interface {
	Observe(ctx context.Context) (cluster.Snapshot, error)
	Watch(ctx context.Context, f func(cluster.Snapshot) error) error
	Load(ctx context.Context, f func(cluster.Load) error) error
	WatchRows(ctx context.Context, q kube.RowQuery, f func(kube.RowBatch) error) error
	Services(ctx context.Context, f func([]kube.ServiceLine) error) error
	Events(ctx context.Context, f func([]kube.EventLine) error) error
	PodLogs(ctx context.Context, q kube.LogQuery, f func([]kube.LogLine) error) error
	DNSLog(ctx context.Context, watching func(), f func(cluster.DNSQuery) error) error
}

// Options is what a model works with. All are needed.
type Options struct {
	Source Source
	Hub    *feed.Hub
	Now    func() time.Time
	// Clean makes text of the cluster harmless for its display. Names, cells and addresses go through it.
	Clean func(string) string
	// CleanLog is Clean for the lines of logs.
	CleanLog func(string) string
	// Changed is called after each change, in the owner's goroutine.
	Changed func()
}

// Cluster is what several pages show. It is followed from Begin on until the hub ends.
type Cluster struct {
	o Options

	Snapshot cluster.Snapshot
	// Known says that there has been a snapshot; Heard is when the cluster itself sent one last, and Link why no more
	// come.
	Known bool
	Heard time.Time
	Link  error

	// Load is the newest one, and LoadAt when it came.
	Load    cluster.Load
	LoadAt  time.Time
	History LoadHistory

	Pods     *Rows
	Services *Services // followed while somebody uses its Feed
	Summary  PodSummary

	snapshots, loads *feed.Feed
	listeners        []func()
}

// New makes the model of a cluster. Nothing is followed yet.
func New(o Options) *Cluster {
	c := &Cluster{o: o, History: newLoadHistory()}
	// What was sent by the cluster, or seen from outside.
	type look struct {
		cluster.Snapshot
		sent bool
	}
	snapshots := feed.NewBox(o.Hub, nil, func(v look) {
		if v.sent || c.Heard.IsZero() {
			c.Heard = o.Now()
		}
		c.Snapshot, c.Known = v.Snapshot, true
		c.Notify()
	})
	c.snapshots = feed.New(o.Hub, func(ctx context.Context, healthy func()) error {
		err := o.Source.Watch(ctx, func(v cluster.Snapshot) error {
			healthy()
			snapshots.Put(look{v, true})
			return nil
		})
		if ctx.Err() != nil {
			return nil
		}
		// Nothing is sent unasked: the cluster is stopped, or starting, or gone. A look says which.
		seen, err2 := o.Source.Observe(ctx)
		if err2 == nil {
			snapshots.Put(look{seen, false})
		}
		if err == nil {
			err = feed.ErrEnded
		}
		return errors.Join(err, err2)
	}, func(err error) {
		c.Link = err
		o.Changed()
	})
	loads := feed.NewBox(o.Hub, nil, func(v cluster.Load) {
		c.Load, c.LoadAt = v, o.Now()
		c.History.add(v)
		o.Changed()
	})
	c.loads = feed.New(o.Hub, func(ctx context.Context, healthy func()) error {
		return o.Source.Load(ctx, func(v cluster.Load) error {
			healthy()
			loads.Put(v)
			return nil
		})
	}, func(error) {})
	c.Pods = c.NewRows(kube.RowQuery{Type: kube.PodType()})
	c.Services = newServices(o)
	return c
}

// Begin follows everything.
func (c *Cluster) Begin() {
	c.snapshots.Use()
	c.loads.Use()
	c.Summary = PodSummary{store: c.Pods, changed: c.o.Changed}
	c.Pods.Read(&c.Summary)
}

// Listen has f called after each new snapshot.
func (c *Cluster) Listen(f func()) { c.listeners = append(c.listeners, f) }

// Notify calls the listeners though nothing new was heard: what they add to it has changed.
func (c *Cluster) Notify() {
	for _, f := range c.listeners {
		f()
	}
	c.o.Changed()
}

// Again looks at once, where the next try may be seconds away.
func (c *Cluster) Again() {
	c.snapshots.Again()
	c.loads.Again()
	c.Pods.feed.Again()
}

// Alive says that the daemon reports what happens.
func (c *Cluster) Alive() bool { return c.Known && c.Link == nil }

// Running says that the API server serves, which it also does while the cluster is paused.
func (c *Cluster) Running() bool {
	if !c.Known {
		return false
	}
	switch c.Snapshot.APIServer {
	case cluster.PhaseRunning, cluster.PhaseDegraded, cluster.PhasePaused:
		return true
	}
	return false
}

// Paused says that the cluster is paused.
func (c *Cluster) Paused() bool { return c.Known && c.Snapshot.Paused != nil }

// Absent says that there is no cluster, or a stopped one: there is nothing to look at but a start.
func (c *Cluster) Absent() bool {
	if !c.Known {
		return false
	}
	switch c.Snapshot.Phase {
	case cluster.PhaseAbsent, cluster.PhaseStopped:
		return true
	}
	return false
}

// Stale says since when nothing was heard of a cluster that should report, or zero.
func (c *Cluster) Stale() time.Time {
	if c.Link == nil || !c.Known || c.Absent() || fault.KindOf(c.Link) == fault.NotFound {
		return time.Time{}
	}
	return c.Heard
}
