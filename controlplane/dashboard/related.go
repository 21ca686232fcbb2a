package dashboard

import (
	"context"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"bonsai/bootstrap/kube"
)

// relatedGroup are objects that are related in one way. Title is English, for Words.
type relatedGroup struct {
	Title   string
	Objects []relatedObject
}

// relatedObject is one of them. Depth is how many owners are between it and the object of the page.
type relatedObject struct {
	Kind, Namespace, Name, Where string
	Depth                        int
}

// mostRelated bounds a group.
const mostRelated = 100

// owned are the types of what objects of a kind create. Those of any other kind may create any of otherwise.
var owned = map[string][]string{
	"Deployment": {"replicasets.apps"}, "ReplicaSet": {"pods"}, "StatefulSet": {"pods"}, "DaemonSet": {"pods"}, "Job": {"pods"},
	"ReplicationController": {"pods"}, "CronJob": {"jobs.batch"}, "Service": {"endpointslices.discovery.k8s.io"},
	"Pod": {}, "Node": {}, "Namespace": {}, "ConfigMap": {}, "Secret": {}, "ServiceAccount": {}, "PersistentVolume": {}, "EndpointSlice": {},
}

var otherwise = []string{"deployments.apps", "statefulsets.apps", "daemonsets.apps", "jobs.batch", "pods", "services", "configmaps", "secrets"}

// relations finds what is related to one object.
type relations struct {
	*Server
	types  []kube.ResourceType
	ref    kube.Ref
	groups []relatedGroup
}

// related returns what is related to an object: its owners, what it owns, what it names, and what selects it.
func (s *Server) related(ctx context.Context, ref kube.Ref, o map[string]any) ([]relatedGroup, error) {
	all, err := s.allTypes(ctx, false)
	if err != nil {
		return nil, err
	}
	r := &relations{Server: s, types: all, ref: ref}
	r.owners(ctx, o)
	var children []relatedObject
	if err := r.children(ctx, ref.Type.Kind, ref.Name, 0, &children); err != nil {
		return nil, err
	}
	r.add("creates", children)
	switch ref.Type.Kind {
	case "Pod":
		err = r.pod(ctx, o)
	case "Service":
		err = r.service(ctx, o)
	case "Ingress":
		r.ingress(o)
	case "PersistentVolumeClaim":
		spec, _ := o["spec"].(map[string]any)
		if name, _ := spec["volumeName"].(string); name != "" {
			r.add("uses", []relatedObject{r.object("PersistentVolume", "", name)})
		}
	}
	return r.groups, err
}

func (r *relations) add(title string, objects []relatedObject) {
	if len(objects) > 0 {
		r.groups = append(r.groups, relatedGroup{title, objects[:min(len(objects), mostRelated)]})
	}
}

// object is one with a page, by its kind.
func (r *relations) object(kind, namespace, name string) relatedObject {
	id := kind
	if t, ok := findType(r.types, kind); ok {
		id = typeName(t.Resource, t.Group)
	}
	return relatedObject{Kind: kind, Namespace: namespace, Name: name, Where: objectPath(id, namespace, name)}
}

// owners adds the owners, the direct ones first.
func (r *relations) owners(ctx context.Context, o map[string]any) {
	var above []relatedObject
	for depth := range 4 {
		var with struct {
			Metadata metav1.ObjectMeta `json:"metadata"`
		}
		if convert(o, &with) != nil || len(with.Metadata.OwnerReferences) == 0 {
			break
		}
		owner := with.Metadata.OwnerReferences[0]
		t, ok := kindType(r.types, owner.Kind, groupOf(owner.APIVersion))
		if !ok {
			above = append(above, relatedObject{Kind: owner.Kind, Name: owner.Name, Depth: depth})
			break
		}
		ref := kube.Ref{Type: t, Name: owner.Name}
		if t.Namespaced {
			ref.Namespace = r.ref.Namespace
		}
		above = append(above, relatedObject{owner.Kind, ref.Namespace, owner.Name, objectPath(typeName(t.Resource, t.Group), ref.Namespace, owner.Name), depth})
		next, err := r.o.Objects.Object(ctx, ref)
		if err != nil {
			break // it is gone, or nobody may read it: the name is all there is
		}
		o = next
	}
	r.add("belongs to", above)
}

// children adds what an object owns, and what that owns.
func (r *relations) children(ctx context.Context, kind, name string, depth int, all *[]relatedObject) error {
	ids, known := owned[kind]
	if !known {
		ids = otherwise
	}
	for _, id := range ids {
		t, ok := findType(r.types, id)
		if !ok {
			continue
		}
		rows, err := r.list(ctx, kube.RowQuery{Type: t, Namespace: r.ref.Namespace})
		if err != nil {
			return err
		}
		for _, row := range rows {
			if row.Owner != (kube.Object{Kind: kind, Name: name}) || len(*all) >= mostRelated {
				continue
			}
			*all = append(*all, relatedObject{t.Kind, row.Namespace, row.Name, objectPath(id, row.Namespace, row.Name), depth})
			if depth < 2 && t.Kind != "Pod" && known {
				if err := r.children(ctx, t.Kind, row.Name, depth+1, all); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// pod adds what a pod names, and the Services that select it.
func (r *relations) pod(ctx context.Context, o map[string]any) error {
	var pod corev1.Pod
	if convert(o, &pod) != nil {
		return nil
	}
	var uses []relatedObject
	seen := map[string]bool{}
	use := func(kind, namespace, name string) {
		if key := kind + "/" + name; name != "" && !seen[key] {
			seen[key] = true
			uses = append(uses, r.object(kind, namespace, name))
		}
	}
	use("Node", "", pod.Spec.NodeName)
	use("ServiceAccount", pod.Namespace, pod.Spec.ServiceAccountName)
	for _, v := range pod.Spec.Volumes {
		switch {
		case v.PersistentVolumeClaim != nil:
			use("PersistentVolumeClaim", pod.Namespace, v.PersistentVolumeClaim.ClaimName)
		case v.ConfigMap != nil:
			use("ConfigMap", pod.Namespace, v.ConfigMap.Name)
		case v.Secret != nil:
			use("Secret", pod.Namespace, v.Secret.SecretName)
		}
	}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		for _, e := range c.EnvFrom {
			if e.ConfigMapRef != nil {
				use("ConfigMap", pod.Namespace, e.ConfigMapRef.Name)
			}
			if e.SecretRef != nil {
				use("Secret", pod.Namespace, e.SecretRef.Name)
			}
		}
		for _, e := range c.Env {
			if e.ValueFrom != nil && e.ValueFrom.ConfigMapKeyRef != nil {
				use("ConfigMap", pod.Namespace, e.ValueFrom.ConfigMapKeyRef.Name)
			}
			if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
				use("Secret", pod.Namespace, e.ValueFrom.SecretKeyRef.Name)
			}
		}
	}
	r.add("uses", uses)
	rows, err := r.list(ctx, kube.RowQuery{Type: kube.ServiceType(), Namespace: pod.Namespace})
	if err != nil {
		return err
	}
	var selecting []relatedObject
	for _, row := range rows[:min(len(rows), mostRelated)] {
		service, err := r.o.Objects.Object(ctx, kube.Ref{Type: kube.ServiceType(), Namespace: row.Namespace, Name: row.Name})
		if err != nil {
			continue // it has just been deleted
		}
		if selector := selectorOf(service); len(selector) > 0 && labels.SelectorFromSet(selector).Matches(labels.Set(pod.Labels)) {
			selecting = append(selecting, r.object("Service", row.Namespace, row.Name))
		}
	}
	r.add("is selected by", selecting)
	return nil
}

// selectorOf is the selector of a Service.
func selectorOf(service map[string]any) labels.Set {
	var s corev1.Service
	if convert(service, &s) != nil {
		return nil
	}
	return s.Spec.Selector
}

// service adds the pods that a Service selects.
func (r *relations) service(ctx context.Context, o map[string]any) error {
	selector := selectorOf(o)
	if len(selector) == 0 {
		return nil
	}
	rows, err := r.list(ctx, kube.RowQuery{Type: kube.PodType(), Namespace: r.ref.Namespace})
	if err != nil {
		return err
	}
	var pods []relatedObject
	for _, row := range rows {
		if labels.SelectorFromSet(selector).Matches(labels.Set(row.Labels)) {
			pods = append(pods, r.object("Pod", row.Namespace, row.Name))
		}
	}
	r.add("selects", pods)
	return nil
}

// ingress adds the Services that an Ingress leads to.
func (r *relations) ingress(o map[string]any) {
	var i networkingv1.Ingress
	if convert(o, &i) != nil {
		return
	}
	names := map[string]bool{}
	if b := i.Spec.DefaultBackend; b != nil && b.Service != nil {
		names[b.Service.Name] = true
	}
	for _, rule := range i.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for _, p := range rule.HTTP.Paths {
			if p.Backend.Service != nil {
				names[p.Backend.Service.Name] = true
			}
		}
	}
	var services []relatedObject
	for _, name := range slices.Sorted(maps.Keys(names)) {
		services = append(services, r.object("Service", i.Namespace, name))
	}
	r.add("leads to", services)
}
