package drain

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// pods of the node dev-2.
func podOf(name, owner string, change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)}, Spec: corev1.PodSpec{NodeName: "dev-2"}}
	if owner != "" {
		p.OwnerReferences = []metav1.OwnerReference{{Kind: owner, Name: "x", Controller: new(true)}}
	}
	if change != nil {
		change(p)
	}
	return p
}

// clusterWith has the nodes dev-1 and dev-2. Pods end as soon as they are evicted, if allow says so.
func clusterWith(allow func(name string) error, objects ...runtime.Object) *fake.Clientset {
	for _, name := range []string{"dev-1", "dev-2"} {
		objects = append(objects, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	client := fake.NewClientset(objects...)
	client.PrependReactor("create", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
		if a.GetSubresource() != "eviction" {
			return false, nil, nil
		}
		e := a.(clienttesting.CreateAction).GetObject().(*policyv1.Eviction)
		if err := allow(e.Name); err != nil {
			return true, nil, err
		}
		return true, nil, client.Tracker().Delete(corev1.SchemeGroupVersion.WithResource("pods"), e.Namespace, e.Name)
	})
	return client
}

func always(string) error { return nil }

// budget refuses an eviction, as the API server does.
func budget(string) error {
	err := apierrors.NewTooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", 0)
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: policyv1.DisruptionBudgetCause, Message: "The disruption budget web needs 2 healthy pods and has 2 currently"}}
	return err
}

func silent(cluster.DrainProgress) error { return nil }

// want checks which pods are left, and whether dev-2 is cordoned.
func want(t *testing.T, client *fake.Clientset, cordoned bool, pods ...string) {
	t.Helper()
	list, err := client.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range list.Items {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	n, err := client.CoreV1().Nodes().Get(t.Context(), "dev-2", metav1.GetOptions{})
	if err != nil || n.Spec.Unschedulable != cordoned || !slices.Equal(names, pods) {
		t.Errorf("pods are %v, cordoned: %v, %v; want %v, %v", names, n.Spec.Unschedulable, err, pods, cordoned)
	}
}

func TestPodsLeave(t *testing.T) {
	client := clusterWith(always,
		podOf("web", "ReplicaSet", nil), podOf("done", "", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }),
		podOf("agent", "DaemonSet", nil),
		podOf("static", "Node", func(p *corev1.Pod) { p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"} }),
		podOf("elsewhere", "", func(p *corev1.Pod) { p.Spec.NodeName = "dev-1" }))
	if err := Nodes(t.Context(), client, cluster.DrainRequest{Nodes: []string{"dev-2", "gone"}, Limit: time.Minute}, silent); err != nil {
		t.Fatal(err)
	}
	want(t, client, true, "agent", "elsewhere", "static")
}

func TestWhatWouldBeLostIsNamed(t *testing.T) {
	local := func(name, node string) *corev1.PersistentVolume {
		v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}}
		v.Spec.Local, v.Spec.ClaimRef = &corev1.LocalVolumeSource{Path: "/x"}, &corev1.ObjectReference{Namespace: "shop", Name: "db"}
		v.Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}},
		}}}}
		return v
	}
	client := clusterWith(always, podOf("alone", "", nil), podOf("web", "ReplicaSet", nil), local("pvc-1", "dev-2"), local("pvc-2", "dev-1"),
		podOf("cache", "ReplicaSet", func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
		}))
	r := cluster.DrainRequest{Nodes: []string{"dev-2"}, Limit: time.Minute}
	err := Nodes(t.Context(), client, r, silent)
	evidence := fault.Problem(err).Evidence
	wanted := []string{
		"claim shop/db has its data on node dev-2 (volume pvc-1)", "pod default/alone has no controller that would create it again",
		"pod default/cache has local data: the emptyDir volume tmp",
	}
	if fault.KindOf(err) != fault.Blocked || !slices.Equal(evidence, wanted) || !strings.Contains(fault.Problem(err).HintText(), "bonsai node delete dev-2 --force") {
		t.Errorf("got %v with %q, want %q", err, evidence, wanted)
	}
	want(t, client, false, "alone", "cache", "web")
	r.Force = true
	if err := Nodes(t.Context(), client, r, silent); err != nil {
		t.Fatal(err)
	}
	want(t, client, true)
}

func TestABudgetIsNamedWhenTheLimitHasPassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := clusterWith(budget, podOf("web", "ReplicaSet", nil))
		var said []string
		r := cluster.DrainRequest{Nodes: []string{"dev-2"}, Limit: time.Minute}
		began := time.Now()
		err := Nodes(t.Context(), client, r, func(p cluster.DrainProgress) error { said = append(said, p.Node+": "+p.Detail); return nil })
		if took := time.Since(began); took < time.Minute || took > 61*time.Second {
			t.Errorf("it took %v", took)
		}
		evidence := fault.Problem(err).Evidence
		if wanted := []string{"pod default/web: the disruption budget web needs 2 healthy pods and has 2 currently"}; fault.KindOf(err) != fault.Blocked || !slices.Equal(evidence, wanted) {
			t.Errorf("got %v with %q", err, evidence)
		}
		if !slices.Equal(said, []string{"dev-2: waiting for default/web to end"}) {
			t.Errorf("it said %q", said)
		}
		want(t, client, false, "web")
	})
}

// TestABudgetThatAllowsItLater: as soon as another pod is healthy.
func TestABudgetThatAllowsItLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		client := clusterWith(func(name string) error {
			if time.Since(began) < 10*time.Second {
				return budget(name)
			}
			return nil
		}, podOf("web", "ReplicaSet", nil))
		if err := Nodes(t.Context(), client, cluster.DrainRequest{Nodes: []string{"dev-2"}, Limit: time.Minute}, silent); err != nil {
			t.Fatal(err)
		}
		want(t, client, true)
	})
}

// TestANodeThatIsDown: nobody there can end its pods.
func TestANodeThatIsDown(t *testing.T) {
	client := clusterWith(always, podOf("web", "ReplicaSet", nil))
	client.PrependReactor("create", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
		return a.GetSubresource() == "eviction", nil, nil // accepted, and the pod stays
	})
	if err := Nodes(t.Context(), client, cluster.DrainRequest{Nodes: []string{"dev-2"}, Down: []string{"dev-2"}, Limit: time.Minute}, silent); err != nil {
		t.Fatal(err)
	}
	want(t, client, true, "web")
	if err := Uncordon(t.Context(), client, []string{"dev-2", "gone"}); err != nil {
		t.Fatal(err)
	}
	want(t, client, false, "web")
}
