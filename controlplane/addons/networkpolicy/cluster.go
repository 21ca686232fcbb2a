package networkpolicy

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
	policyv1beta1 "sigs.k8s.io/network-policy-api/apis/v1beta1"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
	"bonsai/controlplane/addons"
)

const (
	// flagManager owns what is written into the ConfigMap, which would be taken back otherwise when its objects are applied again.
	flagManager = "bonsai-cluster-network-policies"
	// lookAgain is how often the ConfigMap is compared with what it should say, in case somebody has replaced it.
	lookAgain = 30 * time.Second
	// condition says in the status of a policy whether all of it is enforced, and reasonDomains why not.
	condition, reasonDomains = "bonsai.io/Enforced", "DomainNamesNotSupported"
)

// followCluster defines ClusterNetworkPolicies once the nodes have what they need, and follows whether there are any: agents do that only
// while the ConfigMap says so. It costs the control plane one watch, and nodes nothing.
func (a *Addon) followCluster(ctx context.Context, c addons.Cluster, enforcing <-chan struct{}) {
	select {
	case <-ctx.Done():
		return
	case <-enforcing: // so that it takes nothing away from a cluster that starts
	case <-time.After(c.Scale.Of(eagerTime)):
	}
	for pause := eagerPause; ctx.Err() == nil; pause = min(2*pause, lookAgain) {
		err := define(ctx, c)
		if ctx.Err() != nil {
			return
		}
		a.noteDefined(err)
		c.Notify()
		if err == nil {
			pause = eagerPause
			err = followPolicies(ctx, c)
		} else if err := tell(ctx, c, false); err != nil { // nodes must not wait for what they cannot read
			c.Log.Debug("the ConfigMap that nodes follow cannot be changed", "err", err)
		}
		if ctx.Err() == nil {
			c.Log.Warn("ClusterNetworkPolicies cannot be followed, trying again", "err", err, "pause", pause)
			_ = wait.Pause(ctx, pause)
		}
	}
}

func (a *Addon) noteDefined(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.defined, a.undefined = a.defined || err == nil, err
}

// followPolicies keeps the ConfigMap and the status of policies in line until ctx ends or the definition is gone.
func followPolicies(ctx context.Context, c addons.Cluster) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	informer := dynamicinformer.NewFilteredDynamicInformer(c.Dynamic, clusterPolicies, metav1.NamespaceAll, 0, cache.Indexers{}, nil).Informer()
	if err := informer.SetTransform(small); err != nil {
		return err
	}
	if err := informer.SetWatchErrorHandler(func(_ *cache.Reflector, err error) {
		if apierrors.IsNotFound(err) {
			cancel(fmt.Errorf("the definition is gone: %w", err))
		}
	}); err != nil {
		return err
	}
	touched := make(chan struct{}, 1)
	touch := func() {
		select {
		case touched <- struct{}{}:
		default:
		}
	}
	handle, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { touch() }, UpdateFunc: func(any, any) { touch() }, DeleteFunc: func(any) { touch() },
	})
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() { defer close(ended); informer.RunWithContext(ctx) }()
	defer func() { cancel(nil); <-ended }()
	if !cache.WaitForCacheSync(ctx.Done(), handle.HasSynced) {
		return context.Cause(ctx)
	}
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	var again <-chan time.Time
	for {
		list := informer.GetStore().List()
		err := tell(ctx, c, len(list) > 0)
		for _, o := range list {
			if p, ok := o.(*policy); ok && err == nil {
				err = p.report(ctx, c)
			}
		}
		if again = nil; err != nil && ctx.Err() == nil {
			c.Log.Debug("what is known of ClusterNetworkPolicies cannot be written, trying again", "err", err)
			again = time.After(patientPause)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-touched:
		case <-look.C:
		case <-again:
		}
	}
}

// tell writes into the ConfigMap that agents follow whether there are ClusterNetworkPolicies.
func tell(ctx context.Context, c addons.Cluster, some bool) error {
	maps := c.Client.CoreV1().ConfigMaps(metav1.NamespaceSystem)
	have, err := maps.Get(ctx, cluster.NetworkPolicyMap, metav1.GetOptions{ResourceVersion: "0"})
	if err != nil {
		return fmt.Errorf("read what nodes follow: %w", err)
	}
	if _, said := have.Data[cluster.ClusterPoliciesKey]; said == some {
		return nil
	}
	patch := fmt.Sprintf(`{"data":{%q:null}}`, cluster.ClusterPoliciesKey)
	if some {
		patch = fmt.Sprintf(`{"data":{%q:"true"}}`, cluster.ClusterPoliciesKey)
	}
	// A patch, because it creates nothing: with the ConfigMap the addon is disabled.
	if _, err = maps.Patch(ctx, cluster.NetworkPolicyMap, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: flagManager}); err != nil {
		return fmt.Errorf("write into the ConfigMap that nodes follow: %w", err)
	}
	return nil
}

// policy is what is kept of a ClusterNetworkPolicy.
type policy struct {
	metav1.ObjectMeta
	// unsupported are the rules with domain names.
	unsupported []string
	conditions  []metav1.Condition
}

// small keeps what is read here.
func small(from any) (any, error) {
	u, ok := from.(*unstructured.Unstructured)
	if !ok {
		return from, nil // converted before, or the end of an object
	}
	var o policyv1beta1.ClusterNetworkPolicy
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &o); err != nil {
		return nil, fmt.Errorf("read ClusterNetworkPolicy %s: %w", u.GetName(), err)
	}
	p := &policy{conditions: o.Status.Conditions}
	p.Name, p.UID, p.ResourceVersion, p.Generation = o.Name, o.UID, o.ResourceVersion, o.Generation
	for i, r := range o.Spec.Egress {
		if slices.ContainsFunc(r.To, func(to policyv1beta1.ClusterNetworkPolicyEgressPeer) bool { return len(to.DomainNames) > 0 }) {
			name := r.Name
			if name == "" {
				name = fmt.Sprintf("#%d", i+1)
			}
			p.unsupported = append(p.unsupported, name)
		}
	}
	return p, nil
}

// report writes into the status of a policy that a part of it is not enforced, or that this is over. Others have no condition: what is
// enforced needs no words.
func (p *policy) report(ctx context.Context, c addons.Cluster) error {
	want := metav1.Condition{
		Type: condition, Status: metav1.ConditionTrue, Reason: "Enforced", Message: "all rules are enforced", ObservedGeneration: p.Generation,
	}
	if len(p.unsupported) > 0 {
		want.Status, want.Reason = metav1.ConditionFalse, reasonDomains
		want.Message = "domainNames are not supported, and match nothing: rule " + strings.Join(p.unsupported, ", ")
	}
	i := slices.IndexFunc(p.conditions, func(c metav1.Condition) bool { return c.Type == condition })
	if i < 0 && len(p.unsupported) == 0 {
		return nil
	}
	if i >= 0 {
		have := p.conditions[i]
		if have.Status == want.Status && have.Reason == want.Reason && have.Message == want.Message && have.ObservedGeneration == want.ObservedGeneration {
			return nil
		}
		if want.LastTransitionTime = have.LastTransitionTime; have.Status != want.Status {
			want.LastTransitionTime = metav1.Now()
		}
	} else {
		want.LastTransitionTime = metav1.Now()
	}
	conditions := slices.DeleteFunc(slices.Clone(p.conditions), func(c metav1.Condition) bool { return c.Type == condition })
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": p.ResourceVersion}, "status": map[string]any{"conditions": append(conditions, want)},
	})
	if err != nil {
		return err
	}
	_, err = c.Dynamic.Resource(clusterPolicies).Patch(ctx, p.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: addons.FieldManager}, "status")
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // it has changed, and comes again
	}
	if err != nil {
		return fmt.Errorf("write the status of ClusterNetworkPolicy %s: %w", p.Name, err)
	}
	return nil
}
