// Package loadbalancer is the addon that gives Services of type LoadBalancer an address of the cluster's subnet, which this
// machine reaches. A node announces it, and another one if that node dies.
//
// The controller of Services is upstream's, as clouds have it (k8s.io/cloud-provider/controllers/service); balancer.go is the
// cloud. ledger.go decides who gets which address and place.go which node announces it; both are pure. announcer.go has the
// agents of the nodes do so (nodeagent/announce), and peer.go follows whether they live. Begin reading at Addon.Run.
package loadbalancer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/cloud-provider/controllers/service"
	"k8s.io/component-base/featuregate"
	controllersmetrics "k8s.io/component-base/metrics/prometheus/controllers"
	"k8s.io/klog/v2"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons"
)

// Name of the addon.
const Name = cluster.LoadBalancerAddon

// workers is how many Services are processed in parallel; each waits for an agent.
const workers = 8

// Addon is the addon of one cluster. Create it with New.
type Addon struct {
	removed remover

	mu      sync.Mutex // guards running
	running *balancer  // nil while Run does not run
}

var (
	_ addons.Addon   = (*Addon)(nil)
	_ addons.Runner  = (*Addon)(nil)
	_ addons.Remover = (*Addon)(nil)
)

// New returns the addon; its controller runs while Run does.
func New() *Addon { return &Addon{} }

// Describe implements addons.Addon.
func (*Addon) Describe() cluster.AddonDescription {
	return cluster.AddonDescription{
		Name: Name, Version: "1.0", Maintainer: "bonsai", Description: "Addresses for Services of type LoadBalancer",
		Docs: "docs/loadbalancer.md", Delivery: cluster.DeliveryBuiltin, Offline: true, Default: true,
		Settings: []cluster.AddonSetting{{
			Name: cluster.LoadBalancerPool, Type: cluster.SettingRanges, Max: 16,
			Description: "Addresses of the cluster's subnet that Services get, as ranges; if there are none, the end of the subnet",
			Cost:        "Services whose address is no longer among them get another one",
		}},
	}
}

// Objects implements addons.Addon. There are none.
func (*Addon) Objects(addons.Cluster) []runtime.Object { return nil }

// Health implements addons.Addon. It is degraded while no address is free, one has no node that announces it, or this machine does
// not reach them.
func (a *Addon) Health(_ context.Context, c addons.Cluster) (cluster.AddonState, string, []cluster.Advice) {
	a.mu.Lock()
	b := a.running
	a.mu.Unlock()
	if b == nil {
		return cluster.AddonInstalling, "its controller is starting", nil
	}
	if key, err := b.trouble(); err != nil {
		return cluster.AddonDegraded, fmt.Sprintf("Service %s gets no address: %v", key, err), b.advice(err)
	}
	if silent := b.announcer.silent(); len(silent) > 0 {
		// Which is degraded, unless it has never worked.
		return cluster.AddonInstalling, fmt.Sprintf("no node announces %s", addressesText(silent)),
			[]cluster.Advice{cluster.Advise("see which nodes run", cluster.Bonsai("status"))}
	}
	if len(b.addresses()) > 0 {
		// An error says nothing about the network.
		if local, err := net.InterfaceAddrs(); err == nil {
			if why := apart(c.Spec(), local); why != "" {
				return cluster.AddonDegraded, why, apartAdvice()
			}
		}
	}
	return cluster.AddonRunning, "", nil
}

func addressesText[T fmt.Stringer](list []T) string {
	var parts []string
	for _, a := range list[:min(len(list), 3)] {
		parts = append(parts, a.String())
	}
	if more := len(list) - len(parts); more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, ", ")
}

// Run serves Services until ctx ends, beginning again whenever the addresses that there are change.
func (a *Addon) Run(ctx context.Context, c addons.Cluster) error {
	a.removed.forget()
	for {
		changed := c.Changed()
		spec := c.Spec()
		pool := spec.LoadBalancerRanges()
		serving, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- a.serve(serving, c, pool) }()
		failed := poolChanged(ctx, c, changed, pool, ended)
		stop()
		if failed == nil {
			<-ended //nolint:errcheck // it was stopped
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case failed != nil:
			return failed
		}
	}
}

// poolChanged returns nil when the addresses have changed or ctx ends, and an error if serving has ended on its own.
func poolChanged(ctx context.Context, c addons.Cluster, changed <-chan struct{}, pool []cluster.AddressRange, ended <-chan error) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			return cmp.Or(err, errEnded)
		case <-changed:
			changed = c.Changed()
			if spec := c.Spec(); !slices.Equal(spec.LoadBalancerRanges(), pool) {
				return nil
			}
		}
	}
}

var errEnded = errors.New("the controller of Services ended")

// serve runs the controller with these addresses until ctx ends.
func (a *Addon) serve(ctx context.Context, c addons.Cluster, pool []cluster.AddressRange) error {
	g := &gate{}
	client, err := gated(c, g)
	if err != nil {
		return fmt.Errorf("make a client for the controller of Services: %w", err)
	}
	defer g.close()
	return a.control(ctx, c, c.Agents, client, pool)
}

// control runs upstream's controller, which writes with client, until ctx ends. Its workers may outlive the call for a moment.
func (a *Addon) control(ctx context.Context, c addons.Cluster, nodeAgents Agents, client kubernetes.Interface, pool []cluster.AddressRange) error {
	ctx, cancel := context.WithCancel(klog.NewContext(ctx, logr.FromSlogHandler(c.Log.Handler())))
	defer cancel()
	factory := informers.NewSharedInformerFactoryWithOptions(c.Client, 0, informers.WithTransform(trim))
	defer factory.Shutdown()
	defer cancel()
	services, nodes, endpoints := factory.Core().V1().Services(), factory.Core().V1().Nodes(), factory.Discovery().V1().EndpointSlices()
	b := newBalancer(c, pool)
	b.announcer = newAnnouncer(c, nodeAgents, nodes.Lister(), endpoints.Lister(), b.addresses)
	if err := follow(services.Informer(), nodes.Informer(), endpoints.Informer(), b); err != nil {
		return err
	}
	controller, err := service.New(b, client, services, nodes, Name, featuregate.NewFeatureGate())
	if err != nil {
		return fmt.Errorf("make the controller of Services: %w", err)
	}
	factory.StartWithContext(ctx)
	if synced := factory.WaitForCacheSyncWithContext(ctx); synced.Err != nil {
		return fmt.Errorf("follow Services, nodes and endpoints: %w", synced.Err)
	}
	all, err := services.Lister().List(labels.Everything())
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(x, y *corev1.Service) int {
		return cmp.Or(x.CreationTimestamp.Compare(y.CreationTimestamp.Time), cmp.Compare(keyOf(x), keyOf(y)))
	})
	b.remember(slices.DeleteFunc(all, func(s *corev1.Service) bool { return !wants(s) }))
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	work.Go(func() { b.announcer.run(ctx) })
	a.set(b, c)
	defer a.set(nil, c)
	controller.Run(ctx, workers, controllersmetrics.NewControllerManagerMetrics("bonsai"))
	return ctx.Err()
}

// wants reports whether a trimmed Service is one that the controller serves.
func wants(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeLoadBalancer && s.Spec.LoadBalancerClass == nil && s.DeletionTimestamp == nil
}

// follow has the announcer look at what changes, and takes back the address of a Service that went without the controller.
func follow(services, nodes, endpoints cache.SharedIndexInformer, b *balancer) error {
	touch := func() { b.announcer.touch() }
	everything := cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { touch() }, UpdateFunc: func(any, any) { touch() }, DeleteFunc: func(any) { touch() },
	}
	if _, err := services.AddEventHandler(cache.ResourceEventHandlerFuncs{DeleteFunc: func(o any) {
		if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(o); err == nil {
			b.forget(key)
		}
	}}); err != nil {
		return fmt.Errorf("follow Services: %w", err)
	}
	for _, i := range []cache.SharedIndexInformer{nodes, endpoints} {
		if _, err := i.AddEventHandler(everything); err != nil {
			return fmt.Errorf("follow nodes and endpoints: %w", err)
		}
	}
	return nil
}

func (a *Addon) set(b *balancer, c addons.Cluster) {
	a.mu.Lock()
	a.running = b
	a.mu.Unlock()
	c.Notify()
}
