// Package observe shows a running cluster: its parts and their states (Snapshot, Watch), its problems, the queries to
// cluster DNS, the births of pods, and the load.
//
// Each feature has a package below this one. The Observer gives access to all of them, with one lifecycle: it is
// created before the control plane, accepts requests from Start to Close, and returns an error at other times. Without
// requests only one watch runs, that of the Node objects. This package and those below it do not import
// k8s.io/kubernetes; what they need from the control plane is passed in. Begin reading at Observer; snapshot.go creates
// snapshots.
package observe

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
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
	"bonsai/controlplane/observe/flows"
	"bonsai/controlplane/observe/history"
	"bonsai/controlplane/observe/load"
	"bonsai/controlplane/observe/objects"
	"bonsai/controlplane/observe/problems"
	"bonsai/controlplane/observe/services"
	"bonsai/controlplane/observe/why"
)

// ControlPlane is a running control plane.
type ControlPlane interface {
	Components() []cluster.Component
	// Answers asks the API server, through the port that users use, whether it is ready.
	Answers(ctx context.Context) error
	Client() kubernetes.Interface
	// ObjectClients follow objects; they include Client.
	ObjectClients() objects.Clients
	Agents() *agents.Client
	Births() *birth.Recorder
	// History is what has happened to objects; nil if that is not recorded.
	History() *history.History
	NewLoadMeter() *load.Meter
	// Store returns how full etcd is; it may take a second once that is a problem.
	Store() cluster.Store
}

// Addons reports the states of the addons.
type Addons interface {
	// Observe checks all addons, within about two seconds; Status returns what is known.
	Observe(ctx context.Context) []cluster.AddonStatus
	Status() []cluster.AddonStatus
	// Nodes returns the phase of an addon's part on each node; nil if it has none.
	Nodes(addon string) map[string]cluster.Phase
}

// Options are the dependencies of an Observer.
type Options struct {
	// Spec returns the current plan.
	Spec   func() cluster.Spec
	Addons Addons
	// KubernetesVersion is the version that runs ("v1.37.2"), Emulated the minor version that it emulates, if any.
	KubernetesVersion, Emulated string
	// Beside returns the ranges that this machine has routes to and that meet those of the cluster's pods and Services. It is
	// called at most every two seconds, and only while somebody watches.
	Beside func(cluster.Spec) []netip.Prefix
	// Names is where Services have names on this machine; nil: nowhere.
	Names func() cluster.Names
	// Paused returns how the cluster came to be paused, nil if it is not; nil: it never is. Nodes of a paused cluster are not
	// asked, and nothing of it is a problem.
	Paused func() *cluster.Pause
	// Restarts is how often this process was restarted; nil if never. Own returns the problems of the process itself; nil
	// if it has none.
	Restarts *cluster.Restarts
	Own      func(now time.Time) []cluster.Problem
	Log      *slog.Logger
	// Scale multiplies the limits on waits.
	Scale wait.Scale
}

// Observer answers requests about one cluster. It is safe for concurrent use. Its errors are faults: NotRunning before
// Start and after Close, and those that the methods document.
type Observer struct {
	Options
	closing chan struct{}  // closed by Close
	asked   sync.WaitGroup // the requests that Close waits for

	mu     sync.Mutex // guards the rest
	views  *views     // nil before Start
	closed bool
	// components are what each node's agent last reported, by node.
	components map[string][]cluster.Component
	beside     []netip.Prefix
	// store is how full etcd was last; nil before the first look.
	store *cluster.Store
	// changed is closed and replaced whenever the next snapshot may differ.
	changed chan struct{}
}

// views answer the requests while the control plane runs.
type views struct {
	control  ControlPlane
	entrance *entrance.Check
	begun    time.Time
	nodes    *objects.Following[*corev1.Node]
	dns      *dns.View
	births   *birth.View
	load     *load.View
	flows    *flows.View
	problems *problems.View
	services *services.View
	why      *why.View
}

// New returns an Observer of a cluster whose control plane does not run yet.
func New(o Options) *Observer {
	return &Observer{Options: o, closing: make(chan struct{}), components: map[string][]cluster.Component{}, changed: make(chan struct{})}
}

// Start connects the Observer to a control plane that has just become ready. Call it at most once, before Close.
func (o *Observer) Start(control ControlPlane) {
	clients, client := control.ObjectClients(), control.Client()
	store := objects.New(clients)
	spec := o.Spec()
	name := spec.Name
	v := &views{control: control, begun: time.Now(), entrance: entrance.New(apiServer, control.Answers, o.Scale)}
	v.nodes = objects.Follow(store, func(*corev1.Node, bool) { o.Notify() })
	v.dns = dns.New(dns.Options{
		Cluster: name, Pods: spec.PodRange(), Server: spec.DNSServiceIP(), Nodes: o.nodes, Agents: control.Agents(),
		Objects: store, Client: client, Log: o.Log, Scale: o.Scale,
	})
	v.births = birth.New(birth.Options{Cluster: name, Client: client, Births: control.Births(), Nodes: o.nodes, Agents: control.Agents()})
	v.load = load.New(load.Options{
		Nodes: o.nodes, Agents: control.Agents(), Objects: store,
		ControlPlane: func() func() cluster.ControlPlaneLoad { return control.NewLoadMeter().Measure },
	})
	v.services = services.New(services.Options{Objects: store, Client: client, Scale: o.Scale})
	v.flows = flows.New(flows.Options{
		Nodes: o.nodes, Machine: spec.Gateway, Agents: control.Agents(), Objects: store, Log: o.Log,
		Names: func(ctx context.Context, send func(cluster.DNSQuery) error) error {
			if !o.wantsDNS() {
				return nil
			}
			return v.dns.DNSLog(ctx, cluster.DNSLogQuery{Fold: true}, func() {}, send)
		},
	})
	v.why = why.New(why.Options{
		Cluster: name, Nodes: o.nodes, DNSServer: spec.DNSServiceIP(), Client: client, Agents: control.Agents(), Scale: o.Scale,
		Lookup: func() func(context.Context, cluster.DNSQuestion) (cluster.DNSAnswer, error) {
			if !o.wantsDNS() {
				return nil
			}
			return v.dns.DNSLookup
		},
	})
	v.problems = problems.New(problems.Options{
		Cluster: name, Objects: store, Client: client, Metadata: clients.Metadata, Log: o.Log, Begun: v.begun, Scale: o.Scale,
		DNS: func() problems.DNS {
			if o.wantsDNS() {
				return v.dns
			}
			return nil
		},
		Enforced: func() bool {
			spec := o.Spec()
			return spec.Wants(cluster.NetworkPolicyAddon, true)
		},
		Listening: func(ctx context.Context, node, uid string) ([]cluster.Listening, error) {
			for _, n := range o.nodes() {
				if n.Name == node {
					return control.Agents().Listening(ctx, n, uid)
				}
			}
			return nil, fmt.Errorf("the cluster has no node %s", node)
		},
		Images: func(ctx context.Context) map[string][]cluster.NodeImage {
			return imagesOf(ctx, control.Agents(), o.nodes())
		},
		Denied: func(ctx context.Context) []cluster.Denied { return deniedOn(ctx, control.Agents(), o.nodes()) },
		Addon: func(name string) *cluster.AddonStatus {
			for _, a := range o.Addons.Status() {
				if a.Name == name {
					return &a
				}
			}
			return nil
		},
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	o.views = v
	o.notify()
}

// NodeInformer returns the informer of the Node objects, which runs from Start to Close, for use by others in this
// process.
func (o *Observer) NodeInformer() cache.SharedIndexInformer { return o.running().nodes.Informer() }

// Close ends all requests and all watches of the API server, and waits until they have ended. Close it before the API
// server stops, which would wait for its watches. Snapshots continue, with the last known states. Call it once.
func (o *Observer) Close() {
	o.mu.Lock()
	o.closed = true
	v := o.views
	close(o.closing)
	o.mu.Unlock()
	o.asked.Wait()
	if v != nil {
		v.problems.Close()
		v.services.Close()
		v.nodes.Stop()
	}
}

// Notify reports that the next snapshot may differ: the plan has changed, or the state of an addon.
func (o *Observer) Notify() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.notify()
}

// notify wakes all watchers; o.mu is held.
func (o *Observer) notify() {
	close(o.changed)
	o.changed = make(chan struct{})
}

// enter counts a request. Its context ends when the Observer is closed, which waits until leave is called.
func (o *Observer) enter(ctx context.Context) (_ context.Context, _ *views, leave func(), err error) {
	spec := o.Spec()
	name := spec.Name
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

// Serving returns nil once the API server answers at its port, or an error if it does not within fifteen seconds.
func (o *Observer) Serving(ctx context.Context) error {
	return o.ask(ctx, func(ctx context.Context, v *views) error { return v.entrance.Wait(ctx) })
}

// Ready returns nil from Start to Close, and the fault NotRunning otherwise.
func (o *Observer) Ready() error {
	return o.ask(context.Background(), func(context.Context, *views) error { return nil })
}

// ask calls f with the views; its context ends when the Observer is closed.
func (o *Observer) ask(ctx context.Context, f func(context.Context, *views) error) error {
	ctx, v, leave, err := o.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return f(ctx, v)
}

// Load calls send with the load every cluster.LoadInterval, for the first time after about one interval, until ctx ends
// or send fails, and returns that failure. A slow reader misses some.
func (o *Observer) Load(ctx context.Context, send func(cluster.Load) error) error {
	return o.ask(ctx, func(ctx context.Context, v *views) error { return v.load.Load(ctx, send) })
}

// Usage is what nodes use, for plots: it asks each once, and costs nothing else. CPU is the average since it was last called. Nodes
// of a paused cluster are not asked.
func (o *Observer) Usage(ctx context.Context) (all []cluster.NodeUsage, err error) {
	if o.paused() != nil {
		return nil, nil
	}
	err = o.ask(ctx, func(ctx context.Context, v *views) error {
		all = v.load.Sample(ctx)
		return nil
	})
	return all, err
}

// Flows calls send with who talks to whom every cluster.FlowInterval, for the first time after about one interval, until
// ctx ends or send fails, and returns that failure. A slow reader misses some.
func (o *Observer) Flows(ctx context.Context, send func(cluster.Flows) error) error {
	return o.ask(ctx, func(ctx context.Context, v *views) error { return v.flows.Flows(ctx, send) })
}

// Why walks from a pod to something else, and says where the way ends. An end that does not exist is the fault ObjectNotFound.
func (o *Observer) Why(ctx context.Context, q cluster.WhyQuestion) (w cluster.Why, err error) {
	err = o.ask(ctx, func(ctx context.Context, v *views) error {
		w, err = v.why.Why(ctx, q)
		return err
	})
	return w, err
}

// Birth calls send with the steps of a pod as far as they are known, and again after each change, until they are
// complete, the pod is gone, ctx ends or send fails. A pod that does not exist is the fault ObjectNotFound.
func (o *Observer) Birth(ctx context.Context, namespace, name string, send func(cluster.Birth) error) error {
	return o.ask(ctx, func(ctx context.Context, v *views) error { return v.births.Birth(ctx, namespace, name, send) })
}

// Service returns a Service; ok is false if there is none.
func (o *Observer) Service(ctx context.Context, namespace, name string) (s services.Service, ok bool, err error) {
	err = o.ask(ctx, func(ctx context.Context, v *views) (err error) {
		s, ok, err = v.services.Get(ctx, namespace, name)
		return err
	})
	return s, ok, err
}

// Services returns all Services, in no order.
func (o *Observer) Services(ctx context.Context) (all []services.Service, err error) {
	err = o.ask(ctx, func(ctx context.Context, v *views) (err error) {
		all, err = v.services.All(ctx)
		return err
	})
	return all, err
}

// Endpoints returns what is behind a Service.
func (o *Observer) Endpoints(ctx context.Context, namespace, name string) (all []services.Endpoint, err error) {
	err = o.ask(ctx, func(ctx context.Context, v *views) (err error) {
		all, err = v.services.Endpoints(ctx, namespace, name)
		return err
	})
	return all, err
}

// History returns what has happened to objects. Its faults, and those of the next two, are those of history.History, and
// State if nothing is recorded.
func (o *Observer) History(ctx context.Context, q cluster.HistoryQuery) (all cluster.History, err error) {
	err = o.askHistory(ctx, func(ctx context.Context, h *history.History) error {
		all, err = h.Changes(ctx, q)
		return err
	})
	return all, err
}

// Differences returns how objects differ from what they were.
func (o *Observer) Differences(ctx context.Context, q cluster.DifferenceQuery) (list []cluster.Difference, err error) {
	err = o.askHistory(ctx, func(ctx context.Context, h *history.History) error {
		list, err = h.Differences(ctx, q)
		return err
	})
	return list, err
}

// Revert makes an object as it was.
func (o *Observer) Revert(ctx context.Context, r cluster.RevertRequest) (done cluster.Reverted, err error) {
	err = o.askHistory(ctx, func(ctx context.Context, h *history.History) error {
		done, err = h.Revert(ctx, r)
		return err
	})
	return done, err
}

// Past returns an object as it was.
func (o *Observer) Past(ctx context.Context, r cluster.RevertRequest) (was cluster.PastObject, err error) {
	err = o.askHistory(ctx, func(ctx context.Context, h *history.History) error {
		was, err = h.Past(ctx, r)
		return err
	})
	return was, err
}

func (o *Observer) askHistory(ctx context.Context, f func(context.Context, *history.History) error) error {
	return o.ask(ctx, func(ctx context.Context, v *views) error {
		h := v.control.History()
		if h == nil {
			return fault.Newf(fault.State, "changes of objects are not recorded").
				Advise("the daemon's log says why", cluster.Bonsai("logs", "daemon").Of(o.Spec().Name))
		}
		return f(ctx, h)
	})
}

// DNSStatus queries the DNS servers of all nodes. One that does not answer has PhaseUnknown and the reason. Without
// cluster DNS, this and the methods below return the fault Addon.
func (o *Observer) DNSStatus(ctx context.Context) (status []cluster.DNSStatus, err error) {
	err = o.askDNS(ctx, func(ctx context.Context, v *dns.View) error {
		status, err = v.DNSStatus(ctx)
		return err
	})
	return status, err
}

// DNSLog calls watching once it is connected to every node that can be reached, and send with each question that is
// answered from then on, until ctx ends or send fails.
func (o *Observer) DNSLog(ctx context.Context, q cluster.DNSLogQuery, watching func(), send func(cluster.DNSQuery) error) error {
	return o.askDNS(ctx, func(ctx context.Context, v *dns.View) error { return v.DNSLog(ctx, q, watching, send) })
}

// DNSLookup queries one DNS server. A name that does not exist is not an error.
func (o *Observer) DNSLookup(ctx context.Context, q cluster.DNSQuestion) (answer cluster.DNSAnswer, err error) {
	err = o.askDNS(ctx, func(ctx context.Context, v *dns.View) error {
		answer, err = v.DNSLookup(ctx, q)
		return err
	})
	return answer, err
}

// DNSFlush removes cached answers on one node, or on all if node is empty.
func (o *Observer) DNSFlush(ctx context.Context, node string) (flushed []cluster.DNSFlushed, err error) {
	err = o.askDNS(ctx, func(ctx context.Context, v *dns.View) error {
		flushed, err = v.DNSFlush(ctx, node)
		return err
	})
	return flushed, err
}

func (o *Observer) askDNS(ctx context.Context, f func(context.Context, *dns.View) error) error {
	if !o.wantsDNS() {
		spec := o.Spec()
		name := spec.Name
		return fault.Newf(fault.Addon, "cluster DNS is disabled in cluster %q", name).
			Advise("", cluster.Bonsai("addons", "enable").On(cluster.DNSAddon).Of(name).Change())
	}
	return o.ask(ctx, func(ctx context.Context, v *views) error { return f(ctx, v.dns) })
}

func (o *Observer) wantsDNS() bool {
	spec := o.Spec()
	return spec.Wants(cluster.DNSAddon, true)
}

// nodes returns the nodes that can be asked: those of the plan without those that the user has stopped, and none while the
// cluster is paused.
func (o *Observer) nodes() []cluster.Node {
	if o.paused() != nil {
		return nil
	}
	spec := o.Spec()
	return spec.ActiveNodes()
}

// deniedOn asks nodes what NetworkPolicies have stopped, all in parallel. One that does not answer is missing.
func deniedOn(ctx context.Context, client *agents.Client, nodes []cluster.Node) []cluster.Denied {
	lists := make([][]cluster.Denied, len(nodes))
	var asked sync.WaitGroup
	for i, n := range nodes {
		asked.Go(func() { lists[i], _ = client.Denied(ctx, n) })
	}
	asked.Wait()
	return slices.Concat(lists...)
}

// imagesOf asks nodes for their images, all in parallel. One that does not answer is missing.
func imagesOf(ctx context.Context, client *agents.Client, nodes []cluster.Node) map[string][]cluster.NodeImage {
	lists := make([][]cluster.NodeImage, len(nodes))
	var asked sync.WaitGroup
	for i, n := range nodes {
		asked.Go(func() { lists[i], _ = client.Images(ctx, n) })
	}
	asked.Wait()
	byNode := map[string][]cluster.NodeImage{}
	for i, n := range nodes {
		if lists[i] != nil {
			byNode[n.Name] = lists[i]
		}
	}
	return byNode
}
