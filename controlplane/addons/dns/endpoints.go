package dns

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	acdiscoveryv1 "k8s.io/client-go/applyconfigurations/discovery/v1"
	"k8s.io/client-go/informers"
	listers "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons"
)

// sliceName is the one slice of the Service.
const sliceName = service

// fieldManager owns the endpoints in the slice, and nothing else in it.
const fieldManager = addons.FieldManager + "/" + Name

// tries is how often writing is tried before the addon reports that it fails; the pause between two is tryPause.
const (
	tries    = 5
	tryPause = 200 * time.Millisecond
)

// report is what a follower reports about its node.
type report struct {
	node  cluster.Node
	phase cluster.Phase
}

// runner is one run of the addon: the one owner of what is known of the nodes.
type runner struct {
	*DNS
	c     addons.Cluster
	slice listers.EndpointSliceNamespaceLister
	news  chan report
	// known has the phase of each node that has answered, or has not answered in time. Until then a node's endpoint
	// stays as it is in the slice: nodes keep running while this process is restarted, and their pods keep asking.
	known     map[string]cluster.Phase
	following map[string]followed // by name
	followers sync.WaitGroup
	standIn   *standIn
	resolvers *machine
}

// Run implements addons.Runner: it follows the server of every node and writes the endpoints when something has
// changed, in the nodes or in the slice.
func (d *DNS) Run(ctx context.Context, c addons.Cluster) error {
	factory := informers.NewSharedInformerFactoryWithOptions(c.Client, 0, informers.WithNamespace(namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector("metadata.name", sliceName).String()
		}))
	informer := factory.Discovery().V1().EndpointSlices()
	touched := make(chan struct{}, 1)
	touch := func() {
		select {
		case touched <- struct{}{}:
		default:
		}
	}
	if _, err := informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { touch() }, UpdateFunc: func(any, any) { touch() }, DeleteFunc: func(any) { touch() },
	}); err != nil {
		return fmt.Errorf("watch the endpoints of %s: %w", service, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	factory.StartWithContext(ctx)
	r := &runner{
		DNS: d, c: c, slice: informer.Lister().EndpointSlices(namespace), news: make(chan report),
		known: map[string]cluster.Phase{}, following: map[string]followed{}, resolvers: newMachine(),
		standIn: &standIn{DNS: d, c: c, touched: make(chan struct{}, 1)},
	}
	defer func() {
		cancel()
		r.followers.Wait()
		factory.Shutdown()
		r.publish(nil)
	}()
	r.setSettling(true)
	changed := c.Changed()
	r.follow(ctx)
	r.publish(r.known)
	r.followers.Go(func() { r.standIn.run(ctx) })
	if d.machine != nil {
		r.followers.Go(func() { d.machine(ctx, c.Log, r.resolvers.set) })
	}
	if synced := factory.WaitForCacheSyncWithContext(ctx); synced.Err != nil {
		return synced.Err
	}
	failures := 0
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case t := <-r.news:
			r.known[t.node.Name] = t.phase
		case <-changed:
			changed = c.Changed()
			r.follow(ctx)
		case <-touched:
		case <-again:
		}
		r.publish(r.known)
		again = nil
		if err := r.write(ctx); err != nil {
			if failures++; failures == tries {
				return err
			}
			again = time.After(tryPause)
			continue
		}
		failures = 0
	}
}

// followed is a node whose agent is followed until stop is called.
type followed struct {
	node cluster.Node
	stop context.CancelFunc
}

// follow starts following new nodes and stops following those that are no longer planned.
func (r *runner) follow(ctx context.Context) {
	planned := r.nodes()
	for name, f := range r.following {
		if !slices.ContainsFunc(planned, f.node.Same) {
			f.stop()
			delete(r.following, name)
			delete(r.known, name)
		}
	}
	for _, n := range planned {
		if r.following[n.Name].stop != nil {
			continue
		}
		ctx, stop := context.WithCancel(ctx)
		r.following[n.Name] = followed{n, stop}
		f := &follower{node: n, agents: r.c.Agents, scale: r.c.Scale, log: r.c.Log, machine: r.resolvers, heard: make(chan struct{}, 1)}
		f.publish = func(p cluster.Phase) {
			select {
			case r.news <- report{n, p}:
			case <-ctx.Done():
			}
		}
		r.followers.Go(func() { f.run(ctx) })
		if r.machine != nil {
			r.followers.Go(func() { f.inform(ctx) })
		}
	}
}

// publish publishes what nodes reported; nil at the end.
func (r *runner) publish(known map[string]cluster.Phase) {
	phases := map[string]cluster.Phase{}
	for _, n := range r.nodes() {
		phases[n.Name] = cluster.PhaseStarting
		if p, ok := known[n.Name]; ok {
			phases[n.Name] = p
		}
	}
	r.mu.Lock()
	if known == nil {
		phases, r.answered = nil, false
	}
	news := len(phases) != len(r.phases)
	for name, p := range phases {
		news = news || r.phases[name] != p
		r.answered = r.answered || answers(p)
	}
	r.phases = phases
	r.mu.Unlock()
	if news {
		r.standIn.touch()
		r.c.Notify()
	}
}

// write updates the endpoints in the API. Without a slice there is nothing to do: the Manager creates it, and its
// creation is an event.
func (r *runner) write(ctx context.Context) error {
	have, err := r.slice.Get(sliceName)
	if err != nil {
		r.setPending(true)
		return nil
	}
	want := r.endpoints(have.Endpoints)
	if equality.Semantic.DeepEqual(have.Endpoints, want) {
		r.setPending(false)
		return nil
	}
	r.setPending(true)
	ctx, cancel := r.c.Scale.Limit(ctx, 5*time.Second, "the API server")
	defer cancel()
	_, err = r.c.Client.DiscoveryV1().EndpointSlices(namespace).Apply(ctx, applyConfiguration(want), metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	if err != nil {
		return fmt.Errorf("write the endpoints of %s: %w", service, err)
	}
	return nil // the watch reports it again, which ends pending
}

// setSettling says whether a start has to wait a little longer although servers answer.
func (d *DNS) setSettling(wait bool) (news bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	news = d.settling != wait
	d.settling = wait
	return news
}

func (r *runner) setPending(pending bool) {
	r.mu.Lock()
	news := r.pending != pending
	r.pending = pending
	r.mu.Unlock()
	if news {
		r.c.Notify()
	}
}

// nodes are the planned ones that should run.
func (r *runner) nodes() []cluster.Node {
	spec := r.c.Spec()
	return spec.ActiveNodes()
}

// endpoints are those of all planned nodes that should run, by index. have are the existing ones.
func (r *runner) endpoints(have []discoveryv1.Endpoint) []discoveryv1.Endpoint {
	list := []discoveryv1.Endpoint{}
	for _, n := range r.nodes() {
		address := n.IP.String()
		phase, known := r.known[n.Name]
		ready := answers(phase)
		if !known {
			ready = slices.ContainsFunc(have, func(e discoveryv1.Endpoint) bool {
				return slices.Contains(e.Addresses, address) && e.Conditions.Ready != nil && *e.Conditions.Ready
			})
		}
		list = append(list, discoveryv1.Endpoint{
			Addresses:  []string{address},
			NodeName:   &n.Name,
			Conditions: discoveryv1.EndpointConditions{Ready: &ready, Serving: &ready, Terminating: new(false)},
			// The controller that adds topology hints to other slices leaves this one alone.
			Hints: &discoveryv1.EndpointHints{ForNodes: []discoveryv1.ForNode{{Name: n.Name}}},
		})
	}
	return list
}

func applyConfiguration(list []discoveryv1.Endpoint) *acdiscoveryv1.EndpointSliceApplyConfiguration {
	slice := acdiscoveryv1.EndpointSlice(sliceName, namespace)
	slice.Endpoints = []acdiscoveryv1.EndpointApplyConfiguration{} // claimed even if empty
	for _, e := range list {
		slice.WithEndpoints(acdiscoveryv1.Endpoint().
			WithAddresses(e.Addresses...).WithNodeName(*e.NodeName).
			WithConditions(acdiscoveryv1.EndpointConditions().
				WithReady(*e.Conditions.Ready).WithServing(*e.Conditions.Serving).WithTerminating(*e.Conditions.Terminating)).
			WithHints(acdiscoveryv1.EndpointHints().WithForNodes(acdiscoveryv1.ForNode().WithName(e.Hints.ForNodes[0].Name))))
	}
	return slice
}
