package diagnose

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bonsai/bootstrap/cluster"
)

// budget keeps pods of the Deployment shop/cart; it has been in its state for an hour.
func budget(name string, status policyv1.PodDisruptionBudgetStatus) *policyv1.PodDisruptionBudget {
	status.Conditions = []metav1.Condition{{Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse, LastTransitionTime: ago(time.Hour)}}
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, CreationTimestamp: ago(2 * time.Hour)},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable: new(intstr.FromInt32(status.DesiredHealthy)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "cart"}},
		},
		Status: status,
	}
}

func TestDrains(t *testing.T) {
	never := policyv1.PodDisruptionBudgetStatus{ExpectedPods: 2, DesiredHealthy: 2, CurrentHealthy: 2}
	short := policyv1.PodDisruptionBudgetStatus{ExpectedPods: 3, DesiredHealthy: 2, CurrentHealthy: 2}
	const object = "poddisruptionbudget/shop/cart"
	cordoned := func(s *State) {
		for _, n := range s.Nodes {
			n.Spec.Unschedulable = n.Name == "dev-1"
		}
	}
	both := func(s *State) {
		s.Pods = []*corev1.Pod{pod("a"), pod("b", func(p *corev1.Pod) { p.Spec.NodeName = "dev-2" })}
	}
	for name, test := range map[string]struct {
		budget *policyv1.PodDisruptionBudget
		state  []func(*State)
		wants  []want
	}{
		"all are wanted, and a node is cordoned": {
			budget("cart", never), []func(*State){cordoned, both},
			[]want{{
				cluster.ProblemDrain, object, "the budget keeps 1 pod on dev-1, which cannot be drained", "it wants 2 of 2 pods to be available, so none may be evicted",
				"run one more:  bonsai kubectl -p dev -- scale deployment/cart -n shop --replicas 3\n" +
					"let the budget allow one to be unavailable:  bonsai kubectl -p dev -- edit pdb cart -n shop\n" +
					"or drain the node in spite of it:  bonsai kubectl -p dev -- drain dev-1 --disable-eviction --ignore-daemonsets --delete-emptydir-data",
			}},
		},
		"all are wanted": {
			budget("cart", never), []func(*State){both},
			[]want{{cluster.ProblemDrain, object, "the budget never allows an eviction, so nodes with its pods cannot be drained", "2 of 2", "scale deployment/cart"}},
		},
		"another pod is not ready": {
			budget("cart", short), []func(*State){cordoned, both},
			[]want{{cluster.ProblemDrain, object, "the budget keeps 1 pod on dev-1, which cannot be drained", "it wants 2 of 3 pods to be available, and 2 are", "get pods -n shop -o wide -l app=cart"}},
		},
		"no node is cordoned":        {budget: budget("cart", short), state: []func(*State){both}},
		"it allows one":              {budget: budget("cart", policyv1.PodDisruptionBudgetStatus{ExpectedPods: 2, DesiredHealthy: 1, CurrentHealthy: 2, DisruptionsAllowed: 1}), state: []func(*State){cordoned, both}},
		"a replacement is starting":  {budget: budget("cart", short), state: []func(*State){cordoned, both, func(s *State) { s.Budgets[0].Status.Conditions[0].LastTransitionTime = ago(time.Second) }}},
		"a DaemonSet stays":          {budget: budget("cart", short), state: []func(*State){cordoned, func(s *State) { p := pod("a"); p.OwnerReferences[0].Kind = "DaemonSet"; s.Pods = []*corev1.Pod{p} }}},
		"it is about nothing":        {budget: budget("cart", policyv1.PodDisruptionBudgetStatus{}), state: []func(*State){cordoned, both}},
		"its numbers are not up now": {budget: budget("cart", never), state: []func(*State){cordoned, both, func(s *State) { s.Budgets[0].Generation = 2 }}},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			s.Budgets = []*policyv1.PodDisruptionBudget{test.budget}
			for _, f := range test.state {
				f(&s)
			}
			check(t, s, test.wants...)
		})
	}
	t.Run("severity", func(t *testing.T) {
		s := world()
		s.Budgets = []*policyv1.PodDisruptionBudget{budget("cart", never)}
		both(&s)
		if got := Workloads(s).Problems[0].Severity; got != cluster.SeverityInfo {
			t.Errorf("a budget that is in nobody's way is of severity %s", got)
		}
		cordoned(&s)
		p := Workloads(s).Problems[0]
		if p.Severity != cluster.SeverityWarning || fmt.Sprint(p.Pods) != "[shop/cart-7d9f4-a]" {
			t.Errorf("got %+v", p)
		}
	})
	t.Run("pods that are not ready", func(t *testing.T) {
		s := world()
		s.Budgets = []*policyv1.PodDisruptionBudget{budget("cart", policyv1.PodDisruptionBudgetStatus{ExpectedPods: 3, DesiredHealthy: 2, CurrentHealthy: 1})}
		cordoned(&s)
		both(&s)
		check(t, s, want{cluster.ProblemDrain, object, "the budget keeps 1 pod on dev-1, which cannot be drained", "and 1 is", `{"spec":{"unhealthyPodEvictionPolicy":"AlwaysAllow"}}`})
	})
	t.Run("a percentage", func(t *testing.T) {
		s := world()
		b := budget("cart", never)
		b.Spec.MinAvailable = new(intstr.FromString("100%"))
		s.Budgets = []*policyv1.PodDisruptionBudget{b}
		both(&s)
		check(t, s, want{cluster.ProblemDrain, object, "the budget never allows an eviction, so nodes with its pods cannot be drained", "", "edit pdb cart"})
	})
	t.Run("two budgets", func(t *testing.T) {
		s := world()
		one := policyv1.PodDisruptionBudgetStatus{ExpectedPods: 2, DesiredHealthy: 1, CurrentHealthy: 2, DisruptionsAllowed: 1}
		s.Budgets = []*policyv1.PodDisruptionBudget{budget("one", one), budget("two", one)}
		cordoned(&s)
		both(&s)
		check(t, s, want{cluster.ProblemDrain, cart, "cannot be evicted from node dev-1, because several budgets select it", "one and two", "edit pdb two"})
	})
}
