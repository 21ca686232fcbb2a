package session

import (
	"context"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"

	"bonsai/bootstrap/kube"
	"bonsai/cmd/bonsai/internal/relations"
)

// requestsAtOnce is how many requests a question makes of the API server at the same time.
const requestsAtOnce = 6

// Relations is what an object uses, and what uses it. Of Secrets only the names are read.
func (s *Session) Relations(ctx context.Context, ref kube.Ref) (kube.Relations, error) {
	op := "find out what " + name(ref) + " uses"
	limited, cancel := s.limit(ctx, callLimit, "an answer from the API server")
	defer cancel()
	c, err := s.api()
	if err != nil {
		return kube.Relations{}, err
	}
	meta, err := metadata.NewForConfigAndClient(metadata.ConfigFor(c.config), c.http)
	if err != nil {
		return kube.Relations{}, s.explain(limited, op, err)
	}
	ns, o := ref.Namespace, &relations.Objects{Namespace: ref.Namespace}
	group, ctx := errgroup.WithContext(limited)
	group.SetLimit(requestsAtOnce)
	core, apps, batch := c.client.CoreV1(), c.client.AppsV1(), c.client.BatchV1()
	gather(ctx, group, &o.Pods, core.Pods(ns).List, func(l *corev1.PodList) []corev1.Pod { return l.Items })
	gather(ctx, group, &o.Services, core.Services(ns).List, func(l *corev1.ServiceList) []corev1.Service { return l.Items })
	gather(ctx, group, &o.Claims, core.PersistentVolumeClaims(ns).List, func(l *corev1.PersistentVolumeClaimList) []corev1.PersistentVolumeClaim { return l.Items })
	gather(ctx, group, &o.ServiceAccounts, core.ServiceAccounts(ns).List, func(l *corev1.ServiceAccountList) []corev1.ServiceAccount { return l.Items })
	gather(ctx, group, &o.ReplicaSets, apps.ReplicaSets(ns).List, func(l *appsv1.ReplicaSetList) []appsv1.ReplicaSet { return l.Items })
	gather(ctx, group, &o.Deployments, apps.Deployments(ns).List, func(l *appsv1.DeploymentList) []appsv1.Deployment { return l.Items })
	gather(ctx, group, &o.StatefulSets, apps.StatefulSets(ns).List, func(l *appsv1.StatefulSetList) []appsv1.StatefulSet { return l.Items })
	gather(ctx, group, &o.DaemonSets, apps.DaemonSets(ns).List, func(l *appsv1.DaemonSetList) []appsv1.DaemonSet { return l.Items })
	gather(ctx, group, &o.Jobs, batch.Jobs(ns).List, func(l *batchv1.JobList) []batchv1.Job { return l.Items })
	gather(ctx, group, &o.CronJobs, batch.CronJobs(ns).List, func(l *batchv1.CronJobList) []batchv1.CronJob { return l.Items })
	gather(ctx, group, &o.EndpointSlices, c.client.DiscoveryV1().EndpointSlices(ns).List, func(l *discoveryv1.EndpointSliceList) []discoveryv1.EndpointSlice { return l.Items })
	gather(ctx, group, &o.Ingresses, c.client.NetworkingV1().Ingresses(ns).List, func(l *networkingv1.IngressList) []networkingv1.Ingress { return l.Items })
	gather(ctx, group, &o.Autoscalers, c.client.AutoscalingV2().HorizontalPodAutoscalers(ns).List, func(l *autoscalingv2.HorizontalPodAutoscalerList) []autoscalingv2.HorizontalPodAutoscaler {
		return l.Items
	})
	gather(ctx, group, &o.Budgets, c.client.PolicyV1().PodDisruptionBudgets(ns).List, func(l *policyv1.PodDisruptionBudgetList) []policyv1.PodDisruptionBudget { return l.Items })
	for resource, to := range map[string]*[]string{"secrets": &o.Secrets, "configmaps": &o.ConfigMaps} {
		of := meta.Resource(schema.GroupVersionResource{Version: "v1", Resource: resource}).Namespace(ns)
		gather(ctx, group, to, of.List, func(l *metav1.PartialObjectMetadataList) []string {
			names := make([]string, len(l.Items))
			for i := range l.Items {
				names[i] = l.Items[i].Name
			}
			return names
		})
	}
	if err := group.Wait(); err != nil {
		return kube.Relations{}, s.explain(limited, op, err)
	}
	return relations.Of(o, ref), nil
}

// gather reads a list, beside others.
func gather[L, T any](ctx context.Context, group *errgroup.Group, to *[]T, ask func(context.Context, metav1.ListOptions) (L, error), items func(L) []T) {
	group.Go(func() error {
		l, err := ask(ctx, metav1.ListOptions{})
		if err == nil {
			*to = items(l)
		}
		return err
	})
}
