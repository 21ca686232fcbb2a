package nodes

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"bonsai/bootstrap/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// planOf is a cluster of some nodes.
func planOf(nodes int) cluster.Spec {
	spec := cluster.Spec{Version: cluster.SpecVersion, Name: "dev", ID: "id", KubernetesVersion: "1.37", APIPort: 6443, Subnet: netip.MustParsePrefix("10.201.0.0/22")}
	spec.Replan()
	for i := range nodes {
		spec.Nodes = append(spec.Nodes, spec.PlanNode(i+1))
	}
	return spec
}

func names(t *testing.T, client *fake.Clientset) (list []string) {
	t.Helper()
	nodes, err := client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes.Items {
		list = append(list, n.Name)
	}
	slices.Sort(list)
	return list
}

// wantPlanned checks all that the plan says of a Node object.
func wantPlanned(t *testing.T, client *fake.Clientset, n cluster.Node) *corev1.Node {
	t.Helper()
	got, err := client.CoreV1().Nodes().Get(t.Context(), n.Name, metav1.GetOptions{})
	if err != nil {
		t.Error(err)
		return nil
	}
	if got.Spec.PodCIDR != n.PodCIDR.String() || !slices.Equal(got.Spec.PodCIDRs, []string{n.PodCIDR.String()}) || got.Spec.ProviderID != "bonsai://dev/"+n.Name {
		t.Errorf("spec of %s = %+v", n.Name, got.Spec)
	}
	if _, worker := got.Labels["node-role.kubernetes.io/worker"]; !worker || got.Labels[corev1.LabelHostname] != n.Name || got.Labels[corev1.LabelOSStable] != "linux" {
		t.Errorf("labels of %s = %v", n.Name, got.Labels)
	}
	return got
}

func TestPlannedNodesAreMade(t *testing.T) {
	client, spec := fake.NewClientset(), planOf(2)
	k := New(client, spec, slog.New(slog.DiscardHandler))
	for range 2 { // it is safe to repeat
		if err := k.Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range spec.Nodes {
		if got := wantPlanned(t, client, n); got != nil && (len(got.Status.Addresses) == 0 || got.Status.Addresses[0].Address != n.IP.String()) {
			t.Errorf("addresses of %s = %v", n.Name, got.Status.Addresses)
		}
	}
}

func TestANodeThatAKubeletMadeIsCompleted(t *testing.T) {
	own := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "dev-1", Labels: map[string]string{"zone": "a"}}}
	client, spec := fake.NewClientset(own), planOf(1)
	if err := New(client, spec, slog.New(slog.DiscardHandler)).Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := wantPlanned(t, client, spec.Nodes[0]); got != nil && got.Labels["zone"] != "a" {
		t.Errorf("labels = %v, want the kubelet's as well", got.Labels)
	}
}

func TestANodeThatAKubeletMakesMeanwhileIsCompleted(t *testing.T) {
	client, spec := fake.NewClientset(), planOf(2)
	k := New(client, planOf(1), slog.New(slog.DiscardHandler))
	var once sync.Once
	client.PrependReactor("create", "nodes", func(clienttesting.Action) (handled bool, _ kruntime.Object, err error) {
		once.Do(func() {
			err = client.Tracker().Add(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "dev-2"}})
		})
		return err != nil, nil, err
	})
	if err := client.Tracker().Add(wanted(spec, spec.Nodes[0])); err != nil {
		t.Fatal(err)
	}
	if err := k.Reload(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	wantPlanned(t, client, spec.Nodes[1])
}

func TestWhatUsersChangeStays(t *testing.T) {
	client, spec := fake.NewClientset(), planOf(1)
	k := New(client, spec, slog.New(slog.DiscardHandler))
	if err := k.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := wantPlanned(t, client, spec.Nodes[0])
	n.Labels = map[string]string{"mine": ""}
	n.Spec.Unschedulable = true
	if _, err := client.CoreV1().Nodes().Update(t.Context(), n, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := k.Reload(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	got, err := client.CoreV1().Nodes().Get(t.Context(), "dev-1", metav1.GetOptions{})
	_, role := got.Labels["node-role.kubernetes.io/worker"]
	if err != nil || len(got.Labels) != 2 || !role || !got.Spec.Unschedulable {
		t.Errorf("the object is %+v, %v; want it left alone, apart from its role", got, err)
	}
}

func TestRolesLabelsAndTaints(t *testing.T) {
	client, spec := fake.NewClientset(), planOf(2)
	spec.Nodes[0].ControlPlane = true
	spec.Nodes[1].Labels, spec.Nodes[1].Taints = map[string]string{"zone": "a"}, []cluster.Taint{{Key: "gpu", Value: "yes", Effect: "NoSchedule"}}
	k := New(client, spec, slog.New(slog.DiscardHandler))
	get := func(name string) *corev1.Node {
		t.Helper()
		n, err := client.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	reload := func() {
		t.Helper()
		for range 2 { // it is safe to repeat
			if err := k.Reload(t.Context(), spec); err != nil {
				t.Fatal(err)
			}
		}
	}
	has := func(n *corev1.Node, label string) bool { _, ok := n.Labels[label]; return ok }
	reload()
	one, two := get("dev-1"), get("dev-2")
	if !has(one, "node-role.kubernetes.io/control-plane") || has(one, "node-role.kubernetes.io/worker") || len(one.Spec.Taints) > 0 || has(one, cluster.LabelExcludeBalancers) {
		t.Errorf("dev-1 has the labels %v and the taints %v", one.Labels, one.Spec.Taints)
	}
	if !has(two, "node-role.kubernetes.io/worker") || two.Labels["zone"] != "a" || len(two.Spec.Taints) != 1 || two.Spec.Taints[0].Value != "yes" {
		t.Errorf("dev-2 has the labels %v and the taints %v", two.Labels, two.Spec.Taints)
	}
	one.Spec.Taints = []corev1.Taint{{Key: "mine", Effect: corev1.TaintEffectNoExecute}}
	if _, err := client.CoreV1().Nodes().Update(t.Context(), one, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	spec.ControlPlaneTaint = true
	reload()
	if one, two = get("dev-1"), get("dev-2"); len(one.Spec.Taints) != 2 || one.Spec.Taints[1].Key != cluster.LabelControlPlane || !has(one, cluster.LabelExcludeBalancers) || len(two.Spec.Taints) != 1 {
		t.Errorf("tainted: %v and %v", one.Spec.Taints, two.Spec.Taints)
	}
	// What a user removes stays removed.
	one.Spec.Taints = one.Spec.Taints[:1]
	if _, err := client.CoreV1().Nodes().Update(t.Context(), one, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if reload(); len(get("dev-1").Spec.Taints) != 1 {
		t.Errorf("the taint is back: %v", get("dev-1").Spec.Taints)
	}
	spec.ControlPlaneTaint = false
	reload()
	if one = get("dev-1"); len(one.Spec.Taints) != 1 || one.Spec.Taints[0].Key != "mine" || has(one, cluster.LabelExcludeBalancers) {
		t.Errorf("untainted: %v, labels %v", one.Spec.Taints, one.Labels)
	}
}

func TestTheLabelOfARoleComesBack(t *testing.T) {
	client, spec := fake.NewClientset(), planOf(1)
	k := New(client, spec, slog.New(slog.DiscardHandler))
	if err := k.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := wantPlanned(t, client, spec.Nodes[0])
	if !k.asPlanned(n) {
		t.Error("there is something to do")
	}
	// A cluster of an older bonsai, whose nodes are all workers, and say nothing of it.
	delete(n.Annotations, marksAnnotation)
	if _, err := client.CoreV1().Nodes().Update(t.Context(), n, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	spec.Nodes[0].ControlPlane = true
	k = New(client, spec, slog.New(slog.DiscardHandler))
	if k.asPlanned(n) {
		t.Error("there is nothing to do")
	}
	if err := k.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := wantPlanned(t, client, spec.Nodes[0]); n == nil || !k.asPlanned(n) {
		t.Errorf("labels = %v", n.Labels)
	}
}

func TestPodsOfADeletedNodeAreDeleted(t *testing.T) {
	pod := func(name, node string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.PodSpec{NodeName: node}}
	}
	client, spec := fake.NewClientset(pod("one", "dev-1"), pod("two", "dev-2"), pod("none", "")), planOf(2)
	k := New(client, spec, slog.New(slog.DiscardHandler))
	if err := k.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := k.Reload(t.Context(), planOf(1)); err != nil {
		t.Fatal(err)
	}
	list, err := client.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 2 || list.Items[0].Name != "none" || list.Items[1].Name != "one" {
		t.Errorf("pods = %v, %v", list.Items, err)
	}
}

func TestReloadDeletesWhatIsNoLongerPlanned(t *testing.T) {
	foreign := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "kwok-1"}, Spec: corev1.NodeSpec{ProviderID: "kwok://kwok-1"}}
	other := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "far-1"}, Spec: corev1.NodeSpec{ProviderID: "bonsai://dev-far/far-1"}}
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "dev-2", Namespace: corev1.NamespaceNodeLease}}
	client := fake.NewClientset(foreign, other, lease)
	k := New(client, planOf(2), slog.New(slog.DiscardHandler))
	if err := k.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := k.Reload(t.Context(), planOf(1)); err != nil {
		t.Fatal(err)
	}
	if got, want := names(t, client), []string{"dev-1", "far-1", "kwok-1"}; !slices.Equal(got, want) {
		t.Errorf("nodes = %v, want %v", got, want)
	}
	if _, err := client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(t.Context(), "dev-2", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the lease of the deleted node: %v", err)
	}
	if err := k.Reload(t.Context(), planOf(3)); err != nil {
		t.Fatal(err)
	}
	if got, want := names(t, client), []string{"dev-1", "dev-2", "dev-3", "far-1", "kwok-1"}; !slices.Equal(got, want) {
		t.Errorf("nodes = %v, want %v", got, want)
	}
}

// running starts a keeper with an informer and stops it with the test. It is called in a synctest bubble.
func running(t *testing.T, client *fake.Clientset, k *Keeper) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	factory := informers.NewSharedInformerFactory(client, 0)
	informer := factory.Core().V1().Nodes().Informer()
	factory.StartWithContext(ctx)
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx, informer) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		factory.Shutdown()
	})
	synctest.Wait()
}

func TestADeletedNodeComesBackAsPlanned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, spec := fake.NewClientset(), planOf(2)
		k := New(client, spec, slog.New(slog.DiscardHandler))
		if err := k.Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		running(t, client, k)
		if err := client.CoreV1().Nodes().Delete(t.Context(), "dev-2", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second)
		synctest.Wait()
		wantPlanned(t, client, spec.Nodes[1])
	})
}

func TestAGhostIsDeletedWheneverItComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ghost := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "dev-9"}, Spec: corev1.NodeSpec{ProviderID: "bonsai://dev/dev-9"}}
		client := fake.NewClientset(ghost) // left by a cluster that was stopped
		k := New(client, planOf(1), slog.New(slog.DiscardHandler))
		running(t, client, k)
		<-time.After(time.Second)
		synctest.Wait()
		if got, want := names(t, client), []string{"dev-1"}; !slices.Equal(got, want) {
			t.Errorf("nodes = %v, want %v", got, want)
		}
		// And registered by a kubelet that has not heard of its end.
		if _, err := client.CoreV1().Nodes().Create(t.Context(), ghost.DeepCopy(), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second)
		synctest.Wait()
		if got, want := names(t, client), []string{"dev-1"}; !slices.Equal(got, want) {
			t.Errorf("nodes = %v, want %v", got, want)
		}
	})
}

func TestAFightIsFoughtEverSlower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, spec := fake.NewClientset(), planOf(1)
		var creations atomic.Int32
		client.PrependReactor("create", "nodes", func(clienttesting.Action) (bool, kruntime.Object, error) {
			creations.Add(1)
			return true, nil, errors.New("somebody is against it")
		})
		running(t, client, New(client, spec, slog.New(slog.DiscardHandler)))
		<-time.After(5 * time.Minute)
		if n := creations.Load(); n < 10 || n > 30 {
			t.Errorf("%d tries in five minutes, want some, and not many", n)
		}
	})
}
