package session

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bonsai/bootstrap/kube"
)

func eventJSON(uid, version string, count int, last string) string {
	return fmt.Sprintf(`{"metadata":{"uid":%q,"namespace":"shop","resourceVersion":%q,"creationTimestamp":"2026-08-01T10:00:00Z"},
		"involvedObject":{"kind":"Pod","name":"web-0"},"reason":"BackOff","message":"Back-off","type":"Warning","count":%d,"lastTimestamp":%q,
		"source":{"component":"kubelet","host":"dev-1"}}`, uid, version, count, last)
}

func TestEventsComeInOrderAndCountUp(t *testing.T) {
	changes := make(chan string, 10)
	s := newSession(t, newScript(t,
		answer(t, nil, podList(eventJSON("late", "1", 1, "2026-08-01T10:09:00Z"), eventJSON("early", "1", 2, "2026-08-01T10:05:00Z"))),
		feed(changes),
		answer(t, nil, podList(eventJSON("late", "7", 3, "2026-08-01T10:20:00Z"), eventJSON("early", "1", 2, "2026-08-01T10:05:00Z"))),
	))
	changes <- event1("MODIFIED", eventJSON("late", "2", 2, "2026-08-01T10:10:00Z"))
	var got []string
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	err := s.Events(ctx, func(lines []kube.EventLine) error {
		for _, l := range lines {
			got = append(got, fmt.Sprintf("%s ×%d %s", l.UID, l.Count, l.Time.UTC().Format("15:04")))
			if l.Object != (kube.Object{Kind: "Pod", Name: "web-0"}) || !l.Warning || l.Source != "kubelet" || l.Node != "dev-1" {
				t.Errorf("line %+v", l)
			}
		}
		switch len(got) {
		case 3: // the watch expires; the new list causes reports only of what changed
			changes <- event1("ERROR", status(410, "Expired"))
		case 4:
			return errEnough
		}
		return nil
	})
	want := []string{"early ×2 10:05", "late ×1 10:09", "late ×2 10:10", "late ×3 10:20"}
	if !errors.Is(err, errEnough) || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTypesAreTakenInTheirPreferredVersion(t *testing.T) {
	verbs := metav1.Verbs{"get", "list", "watch"}
	gv := func(g, v string) schema.GroupVersion { return schema.GroupVersion{Group: g, Version: v} }
	version := func(v string) metav1.GroupVersionForDiscovery { return metav1.GroupVersionForDiscovery{Version: v} }
	groups := &metav1.APIGroupList{Groups: []metav1.APIGroup{
		{Name: "", PreferredVersion: version("v1"), Versions: []metav1.GroupVersionForDiscovery{version("v1")}},
		{Name: "garden", PreferredVersion: version("v2"), Versions: []metav1.GroupVersionForDiscovery{version("v2"), version("v1")}},
		{Name: "away", PreferredVersion: version("v1"), Versions: []metav1.GroupVersionForDiscovery{version("v1")}},
	}}
	got := resourceTypes(groups, map[schema.GroupVersion]*metav1.APIResourceList{
		gv("", "v1"): {APIResources: []metav1.APIResource{
			{Name: "pods", Kind: "Pod", Namespaced: true, ShortNames: []string{"po"}, Verbs: verbs}, {Name: "pods/log", Kind: "Pod", Verbs: verbs},
			{Name: "bindings", Kind: "Binding", Verbs: metav1.Verbs{"create"}},
		}},
		gv("garden", "v2"): {APIResources: []metav1.APIResource{{Name: "trees", Kind: "Tree", Verbs: verbs}}},
		gv("garden", "v1"): {APIResources: []metav1.APIResource{{Name: "trees", Kind: "Tree", Verbs: verbs}, {Name: "hedges", Kind: "Hedge", Verbs: verbs}}},
	})
	want := []kube.ResourceType{
		{Group: "garden", Version: "v1", Resource: "hedges", Kind: "Hedge", Verbs: verbs},
		{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true, Short: []string{"po"}, Verbs: verbs},
		{Group: "garden", Version: "v2", Resource: "trees", Kind: "Tree", Verbs: verbs},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

func TestAnEditedObjectIsStillTheSame(t *testing.T) {
	ref := kube.Ref{Type: kube.ResourceType{Version: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespaced: true}, Namespace: "shop", Name: "a", UID: "1"}
	const good = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  namespace: shop\n  uid: \"1\"\n  resourceVersion: \"5\"\n"
	for _, test := range []struct{ old, new, problem string }{
		{"", "", ""},
		{"name: a", "name: b", `metadata.name cannot change from "a" to "b"`},
		{"namespace: shop", "namespace: other", "metadata.namespace cannot change"},
		{"uid: \"1\"", "uid: \"2\"", "metadata.uid cannot change"},
		{"  uid: \"1\"\n", "", "metadata.uid cannot change"},
		{"kind: ConfigMap", "kind: Secret", "it is a Secret of v1 now"},
		{"apiVersion: v1", "apiVersion: v2", "it is a ConfigMap of v2 now"},
		{"  resourceVersion: \"5\"\n", "", "metadata.resourceVersion is missing"},
		{"  name: a\n", "  name: a\n  name: a\n", "already"},
		{good, "", "the text is empty"},
		{"metadata:", "metadata", "yaml"},
	} {
		_, err := parseObject(ref, strings.Replace(good, test.old, test.new, 1))
		if (err == nil) != (test.problem == "") || err != nil && !strings.Contains(err.Error(), test.problem) {
			t.Errorf("%q for %q: %v, want %q", test.new, test.old, err, test.problem)
		}
	}
}

func TestWhereAServiceIsReachable(t *testing.T) {
	o := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop"}, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeNodePort, ClusterIP: "10.96.1.1",
		Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromString("http"), NodePort: 30080, Protocol: corev1.ProtocolTCP}},
	}}
	m := &serviceModel{hostReaches: true, nodes: []string{"10.201.0.10", "10.201.0.11"}}
	want := []kube.Address{
		{Address: "web.shop.svc.cluster.local:80", From: kube.ReachPods}, {Address: "10.96.1.1:80", From: kube.ReachPods},
		{Address: "10.201.0.10:30080", From: kube.ReachHost}, {Address: "10.201.0.11:30080", From: kube.ReachHost},
	}
	if got := m.reachable(o); !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
	if got := servicePorts(o); !slices.Equal(got, []kube.ServicePort{{Port: 80, Target: "http", Protocol: "TCP"}}) {
		t.Errorf("ports %+v", got)
	}
	o.Spec.ClusterIP, o.Spec.Ports[0].NodePort = corev1.ClusterIPNone, 0
	if got := m.reachable(o); !slices.Equal(got, want[:1]) {
		t.Errorf("headless: %+v", got)
	}
	m.hostReaches = false
	o.Spec.Ports[0].NodePort, o.Spec.Ports[0].TargetPort = 30080, intstr.FromInt32(80)
	if got := m.reachable(o); got[1] != (kube.Address{Address: "10.201.0.10:30080", From: kube.ReachNodes}) {
		t.Errorf("behind a virtual machine: %+v", got)
	}
	if got := servicePorts(o); got[0].Target != "" {
		t.Errorf("a target that is the port itself: %+v", got)
	}
	o.Spec.Ports[0].TargetPort = intstr.FromString("http")
	name := &corev1.Service{ObjectMeta: o.ObjectMeta, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "example.com"}}
	if got := m.reachable(name); !slices.Equal(got, []kube.Address{{Address: "web.shop.svc.cluster.local", From: kube.ReachPods, Alias: "example.com"}}) {
		t.Errorf("another name: %+v", got)
	}
	p := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}}}}
	if port, err := targetPort(o, p, 80); err != nil || port != 8080 {
		t.Errorf("target port %d, %v", port, err)
	}
	if _, err := targetPort(o, p, 81); err == nil {
		t.Error("a port that the service does not have is accepted")
	}
}
