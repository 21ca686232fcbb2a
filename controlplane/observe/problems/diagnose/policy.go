package diagnose

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"bonsai/bootstrap/cluster"
)

// enforcers are parts of the image names of what is known to enforce NetworkPolicies without being the pod network itself.
var enforcers = []string{
	"kube-network-policies", "calico", "cilium", "antrea", "kube-router", "weave-npc", "kube-ovn", "ovn-kube", "canal",
}

// policies reports NetworkPolicies that are accepted and change nothing, because the addon that enforces them is disabled.
func (d *diagnosis) policies() {
	if len(d.Policies) == 0 || d.Enforced || d.enforced() {
		return
	}
	spaces := map[string][]*networkingv1.NetworkPolicy{}
	for _, p := range d.Policies {
		if p.DeletionTimestamp == nil {
			spaces[p.Namespace] = append(spaces[p.Namespace], p)
		}
	}
	for _, namespace := range slices.Sorted(maps.Keys(spaces)) {
		f := finding{of: owner{kind: "namespace", name: namespace}, Problem: cluster.Problem{
			Kind: cluster.ProblemPolicy, Severity: cluster.SeverityInfo,
			Cause:  "the addon " + cluster.NetworkPolicyAddon + " is disabled: policies are stored, and all traffic passes",
			Advice: advise("", cluster.Bonsai("addons", "enable").On(cluster.NetworkPolicyAddon).Cure()),
		}}
		var names []string
		for _, p := range spaces[namespace] {
			names = append(names, p.Name)
			if f.Since.IsZero() || p.CreationTimestamp.Time.Before(f.Since) {
				f.Since = p.CreationTimestamp.Time
			}
		}
		slices.Sort(names)
		f.Summary = "its NetworkPolicies are not enforced here: " + listed(names)
		if d.ending[namespace] {
			continue
		}
		d.add(f)
	}
}

// enforced reports whether something that users installed enforces policies.
func (d *diagnosis) enforced() bool {
	return slices.ContainsFunc(d.Pods, func(p *corev1.Pod) bool {
		return p.Status.Phase == corev1.PodRunning && slices.ContainsFunc(p.Spec.Containers, func(c corev1.Container) bool {
			return slices.ContainsFunc(enforcers, func(e string) bool { return strings.Contains(c.Image, e) })
		})
	})
}
