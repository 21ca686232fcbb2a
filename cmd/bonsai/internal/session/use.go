package session

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	resourcehelper "k8s.io/component-helpers/resource"

	"bonsai/bootstrap/kube"
)

// PodResources are what all pods request and may use, and what the nodes have. Pods that have ended hold nothing.
func (s *Session) PodResources(ctx context.Context) (kube.ClusterResources, error) {
	const op = "read what pods request"
	ctx, cancel := s.limit(ctx, callLimit, "an answer from the API server")
	defer cancel()
	c, err := s.api()
	if err != nil {
		return kube.ClusterResources{}, err
	}
	pods, err := c.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "status.phase!=Succeeded,status.phase!=Failed"})
	if err != nil {
		return kube.ClusterResources{}, s.explain(ctx, op, err)
	}
	nodes, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return kube.ClusterResources{}, s.explain(ctx, op, err)
	}
	var all kube.ClusterResources
	for i := range pods.Items {
		p := &pods.Items[i]
		all.Pods = append(all.Pods, kube.PodResources{
			UID: string(p.UID), Namespace: p.Namespace, Name: p.Name, Node: p.Spec.NodeName,
			Requests: amountOf(resourcehelper.PodRequests(p, resourcehelper.PodResourcesOptions{})),
			Limits:   amountOf(resourcehelper.PodLimits(p, resourcehelper.PodResourcesOptions{})),
		})
	}
	for i := range nodes.Items {
		all.Nodes = append(all.Nodes, kube.NodeResources{Name: nodes.Items[i].Name, Allocatable: amountOf(nodes.Items[i].Status.Allocatable)})
	}
	return all, nil
}

func amountOf(list corev1.ResourceList) kube.Amount {
	return kube.Amount{CPU: list.Cpu().AsApproximateFloat64(), Memory: uint64(max(0, list.Memory().Value()))}
}
