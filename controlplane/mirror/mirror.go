// Package mirror shows the components of a cluster as pods in kube-system, as users of kubeadm know them: etcd,
// kube-apiserver, kube-controller-manager and kube-scheduler, and kube-proxy and cluster DNS of each node.
//
// The objects are mirror pods: kubectl drain leaves them alone, and deleting one changes nothing but the object, which comes
// back. No kubelet runs them, because the components are not containers. Their status is what this process and the agents of
// the nodes observe, and the API server answers "kubectl logs" of them from the components' own logs, which Log finds.
// docs/decisions/023 has the reasons. Begin reading at Keeper.Run.
package mirror

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
	"bonsai/controlplane/agents"
)

const (
	// settleLimit is how long the first pods wait for the nodes to be ready: a start should not be slower.
	settleLimit = 10 * time.Second
	// callLimit bounds what one pod asks of the API server, which is in this process.
	callLimit = 10 * time.Second
	// firstPause doubles up to lastPause while the API server refuses pods.
	firstPause, lastPause = 200 * time.Millisecond, 30 * time.Second
)

// Options are what a Keeper knows before the control plane runs.
type Options struct {
	Spec cluster.Spec
	// Version is that of kube-proxy and cluster DNS.
	Version string
	// Parts are the components of the control plane.
	Parts []Part
	// LogFile returns the path of the log of a component of the control plane.
	LogFile func(component string) string
	// DNS returns the phase of the DNS server of each node; Touch says that one has changed.
	DNS   func() map[string]cluster.Phase
	Log   *slog.Logger
	Scale wait.Scale
}

// Source is a running control plane.
type Source struct {
	Client kubernetes.Interface
	Agents *agents.Client
	// Components are the states of Options.Parts.
	Components func() []cluster.Component
	// Nodes follows Node objects. The caller starts and stops it.
	Nodes cache.SharedIndexInformer
}

// Keeper keeps the pods of one cluster. Its methods may be called from any goroutine, and before Run; Run runs once.
type Keeper struct {
	o Options
	// touched has room for one; it has a value when something has changed.
	touched chan struct{}

	mu    sync.Mutex // guards the rest
	spec  cluster.Spec
	live  *Source // nil unless Run runs
	nodes map[string]nodeState
}

// New returns a keeper that does nothing yet.
func New(o Options) *Keeper {
	return &Keeper{o: o, spec: o.Spec, touched: make(chan struct{}, 1), nodes: map[string]nodeState{}}
}

// Touch says that something the pods show may have changed. It does not block.
func (k *Keeper) Touch() {
	select {
	case k.touched <- struct{}{}:
	default:
	}
}

// Reload takes over a changed plan.
func (k *Keeper) Reload(spec cluster.Spec) {
	k.mu.Lock()
	k.spec = spec
	k.mu.Unlock()
	k.Touch()
}

func (k *Keeper) plannedSpec() cluster.Spec {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.spec
}

// run is one Run.
type run struct {
	*Keeper
	Source
	pods listers.PodNamespaceLister
	// written are the statuses that the pods have, or had before somebody deleted them, and lives what was known when they
	// were written, by the names of the pods.
	written map[string]corev1.PodStatus
	lives   map[string]life
}

// Run keeps the pods until ctx ends, from when the nodes are ready. Nothing that it cannot do affects the cluster.
func (k *Keeper) Run(ctx context.Context, s Source) error {
	factory := informers.NewSharedInformerFactoryWithOptions(s.Client, 0, informers.WithNamespace(namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector("spec.schedulerName", cluster.ComponentPods).String()
		}))
	informer := factory.Core().V1().Pods()
	touch := cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { k.Touch() }, UpdateFunc: func(any, any) { k.Touch() }, DeleteFunc: func(any) { k.Touch() },
	}
	if _, err := informer.Informer().AddEventHandler(touch); err != nil {
		return fmt.Errorf("watch the pods of components: %w", err)
	}
	handle, err := s.Nodes.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { k.Touch() }, DeleteFunc: func(any) { k.Touch() },
		UpdateFunc: func(old, now any) {
			a, oldOK := old.(*corev1.Node)
			b, ok := now.(*corev1.Node)
			if !ok || !oldOK || a.UID != b.UID || readiness(a) != readiness(b) { // not every heartbeat
				k.Touch()
			}
		},
	})
	if err != nil {
		return fmt.Errorf("watch the nodes of components: %w", err)
	}
	defer func() { _ = s.Nodes.RemoveEventHandler(handle) }()
	r := &run{Keeper: k, Source: s, pods: informer.Lister().Pods(namespace), written: map[string]corev1.PodStatus{}, lives: map[string]life{}}
	if !r.settle(ctx) {
		return nil
	}
	factory.StartWithContext(ctx)
	defer factory.Shutdown()
	if synced := factory.WaitForCacheSyncWithContext(ctx); synced.Err != nil {
		return nil // ctx has ended
	}
	f := newFollowers(k, s.Agents)
	defer f.stop()
	k.setLive(&s)
	defer k.setLive(nil)
	r.keep(ctx, f)
	return nil
}

func (k *Keeper) setLive(s *Source) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.live = s
}

// settle waits until all nodes that should run are ready, or until that takes too long; false if ctx ends before.
func (r *run) settle(ctx context.Context) bool {
	late := time.NewTimer(r.o.Scale.Of(settleLimit))
	defer late.Stop()
	for {
		spec := r.plannedSpec()
		if !slices.ContainsFunc(spec.ActiveNodes(), func(n cluster.Node) bool { return r.readiness(n.Name) != corev1.ConditionTrue }) {
			return ctx.Err() == nil
		}
		select {
		case <-ctx.Done():
			return false
		case <-late.C:
			return true
		case <-r.touched:
		}
	}
}

// keep compares what there is with what there should be, at once and whenever one of them has changed.
func (r *run) keep(ctx context.Context, f *followers) {
	r.Touch()
	pause := firstPause
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.touched:
		case <-again:
		}
		again = nil
		f.follow(ctx, r.plannedSpec())
		if err := r.reconcile(ctx); err != nil && ctx.Err() == nil {
			r.o.Log.Debug("not all components can be shown as pods", "err", err, "pause", pause)
			again = time.After(pause)
			pause = min(2*pause, lastPause)
			continue
		}
		pause = firstPause
	}
}

// reconcile makes the pods exist as planned, with the statuses of now, and deletes others.
func (r *run) reconcile(ctx context.Context) error {
	spec := r.plannedSpec()
	plan := r.plan(spec)
	list, err := r.pods.List(labels.Everything())
	if err != nil {
		return err
	}
	byName := map[string]*corev1.Pod{}
	for _, p := range list {
		byName[p.Name] = p
	}
	var first error
	keep := func(err error) {
		if err != nil && first == nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) { // these are events soon
			first = err
		}
	}
	states := r.states(spec, plan)
	for i, s := range plan {
		keep(r.ensure(ctx, s, byName[s.podName()], states[i]))
		delete(byName, s.podName())
	}
	for _, p := range byName {
		if p.Spec.SchedulerName == cluster.ComponentPods {
			keep(r.remove(ctx, p))
			delete(r.written, p.Name)
			delete(r.lives, p.Name)
		}
	}
	return first
}

// ensure makes one pod what it should be; have is nil if there is none.
func (r *run) ensure(ctx context.Context, s shown, have *corev1.Pod, is state) error {
	owner, ok := r.nodeUID(s.node.Name)
	if !ok {
		return nil // its creation is an event
	}
	want := s.pod(owner)
	if have != nil && (have.DeletionTimestamp != nil || have.Annotations[hashAnnotation] != want.Annotations[hashAnnotation]) {
		return r.remove(ctx, have) // which is an event, too
	}
	ctx, cancel := r.o.Scale.Limit(ctx, callLimit, "the API server")
	defer cancel()
	if have == nil {
		made, err := r.Client.CoreV1().Pods(namespace).Create(ctx, want, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("create pod %s: %w", want.Name, err)
		}
		have = made
	}
	return r.write(ctx, s, have, is)
}

// write updates the status of a pod if it differs.
func (r *run) write(ctx context.Context, s shown, have *corev1.Pod, is state) error {
	if !is.known && have.Status.StartTime != nil {
		return nil
	}
	// The object may be older than what was written last, or somebody else has changed it.
	base, ours := r.written[have.Name]
	if !ours {
		base = have.Status
	}
	base.QOSClass = have.Status.QOSClass
	before, known := r.lives[have.Name]
	if !known {
		before = lifeIn(base, is.Restarts)
	}
	want := statusOf(s, is, base, before)
	want.ObservedGeneration = have.Generation
	if !equality.Semantic.DeepEqual(have.Status, want) {
		have = have.DeepCopy()
		have.Status = want
		if _, err := r.Client.CoreV1().Pods(namespace).UpdateStatus(ctx, have, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("write the status of pod %s: %w", have.Name, err)
		}
	}
	r.written[have.Name] = want
	if is.known {
		r.lives[have.Name] = before.next(is)
	}
	return nil
}

func (r *run) remove(ctx context.Context, p *corev1.Pod) error {
	ctx, cancel := r.o.Scale.Limit(ctx, callLimit, "the API server")
	defer cancel()
	opts := metav1.NewDeleteOptions(0)
	opts.Preconditions = metav1.NewUIDPreconditions(string(p.UID))
	if err := r.Client.CoreV1().Pods(namespace).Delete(ctx, p.Name, *opts); err != nil {
		return fmt.Errorf("delete pod %s: %w", p.Name, err)
	}
	return nil
}

func (r *run) node(name string) *corev1.Node {
	object, ok, err := r.Nodes.GetStore().GetByKey(name)
	if err != nil || !ok {
		return nil
	}
	n, _ := object.(*corev1.Node)
	return n
}

func (r *run) nodeUID(name string) (types.UID, bool) {
	n := r.node(name)
	if n == nil {
		return "", false
	}
	return n.UID, true
}

func (r *run) readiness(name string) corev1.ConditionStatus {
	n := r.node(name)
	if n == nil {
		return corev1.ConditionUnknown
	}
	return readiness(n)
}

// readiness is the Ready condition of a node, unknown until its kubelet has reported.
func readiness(n *corev1.Node) corev1.ConditionStatus {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status
		}
	}
	return corev1.ConditionUnknown
}
