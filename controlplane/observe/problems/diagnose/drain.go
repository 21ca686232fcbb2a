package diagnose

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bonsai/bootstrap/cluster"
)

// drainGrace is how long a budget may allow nothing: the replacement of a pod that was evicted is starting.
const drainGrace = 30 * time.Second

// budgets looks for PodDisruptionBudgets that keep a cordoned node from being drained, and for those that never allow
// an eviction.
func (d *diagnosis) budgets() {
	if len(d.Budgets) == 0 {
		return
	}
	leaving := d.leaving()
	over := map[*corev1.Pod][]string{} // the budgets of each pod that has to leave
	for _, b := range d.Budgets {
		selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
		if err != nil || b.DeletionTimestamp != nil {
			continue
		}
		var kept []*corev1.Pod
		for _, p := range leaving {
			if p.Namespace == b.Namespace && selector.Matches(labels.Set(p.Labels)) {
				kept = append(kept, p)
				over[p] = append(over[p], b.Name)
			}
		}
		d.budget(b, selector, kept)
	}
	for _, p := range leaving {
		names := over[p]
		if len(names) < 2 {
			continue
		}
		slices.Sort(names)
		// pkg/registry/core/pod/storage/eviction.go
		d.add(finding{of: d.ownerOf(p), pod: p, key: "budgets", Problem: cluster.Problem{
			Kind: cluster.ProblemDrain, Severity: cluster.SeverityWarning, Since: p.CreationTimestamp.Time,
			Summary: "cannot be evicted from node " + p.Spec.NodeName + ", because several budgets select it",
			Cause:   "PodDisruptionBudgets " + listed(names) + " select the pod; the API server evicts only pods with one",
			Advice:  advise("let only one of them select it", cluster.Kubectl("edit", "pdb").On(names[1]).In(p.Namespace).Change()),
		}})
	}
}

// leaving are the pods that have to be evicted for cordoned nodes to be empty, in the order of their names.
func (d *diagnosis) leaving() (list []*corev1.Pod) {
	if !slices.ContainsFunc(d.Nodes, func(n *corev1.Node) bool { return n.Spec.Unschedulable }) {
		return nil
	}
	for _, p := range d.Pods {
		n := d.nodes[p.Spec.NodeName]
		if n == nil || !n.Spec.Unschedulable || p.DeletionTimestamp != nil || ended(p) {
			continue
		}
		owner := metav1.GetControllerOf(p)
		if owner == nil || owner.Kind != "DaemonSet" && owner.Kind != "Node" { // those that a drain leaves in place
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b *corev1.Pod) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// budget examines one that may keep pods on cordoned nodes.
func (d *diagnosis) budget(b *policyv1.PodDisruptionBudget, selector labels.Selector, kept []*corev1.Pod) {
	s := b.Status
	if s.DisruptionsAllowed > 0 || s.ExpectedPods == 0 || s.ObservedGeneration < b.Generation {
		return
	}
	since := b.CreationTimestamp.Time
	for _, c := range b.Status.Conditions {
		if c.Type == policyv1.DisruptionAllowedCondition {
			since = c.LastTransitionTime.Time
		}
	}
	never := s.DesiredHealthy >= s.ExpectedPods
	if len(kept) == 0 && !never || !d.over(d.sinceBegun(since), drainGrace) {
		return
	}
	f := finding{of: owner{"poddisruptionbudget", b.Namespace, b.Name}, key: "drain", Problem: cluster.Problem{
		Kind: cluster.ProblemDrain, Severity: cluster.SeverityWarning, Since: since, Summary: "the budget never allows an eviction, so nodes with its pods cannot be drained",
	}}
	edit := cluster.Kubectl("edit", "pdb").On(b.Name).In(b.Namespace).Change()
	if len(kept) == 0 {
		f.Severity = cluster.SeverityInfo // it is in nobody's way yet
	} else {
		var nodes []string
		for _, p := range kept {
			if f.Pods = append(f.Pods, podName(p)); !slices.Contains(nodes, p.Spec.NodeName) {
				nodes = append(nodes, p.Spec.NodeName)
			}
		}
		f.Summary = "the budget keeps " + count(len(kept), "pod") + " on " + listed(nodes) + ", which cannot be drained"
		f.Pods = f.Pods[:min(len(f.Pods), maxPods)]
	}
	if never {
		f.Cause = fmt.Sprintf("it wants %d of %s to be available, so none may be evicted", s.DesiredHealthy, count(int(s.ExpectedPods), "pod"))
		if c, ok := d.oneMore(b, selector); ok {
			f.Advice = append(f.Advice, cluster.Advise("run one more", c))
		}
		f.Advice = append(f.Advice, cluster.Advise("let the budget allow one to be unavailable", edit))
	} else {
		f.Cause = fmt.Sprintf("it wants %d of %s to be available, and %d %s", s.DesiredHealthy, count(int(s.ExpectedPods), "pod"), s.CurrentHealthy, is(int(s.CurrentHealthy)))
		f.Advice = advise("get its other pods ready; see them", cluster.Kubectl("get", "pods").In(b.Namespace).With("-o", "wide", "-l", selector.String()))
		if selector.Empty() {
			f.Advice = advise("get its other pods ready; see them", cluster.Kubectl("get", "pods").In(b.Namespace).With("-o", "wide"))
		}
		unhealthy := slices.ContainsFunc(kept, func(p *corev1.Pod) bool {
			c := podCondition(p, corev1.PodReady)
			return c == nil || c.Status != corev1.ConditionTrue
		})
		if unhealthy && (b.Spec.UnhealthyPodEvictionPolicy == nil || *b.Spec.UnhealthyPodEvictionPolicy != policyv1.AlwaysAllow) {
			f.Advice = append(f.Advice, cluster.Advise("or let pods that are not ready be evicted", cluster.Kubectl("patch", "pdb").On(b.Name).In(b.Namespace).
				With("--type", "merge", "-p", `{"spec":{"unhealthyPodEvictionPolicy":"AlwaysAllow"}}`).Change()))
		}
	}
	if len(kept) > 0 {
		f.Advice = append(f.Advice, cluster.Advise("or drain the node in spite of it", cluster.Kubectl("drain").On(kept[0].Spec.NodeName).
			With("--disable-eviction", "--ignore-daemonsets", "--delete-emptydir-data").Change()))
	}
	d.add(f)
}

func is(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// oneMore adds a pod, if that makes room in a budget: its minimum is a number, and one controller makes all its pods.
func (d *diagnosis) oneMore(b *policyv1.PodDisruptionBudget, selector labels.Selector) (c cluster.Command, ok bool) {
	if b.Spec.MinAvailable == nil || b.Spec.MinAvailable.Type != intstr.Int {
		return c, false
	}
	var of owner
	for _, p := range d.Pods {
		if p.Namespace != b.Namespace || ended(p) || !selector.Matches(labels.Set(p.Labels)) {
			continue
		}
		o := d.ownerOf(p)
		if of != (owner{}) && of != o {
			return c, false
		}
		of = o
	}
	switch of.kind {
	case "deployment", "statefulset", "replicaset":
		return cluster.Kubectl("scale").On(of.kind+"/"+of.name).In(of.namespace).
			With("--replicas", strconv.Itoa(int(b.Spec.MinAvailable.IntVal)+1)).Change(), true
	}
	return c, false
}
