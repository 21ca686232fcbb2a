package problems

import (
	"context"
	"reflect"
	"sync"
	"time"

	"k8s.io/client-go/tools/cache"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/observe/problems/diagnose"
)

const (
	// The pause after a diagnosis is share times as long as that took, so that it costs a tenth of a core at most, and
	// at least pause, so that a burst of changes is handled once.
	pause = 50 * time.Millisecond
	share = 9
	// maxPause is the longest, however long a diagnosis takes.
	maxPause = 2 * time.Second
)

// run observes and diagnoses until end.
type run struct {
	Options
	objects followed
	names   *lookups
	notes   *notes
	fetcher *fetcher
	dirty   chan struct{} // of one; holds a value when a diagnosis is due
	cancel  context.CancelFunc
	done    sync.WaitGroup

	mu  sync.Mutex // guards now
	now outcome
}

// outcome is the result of a diagnosis.
type outcome struct {
	problems []cluster.Problem
	// settled reports that everything has been observed and no question is open.
	settled bool
	// changed is closed when there is another outcome.
	changed chan struct{}
}

func (r *run) state() outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// start starts observing; end ends it.
func start(o Options, n *notes) *run {
	ctx, cancel := context.WithCancel(context.Background())
	r := &run{Options: o, notes: n, dirty: make(chan struct{}, 1), cancel: cancel, now: outcome{changed: make(chan struct{})}}
	r.names = &lookups{poke: r.poke}
	r.fetcher = newFetcher(o, r.poke)
	r.objects = r.followAll()
	r.done.Go(func() {
		defer r.objects.stop()
		if cache.WaitFor(ctx, "", r.objects.synced()...) {
			r.work(ctx)
		}
	})
	r.done.Go(func() { r.names.follow(ctx, o.DNS) })
	return r
}

// end ends everything and waits for it.
func (r *run) end() {
	r.cancel()
	r.done.Wait()
	r.fetcher.wait()
}

// poke reports that something has changed.
func (r *run) poke() {
	select {
	case r.dirty <- struct{}{}:
	default:
	}
}

// work diagnoses now and whenever something has changed.
func (r *run) work(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		begin := time.Now()
		report := diagnose.Workloads(r.observed(begin))
		r.notes.keep(report.Noted)
		open, expiry := r.fetcher.ask(ctx, report.Questions)
		r.publish(report.Problems, open == 0)

		rest := time.NewTimer(min(max(pause, share*time.Since(begin)), maxPause))
		select {
		case <-ctx.Done():
			rest.Stop()
			return
		case <-rest.C:
		}
		next := report.Next
		if !expiry.IsZero() && (next.IsZero() || expiry.Before(next)) {
			next = expiry
		}
		var due <-chan time.Time
		if !next.IsZero() {
			timer.Reset(max(time.Until(next), 0))
			due = timer.C
		}
		select {
		case <-ctx.Done():
			return
		case <-r.dirty:
		case <-due:
		}
	}
}

func (r *run) publish(problems []cluster.Problem, settled bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now.settled == settled && reflect.DeepEqual(r.now.problems, problems) {
		return
	}
	close(r.now.changed)
	r.now = outcome{problems: problems, settled: settled, changed: make(chan struct{})}
}

// observed is what is known at one moment.
func (r *run) observed(now time.Time) diagnose.State {
	o := r.objects
	var balancer, gateway *cluster.AddonStatus
	if r.Addon != nil {
		balancer, gateway = r.Addon(cluster.LoadBalancerAddon), r.Addon(cluster.GatewayAddon)
	}
	return diagnose.State{
		Now: now, Cluster: r.Cluster, Begun: r.Begun, Scale: r.Scale,
		Namespaces: o.spaces.All(), Pods: o.pods.All(), Nodes: o.nodes.All(), Events: o.events.All(),
		CronJobs: o.crons.All(), Autoscalers: o.scalers.All(), Ingresses: o.ingress.All(), Policies: o.policies.All(), Enforced: r.Enforced != nil && r.Enforced(),
		Claims: o.claims.All(), Volumes: o.volumes.All(), Classes: o.classes.All(), Services: o.services.All(),
		Deployments: o.deployed.All(), ReplicaSets: o.replicas.All(), StatefulSets: o.stateful.All(), DaemonSets: o.daemons.All(), Jobs: o.jobs.All(),
		Validating: o.validate.All(), Mutating: o.mutate.All(), Budgets: o.budgets.All(), APIServices: o.apis.All(), Definitions: o.defined.All(),
		Lookups: r.names.failed(now), Answers: r.fetcher.known(), Noted: r.notes.all(), Balancer: balancer, Gateway: gateway,
	}
}
