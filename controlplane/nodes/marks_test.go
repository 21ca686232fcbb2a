package nodes

import (
	"log/slog"
	"maps"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"bonsai/bootstrap/cluster"
)

// TestWhatThePlanSaysOfANodeComesAndGoes: and what users have set stays.
func TestWhatThePlanSaysOfANodeComesAndGoes(t *testing.T) {
	gpu, slow := cluster.Taint{Key: "gpu", Effect: "NoSchedule"}, cluster.Taint{Key: "slow", Value: "x", Effect: "NoExecute"}
	client, spec := fake.NewClientset(), planOf(1)
	k := New(client, spec, slog.New(slog.DiscardHandler))
	get := func() *corev1.Node {
		t.Helper()
		n, err := client.CoreV1().Nodes().Get(t.Context(), "dev-1", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	plan := func(role string, labels map[string]string, taints ...cluster.Taint) {
		t.Helper()
		spec.Nodes = slices.Clone(spec.Nodes)
		spec.Nodes[0].ControlPlane, spec.Nodes[0].Labels, spec.Nodes[0].Taints = role == cluster.RoleControlPlane, labels, taints
		for range 2 {
			if err := k.Reload(t.Context(), spec); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := func(labels map[string]string, taints ...cluster.Taint) {
		t.Helper()
		n := get()
		own := maps.Clone(n.Labels)
		maps.DeleteFunc(own, func(key, _ string) bool { return key[:4] == "kube" || key[:4] == "beta" })
		var have []cluster.Taint
		for _, taint := range n.Spec.Taints {
			have = append(have, planTaint(taint))
		}
		if !maps.Equal(own, labels) || !slices.Equal(have, taints) {
			t.Errorf("labels %v, taints %v; want %v, %v", own, have, labels, taints)
		}
	}
	worker, controlPlane := cluster.LabelWorker, cluster.LabelControlPlane

	plan(cluster.RoleWorker, map[string]string{"disk": "ssd", "zone": "a"}, gpu)
	want(map[string]string{worker: "", "disk": "ssd", "zone": "a"}, gpu)

	// A user adds a label and a taint, and changes a label.
	n := get()
	n.Labels["mine"], n.Labels["zone"] = "yes", "b"
	n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: "mine", Effect: corev1.TaintEffectNoSchedule})
	if _, err := client.CoreV1().Nodes().Update(t.Context(), n, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	mine := cluster.Taint{Key: "mine", Effect: "NoSchedule"}
	plan(cluster.RoleWorker, map[string]string{"disk": "ssd", "zone": "a"}, gpu)
	want(map[string]string{worker: "", "disk": "ssd", "zone": "b", "mine": "yes"}, gpu, mine)

	plan(cluster.RoleControlPlane, map[string]string{"disk": "hdd"}, slow)
	want(map[string]string{controlPlane: "", "disk": "hdd", "zone": "b", "mine": "yes"}, mine, slow)

	spec.ControlPlaneTaint = true
	plan(cluster.RoleControlPlane, nil)
	want(map[string]string{controlPlane: "", cluster.LabelExcludeBalancers: "", "zone": "b", "mine": "yes"}, mine, cluster.ControlPlaneNodeTaint())

	// Another role takes the taint of the first one with it.
	plan(cluster.RoleWorker, nil)
	want(map[string]string{worker: "", "zone": "b", "mine": "yes"}, mine)

	// What a user removes stays removed.
	plan(cluster.RoleWorker, map[string]string{"disk": "ssd"}, gpu)
	n = get()
	delete(n.Labels, "disk")
	n.Spec.Taints = nil
	if _, err := client.CoreV1().Nodes().Update(t.Context(), n, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	plan(cluster.RoleWorker, map[string]string{"disk": "ssd"}, gpu)
	want(map[string]string{worker: "", "zone": "b", "mine": "yes"})
}

// TestANodeOfAnOlderBonsaiIsMarked: it has no record of what the plan has said.
func TestANodeOfAnOlderBonsaiIsMarked(t *testing.T) {
	spec := planOf(1)
	old := wanted(spec, spec.Nodes[0])
	for _, annotation := range []string{"", "{not ours"} {
		old := old.DeepCopy()
		if old.Annotations[marksAnnotation] = annotation; annotation == "" {
			delete(old.Annotations, marksAnnotation)
		}
		client := fake.NewClientset(old)
		spec.Nodes[0].Labels = map[string]string{"disk": "ssd"}
		if err := New(client, spec, slog.New(slog.DiscardHandler)).Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := wantPlanned(t, client, spec.Nodes[0]); n.Labels["disk"] != "ssd" {
			t.Errorf("labels %v", n.Labels)
		}
	}
}
