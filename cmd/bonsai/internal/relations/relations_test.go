package relations

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"bonsai/bootstrap/kube"
)

// shop is a Deployment behind a Service and an Ingress: one of its pods waits for a Secret that does not exist.
func shop() *Objects {
	meta := func(name string, owner ...string) metav1.ObjectMeta {
		m := metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("u-" + name), Labels: map[string]string{"app": "web"}}
		for _, o := range owner {
			kind, name, _ := strings.Cut(o, "/")
			m.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Name: name, UID: types.UID("u-" + name), Controller: new(true)}}
		}
		return m
	}
	spec := corev1.PodSpec{
		ServiceAccountName: "web",
		Containers: []corev1.Container{{
			Name:    "web",
			EnvFrom: []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "web"}}}},
			Env: []corev1.EnvVar{{Name: "P", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: "db"}, Key: "p",
			}}}},
		}},
		Volumes: []corev1.Volume{
			{Name: "a", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "db"}}},
			{Name: "b", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "extra"}, Optional: new(true)}}},
			{Name: "c", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}},
		},
	}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}}, Spec: spec}
	pod := func(name string, state corev1.ContainerState, phase corev1.PodPhase) corev1.Pod {
		return corev1.Pod{ObjectMeta: meta(name, "ReplicaSet/web-1"), Spec: spec, Status: corev1.PodStatus{Phase: phase, ContainerStatuses: []corev1.ContainerStatus{{Name: "web", Ready: state.Running != nil, State: state}}}}
	}
	target := func(name string) *corev1.ObjectReference { return &corev1.ObjectReference{Kind: "Pod", Name: name} }
	slice := discoveryv1.EndpointSlice{ObjectMeta: meta("web-abc"), Endpoints: []discoveryv1.Endpoint{
		{TargetRef: target("web-1-a")}, {TargetRef: target("web-1-b"), Conditions: discoveryv1.EndpointConditions{Ready: new(false)}},
	}}
	slice.Labels = map[string]string{discoveryv1.LabelServiceName: "web"}
	return &Objects{
		Namespace:   "shop",
		Deployments: []appsv1.Deployment{{ObjectMeta: meta("web"), Spec: appsv1.DeploymentSpec{Replicas: new(int32(2)), Template: template}, Status: appsv1.DeploymentStatus{ReadyReplicas: 1}}},
		ReplicaSets: []appsv1.ReplicaSet{
			{ObjectMeta: meta("web-1", "Deployment/web"), Spec: appsv1.ReplicaSetSpec{Replicas: new(int32(2)), Template: template}, Status: appsv1.ReplicaSetStatus{Replicas: 2, ReadyReplicas: 1}},
			{ObjectMeta: meta("web-0", "Deployment/web"), Spec: appsv1.ReplicaSetSpec{Replicas: new(int32(0)), Template: template}},
		},
		Pods: []corev1.Pod{
			pod("web-1-a", corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, corev1.PodRunning),
			pod("web-1-b", corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CreateContainerConfigError"}}, corev1.PodPending),
			{ObjectMeta: meta("alone"), Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "x"}}, ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}}}},
		},
		Services:        []corev1.Service{{ObjectMeta: meta("web"), Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, Selector: map[string]string{"app": "web"}}}},
		EndpointSlices:  []discoveryv1.EndpointSlice{slice},
		ServiceAccounts: []corev1.ServiceAccount{{ObjectMeta: meta("web"), ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}}}, {ObjectMeta: meta("default")}},
		Claims:          []corev1.PersistentVolumeClaim{{ObjectMeta: meta("data"), Spec: corev1.PersistentVolumeClaimSpec{VolumeName: "pv-1"}, Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound}}},
		Ingresses: []networkingv1.Ingress{{ObjectMeta: meta("front"), Spec: networkingv1.IngressSpec{
			TLS: []networkingv1.IngressTLS{{SecretName: "tls"}}, DefaultBackend: &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "web"}},
		}}},
		Budgets:    []policyv1.PodDisruptionBudget{{ObjectMeta: meta("web"), Spec: policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}}}},
		Secrets:    []string{"pull", "tls"},
		ConfigMaps: []string{"web"},
	}
}

// tree is relations as text.
func tree(b *strings.Builder, n kube.Relation, indent int) {
	fmt.Fprintf(b, "%s%s %s", strings.Repeat(" ", indent), strings.TrimSuffix(n.Ref.Type.Resource, "s"), n.Ref.Name)
	for _, k := range n.Kinds {
		fmt.Fprintf(b, " (%s)", k)
	}
	if n.State != "" {
		fmt.Fprintf(b, " %s", n.State)
	}
	for word, is := range map[string]bool{"BAD": n.Bad, "MISSING": n.Missing && !n.Optional, "missing": n.Missing && n.Optional} {
		if is {
			b.WriteString(" " + word)
		}
	}
	b.WriteByte('\n')
	for _, c := range n.Children {
		tree(b, c, indent+1)
	}
}

func relationsOf(o *Objects, t kube.ResourceType, name string) (uses, usedBy string) {
	r := Of(o, kube.Ref{Type: t, Namespace: "shop", Name: name})
	var b strings.Builder
	tree(&b, r.Uses, 0)
	uses = b.String()
	b.Reset()
	for _, n := range r.UsedBy {
		tree(&b, n, 0)
	}
	return uses, b.String()
}

func TestWhatUsesWhat(t *testing.T) {
	const below = ` serviceaccount web (account)
  secret pull (pull)
 configmap web (env)
 configmap extra (volume) missing
 secret db (env) (volume) MISSING
 persistentvolumeclaim data (volume) Bound
  persistentvolume pv-1 (bound)
`
	for name, c := range map[string]struct {
		t            kube.ResourceType
		name         string
		uses, usedBy string
	}{
		"service": {serviceType, "web", `service web ClusterIP
 endpointslice web-abc (endpoints) 1/2 BAD
  pod web-1-a (selects) Running
    web (contains) Running
  pod web-1-b (selects) Pending BAD
    web (contains) CreateContainerConfigError BAD
`, "ingresse front (routes to)\n"},
		"deployment": {deploymentType, "web", `deployment web 1/2 BAD
 replicaset web-1 (owns) 1/2 BAD
  pod web-1-a (owns) Running
    web (contains) Running
  pod web-1-b (owns) Pending BAD
    web (contains) CreateContainerConfigError BAD
` + below, "service web (selects)\npoddisruptionbudget web (protects)\n"},
		"pod":             {podType, "web-1-a", "pod web-1-a Running\n  web (contains) Running\n" + below, "replicaset web-1 (owns)\nservice web (selects)\npoddisruptionbudget web (protects)\n"},
		"secret":          {secretType, "db", "secret db\n", "deployment web (env) (volume)\n"},
		"pull secret":     {secretType, "pull", "secret pull\n", "pod alone (pull)\nserviceaccount web (pull)\n"},
		"certificate":     {secretType, "tls", "secret tls\n", "ingresse front (TLS)\n"},
		"claim":           {claimType, "data", "persistentvolumeclaim data Bound\n persistentvolume pv-1 (bound)\n", "deployment web (volume)\n"},
		"default account": {accountType, "default", "serviceaccount default\n", "pod alone (account)\n"},
		"gone":            {deploymentType, "nothing", "deployment nothing MISSING\n", ""},
		"something else":  {kube.ResourceType{Group: "x", Resource: "carts", Kind: "Cart"}, "a", "cart a\n", ""},
	} {
		uses, usedBy := relationsOf(shop(), c.t, c.name)
		if uses != c.uses {
			t.Errorf("%s uses\n%s\nwant\n%s", name, uses, c.uses)
		}
		if usedBy != c.usedBy {
			t.Errorf("%s is used by\n%s\nwant\n%s", name, usedBy, c.usedBy)
		}
	}
	uses, _ := relationsOf(shop(), ingressType, "front")
	if !strings.HasPrefix(uses, "ingresse front\n service web (routes to) ClusterIP\n  endpointslice") || !strings.Contains(uses, " secret tls (TLS)\n") {
		t.Errorf("%s", uses)
	}
}
