package keyspace

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"bonsai/bootstrap/cluster"
)

func read[T any, P interface {
	*T
	runtime.Object
}](t *testing.T, m memory, key string) P {
	t.Helper()
	o := P(new(T))
	if m[key] == nil {
		t.Fatalf("%s is gone", key)
	}
	if err := decode(key, m[key], o); err != nil {
		t.Fatal(err)
	}
	return o
}

func hostAffinity(node string) *corev1.NodeSelector {
	return &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
		MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}},
	}}}
}

func TestAdapt(t *testing.T) {
	m := memory{}
	from := cluster.Spec{Name: "dev", Nodes: []cluster.Node{{Name: "dev-1"}, {Name: "dev-3"}}}
	to := Target{Spec: cluster.Spec{Name: "ci", Nodes: []cluster.Node{{Name: "ci-1"}, {Name: "ci-2"}}}, CA: []byte("new CA")}
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: name, Namespace: "default", UID: "u-" + "x"}
	}
	m.node(t, "dev-1", cluster.ProviderID("dev", "dev-1"))
	running := corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.244.1.2", QOSClass: corev1.PodQOSBurstable, ContainerStatuses: []corev1.ContainerStatus{{Name: "c"}}}
	m.store(t, podsPrefix+"default/web", &corev1.Pod{ObjectMeta: meta("web"), Status: running, Spec: corev1.PodSpec{NodeName: "dev-3"}})
	m.store(t, podsPrefix+"default/daemon", &corev1.Pod{ObjectMeta: meta("daemon"), Status: running, Spec: corev1.PodSpec{
		NodeName: "dev-1", NodeSelector: map[string]string{corev1.LabelHostname: "dev-1"},
		Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{"dev-1"}}}}},
		}}},
	}})
	m.store(t, podsPrefix+"default/done", &corev1.Pod{ObjectMeta: meta("done"), Status: corev1.PodStatus{Phase: corev1.PodSucceeded}, Spec: corev1.PodSpec{NodeName: "dev-1"}})
	ending, static := meta("ending"), meta("static")
	ending.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	static.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
	m.store(t, podsPrefix+"default/ending", &corev1.Pod{ObjectMeta: ending, Spec: corev1.PodSpec{NodeName: "dev-1"}})
	m.store(t, podsPrefix+"default/static", &corev1.Pod{ObjectMeta: static, Spec: corev1.PodSpec{NodeName: "dev-1"}})
	m.pod(t, "lost", "dev-2")
	m.pod(t, "pending", "")
	m.store(t, volumesPrefix+"pvc-1", &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pvc-1"}, Spec: corev1.PersistentVolumeSpec{
		NodeAffinity: &corev1.VolumeNodeAffinity{Required: hostAffinity("dev-3")},
	}})
	m.store(t, configMapsPrefix+"default/"+rootCA, &corev1.ConfigMap{ObjectMeta: meta(rootCA), Data: map[string]string{"ca.crt": "old CA"}})
	m.store(t, configMapsPrefix+"default/mine", &corev1.ConfigMap{ObjectMeta: meta("mine"), Data: map[string]string{"ca.crt": "old CA"}})
	m.store(t, configMapsPrefix+"kube-system/extension-apiserver-authentication", &corev1.ConfigMap{})
	m.store(t, secretsPrefix+"default/token", &corev1.Secret{ObjectMeta: meta("token"), Type: corev1.SecretTypeServiceAccountToken,
		Data: map[string][]byte{"token": []byte("old"), "ca.crt": []byte("old CA"), "namespace": []byte("default")}})
	m.store(t, secretsPrefix+"default/mine", &corev1.Secret{ObjectMeta: meta("mine"), Data: map[string][]byte{"token": []byte("mine")}})
	slice := meta("web-abc")
	slice.Labels = map[string]string{discoveryv1.LabelManagedBy: "endpointslice-controller.k8s.io", discoveryv1.LabelServiceName: "web"}
	m.store(t, slicesPrefix+"default/web-abc", &discoveryv1.EndpointSlice{ObjectMeta: slice})
	m.store(t, slicesPrefix+"default/manual", &discoveryv1.EndpointSlice{ObjectMeta: meta("manual")})
	m.store(t, endpointsPrefix+"default/web", &corev1.Endpoints{ObjectMeta: meta("web")})       //nolint:staticcheck // they are stored, deprecated or not
	m.store(t, endpointsPrefix+"default/manual", &corev1.Endpoints{ObjectMeta: meta("manual")}) //nolint:staticcheck // as above
	for _, key := range []string{"/registry/leases/kube-node-lease/dev-1", "/registry/masterleases/10.201.0.1", "/registry/events/default/x",
		"/registry/csinodes/dev-1", "/registry/endpointslices/default/kubernetes", "/registry/services/endpoints/default/kubernetes"} {
		if strings.Contains(key, "endpointslices") {
			m.store(t, key, &discoveryv1.EndpointSlice{ObjectMeta: meta("kubernetes")})
			continue
		}
		m[key] = []byte("whatever")
	}
	m["/registry/example.com/widgets/default/w"] = []byte(`{"node":"dev-1"}`)

	if err := Adapt(m, from, to); err != nil {
		t.Fatal(err)
	}
	want := []string{
		configMapsPrefix + "default/" + rootCA, configMapsPrefix + "default/mine", slicesPrefix + "default/manual",
		"/registry/example.com/widgets/default/w", volumesPrefix + "pvc-1",
		podsPrefix + "default/daemon", podsPrefix + "default/done", podsPrefix + "default/pending", podsPrefix + "default/web",
		secretsPrefix + "default/mine", secretsPrefix + "default/token", endpointsPrefix + "default/manual",
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(m)); !slices.Equal(got, want) {
		t.Errorf("there are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	web := read[corev1.Pod](t, m, podsPrefix+"default/web")
	if s := web.Status; web.Spec.NodeName != "ci-2" || s.Phase != corev1.PodPending || s.PodIP != "" || len(s.ContainerStatuses) > 0 || s.QOSClass != corev1.PodQOSBurstable || web.UID == "" {
		t.Errorf("the pod is %+v", web)
	}
	daemon := read[corev1.Pod](t, m, podsPrefix+"default/daemon")
	fields := daemon.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0].MatchFields
	if daemon.Spec.NodeName != "ci-1" || daemon.Spec.NodeSelector[corev1.LabelHostname] != "ci-1" || fields[0].Values[0] != "ci-1" {
		t.Errorf("the pod of a DaemonSet is %+v", daemon.Spec)
	}
	if p := read[corev1.Pod](t, m, podsPrefix+"default/done"); p.Status.Phase != corev1.PodSucceeded {
		t.Errorf("the pod that has ended is %s", p.Status.Phase)
	}
	pv := read[corev1.PersistentVolume](t, m, volumesPrefix+"pvc-1")
	if got := pv.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Values[0]; got != "ci-2" {
		t.Errorf("the volume is on %s", got)
	}
	if ca := read[corev1.ConfigMap](t, m, configMapsPrefix+"default/"+rootCA).Data["ca.crt"]; ca != "new CA" {
		t.Errorf("pods get the CA %q", ca)
	}
	if data := read[corev1.ConfigMap](t, m, configMapsPrefix+"default/mine").Data["ca.crt"]; data != "old CA" {
		t.Errorf("a ConfigMap of the user has %q", data)
	}
	if data := read[corev1.Secret](t, m, secretsPrefix+"default/token").Data; len(data) != 1 || string(data["namespace"]) != "default" {
		t.Errorf("the token is %v", data)
	}
	if data := read[corev1.Secret](t, m, secretsPrefix+"default/mine").Data; string(data["token"]) != "mine" {
		t.Errorf("a Secret of the user is %v", data)
	}
}
