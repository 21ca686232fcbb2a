// Package observe shows a running cluster: what there is and how it does (Snapshot, Watch), what is wrong with it, cluster
// DNS at work, how pods came to be, and how busy everything is.
//
// Each feature has a package below this one. The Observer is the front of all of them, with one lifecycle: it exists
// before the control plane does, can be asked from Start to Close, and says so at other times. Hardly anything runs
// while nobody asks: one watch of the Node objects. Everything here is light; what it needs of the control plane it gets
// as values. Begin reading at Observer; snapshot.go makes snapshots.
package observe

import (
	"context"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/wait"
	"bonsai/controlplane/agents"
	"bonsai/controlplane/observe/birth"
	"bonsai/controlplane/observe/dns"
	"bonsai/controlplane/observe/entrance"
	"bonsai/controlplane/observe/load"
	"bonsai/controlplane/observe/objects"
	"bonsai/controlplane/observe/problems"
)

// ControlPlane is a running control plane.
type ControlPlane interface {
	Components() []cluster.Component
	// Answers asks the API server, through the port that users use, whether it is ready.
	Answers(ctx context.Context) error
	Client() kubernetes.Interface
	Agents() *agents.Client
	Births() *birth.Recorder
	NewLoadMeter() *load.Meter
}

// Addons knows how the addons do.
type Addons interface {
	// Observe looks at all addons, within about two seconds; Status returns what is known.
	Observe(ctx context.Context) []cluster.AddonStatus
	Status() []cluster.AddonStatus
	// Nodes returns the phase of an addon's part on each node; nil if it has none.
	Nodes(addon string) map[string]cluster.Phase
}

// Options are what an Observer is made of.
type Options struct {
	// Spec returns the plan as it is now.
	Spec   func() cluster.Spec
	Addons Addons
	// KubernetesVersion is what runs ("v1.37.2"), Emulated the minor that it emulates, if any.
	KubernetesVersion, Emulated string
	Log                         *slog.Logger
	// Scale multiplies the limits on waits.
	Scale wait.Scale
}

// Observer answers questions about one cluster. It is safe for concurrent use. Its errors are faults: NotRunning before
// Start and after Close, and what each method says.
type Observer struct {
	Options
	closing chan struct{}  // closed by Close
	asked   sync.WaitGroup // the questions that Close waits for

	mu     sync.Mutex // guards the rest
	views  *views     // nil before Start
	closed bool
	// components are what each node's agent last said of itself, by node.
	components map[string][]cluster.Component
	// changed is closed and replaced whenever a snapshot may be another one.
	changed chan struct{}
}

// views are what there is to ask while the control plane runs.
type views struct {
	control  ControlPlane
	entrance *entrance.Check
	begun    time.Time
	nodes    *objects.Following[*corev1.Node]
	dns      *dns.View
	births   *birth.View
	load     *load.View
	problems *problems.View
}

// New returns an Observer of a cluster whose control plane does not run yet.
func New(o Options) *Observer {
	return &Observer{Options: o, closing: make(chan struct{}), components: map[string][]cluster.Component{}, changed: make(chan struct{})}
}

// Start lets the Observer see a control plane, which has just become ready. It is called at most once, before Close.
func (o *Observer) Start(control ControlPlane) {
	store, client := objects.New(control.Client()), control.Client()
	name := o.Spec().Name
	v := &views{control: control, begun: time.Now(), entrance: entrance.New(apiServer, control.Answers, o.Scale)}
	v.nodes = objects.Follow(store, func(*corev1.Node, bool) { o.Notify() })
	v.dns = dns.New(dns.Options{
		Cluster: name, Nodes: o.nodes, Agents: control.Agents(), Objects: store, Client: client, Log: o.Log, Scale: o.Scale,
	})
	v.births = birth.New(birth.Options{Cluster: name, Client: client, Births: control.Births(), Nodes: o.nodes, Agents: control.Agents()})
	v.load = load.New(load.Options{
		Nodes: o.nodes, Agents: control.Agents(), Objects: store,
		ControlPlane: func() func() cluster.ControlPlaneLoad { return control.NewLoadMeter().Measure },
	})
	v.problems = problems.New(problems.Options{
		Cluster: name, Objects: store, Client: client, Log: o.Log, Begun: v.begun, Scale: o.Scale,
		DNS: func() problems.DNS {
			if o.wantsDNS() {
				return v.dns
			}
			return nil
		},
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	o.views = v
	o.notify()
}

// NodeInformer follows the Node objects from Start to Close, for whoever else in this process has to.
func (o *Observer) NodeInformer() cache.SharedIndexInformer { return o.running().nodes.Informer() }

// Close ends all questions, and everything that follows the API server, and waits for that: it comes before the end of
// the API server, which would wait for its watches. Snapshots go on, of what was known last. It is called once.
func (o *Observer) Close() {
	o.mu.Lock()
	o.closed = true
	v := o.views
	close(o.closing)
	o.mu.Unlock()
	o.asked.Wait()
	if v != nil {
		v.problems.Close()
		v.nodes.Stop()
	}
}

// Notify says that a snapshot may be another one: the plan has changed, or an addon does differently.
func (o *Observer) Notify() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.notify()
}

// notify wakes whoever watches; o.mu is held.
func (o *Observer) notify() {
	close(o.changed)
	o.changed = make(chan struct{})
}

// enter counts a question in. Its context ends when the Observer is closed, which waits until leave is called.
func (o *Observer) enter(ctx context.Context) (_ context.Context, _ *views, leave func(), err error) {
	name := o.Spec().Name
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closed:
		return nil, nil, nil, fault.Newf(fault.NotRunning, "the control plane of %s is stopping", name)
	case o.views == nil:
		return nil, nil, nil, fault.Newf(fault.NotRunning, "the control plane of %s is still starting", name)
	}
	ctx, leave = context.WithCancel(ctx)
	o.asked.Go(func() {
		select {
		case <-o.closing:
			leave()
		case <-ctx.Done():
		}
	})
	return ctx, o.views, leave, nil
}

// Serving returns nil once the API server answers at its port, or what kept it from that for fifteen seconds.
func (o *Observer) Serving(ctx context.Context) error {
	return o.ask(ctx, func(ctx context.Context, v *views) error { return v.entrance.Wait(ctx) })
}

// Ready returns nil from Start to Close, and else the fault NotRunning.
func (o *Observer) Ready() error {
	return o.ask(context.Background(), func(context.Context, *views) error { return nil })
}

// ask lets f ask the views until the Observer is closed.
func (o *Observer) ask(ctx context.Context, f func(context.Context, *views) error) error {
	ctx, v, leave, err := o.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return f(ctx, v)
}

// Load calls send with how busy the cluster is every cluster.LoadInterval, for the first time after about one, until ctx
// ends or send fails, and returns that failure. A slow reader misses some.
func (o *Observer) Load(ctx context.Context, send func(cluster.Load) error) error {
	return o.ask(ctx, func(ctx context.Context, v *views) error { return v.load.Load(ctx, send) })
}

// Birth calls send with the story of a pod as far as it is known, and again after each change, until it is complete, the
// pod is gone, ctx ends or send fails. A pod that does not exist is the fault ObjectNotFound.
func (o *Observer) Birth(ctx context.Context, namespace, name string, send func(cluster.Birth) error) error {
	return o.ask(ctx, func(ctx context.Context, v *views) error { return v.births.Birth(ctx, namespace, name, send) })
}

// DNSStatus asks the DNS servers of all nodes. One that does not answer has PhaseUnknown and the reason. Without cluster
// DNS, this and the methods below return the fault Addon.
func (o *Observer) DNSStatus(ctx context.Context) (status []cluster.DNSStatus, err error) {
	err = o.askDNS(ctx, func(ctx context.Context, v *dns.View) error {
		status, err = v.DNSStatus(ctx)
		return err
	})
	return status, err
}

// DNSLog calls watching once it is connected with every node that can be reached, and send with each question that is
// answered from then on, until ctx ends or send fails.
func (o *Observer) DNSLog(ctx context.Context, q cluster.DNSLogQuery, watching func(), send func(cluster.DNSQuery) error) error {
	return o.askDNS(ctx, func(ctx context.Context, v *dns.View) error { return v.DNSLog(ctx, q, watching, send) })
}

// DNSLookup asks one DNS server. That the name does not exist is not an error.
func (o *Observer) DNSLookup(ctx context.Context, q cluster.DNSQuestion) (answer cluster.DNSAnswer, err error) {
	err = o.askDNS(ctx, func(ctx context.Context, v *dns.View) error {
		answer, err = v.DNSLookup(ctx, q)
		return err
	})
	return answer, err
}

// DNSFlush forgets cached answers on one node, or on all if node is empty.
func (o *Observer) DNSFlush(ctx context.Context, node string) (flushed []cluster.DNSFlushed, err error) {
	err = o.askDNS(ctx, func(ctx context.Context, v *dns.View) error {
		flushed, err = v.DNSFlush(ctx, node)
		return err
	})
	return flushed, err
}

func (o *Observer) askDNS(ctx context.Context, f func(context.Context, *dns.View) error) error {
	if !o.wantsDNS() {
		name := o.Spec().Name
		return fault.Newf(fault.Addon, "cluster DNS is disabled in cluster %q", name).
			Advise("", cluster.Bonsai("addons", "enable").On(cluster.DNSAddon).Of(name).Change())
	}
	return o.ask(ctx, func(ctx context.Context, v *views) error { return f(ctx, v.dns) })
}

func (o *Observer) wantsDNS() bool {
	spec := o.Spec()
	return spec.Wants(cluster.DNSAddon, true)
}

// nodes are those that the cluster has at the moment.
func (o *Observer) nodes() []cluster.Node { return o.Spec().Nodes }
