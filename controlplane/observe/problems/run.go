package problems

import (
	"context"
	"reflect"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/observe/problems/diagnose"
)

const (
	// The pause after a diagnosis is share times as long as that took, so that it costs a tenth of a core at most, and
	// at least pause, so that a burst of changes is one.
	pause = 50 * time.Millisecond
	share = 9
	// maxPause is the longest, whatever a diagnosis costs.
	maxPause = 2 * time.Second
)

// run observes and diagnoses until end.
type run struct {
	Options
	stores stores
	names  *lookups
	asker  *asker
	dirty  chan struct{} // of one; has a word when a diagnosis is due
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu  sync.Mutex // guards now
	now outcome
}

// outcome is what a diagnosis had to say.
type outcome struct {
	problems []cluster.Problem
	// settled says that everything has been observed and no question is open.
	settled bool
	// changed is closed when there is another outcome.
	changed chan struct{}
}

func (r *run) state() outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// start begins to observe; end ends it.
func start(o Options) *run {
	ctx, cancel := context.WithCancel(context.Background())
	r := &run{Options: o, dirty: make(chan struct{}, 1), cancel: cancel, now: outcome{changed: make(chan struct{})}}
	r.names = &lookups{poke: r.poke}
	r.asker = newAsker(o, r.poke)
	warnings := informers.NewSharedInformerFactoryWithOptions(o.Client, 0, informers.WithTransform(trim),
		informers.WithTweakListOptions(func(l *metav1.ListOptions) { l.FieldSelector = "type=" + corev1.EventTypeWarning }))
	factory := informers.NewSharedInformerFactoryWithOptions(o.Client, 0, informers.WithTransform(trim))
	r.stores = stores{
		events: r.follow(warnings.Core().V1().Events().Informer()),
		spaces: r.follow(factory.Core().V1().Namespaces().Informer()),
		pods:   r.follow(factory.Core().V1().Pods().Informer()),
		nodes:  r.follow(factory.Core().V1().Nodes().Informer()),
		claims: r.follow(factory.Core().V1().PersistentVolumeClaims().Informer()), classes: r.follow(factory.Storage().V1().StorageClasses().Informer()),
		services: r.follow(factory.Core().V1().Services().Informer()),
		replicas: r.follow(factory.Apps().V1().ReplicaSets().Informer()), stateful: r.follow(factory.Apps().V1().StatefulSets().Informer()),
		daemons: r.follow(factory.Apps().V1().DaemonSets().Informer()), jobs: r.follow(factory.Batch().V1().Jobs().Informer()),
	}
	warnings.StartWithContext(ctx)
	factory.StartWithContext(ctx)
	r.done.Go(func() {
		defer factory.Shutdown()
		defer warnings.Shutdown()
		if warnings.WaitForCacheSyncWithContext(ctx).Err != nil || factory.WaitForCacheSyncWithContext(ctx).Err != nil {
			return
		}
		r.work(ctx)
	})
	r.done.Go(func() { r.names.follow(ctx, o.DNS) })
	return r
}

// end ends everything and waits for it.
func (r *run) end() {
	r.cancel()
	r.done.Wait()
	r.asker.wait()
}

// poke says that something has changed.
func (r *run) poke() {
	select {
	case r.dirty <- struct{}{}:
	default:
	}
}

func (r *run) follow(informer cache.SharedIndexInformer) cache.Store {
	// It fails only for informers that have been stopped.
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { r.poke() }, DeleteFunc: func(any) { r.poke() },
		UpdateFunc: func(old, object any) {
			if before, ok := old.(metav1.Object); ok && before.GetResourceVersion() == object.(metav1.Object).GetResourceVersion() {
				return
			}
			r.poke()
		},
	})
	return informer.GetStore()
}

// work diagnoses now and whenever something has changed.
func (r *run) work(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		begin := time.Now()
		report := diagnose.Workloads(r.observed(begin))
		open, expiry := r.asker.ask(ctx, report.Questions)
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

// observed is what is known at a moment.
func (r *run) observed(now time.Time) diagnose.State {
	s := r.stores
	return diagnose.State{
		Now: now, Cluster: r.Cluster, Begun: r.Begun, Scale: r.Scale,
		Namespaces: all[*corev1.Namespace](s.spaces), Pods: all[*corev1.Pod](s.pods), Nodes: all[*corev1.Node](s.nodes), Events: all[*corev1.Event](s.events),
		Claims: all[*corev1.PersistentVolumeClaim](s.claims), Classes: all[*storagev1.StorageClass](s.classes),
		Services: all[*corev1.Service](s.services), ReplicaSets: all[*appsv1.ReplicaSet](s.replicas),
		StatefulSets: all[*appsv1.StatefulSet](s.stateful), DaemonSets: all[*appsv1.DaemonSet](s.daemons), Jobs: all[*batchv1.Job](s.jobs),
		Lookups: r.names.failed(now), Answers: r.asker.known(),
	}
}

// stores are the objects that are followed.
type stores struct {
	events, spaces, pods, nodes, claims, classes, services, replicas, stateful, daemons, jobs cache.Store
}

func all[T any](s cache.Store) []T {
	objects := s.List()
	list := make([]T, 0, len(objects))
	for _, o := range objects {
		if t, ok := o.(T); ok {
			list = append(list, t)
		}
	}
	return list
}
