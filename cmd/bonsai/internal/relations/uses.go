package relations

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/kube"
)

// use is a ConfigMap, Secret, claim or ServiceAccount that a pod template names.
type use struct {
	t        kube.ResourceType
	name     string
	kinds    []kube.RelationKind
	optional bool
}

// usesOf are what a pod template names, each once, in the order of ServiceAccount, ConfigMaps, Secrets, claims.
func usesOf(spec *corev1.PodSpec) []use {
	var list []use
	add := func(t kube.ResourceType, name string, kind kube.RelationKind, optional *bool) {
		if name == "" {
			return
		}
		i := slices.IndexFunc(list, func(u use) bool { return u.t.Resource == t.Resource && u.name == name })
		if i < 0 {
			i = len(list)
			list = append(list, use{t: t, name: name, optional: true})
		}
		if !slices.Contains(list[i].kinds, kind) {
			list[i].kinds = append(list[i].kinds, kind)
		}
		list[i].optional = list[i].optional && optional != nil && *optional
	}
	add(accountType, cmp.Or(spec.ServiceAccountName, "default"), kube.RelationAccount, nil)
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		for _, e := range c.EnvFrom {
			if e.ConfigMapRef != nil {
				add(configMapType, e.ConfigMapRef.Name, kube.RelationEnv, e.ConfigMapRef.Optional)
			}
			if e.SecretRef != nil {
				add(secretType, e.SecretRef.Name, kube.RelationEnv, e.SecretRef.Optional)
			}
		}
		for _, e := range c.Env {
			if e.ValueFrom == nil {
				continue
			}
			if k := e.ValueFrom.ConfigMapKeyRef; k != nil {
				add(configMapType, k.Name, kube.RelationEnv, k.Optional)
			}
			if k := e.ValueFrom.SecretKeyRef; k != nil {
				add(secretType, k.Name, kube.RelationEnv, k.Optional)
			}
		}
	}
	for _, v := range spec.Volumes {
		switch {
		case v.ConfigMap != nil:
			add(configMapType, v.ConfigMap.Name, kube.RelationVolume, v.ConfigMap.Optional)
		case v.Secret != nil:
			add(secretType, v.Secret.SecretName, kube.RelationVolume, v.Secret.Optional)
		case v.PersistentVolumeClaim != nil:
			add(claimType, v.PersistentVolumeClaim.ClaimName, kube.RelationVolume, nil)
		case v.Projected != nil:
			for _, s := range v.Projected.Sources {
				// Every pod has the certificate of the API server, of which nobody wants to hear.
				if s.ConfigMap != nil && s.ConfigMap.Name != "kube-root-ca.crt" {
					add(configMapType, s.ConfigMap.Name, kube.RelationVolume, s.ConfigMap.Optional)
				}
				if s.Secret != nil {
					add(secretType, s.Secret.Name, kube.RelationVolume, s.Secret.Optional)
				}
			}
		}
	}
	for _, s := range spec.ImagePullSecrets {
		add(secretType, s.Name, kube.RelationPull, new(true))
	}
	order := []string{accountType.Resource, configMapType.Resource, secretType.Resource, claimType.Resource}
	slices.SortStableFunc(list, func(a, b use) int {
		return cmp.Compare(slices.Index(order, a.t.Resource), slices.Index(order, b.t.Resource))
	})
	return list
}

// template is what a pod template uses.
func (r finder) template(spec *corev1.PodSpec) []kube.Relation {
	var list []kube.Relation
	for _, u := range usesOf(spec) {
		var n kube.Relation
		switch u.t.Resource {
		case configMapType.Resource:
			n = r.named(u.t, u.name, r.o.ConfigMaps, u.optional)
		case secretType.Resource:
			n = r.named(u.t, u.name, r.o.Secrets, u.optional)
		default:
			n = r.uses(r.ref(u.t, u.name, ""))
		}
		n.Kinds = u.kinds
		n.Optional = u.optional
		list = append(list, n)
	}
	return list
}

// usedBy are the objects that use one, without what else they use.
func (r finder) usedBy(ref kube.Ref) []kube.Relation {
	var list []kube.Relation
	add := func(t kube.ResourceType, name string, kinds ...kube.RelationKind) {
		list = append(list, kube.Relation{Ref: r.ref(t, name, ""), Kinds: kinds})
	}
	switch t := ref.Type; t.Group + "/" + t.Resource {
	case "/secrets", "/configmaps", "/persistentvolumeclaims", "/serviceaccounts":
		r.templates(func(t kube.ResourceType, name string, spec *corev1.PodSpec) {
			for _, u := range usesOf(spec) {
				if u.t.Resource == ref.Type.Resource && u.name == ref.Name {
					add(t, name, u.kinds...)
				}
			}
		})
		if ref.Type.Resource != "secrets" {
			break
		}
		for i := range r.o.Ingresses {
			for _, tls := range r.o.Ingresses[i].Spec.TLS {
				if tls.SecretName == ref.Name {
					add(ingressType, r.o.Ingresses[i].Name, kube.RelationTLS)
				}
			}
		}
		for i := range r.o.ServiceAccounts {
			a := &r.o.ServiceAccounts[i]
			for _, s := range a.ImagePullSecrets {
				if s.Name == ref.Name {
					add(accountType, a.Name, kube.RelationPull)
				}
			}
			for _, s := range a.Secrets {
				if s.Name == ref.Name {
					add(accountType, a.Name, kube.RelationMounts)
				}
			}
		}
	case "/services":
		for i := range r.o.Ingresses {
			if slices.Contains(backends(&r.o.Ingresses[i]), ref.Name) {
				add(ingressType, r.o.Ingresses[i].Name, kube.RelationRoutes)
			}
		}
	case "/pods":
		p := find(r.o.Pods, ref.Name)
		if p == nil {
			break
		}
		if owner := metav1.GetControllerOf(p); owner != nil {
			if t, ok := controllerType(owner.Kind); ok {
				add(t, owner.Name, kube.RelationOwns)
			}
		}
		list = append(list, r.selecting(p.Labels)...)
	default:
		r.templates(func(t kube.ResourceType, name string, _ *corev1.PodSpec) {
			if t.Resource == ref.Type.Resource && t.Group == ref.Type.Group && name == ref.Name {
				list = append(list, r.selecting(r.labels(t, name))...)
			}
		})
		for i := range r.o.Autoscalers {
			target := r.o.Autoscalers[i].Spec.ScaleTargetRef
			if target.Kind == ref.Type.Kind && target.Name == ref.Name {
				add(autoscalerType, r.o.Autoscalers[i].Name, kube.RelationScales)
			}
		}
	}
	return list
}

func controllerType(kind string) (kube.ResourceType, bool) {
	if kind == jobType.Kind {
		return jobType, true
	}
	return workloadType(kind)
}

// templates calls f with every pod template: those of workloads, and pods that nothing controls.
func (r finder) templates(f func(t kube.ResourceType, name string, spec *corev1.PodSpec)) {
	o := r.o
	for i := range o.Deployments {
		f(deploymentType, o.Deployments[i].Name, &o.Deployments[i].Spec.Template.Spec)
	}
	for i := range o.StatefulSets {
		f(statefulSetType, o.StatefulSets[i].Name, &o.StatefulSets[i].Spec.Template.Spec)
	}
	for i := range o.DaemonSets {
		f(daemonSetType, o.DaemonSets[i].Name, &o.DaemonSets[i].Spec.Template.Spec)
	}
	for i := range o.CronJobs {
		f(cronJobType, o.CronJobs[i].Name, &o.CronJobs[i].Spec.JobTemplate.Spec.Template.Spec)
	}
	for i := range o.ReplicaSets {
		if metav1.GetControllerOf(&o.ReplicaSets[i]) == nil {
			f(replicaSetType, o.ReplicaSets[i].Name, &o.ReplicaSets[i].Spec.Template.Spec)
		}
	}
	for i := range o.Jobs {
		if metav1.GetControllerOf(&o.Jobs[i]) == nil {
			f(jobType, o.Jobs[i].Name, &o.Jobs[i].Spec.Template.Spec)
		}
	}
	for i := range o.Pods {
		if metav1.GetControllerOf(&o.Pods[i]) == nil {
			f(podType, o.Pods[i].Name, &o.Pods[i].Spec)
		}
	}
}

// labels are those that the pods of a workload get.
func (r finder) labels(t kube.ResourceType, name string) map[string]string {
	switch t.Resource {
	case deploymentType.Resource:
		return find(r.o.Deployments, name).Spec.Template.Labels
	case statefulSetType.Resource:
		return find(r.o.StatefulSets, name).Spec.Template.Labels
	case daemonSetType.Resource:
		return find(r.o.DaemonSets, name).Spec.Template.Labels
	case replicaSetType.Resource:
		return find(r.o.ReplicaSets, name).Spec.Template.Labels
	}
	return nil
}

// selecting are the Services and disruption budgets that select pods with these labels.
func (r finder) selecting(of map[string]string) []kube.Relation {
	var list []kube.Relation
	for i := range r.o.Services {
		s := &r.o.Services[i]
		if len(s.Spec.Selector) > 0 && selects(&metav1.LabelSelector{MatchLabels: s.Spec.Selector}, of) {
			list = append(list, kube.Relation{Ref: r.ref(serviceType, s.Name, string(s.UID)), Kinds: []kube.RelationKind{kube.RelationSelects}})
		}
	}
	for i := range r.o.Budgets {
		if selects(r.o.Budgets[i].Spec.Selector, of) {
			list = append(list, kube.Relation{Ref: r.ref(budgetType, r.o.Budgets[i].Name, ""), Kinds: []kube.RelationKind{kube.RelationProtects}})
		}
	}
	return list
}
