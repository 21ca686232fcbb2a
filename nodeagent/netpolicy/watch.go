package netpolicy

import (
	"context"
	"net/netip"
	"sync"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	policyv1beta1 "sigs.k8s.io/network-policy-api/apis/v1beta1"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kubewatch"
	"bonsai/nodeagent/netpolicy/rules"
)

const (
	// dnsService is the Service of cluster DNS. It leads to the servers of nodes while it is the one of bonsai's addon, whose name
	// it has in this label.
	dnsService = "kube-dns"
	addonLabel = "addons.bonsai.io/name"
)

// clients are for the groups.
type clients struct{ core, networking, policy *rest.RESTClient }

// follow keeps the world in line with the API server until ctx ends. It returns an error only if it cannot start.
func (p *Part) follow(ctx context.Context) error {
	core, err := kubewatch.NewClient(p.cfg.API, "/api", corev1.SchemeGroupVersion, corev1.AddToScheme)
	if err != nil {
		return err
	}
	networking, err := kubewatch.NewClient(p.cfg.API, "/apis", networkingv1.SchemeGroupVersion, networkingv1.AddToScheme)
	if err != nil {
		return err
	}
	policy, err := kubewatch.NewDefinedClient(p.cfg.API, schema.GroupVersion(policyv1beta1.GroupVersion), policyv1beta1.Install)
	if err != nil {
		return err
	}
	// An API server that starts may answer this before it is ready, and at the same time begin to have pods started.
	if !kubewatch.WaitAllowed(ctx, core, "/api/v1/namespaces/"+metav1.NamespaceSystem+"/configmaps/"+cluster.NetworkPolicyMap, p.log) {
		return nil // ctx has ended
	}
	c := clients{core, networking, policy}
	var following sync.WaitGroup
	defer following.Wait()
	following.Go(func() { p.followConfig(ctx, c) })
	following.Go(func() { p.policies.run(ctx, func(ctx context.Context) { p.followPolicies(ctx, c) }) })
	following.Go(func() { p.cluster.run(ctx, func(ctx context.Context) { p.followClusterPolicies(ctx, c) }) })
	following.Go(func() { p.nodes.run(ctx, func(ctx context.Context) { p.followNodes(ctx, c) }) })
	following.Go(func() {
		p.pods.run(ctx, func(ctx context.Context) {
			var both sync.WaitGroup
			both.Go(func() { p.followRuntime(ctx) })
			p.followPods(ctx, c)
			both.Wait()
		})
	})
	return nil
}

// followConfig follows whether the addon is enabled, and whether there are ClusterNetworkPolicies.
func (p *Part) followConfig(ctx context.Context, c clients) {
	enable := func(on, flagged bool) bool {
		p.known.enabled, p.known.flagged = on, flagged
		p.policies.want(on)
		p.cluster.want(flagged)
		return true
	}
	there := newSink(p, func(o *corev1.ConfigMap) (flagged bool) {
		_, flagged = o.Data[cluster.ClusterPoliciesKey]
		return flagged
	},
		func(flagged bool) bool { return enable(true, flagged) }, func(rules.Key) { enable(false, false) }, func() { p.known.config = true })
	kubewatch.Kind{
		Client: c.core, Resource: "configmaps", Namespace: metav1.NamespaceSystem, Example: &corev1.ConfigMap{}, Sink: there,
		FieldSelector: fields.OneTermEqualSelector("metadata.name", cluster.NetworkPolicyMap).String(), // agents may read no other
	}.Follow(ctx, p.log)
}

// need follows what the policies that are known need; p.mu is held.
func (p *Part) need() {
	p.pods.want(len(p.world.Policies)+len(p.world.ClusterPolicies) > 0)
	p.known.selected = false
	for _, policy := range p.world.ClusterPolicies {
		p.known.selected = p.known.selected || policy.NeedsNodes()
	}
	p.nodes.want(p.known.selected)
}

// followPolicies follows NetworkPolicies.
func (p *Part) followPolicies(ctx context.Context, c clients) {
	policies := newSink(p, p.policyOf,
		func(n rules.Policy) bool { p.world.Policies[n.Key] = n; p.need(); return true },
		func(k rules.Key) { delete(p.world.Policies, k); p.need() },
		func() { p.known.policies = true })
	kubewatch.Kind{Client: c.networking, Resource: "networkpolicies", Example: &networkingv1.NetworkPolicy{}, Sink: policies}.Follow(ctx, p.log)
	p.change(func() bool {
		p.known.policies = false
		clear(p.world.Policies)
		p.need()
		return true
	})
}

// followClusterPolicies follows ClusterNetworkPolicies.
func (p *Part) followClusterPolicies(ctx context.Context, c clients) {
	policies := newSink(p, p.clusterPolicyOf,
		func(n rules.ClusterPolicy) bool { p.world.ClusterPolicies[n.Name] = n; p.need(); return true },
		func(k rules.Key) { delete(p.world.ClusterPolicies, k.Name); p.need() },
		func() { p.known.cluster = true })
	kubewatch.Kind{Client: c.policy, Resource: "clusternetworkpolicies", Example: &policyv1beta1.ClusterNetworkPolicy{}, Sink: policies}.Follow(ctx, p.log)
	p.change(func() bool {
		p.known.cluster = false
		clear(p.world.ClusterPolicies)
		p.need()
		return true
	})
}

// followNodes follows the nodes that ClusterNetworkPolicies select.
func (p *Part) followNodes(ctx context.Context, c clients) {
	nodes := newSink(p, func(o *corev1.Node) namedNode { return namedNode{o.Name, rules.NodeOf(o)} },
		func(n namedNode) bool {
			old, ok := p.world.Nodes[n.name]
			p.world.Nodes[n.name] = n.Node
			return !ok || !old.Equal(n.Node) // kubelets report every few seconds
		},
		func(k rules.Key) { delete(p.world.Nodes, k.Name) }, func() { p.known.nodes = true })
	kubewatch.Kind{Client: c.core, Resource: "nodes", Example: &corev1.Node{}, Sink: nodes}.Follow(ctx, p.log)
	p.change(func() bool {
		p.known.nodes = false
		clear(p.world.Nodes)
		return true
	})
}

// namedNode is a node with its name.
type namedNode struct {
	name string
	rules.Node
}

// followPods follows what policies judge: pods, namespaces, and the Service of cluster DNS, whose address is that of no pod.
func (p *Part) followPods(ctx context.Context, c clients) {
	pods := newSink(p, rules.PodOf,
		func(n rules.Pod) bool {
			old, ok := p.world.Pods[n.Key]
			p.world.Pods[n.Key] = n
			return !ok || !old.Equal(n) // most changes of pods are of their status
		},
		func(k rules.Key) { delete(p.world.Pods, k) }, func() { p.known.pods = true })
	namespaces := newSink(p, func(o *corev1.Namespace) named { return named{o.Name, o.Labels} },
		func(n named) bool { p.world.Namespaces[n.name] = n.labels; return true },
		func(k rules.Key) { delete(p.world.Namespaces, k.Name) }, func() { p.known.namespaces = true })
	dns := newSink(p, serviceAddress,
		func(a netip.Addr) bool { p.world.DNS.Service = a; return true }, func(rules.Key) { p.world.DNS.Service = netip.Addr{} },
		func() { p.known.dns = true })
	var following sync.WaitGroup
	for _, k := range []kubewatch.Kind{
		{Client: c.core, Resource: "pods", Example: &corev1.Pod{}, Sink: pods},
		{Client: c.core, Resource: "namespaces", Example: &corev1.Namespace{}, Sink: namespaces},
		{
			Client: c.core, Resource: "services", Namespace: metav1.NamespaceSystem, Example: &corev1.Service{}, Sink: dns,
			FieldSelector: fields.OneTermEqualSelector("metadata.name", dnsService).String(),
		},
	} {
		following.Go(func() { k.Follow(ctx, p.log) })
	}
	following.Wait()
	p.change(func() bool {
		p.known.pods, p.known.namespaces, p.known.dns = false, false, false
		clear(p.world.Pods)
		clear(p.world.Namespaces)
		p.world.DNS.Service = netip.Addr{}
		return true
	})
}

// named is a namespace with its labels.
type named struct {
	name   string
	labels labels.Set
}

func (p *Part) policyOf(o *networkingv1.NetworkPolicy) rules.Policy {
	policy, err := rules.PolicyOf(o)
	if err != nil {
		p.log.Warn("a part of a NetworkPolicy is not understood, and allows nothing", "cause", err)
	}
	return policy
}

func (p *Part) clusterPolicyOf(o *policyv1beta1.ClusterNetworkPolicy) rules.ClusterPolicy {
	policy, err := rules.ClusterPolicyOf(o)
	if err != nil {
		p.log.Warn("a part of a ClusterNetworkPolicy is not understood, and allows nothing", "cause", err)
	}
	return policy
}

// serviceAddress is the one of cluster DNS; not valid if the Service is not that of the addon.
func serviceAddress(o *corev1.Service) netip.Addr {
	if o.Labels[addonLabel] != cluster.DNSAddon {
		return netip.Addr{}
	}
	a, _ := netip.ParseAddr(o.Spec.ClusterIP)
	return a
}

// newSink returns a sink that changes what p knows; set reports whether that is news, and done is called after each list.
func newSink[O metav1.Object, T any](p *Part, convert func(O) T, set func(T) (news bool), remove func(rules.Key), done func()) *kubewatch.Sink[T] {
	return kubewatch.NewSink(convert, kubewatch.Target[T]{
		Set: func(v T) { p.change(func() bool { return set(v) }) },
		Delete: func(namespace, name string) {
			p.change(func() bool { remove(rules.Key{Namespace: namespace, Name: name}); return true })
		},
		Batch: func(f func()) { f(); p.change(func() bool { done(); return true }) },
	})
}
