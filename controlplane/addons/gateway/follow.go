package gateway

import (
	"context"
	"slices"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/gatewaytable"
	"bonsai/bootstrap/wait"
)

const (
	// eagerPause is the pause between two attempts to reach an agent for eagerTime, which is longer than one takes to restart;
	// patientPause is used from then on.
	eagerPause   = 50 * time.Millisecond
	eagerTime    = 15 * time.Second
	patientPause = time.Second
)

// follow starts following new nodes and stops following those that are no longer planned.
func (r *runner) follow(ctx context.Context) {
	spec := r.c.Spec()
	planned := spec.ActiveNodes()
	for name, f := range r.following {
		if !slices.ContainsFunc(planned, f.node.Same) {
			f.stop()
			delete(r.following, name)
			r.report(name, nil)
		}
	}
	for _, n := range planned {
		if _, ok := r.following[n.Name]; ok {
			continue
		}
		ctx, stop := context.WithCancel(ctx)
		r.following[n.Name] = followed{n, stop}
		r.followers.Go(func() { r.followNode(ctx, n) })
	}
}

// report notes what a node serves, nil if that is unknown.
func (r *runner) report(node string, report *gatewaytable.Report) {
	r.mu.Lock()
	if report == nil {
		delete(r.reports, node)
	} else {
		r.reports[node] = *report
	}
	r.mu.Unlock()
	r.touch()
}

// followNode keeps a node's data plane up to date until ctx ends: it receives the reports, and sends the table when it is not the
// one that was reported.
func (r *runner) followNode(ctx context.Context, n cluster.Node) {
	heard := make(chan string, 1) // the ID of the table that the node has
	var sending sync.WaitGroup
	sending.Go(func() { r.send(ctx, n, heard) })
	defer sending.Wait()
	since := time.Now()
	for ctx.Err() == nil {
		err := r.c.Agents.GatewayReports(ctx, n, func(report gatewaytable.Report) {
			since = time.Now()
			r.report(n.Name, &report)
			select {
			case <-heard:
			default:
			}
			heard <- report.Table
		})
		if ctx.Err() != nil {
			return
		}
		r.c.Log.Debug("a node's data plane cannot be followed", "node", n.Name, "err", err)
		pause := eagerPause
		if time.Since(since) > r.c.Scale.Of(eagerTime) {
			pause = patientPause
			r.report(n.Name, nil)
		}
		_ = wait.Pause(ctx, pause)
	}
}

// send sends the newest table whenever the node has another one.
func (r *runner) send(ctx context.Context, n cluster.Node, heard <-chan string) {
	has, known := "", false
	for {
		r.mu.Lock()
		table, changed := r.table, r.changed
		r.mu.Unlock()
		var again <-chan time.Time
		if known && table != nil && has != table.ID {
			if err := r.c.Agents.SetGatewayTable(ctx, n, *table); err == nil {
				has = table.ID // or it reports otherwise
			} else if ctx.Err() == nil {
				r.c.Log.Debug("a node did not take the table", "node", n.Name, "err", err)
				again = time.After(patientPause)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case id := <-heard:
			has, known = id, true
		case <-again:
		}
	}
}
