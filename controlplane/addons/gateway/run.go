package gateway

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/record"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/gatewaytable"
	"bonsai/bootstrap/wait"
	"bonsai/controlplane/addons"
	"bonsai/controlplane/addons/gateway/compile"
)

const (
	// gather is how long a change waits for others, to be compiled with them.
	gather = 10 * time.Millisecond
	// retryWrites is when statuses that could not be written are tried again, if nothing changes before.
	retryWrites = time.Second
	// renew is how often the table is compiled if nothing changes: certificates of the local CA are replaced in time.
	renew = 12 * time.Hour
)

// runner is one run of the addon: the one that compiles, and the one that writes statuses.
type runner struct {
	*Gateway
	c       addons.Cluster
	watched *watched
	writer  *writer
	fronts  *fronts
	touched chan struct{}

	mu        sync.Mutex // guards the rest
	reports   map[string]gatewaytable.Report
	table     *gatewaytable.Table // nil until everything has been read once
	changed   chan struct{}       // closed and replaced with table
	following map[string]followed
	followers sync.WaitGroup
}

// Run implements addons.Runner.
func (g *Gateway) Run(ctx context.Context, c addons.Cluster) error {
	g.begin()
	ctx, cancel := context.WithCancel(ctx)
	events := record.NewBroadcaster(record.WithContext(ctx))
	events.StartRecordingToSink(eventSink(c.Client))
	r := &runner{
		Gateway: g, c: c, touched: make(chan struct{}, 1), reports: map[string]gatewaytable.Report{}, changed: make(chan struct{}), following: map[string]followed{},
		writer: newWriter(c, events.NewRecorder(scheme(), corev1.EventSource{Component: "bonsai-gateway"})),
		fronts: newFronts(c.Client),
	}
	var err error
	if r.watched, err = watch(ctx, c, r.touch); err != nil {
		cancel()
		events.Shutdown()
		return err
	}
	defer func() {
		cancel()
		r.followers.Wait()
		r.watched.shutdown()
		events.Shutdown()
		g.set(nil, c)
	}()
	if err := r.watched.start(ctx); err != nil {
		return fmt.Errorf("follow Ingresses and Gateways: %w", err)
	}
	specChanged := c.Changed()
	r.follow(ctx)
	for {
		again, err := r.compile(ctx)
		if err != nil {
			return err
		}
		retry := time.After(renew)
		if again {
			retry = time.After(retryWrites)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-specChanged:
			specChanged = c.Changed()
			r.follow(ctx)
		case <-retry:
		case <-r.touched:
			_ = wait.Pause(ctx, gather)
		}
	}
}

func (r *runner) touch() {
	select {
	case r.touched <- struct{}{}:
	default: // it is about to compile anyway
	}
}

// compile brings table and statuses up to date. It reports whether some could not be written.
func (r *runner) compile(ctx context.Context) (again bool, err error) {
	select { // what changed until now is in what is read next
	case <-r.touched:
	default:
	}
	in := r.watched.input()
	in.Now, in.Nodes, in.Pool, in.ProxyFrom = time.Now(), r.nodes(), r.pool(), r.proxyFrom()
	if sign := r.machine.Sign; sign != nil {
		in.Sign = func(host string) (chain, key []byte, err error) { return sign(ctx, host) }
	}
	out, err := compile.Compile(in)
	if err != nil {
		return false, fmt.Errorf("compile the table: %w", err)
	}
	r.mu.Lock()
	changed := r.table == nil || r.table.ID != out.Table.ID
	if changed {
		r.table = &out.Table
		close(r.changed)
		r.changed = make(chan struct{})
	}
	r.mu.Unlock()
	if changed {
		r.show(&out.Table)
	}
	r.set(&view{nodes: in.Nodes, problem: compile.Serving(settled(in.Nodes, out.Table.ID), out.Table)}, r.c)
	err = r.fronts.apply(ctx, byKey(in.Services), fronted(in.Slices), out.Fronts)
	if err != nil {
		r.c.Log.Debug("a Gateway does not have its Service", "err", err)
	}
	return !r.writer.write(ctx, r.watched, out) || err != nil, nil
}

// proxyFrom are the addresses that may say for whom they connect, by the addon's setting.
func (r *runner) proxyFrom() (list []cluster.AddressRange) {
	spec := r.c.Spec()
	for _, text := range cluster.List(spec.AddonValues[Name][proxyProtocol]) {
		if one, err := cluster.ParseAddressRange(text); err == nil { // others were refused before
			list = append(list, one)
		}
	}
	return list
}

// pool are the addresses that Gateways can have, none if the addon that gives them is disabled.
func (r *runner) pool() []cluster.AddressRange {
	spec := r.c.Spec()
	if !spec.Wants(cluster.LoadBalancerAddon, true) {
		return nil
	}
	return spec.LoadBalancerRanges()
}

// settled are the nodes that serve the table, or say why they do not: others are about to.
func settled(nodes []compile.Node, id string) (list []compile.Node) {
	for _, n := range nodes {
		if n.Report.Table == id {
			list = append(list, n)
		}
	}
	return list
}

// nodes are the planned ones with their reports.
func (r *runner) nodes() (list []compile.Node) {
	spec := r.c.Spec()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range spec.ActiveNodes() {
		report, ok := r.reports[n.Name]
		list = append(list, compile.Node{Name: n.Name, Address: n.IP, Reported: ok, Report: report})
	}
	return list
}

// followed is a node whose agent is followed until stop is called.
type followed struct {
	node cluster.Node
	stop context.CancelFunc
}
