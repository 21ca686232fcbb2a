package tui

import (
	"context"
	"fmt"
	"strings"
	"time"

	"bonsai/bootstrap/kube"
)

// cartTemplate is the pod template of the cart with an image.
func cartTemplate(image string) string {
	return "metadata:\n  labels:\n    app: cart\nspec:\n  containers:\n  - image: " + image + "\n    name: cart\n    resources:\n      requests:\n        cpu: 100m\n"
}

// cartDeployment is a Deployment with that template.
func cartDeployment(image string) string {
	return "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: cart\n  namespace: shop\n  resourceVersion: \"7\"\nspec:\n  replicas: 1\n  template:\n" + indented(cartTemplate(image), 4)
}

// Preview takes the action for what it says: images are replaced, replicas set.
func (s *fakeSession) Preview(_ context.Context, a kube.Action) (kube.Difference, error) {
	s.mu.Lock()
	answer := s.preview
	s.mu.Unlock()
	if answer != nil {
		return answer(a)
	}
	before := cartDeployment("cart:1.4.2")
	after := before
	switch a.Verb {
	case kube.VerbSetImage:
		after = cartDeployment(a.Images["cart"])
	case kube.VerbSetResources:
		after = strings.Replace(before, "cpu: 100m", "cpu: "+a.Resources["cart"].Requests["cpu"], 1)
	case kube.VerbScale:
		after = strings.Replace(before, "replicas: 1", fmt.Sprintf("replicas: %d", a.Replicas), 1)
	case kube.VerbRollback:
		after = cartDeployment("cart:1.4.1")
	case kube.VerbDelete:
		after = ""
	}
	return kube.Difference{Before: before, After: after}, s.isDown()
}

// PreviewReplace stores nothing; what replace refuses is refused.
func (s *fakeSession) PreviewReplace(_ context.Context, ref kube.Ref, yaml string) (kube.Difference, error) {
	before, err := s.YAML(context.Background(), ref)
	if err == nil && s.replace != nil {
		err = s.replace(ref, yaml)
	}
	return kube.Difference{Before: before, After: yaml}, err
}

func (s *fakeSession) Revisions(context.Context, kube.Ref) ([]kube.Revision, error) {
	return []kube.Revision{
		{Number: 3, Name: "cart-7d9f4", Created: fakeNow.Add(-6 * time.Minute), Current: true, Pods: 1, Template: cartTemplate("cart:1.4.2")},
		{Number: 2, Name: "cart-66b5c", Created: fakeNow.Add(-50 * time.Minute), Cause: "kubectl set image\x1b[2J", Template: cartTemplate("cart:1.4.1")},
		{Number: 1, Name: "cart-5f7d8", Created: fakeNow.Add(-26 * time.Hour), Template: cartTemplate("cart:1.4.0")},
	}, s.isDown()
}

// Values are those of the cart, without the Secret's unless they are asked for.
func (s *fakeSession) Values(_ context.Context, ref kube.Ref, reveal bool) ([]kube.Value, error) {
	if ref.Type.Resource == "configmaps" {
		return []kube.Value{{Key: "cart.yaml", Size: 24, Text: "redis: redis\nport: 6379\n"}, {Key: "logo.png", Size: 2048, Binary: true}}, s.isDown()
	}
	if !reveal {
		return []kube.Value{{Key: "password", Size: 6, Hidden: true}, {Key: "user", Size: 4, Hidden: true}}, s.isDown()
	}
	s.update(func() { s.revealed++ })
	return []kube.Value{{Key: "password", Size: 6, Text: "hunter"}, {Key: "user", Size: 4, Text: "cart"}}, s.isDown()
}

func (s *fakeSession) Environment(_ context.Context, _, _ string, reveal bool) ([]kube.ContainerEnv, error) {
	secret := kube.EnvVar{Name: "PASSWORD", Hidden: true, From: kube.EnvSource{Kind: kube.EnvSecret, Name: "cart", Key: "password"}}
	if reveal {
		s.update(func() { s.revealed++ })
		secret.Hidden, secret.Value = false, "hunter"
	}
	return []kube.ContainerEnv{{Container: "cart", Vars: []kube.EnvVar{
		{Name: "REDIS_HOST", Value: "redis.defualt.svc"}, secret,
		{Name: "PORT", Value: "6379", From: kube.EnvSource{Kind: kube.EnvConfigMap, Name: "cart", Key: "port"}},
		{Name: "TOKEN", Missing: true, From: kube.EnvSource{Kind: kube.EnvSecret, Name: "tokn", Key: "t"}},
		{Name: "NODE", Value: "dev-2", From: kube.EnvSource{Kind: kube.EnvField, Name: "spec.nodeName"}},
	}}}, s.isDown()
}

// Relations are those of the cart: its Secret does not exist.
func (s *fakeSession) Relations(_ context.Context, ref kube.Ref) (kube.Relations, error) {
	of := func(t kube.ResourceType, name string, kinds ...kube.RelationKind) kube.Relation {
		r := kube.Relation{Ref: kube.Ref{Type: t, Namespace: "shop", Name: name}, Kinds: kinds}
		return r
	}
	secret := of(kube.ResourceType{Version: "v1", Resource: "secrets", Kind: "Secret", Namespaced: true}, "tokn", kube.RelationEnv, kube.RelationVolume)
	secret.Missing = true
	set := of(kube.ResourceType{Group: "apps", Version: "v1", Resource: "replicasets", Kind: "ReplicaSet", Namespaced: true}, "cart-7d9f4", kube.RelationOwns)
	set.State, set.Bad = "0/1", true
	pod := of(kube.PodType(), "cart-7d9f4-x2k", kube.RelationOwns)
	pod.State, pod.Bad = "Running", true
	pod.Children = []kube.Relation{{Ref: kube.Ref{Name: "cart"}, Kinds: []kube.RelationKind{kube.RelationContains}, State: "CrashLoopBackOff", Bad: true}}
	set.Children = []kube.Relation{pod}
	extra := of(kube.ResourceType{Version: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespaced: true}, "extra", kube.RelationVolume)
	extra.Missing, extra.Optional = true, true
	return kube.Relations{
		Uses:   kube.Relation{Ref: ref, State: "0/1", Bad: true, Children: []kube.Relation{set, extra, secret}},
		UsedBy: []kube.Relation{of(kube.ServiceType(), "cart\x1b[2J", kube.RelationSelects)},
	}, s.isDown()
}

func (s *fakeSession) Access(_ context.Context, q kube.AccessQuery) (kube.Access, error) {
	binding := kube.Ref{Type: kube.ResourceType{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings", Kind: "RoleBinding", Namespaced: true}, Namespace: "shop", Name: "web-view"}
	role := kube.Ref{Type: kube.ResourceType{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles", Kind: "ClusterRole"}, Name: "view"}
	a := kube.Access{Allowed: q.Verb != "delete", Reason: "RBAC: allowed by RoleBinding web-view/shop"}
	if a.Allowed {
		a.Grants = []kube.Grant{{Who: kube.Subject{Kind: "ServiceAccount", Namespace: "shop", Name: "web"}, Binding: binding, Role: role}}
	}
	return a, s.isDown()
}

// PodResources are requests of the pods of the shop.
func (s *fakeSession) PodResources(context.Context) (kube.ClusterResources, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := kube.ClusterResources{Nodes: []kube.NodeResources{{Name: "dev-1", Allocatable: kube.Amount{CPU: 8, Memory: 12 << 30}}, {Name: "dev-2", Allocatable: kube.Amount{CPU: 8, Memory: 12 << 30}}}}
	for i, row := range s.rows["pods"] {
		pod := kube.PodResources{UID: row.UID, Namespace: row.Namespace, Name: row.Name, Node: row.Cells[6]}
		if i%4 != 3 {
			pod.Requests, pod.Limits = kube.Amount{CPU: 0.1, Memory: 64 << 20}, kube.Amount{Memory: 128 << 20}
		}
		r.Pods = append(r.Pods, pod)
	}
	return r, s.down
}

func (s *fakeSession) Rights(_ context.Context, who kube.Subject) ([]kube.Right, error) {
	binding := kube.Ref{Type: kube.ResourceType{Resource: "rolebindings", Kind: "RoleBinding", Namespaced: true}, Namespace: "shop", Name: who.Name + "-view"}
	role := kube.Ref{Type: kube.ResourceType{Resource: "clusterroles", Kind: "ClusterRole"}, Name: "view"}
	return []kube.Right{
		{Verbs: []string{"get"}, Resources: []string{"/healthz"}, Binding: binding, Role: role},
		{Verbs: []string{"get", "list"}, Resources: []string{"pods", "deployments.apps"}, Namespace: "shop", Binding: binding, Role: role},
		{Verbs: []string{"get"}, Resources: []string{"secrets"}, Names: []string{"db"}, Namespace: "shop", Binding: binding, Role: role},
	}, s.isDown()
}
