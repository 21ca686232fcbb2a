package loadbalancer

import (
	"context"
	"errors"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/cloud-provider/api"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons"
)

const (
	// announceWait is how long a Service waits for its address to be announced before that is in its status: usually a few
	// milliseconds. The first client's question for the address would be repeated only after a second.
	announceWait = 250 * time.Millisecond
	// retry is how often a Service that got no address tries again.
	retry = 3 * time.Second
)

// errNoNodes says that nobody could announce an address.
var errNoNodes = errors.New("the cluster has no nodes, and a node has to announce the address")

// balancer is the cloud of upstream's service controller: it calls it for each Service of type LoadBalancer.
type balancer struct {
	// The methods of a cloud that this one does not have.
	cloudprovider.Interface
	c         addons.Cluster
	announcer *announcer

	mu       sync.Mutex // guards the rest
	ledger   *ledger
	troubles map[string]error // of Services without an address, by key
}

var _ cloudprovider.LoadBalancer = (*balancer)(nil)

func newBalancer(c addons.Cluster, pool []cluster.AddressRange) *balancer {
	return &balancer{c: c, ledger: newLedger(pool), troubles: map[string]error{}}
}

// LoadBalancer and the following methods implement cloudprovider.Interface.
func (b *balancer) LoadBalancer() (cloudprovider.LoadBalancer, bool) { return b, true }

// ProviderName is for logs.
func (*balancer) ProviderName() string { return "bonsai" }

// HasClusterID is true: there is only one cluster.
func (*balancer) HasClusterID() bool { return true }

// Initialize has nothing to do.
func (*balancer) Initialize(cloudprovider.ControllerClientBuilder, <-chan struct{}) {}

// SetInformers has nothing to do.
func (*balancer) SetInformers(informers.SharedInformerFactory) {}

// GetLoadBalancerName implements cloudprovider.LoadBalancer, as the following methods do.
func (*balancer) GetLoadBalancerName(_ context.Context, _ string, s *corev1.Service) string {
	return keyOf(s)
}

// GetLoadBalancer reports whether a Service has an address.
func (b *balancer) GetLoadBalancer(_ context.Context, _ string, s *corev1.Service) (*corev1.LoadBalancerStatus, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a, ok := b.ledger.of[keyOf(s)]; ok {
		return statusOf(a), true, nil
	}
	return nil, len(s.Status.LoadBalancer.Ingress) > 0, nil
}

// EnsureLoadBalancer gives a Service its address, and returns when a node announces it.
func (b *balancer) EnsureLoadBalancer(ctx context.Context, _ string, s *corev1.Service, _ []*corev1.Node) (*corev1.LoadBalancerStatus, error) {
	claim, err := claimOf(s)
	if spec := b.c.Spec(); err == nil && len(spec.Nodes) == 0 {
		err = errNoNodes
	}
	b.mu.Lock()
	if err == nil {
		claim.has, err = b.ledger.give(claim)
	}
	news := (b.troubles[claim.key] == nil) != (err == nil)
	if err != nil {
		b.troubles[claim.key] = err
	} else {
		delete(b.troubles, claim.key)
	}
	b.mu.Unlock()
	if news {
		b.c.Notify()
	}
	if err != nil {
		// What is in the way may go without any change of this Service.
		return nil, api.NewRetryError(err.Error(), retry)
	}
	b.announcer.touch()
	ctx, cancel := context.WithTimeout(ctx, announceWait)
	defer cancel()
	b.announcer.await(ctx, claim.has)
	return statusOf(claim.has), nil
}

// UpdateLoadBalancer is called when nodes come and go.
func (b *balancer) UpdateLoadBalancer(context.Context, string, *corev1.Service, []*corev1.Node) error {
	b.announcer.touch()
	return nil
}

// EnsureLoadBalancerDeleted takes the address of a Service back.
func (b *balancer) EnsureLoadBalancerDeleted(_ context.Context, _ string, s *corev1.Service) error {
	b.forget(keyOf(s))
	return nil
}

// forget takes the address of a Service back, which may have none.
func (b *balancer) forget(key string) {
	b.mu.Lock()
	_, troubled := b.troubles[key]
	delete(b.troubles, key)
	released := b.ledger.release(key)
	b.mu.Unlock()
	if released || troubled {
		b.announcer.touch()
		b.c.Notify()
	}
}

// remember takes over the addresses that Services have, the oldest first: two can have the same one after a mistake.
func (b *balancer) remember(services []*corev1.Service) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range services {
		claim, err := claimOf(s)
		if err != nil || !claim.has.IsValid() {
			continue
		}
		claim.wanted = claim.has
		_, _ = b.ledger.give(claim) // otherwise it gets another one when the controller comes to it
	}
}

func (b *balancer) addresses() []address {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ledger.addresses()
}

// trouble is the first reason, by the Service's name, why a Service has no address that is not the Service's own fault.
func (b *balancer) trouble() (key string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k, e := range b.troubles {
		if (errors.Is(e, errExhausted) || errors.Is(e, errNoNodes)) && (key == "" || k < key) {
			key, err = k, e
		}
	}
	return key, err
}

// advice is what helps against a trouble.
func (b *balancer) advice(err error) []cluster.Advice {
	if errors.Is(err, errNoNodes) {
		return []cluster.Advice{cluster.Advise("add a node", cluster.Bonsai("node", "add").Change())}
	}
	return []cluster.Advice{
		cluster.Advise("see which Services have one", cluster.Kubectl("get", "services").With("-A")),
		cluster.Advise("or let them have more", cluster.Bonsai("addons", "configure").On(Name, cluster.LoadBalancerPool+"=FIRST-LAST").Fill("FIRST-LAST").Change()),
	}
}

// gated is a client whose requests fail once the gate is closed: upstream's workers end on their own, a moment after Run.
func gated(c addons.Cluster, g *gate) (kubernetes.Interface, error) {
	config := *c.Config
	config.Wrap(g.wrap)
	return kubernetes.NewForConfig(&config)
}
