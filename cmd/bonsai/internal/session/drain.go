package session

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/kubectl/pkg/drain"

	"bonsai/bootstrap/kube"
)

// drainHelper decides what a drain evicts, and evicts it.
func drainHelper(ctx context.Context, c *conn) *drain.Helper {
	return &drain.Helper{
		Ctx: ctx, Client: c.client, GracePeriodSeconds: -1, IgnoreAllDaemonSets: true, DeleteEmptyDirData: true, ChunkSize: pageSize,
	}
}

// DrainPlan is what a drain of a node would do, without doing it.
func (s *Session) DrainPlan(ctx context.Context, node string) (kube.DrainPlan, error) {
	op := "find out what runs on " + node
	ctx, cancel := s.limit(ctx, callLimit, "an answer from the API server")
	defer cancel()
	var p kube.DrainPlan
	c, err := s.api()
	if err != nil {
		return p, err
	}
	onNode := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("spec.nodeName", node).String()}
	pods, err := c.client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, onNode)
	if err != nil {
		return p, s.explain(ctx, op, err)
	}
	budgets, err := c.client.PolicyV1().PodDisruptionBudgets(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return p, s.explain(ctx, op, err)
	}
	budget := func(pod *corev1.Pod) string {
		for i := range budgets.Items {
			b := &budgets.Items[i]
			selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
			if err == nil && b.Namespace == pod.Namespace && b.Status.DisruptionsAllowed <= 0 && selector.Matches(labels.Set(pod.Labels)) {
				return b.Name
			}
		}
		return ""
	}
	list, errs := drainHelper(ctx, c).GetPodsForDeletion(node)
	if err := ctx.Err(); err != nil {
		return p, s.explain(ctx, op, err)
	}
	for _, err := range errs {
		p.Refused = append(p.Refused, err.Error())
	}
	goes := map[string]bool{}
	if list != nil {
		for _, pod := range list.Pods() {
			goes[pod.Namespace+"/"+pod.Name] = true
		}
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		one := kube.DrainedPod{Namespace: pod.Namespace, Name: pod.Name}
		if owner := metav1.GetControllerOf(pod); owner != nil {
			one.Owner = kube.Object{Kind: owner.Kind, Name: owner.Name}
		}
		if !goes[pod.Namespace+"/"+pod.Name] {
			p.Staying = append(p.Staying, one)
			continue
		}
		for _, v := range pod.Spec.Volumes {
			one.LocalData = one.LocalData || v.EmptyDir != nil
		}
		one.Budget = budget(pod)
		p.Evicted = append(p.Evicted, one)
	}
	return p, nil
}
