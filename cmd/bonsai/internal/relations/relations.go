// Package relations finds out what uses what in a namespace: a Service its endpoints, these their pods, a workload the
// ConfigMaps, Secrets, claims and ServiceAccount of its template; and the other way around, who uses a Secret.
//
// It is pure: Objects is what was read, Of looks things up in it.
package relations

import (
	"cmp"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"bonsai/bootstrap/kube"
)

// Objects are those of one namespace. Of Secrets and ConfigMaps only the names are needed.
type Objects struct {
	Namespace       string
	Pods            []corev1.Pod
	ReplicaSets     []appsv1.ReplicaSet
	Deployments     []appsv1.Deployment
	StatefulSets    []appsv1.StatefulSet
	DaemonSets      []appsv1.DaemonSet
	Jobs            []batchv1.Job
	CronJobs        []batchv1.CronJob
	Services        []corev1.Service
	EndpointSlices  []discoveryv1.EndpointSlice
	Ingresses       []networkingv1.Ingress
	Claims          []corev1.PersistentVolumeClaim
	ServiceAccounts []corev1.ServiceAccount
	Autoscalers     []autoscalingv2.HorizontalPodAutoscaler
	Budgets         []policyv1.PodDisruptionBudget
	Secrets         []string
	ConfigMaps      []string
}

// The types of the objects.
var (
	podType         = kube.PodType()
	serviceType     = kube.ServiceType()
	sliceType       = kube.ResourceType{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices", Kind: "EndpointSlice", Namespaced: true}
	replicaSetType  = kube.ResourceType{Group: "apps", Version: "v1", Resource: "replicasets", Kind: "ReplicaSet", Namespaced: true}
	deploymentType  = kube.ResourceType{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment", Namespaced: true}
	statefulSetType = kube.ResourceType{Group: "apps", Version: "v1", Resource: "statefulsets", Kind: "StatefulSet", Namespaced: true}
	daemonSetType   = kube.ResourceType{Group: "apps", Version: "v1", Resource: "daemonsets", Kind: "DaemonSet", Namespaced: true}
	jobType         = kube.ResourceType{Group: "batch", Version: "v1", Resource: "jobs", Kind: "Job", Namespaced: true}
	cronJobType     = kube.ResourceType{Group: "batch", Version: "v1", Resource: "cronjobs", Kind: "CronJob", Namespaced: true}
	ingressType     = kube.ResourceType{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses", Kind: "Ingress", Namespaced: true}
	claimType       = kube.ResourceType{Version: "v1", Resource: "persistentvolumeclaims", Kind: "PersistentVolumeClaim", Namespaced: true}
	volumeType      = kube.ResourceType{Version: "v1", Resource: "persistentvolumes", Kind: "PersistentVolume"}
	accountType     = kube.ResourceType{Version: "v1", Resource: "serviceaccounts", Kind: "ServiceAccount", Namespaced: true}
	secretType      = kube.ResourceType{Version: "v1", Resource: "secrets", Kind: "Secret", Namespaced: true}
	configMapType   = kube.ResourceType{Version: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespaced: true}
	autoscalerType  = kube.ResourceType{Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers", Kind: "HorizontalPodAutoscaler", Namespaced: true}
	budgetType      = kube.ResourceType{Group: "policy", Version: "v1", Resource: "poddisruptionbudgets", Kind: "PodDisruptionBudget", Namespaced: true}
)

// Of is what an object uses, and what uses it. Of a type that nothing is known of it is the object alone.
func Of(o *Objects, ref kube.Ref) kube.Relations {
	r := finder{o}
	return kube.Relations{Uses: r.uses(ref), UsedBy: r.usedBy(ref)}
}

type finder struct{ o *Objects }

// ref of an object of the namespace.
func (r finder) ref(t kube.ResourceType, name, uid string) kube.Ref {
	ref := kube.Ref{Type: t, Name: name, UID: uid}
	if t.Namespaced {
		ref.Namespace = r.o.Namespace
	}
	return ref
}

// find is the object of a list with that name; nil if there is none.
func find[T any, P interface {
	*T
	metav1.Object
}](list []T, name string) P {
	for i := range list {
		if o := P(&list[i]); o.GetName() == name {
			return o
		}
	}
	return nil
}

// uses is an object with what it uses below it.
func (r finder) uses(ref kube.Ref) kube.Relation {
	gone := kube.Relation{Ref: ref, Missing: true}
	switch t := ref.Type; t.Group + "/" + t.Resource {
	case "/pods":
		if p := find(r.o.Pods, ref.Name); p != nil {
			n := r.pod(p)
			n.Children = append(n.Children, r.template(&p.Spec)...)
			return n
		}
		return gone
	case "/services":
		if s := find(r.o.Services, ref.Name); s != nil {
			return r.service(s)
		}
		return gone
	case "apps/deployments":
		if d := find(r.o.Deployments, ref.Name); d != nil {
			n := kube.Relation{Ref: r.ref(deploymentType, d.Name, string(d.UID))}
			n.State, n.Bad = counted(d.Status.ReadyReplicas, replicas(d.Spec.Replicas))
			for i := range r.o.ReplicaSets {
				if set := &r.o.ReplicaSets[i]; metav1.IsControlledBy(set, d) && (replicas(set.Spec.Replicas) > 0 || set.Status.Replicas > 0) {
					child := kube.Relation{Ref: r.ref(replicaSetType, set.Name, string(set.UID)), Kinds: []kube.RelationKind{kube.RelationOwns}, Children: r.owned(set)}
					child.State, child.Bad = counted(set.Status.ReadyReplicas, replicas(set.Spec.Replicas))
					n.Children = append(n.Children, child)
				}
			}
			n.Children = append(n.Children, r.template(&d.Spec.Template.Spec)...)
			return n
		}
		return gone
	case "apps/replicasets":
		if s := find(r.o.ReplicaSets, ref.Name); s != nil {
			return r.workload(s, replicaSetType, s.Status.ReadyReplicas, replicas(s.Spec.Replicas), &s.Spec.Template.Spec)
		}
		return gone
	case "apps/statefulsets":
		if s := find(r.o.StatefulSets, ref.Name); s != nil {
			return r.workload(s, statefulSetType, s.Status.ReadyReplicas, replicas(s.Spec.Replicas), &s.Spec.Template.Spec)
		}
		return gone
	case "apps/daemonsets":
		if s := find(r.o.DaemonSets, ref.Name); s != nil {
			return r.workload(s, daemonSetType, s.Status.NumberReady, s.Status.DesiredNumberScheduled, &s.Spec.Template.Spec)
		}
		return gone
	case "batch/jobs":
		if j := find(r.o.Jobs, ref.Name); j != nil {
			n := r.job(j)
			n.Children = append(n.Children, r.template(&j.Spec.Template.Spec)...)
			return n
		}
		return gone
	case "batch/cronjobs":
		if c := find(r.o.CronJobs, ref.Name); c != nil {
			n := kube.Relation{Ref: r.ref(cronJobType, c.Name, string(c.UID))}
			for i := range r.o.Jobs {
				if j := &r.o.Jobs[i]; metav1.IsControlledBy(j, c) {
					child := r.job(j)
					child.Kinds = []kube.RelationKind{kube.RelationOwns}
					n.Children = append(n.Children, child)
				}
			}
			n.Children = append(n.Children, r.template(&c.Spec.JobTemplate.Spec.Template.Spec)...)
			return n
		}
		return gone
	case "networking.k8s.io/ingresses":
		if in := find(r.o.Ingresses, ref.Name); in != nil {
			return r.ingress(in)
		}
		return gone
	case "/persistentvolumeclaims":
		if c := find(r.o.Claims, ref.Name); c != nil {
			return r.claim(c)
		}
		return gone
	case "/serviceaccounts":
		if a := find(r.o.ServiceAccounts, ref.Name); a != nil {
			return r.account(a)
		}
		return gone
	case "autoscaling/horizontalpodautoscalers":
		if a := find(r.o.Autoscalers, ref.Name); a != nil {
			n := kube.Relation{Ref: r.ref(autoscalerType, a.Name, string(a.UID))}
			if t, ok := workloadType(a.Spec.ScaleTargetRef.Kind); ok {
				child := r.uses(r.ref(t, a.Spec.ScaleTargetRef.Name, ""))
				child.Kinds = []kube.RelationKind{kube.RelationScales}
				n.Children = append(n.Children, child)
			}
			return n
		}
		return gone
	}
	return kube.Relation{Ref: ref}
}

func workloadType(kind string) (kube.ResourceType, bool) {
	all := []kube.ResourceType{deploymentType, statefulSetType, replicaSetType, daemonSetType}
	if i := slices.IndexFunc(all, func(t kube.ResourceType) bool { return t.Kind == kind }); i >= 0 {
		return all[i], true
	}
	return kube.ResourceType{}, false
}

func replicas(n *int32) int32 {
	if n == nil {
		return 1 // the API's default
	}
	return *n
}

func counted(ready, want int32) (string, bool) {
	return fmt.Sprintf("%d/%d", ready, want), ready < want
}

// workload is a set of pods with what their template uses.
func (r finder) workload(of metav1.Object, t kube.ResourceType, ready, want int32, spec *corev1.PodSpec) kube.Relation {
	n := kube.Relation{Ref: r.ref(t, of.GetName(), string(of.GetUID()))}
	n.State, n.Bad = counted(ready, want)
	n.Children = append(r.owned(of), r.template(spec)...)
	return n
}

func (r finder) job(j *batchv1.Job) kube.Relation {
	n := kube.Relation{Ref: r.ref(jobType, j.Name, string(j.UID)), Children: r.owned(j)}
	for _, c := range j.Status.Conditions {
		if c.Status == corev1.ConditionTrue {
			n.State, n.Bad = string(c.Type), c.Type == batchv1.JobFailed
		}
	}
	if n.State == "" && j.Status.Active > 0 {
		n.State = "Running"
	}
	return n
}

// owned are the pods that an object controls.
func (r finder) owned(of metav1.Object) []kube.Relation {
	var list []kube.Relation
	for i := range r.o.Pods {
		if p := &r.o.Pods[i]; metav1.IsControlledBy(p, of) {
			n := r.pod(p)
			n.Kinds = []kube.RelationKind{kube.RelationOwns}
			list = append(list, n)
		}
	}
	return list
}

// pod is a pod with its containers.
func (r finder) pod(p *corev1.Pod) kube.Relation {
	n := kube.Relation{Ref: r.ref(podType, p.Name, string(p.UID)), State: string(p.Status.Phase)}
	n.Bad = p.Status.Phase == corev1.PodPending || p.Status.Phase == corev1.PodFailed
	if p.DeletionTimestamp != nil {
		n.State, n.Bad = "Terminating", false
	}
	add := func(specs []corev1.Container, statuses []corev1.ContainerStatus, init bool) {
		for _, c := range specs {
			child := kube.Relation{Ref: kube.Ref{Name: c.Name}, Kinds: []kube.RelationKind{kube.RelationContains}}
			if i := slices.IndexFunc(statuses, func(s corev1.ContainerStatus) bool { return s.Name == c.Name }); i >= 0 {
				child.State, child.Bad = containerState(&statuses[i], init)
			}
			n.Bad = n.Bad || child.Bad
			n.Children = append(n.Children, child)
		}
	}
	add(p.Spec.InitContainers, p.Status.InitContainerStatuses, true)
	add(p.Spec.Containers, p.Status.ContainerStatuses, false)
	return n
}

func containerState(s *corev1.ContainerStatus, init bool) (state string, bad bool) {
	switch {
	case s.State.Waiting != nil:
		return cmp.Or(s.State.Waiting.Reason, "Waiting"), true
	case s.State.Terminated != nil:
		return cmp.Or(s.State.Terminated.Reason, "Terminated"), s.State.Terminated.ExitCode != 0
	case s.State.Running != nil && !s.Ready && !init:
		return "NotReady", true
	case s.State.Running != nil:
		return "Running", false
	}
	return "", false
}

// service is a Service with its slices, and where these lead.
func (r finder) service(s *corev1.Service) kube.Relation {
	n := kube.Relation{Ref: r.ref(serviceType, s.Name, string(s.UID)), State: string(s.Spec.Type)}
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		n.Children = []kube.Relation{{Ref: kube.Ref{Name: s.Spec.ExternalName}, Kinds: []kube.RelationKind{kube.RelationEndpoints}}}
		return n
	}
	ready := 0
	for i := range r.o.EndpointSlices {
		slice := &r.o.EndpointSlices[i]
		if slice.Labels[discoveryv1.LabelServiceName] != s.Name {
			continue
		}
		child := kube.Relation{Ref: r.ref(sliceType, slice.Name, string(slice.UID)), Kinds: []kube.RelationKind{kube.RelationEndpoints}}
		here := int32(0)
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				here++
			}
			child.Children = append(child.Children, r.endpoint(&e))
		}
		child.State, child.Bad = counted(here, int32(len(slice.Endpoints))) //nolint:gosec // a slice has at most 1000
		ready += int(here)
		n.Children = append(n.Children, child)
	}
	n.Bad = ready == 0
	return n
}

func (r finder) endpoint(e *discoveryv1.Endpoint) kube.Relation {
	if e.TargetRef != nil && e.TargetRef.Kind == "Pod" {
		if p := find(r.o.Pods, e.TargetRef.Name); p != nil {
			n := r.pod(p)
			n.Kinds = []kube.RelationKind{kube.RelationSelects}
			return n
		}
		return kube.Relation{Ref: r.ref(podType, e.TargetRef.Name, string(e.TargetRef.UID)), Missing: true}
	}
	n := kube.Relation{}
	if len(e.Addresses) > 0 {
		n.Ref.Name = e.Addresses[0]
	}
	return n
}

func (r finder) ingress(in *networkingv1.Ingress) kube.Relation {
	n := kube.Relation{Ref: r.ref(ingressType, in.Name, string(in.UID))}
	for _, name := range backends(in) {
		child := r.uses(r.ref(serviceType, name, ""))
		child.Kinds = []kube.RelationKind{kube.RelationRoutes}
		n.Children = append(n.Children, child)
	}
	for _, t := range in.Spec.TLS {
		if t.SecretName != "" {
			n.Children = append(n.Children, r.named(secretType, t.SecretName, r.o.Secrets, false, kube.RelationTLS))
		}
	}
	return n
}

// backends are the Services of an Ingress, each once.
func backends(in *networkingv1.Ingress) []string {
	var names []string
	add := func(b *networkingv1.IngressBackend) {
		if b != nil && b.Service != nil && !slices.Contains(names, b.Service.Name) {
			names = append(names, b.Service.Name)
		}
	}
	add(in.Spec.DefaultBackend)
	for _, rule := range in.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for i := range rule.HTTP.Paths {
			add(&rule.HTTP.Paths[i].Backend)
		}
	}
	return names
}

func (r finder) claim(c *corev1.PersistentVolumeClaim) kube.Relation {
	n := kube.Relation{Ref: r.ref(claimType, c.Name, string(c.UID)), State: string(c.Status.Phase), Bad: c.Status.Phase == corev1.ClaimLost}
	if c.Spec.VolumeName != "" {
		n.Children = []kube.Relation{{Ref: r.ref(volumeType, c.Spec.VolumeName, ""), Kinds: []kube.RelationKind{kube.RelationBound}}}
	}
	return n
}

func (r finder) account(a *corev1.ServiceAccount) kube.Relation {
	n := kube.Relation{Ref: r.ref(accountType, a.Name, string(a.UID))}
	for _, s := range a.Secrets {
		n.Children = append(n.Children, r.named(secretType, s.Name, r.o.Secrets, false, kube.RelationMounts))
	}
	for _, s := range a.ImagePullSecrets {
		n.Children = append(n.Children, r.named(secretType, s.Name, r.o.Secrets, true, kube.RelationPull))
	}
	return n
}

// named is an object of which only the name is known.
func (r finder) named(t kube.ResourceType, name string, names []string, optional bool, kinds ...kube.RelationKind) kube.Relation {
	return kube.Relation{Ref: r.ref(t, name, ""), Kinds: kinds, Optional: optional, Missing: !slices.Contains(names, name)}
}

// selects reports whether a selector, nil for none, takes in these labels.
func selects(selector *metav1.LabelSelector, of map[string]string) bool {
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && selector != nil && s.Matches(labels.Set(of))
}
