// Package networkpolicy is the addon that enforces NetworkPolicies and ClusterNetworkPolicies. The agents of the nodes do it, in the
// kernel; this package enables them by a ConfigMap, whose existence they follow, and observes how they are. It installs the definition of
// ClusterNetworkPolicies, and says in the ConfigMap whether there are any.
package networkpolicy

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
	"bonsai/controlplane/addons"
)

// Name is the addon's.
const Name = cluster.NetworkPolicyAddon

const (
	// eagerPause is the pause between two attempts to reach an agent for eagerTime, which is longer than one takes to restart;
	// patientPause is used from then on.
	eagerPause   = 50 * time.Millisecond
	eagerTime    = 15 * time.Second
	patientPause = time.Second
	// grace is how long an agent may be away before its node counts as unknown: the rules stay in the kernel meanwhile.
	grace = 3 * time.Second
)

// Addon is the addon of one cluster. Create it with New.
type Addon struct {
	mu sync.Mutex // guards the rest
	// nodes is what is known of each node; nil while the addon does not run.
	nodes map[string]health
	// worked says that all nodes enforced once since it runs.
	worked bool
	// enforcing is closed when all nodes have enforced policies for the first time since it runs.
	enforcing chan struct{}
	// defined says that ClusterNetworkPolicies have been served since it runs; undefined is why they are not.
	defined   bool
	undefined error
}

// health is what a node reported last.
type health struct {
	phase  cluster.Phase
	reason string
}

var (
	_ addons.Addon      = (*Addon)(nil)
	_ addons.Runner     = (*Addon)(nil)
	_ addons.NodePart   = (*Addon)(nil)
	_ addons.NodePhases = (*Addon)(nil)
)

// New returns the addon.
func New() *Addon { return &Addon{enforcing: make(chan struct{})} }

// Describe implements addons.Addon.
func (*Addon) Describe() cluster.AddonDescription {
	return cluster.AddonDescription{
		Name: Name, Version: "1.0", Maintainer: "bonsai", Description: "NetworkPolicies, enforced on every node",
		Docs: "docs/network-policy.md", Delivery: cluster.DeliveryBuiltin, Offline: true, Default: true,
	}
}

// NodeRules implements addons.NodePart. Agents read what policies select, and whether the addon is enabled.
func (*Addon) NodeRules() addons.NodeRules {
	watch := []string{"get", "list", "watch"}
	return addons.NodeRules{
		Cluster: []rbacv1.PolicyRule{
			{APIGroups: []string{"networking.k8s.io"}, Resources: []string{"networkpolicies"}, Verbs: watch},
			{APIGroups: []string{clusterPolicies.Group}, Resources: []string{clusterPolicies.Resource}, Verbs: watch},
			{APIGroups: []string{""}, Resources: []string{"services", "namespaces", "pods", "nodes"}, Verbs: watch},
		},
		System: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{cluster.NetworkPolicyMap}, Verbs: watch},
		},
	}
}

// Objects implements addons.Addon.
func (*Addon) Objects(addons.Cluster) []runtime.Object {
	return []runtime.Object{&corev1.ConfigMap{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: metav1.NamespaceSystem, Name: cluster.NetworkPolicyMap,
			Annotations: map[string]string{"kubernetes.io/description": "While this exists, every node enforces NetworkPolicies: bonsai addons status " + Name},
		},
	}}
}

// Health implements addons.Addon, from what the nodes have reported to Run.
func (a *Addon) Health(_ context.Context, c addons.Cluster) (cluster.AddonState, string, []cluster.Advice) {
	spec := c.Spec()
	a.mu.Lock()
	defer a.mu.Unlock()
	nodes := spec.ActiveNodes()
	var open []string
	for _, n := range nodes {
		if a.nodes[n.Name].phase != cluster.PhaseRunning {
			open = append(open, n.Name)
		}
	}
	if len(open) == 0 {
		a.enforced()
		switch {
		case a.undefined != nil:
			return cluster.AddonDegraded, "NetworkPolicies are enforced, ClusterNetworkPolicies are not: " + a.undefined.Error(), []cluster.Advice{
				cluster.Advise("see the definition that there is", cluster.Kubectl("get", "customresourcedefinition").On(clusterPolicies.GroupResource().String())),
			}
		case a.nodes != nil && !a.defined:
			return cluster.AddonInstalling, "the definition of ClusterNetworkPolicies is being installed", nil
		}
		a.worked = a.nodes != nil
		return cluster.AddonRunning, "", nil
	}
	slices.Sort(open)
	first := a.nodes[open[0]]
	failed := first.phase == cluster.PhaseFailed
	reason := first.reason
	switch {
	case reason != "":
	case first.phase == cluster.PhaseUnknown:
		reason = "its agent does not answer; the rules of before stay in force"
	default:
		reason = "it has not applied the policies yet"
	}
	reason = fmt.Sprintf("%d of %d nodes enforce policies; %s: %s", len(nodes)-len(open), len(nodes), open[0], reason)
	if !a.worked && !failed {
		return cluster.AddonInstalling, reason, nil
	}
	return cluster.AddonDegraded, reason, []cluster.Advice{
		cluster.Advise("see why", cluster.Bonsai("logs").On("bonsai-agent").With("--node", open[0])),
		cluster.Advise("repair what is missing", cluster.Bonsai("start").Change()),
	}
}

// enforced lets what waits for the nodes go on; a.mu is held.
func (a *Addon) enforced() {
	select {
	case <-a.enforcing:
	default:
		if a.nodes != nil {
			close(a.enforcing)
		}
	}
}

// Nodes implements addons.NodePhases.
func (a *Addon) Nodes() map[string]cluster.Phase {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.nodes == nil {
		return nil
	}
	phases := make(map[string]cluster.Phase, len(a.nodes))
	for name, h := range a.nodes {
		phases[name] = h.phase
	}
	return phases
}

// Run implements addons.Runner: it follows the agent of every node.
func (a *Addon) Run(ctx context.Context, c addons.Cluster) error {
	var followers sync.WaitGroup
	following := map[string]followed{}
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		followers.Wait()
		a.mu.Lock()
		a.nodes, a.worked = nil, false
		a.mu.Unlock()
	}()
	a.mu.Lock()
	enforcing := make(chan struct{})
	a.nodes, a.enforcing, a.defined, a.undefined = map[string]health{}, enforcing, false, nil
	a.mu.Unlock()
	followers.Go(func() { a.followCluster(ctx, c, enforcing) })
	for {
		changed := c.Changed()
		spec := c.Spec()
		planned := spec.ActiveNodes()
		for name, f := range following {
			if !slices.ContainsFunc(planned, f.node.Same) {
				f.stop()
				delete(following, name)
				a.forget(name)
			}
		}
		for _, n := range planned {
			if _, ok := following[n.Name]; ok {
				continue
			}
			ctx, stop := context.WithCancel(ctx)
			following[n.Name] = followed{n, stop}
			followers.Go(func() { a.follow(ctx, c, n) })
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		}
	}
}

// followed is a node whose agent is followed until stop is called.
type followed struct {
	node cluster.Node
	stop context.CancelFunc
}

// follow follows one agent with a request whose answer continues for as long as the agent lives.
func (a *Addon) follow(ctx context.Context, c addons.Cluster, n cluster.Node) {
	heard := time.Now()
	for ctx.Err() == nil {
		err := c.Agents.NetworkPolicyHealth(ctx, n, func(phase cluster.Phase, reason string) {
			heard = time.Now()
			a.note(ctx, c, n.Name, health{phase: phase, reason: reason})
		})
		if ctx.Err() != nil {
			return
		}
		c.Log.Debug("a node's enforcement of NetworkPolicies cannot be followed", "node", n.Name, "err", err)
		pause := eagerPause
		if away := time.Since(heard); away > c.Scale.Of(grace) {
			a.note(ctx, c, n.Name, health{phase: cluster.PhaseUnknown})
			if away > c.Scale.Of(eagerTime) {
				pause = patientPause
			}
		}
		_ = wait.Pause(ctx, pause) // the loop looks at ctx
	}
}

// note stores what is known of a node, unless it is no longer followed.
func (a *Addon) note(ctx context.Context, c addons.Cluster, node string, h health) {
	a.mu.Lock()
	news := ctx.Err() == nil && a.nodes != nil && a.nodes[node] != h
	if news {
		a.nodes[node] = h
	}
	a.mu.Unlock()
	if news {
		c.Notify()
	}
}

func (a *Addon) forget(node string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.nodes, node)
}
