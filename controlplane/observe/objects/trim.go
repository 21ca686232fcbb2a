package objects

import (
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	registrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// maxMessage is how much of an Event's message is kept.
const maxMessage = 2 << 10

// RevisionAnnotation has the number of a ReplicaSet in its Deployment's history (pkg/controller/deployment/util).
const RevisionAnnotation = "deployment.kubernetes.io/revision"

// revision keeps that number of a ReplicaSet's annotations.
func revision(annotations map[string]string) map[string]string {
	if r, ok := annotations[RevisionAnnotation]; ok {
		return map[string]string{RevisionAnnotation: r}
	}
	return nil
}

// trim drops what no package below observe reads: most of an object's memory. Objects have just been decoded and are
// not shared yet.
func trim(object any) (any, error) {
	if m, ok := object.(metav1.Object); ok {
		m.SetManagedFields(nil)
	}
	switch o := object.(type) {
	case *corev1.Pod:
		o.Annotations = nil
		for _, list := range [][]corev1.Container{o.Spec.InitContainers, o.Spec.Containers} {
			for i := range list {
				c := &list[i]
				c.Command, c.Args, c.Env, c.EnvFrom, c.VolumeMounts, c.VolumeDevices, c.Lifecycle = nil, nil, nil, nil, nil, nil, nil
			}
		}
		for i := range o.Spec.EphemeralContainers {
			c := &o.Spec.EphemeralContainers[i]
			c.Command, c.Args, c.Env, c.EnvFrom, c.VolumeMounts, c.VolumeDevices = nil, nil, nil, nil, nil, nil
		}
	case *corev1.Node:
		o.Annotations, o.Status.Images, o.Status.VolumesInUse, o.Status.VolumesAttached = nil, nil, nil, nil
	case *corev1.Namespace:
		o.Annotations, o.Labels = nil, nil
	case *corev1.Event:
		o.Annotations, o.Labels = nil, nil
		// What client-go's EventAggregator puts before the newest of many similar messages.
		o.Message = strings.TrimPrefix(o.Message, "(combined from similar events): ")
		if len(o.Message) > maxMessage {
			o.Message = o.Message[:maxMessage]
		}
	case *corev1.Service:
		o.Annotations, o.Labels = nil, nil
		o.Spec = corev1.ServiceSpec{
			Type: o.Spec.Type, Selector: o.Spec.Selector, Ports: o.Spec.Ports, PublishNotReadyAddresses: o.Spec.PublishNotReadyAddresses,
			LoadBalancerClass: o.Spec.LoadBalancerClass, ClusterIP: o.Spec.ClusterIP, ExternalName: o.Spec.ExternalName,
		}
		o.Status.Conditions = nil
	case *admissionv1.ValidatingWebhookConfiguration:
		o.Annotations = nil
		for i := range o.Webhooks {
			w := &o.Webhooks[i]
			w.ClientConfig.CABundle, w.Rules, w.NamespaceSelector, w.ObjectSelector, w.MatchConditions = nil, nil, nil, nil, nil
		}
	case *admissionv1.MutatingWebhookConfiguration:
		o.Annotations = nil
		for i := range o.Webhooks {
			w := &o.Webhooks[i]
			w.ClientConfig.CABundle, w.Rules, w.NamespaceSelector, w.ObjectSelector, w.MatchConditions = nil, nil, nil, nil, nil
		}
	case *corev1.PersistentVolume:
		o.Annotations, o.Labels = nil, nil
	case *registrationv1.APIService:
		o.Annotations, o.Labels, o.Spec.CABundle = nil, nil, nil
	case *metav1.PartialObjectMetadata:
		o.Annotations, o.Labels = nil, nil
	case *policyv1.PodDisruptionBudget:
		o.Annotations, o.Labels, o.Status.DisruptedPods = nil, nil, nil
	case *appsv1.Deployment:
		o.Annotations, o.Spec.Template = nil, corev1.PodTemplateSpec{}
	case *appsv1.ReplicaSet:
		o.Annotations, o.Spec.Template = revision(o.Annotations), labelsOf(o.Spec.Template)
	case *appsv1.StatefulSet:
		o.Annotations, o.Spec.Template, o.Spec.VolumeClaimTemplates = nil, labelsOf(o.Spec.Template), nil
	case *appsv1.DaemonSet:
		o.Annotations, o.Spec.Template = nil, labelsOf(o.Spec.Template)
	case *batchv1.Job:
		o.Annotations, o.Spec.Template = nil, labelsOf(o.Spec.Template)
	case *batchv1.CronJob:
		o.Annotations, o.Labels, o.Spec.JobTemplate = nil, nil, batchv1.JobTemplateSpec{}
	case *autoscalingv2.HorizontalPodAutoscaler:
		o.Annotations, o.Labels = nil, nil
		o.Spec.Metrics, o.Spec.Behavior, o.Status.CurrentMetrics = nil, nil, nil
	case *networkingv1.Ingress:
		o.Labels = nil
	case *networkingv1.NetworkPolicy:
		o.Annotations, o.Labels, o.Spec = nil, nil, networkingv1.NetworkPolicySpec{}
	}
	return object, nil
}

// labelsOf is a template with its labels only, which say whether a Service would select its pods.
func labelsOf(t corev1.PodTemplateSpec) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: t.Labels}}
}
