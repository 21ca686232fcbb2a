package problems

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	registrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"bonsai/controlplane/observe/objects"
)

// followed are the objects that a diagnosis reads.
type followed struct {
	spaces   *objects.Following[*corev1.Namespace]
	pods     *objects.Following[*corev1.Pod]
	nodes    *objects.Following[*corev1.Node]
	events   *objects.Following[*corev1.Event]
	claims   *objects.Following[*corev1.PersistentVolumeClaim]
	volumes  *objects.Following[*corev1.PersistentVolume]
	classes  *objects.Following[*storagev1.StorageClass]
	services *objects.Following[*corev1.Service]
	deployed *objects.Following[*appsv1.Deployment]
	replicas *objects.Following[*appsv1.ReplicaSet]
	stateful *objects.Following[*appsv1.StatefulSet]
	daemons  *objects.Following[*appsv1.DaemonSet]
	jobs     *objects.Following[*batchv1.Job]
	crons    *objects.Following[*batchv1.CronJob]
	scalers  *objects.Following[*autoscalingv2.HorizontalPodAutoscaler]
	ingress  *objects.Following[*networkingv1.Ingress]
	policies *objects.Following[*networkingv1.NetworkPolicy]
	budgets  *objects.Following[*policyv1.PodDisruptionBudget]
	validate *objects.Following[*admissionv1.ValidatingWebhookConfiguration]
	mutate   *objects.Following[*admissionv1.MutatingWebhookConfiguration]
	apis     *objects.Following[*registrationv1.APIService]
	defined  *objects.Following[*metav1.PartialObjectMetadata]
}

// followAll starts following everything; each change makes a diagnosis due.
func (r *run) followAll() followed {
	return followed{
		spaces: follow[*corev1.Namespace](r), pods: follow[*corev1.Pod](r), nodes: follow[*corev1.Node](r), events: follow[*corev1.Event](r),
		claims: follow[*corev1.PersistentVolumeClaim](r), volumes: follow[*corev1.PersistentVolume](r),
		classes: follow[*storagev1.StorageClass](r), services: follow[*corev1.Service](r), deployed: follow[*appsv1.Deployment](r),
		replicas: follow[*appsv1.ReplicaSet](r), stateful: follow[*appsv1.StatefulSet](r), daemons: follow[*appsv1.DaemonSet](r),
		jobs: follow[*batchv1.Job](r), crons: follow[*batchv1.CronJob](r), scalers: follow[*autoscalingv2.HorizontalPodAutoscaler](r),
		ingress: follow[*networkingv1.Ingress](r), policies: follow[*networkingv1.NetworkPolicy](r),
		budgets:  follow[*policyv1.PodDisruptionBudget](r),
		validate: follow[*admissionv1.ValidatingWebhookConfiguration](r), mutate: follow[*admissionv1.MutatingWebhookConfiguration](r),
		apis: follow[*registrationv1.APIService](r), defined: follow[*metav1.PartialObjectMetadata](r),
	}
}

func follow[T objects.Object](r *run) *objects.Following[T] {
	return objects.Follow(r.Objects, func(T, bool) { r.poke() })
}

// kind is what followed objects of any kind have in common.
type kind interface {
	Synced() cache.DoneChecker
	Stop()
}

func (f followed) kinds() []kind {
	return []kind{
		f.spaces, f.pods, f.nodes, f.events, f.claims, f.volumes, f.classes, f.services, f.deployed, f.replicas, f.stateful, f.daemons, f.jobs,
		f.crons, f.scalers, f.ingress, f.policies, f.budgets, f.validate, f.mutate, f.apis, f.defined,
	}
}

// synced are done when everything is known.
func (f followed) synced() (all []cache.DoneChecker) {
	for _, k := range f.kinds() {
		all = append(all, k.Synced())
	}
	return all
}

func (f followed) stop() {
	for _, k := range f.kinds() {
		k.Stop()
	}
}
