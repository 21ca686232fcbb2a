package dns

import (
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons"
)

// applied are the objects as the Manager applies them.
func (w *world) applied() (all []runtime.Object) {
	for _, o := range w.Objects(addons.Cluster{Spec: func() cluster.Spec { return cluster.Spec{} }}) {
		if s, ok := o.(*corev1.Service); ok {
			s.UID = "of-the-service"
		}
		all = append(all, o)
	}
	return all
}

// podOf is what the Deployment's controller creates.
func podOf(d *appsv1.Deployment, name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: d.Spec.Template.Labels},
		Spec:       d.Spec.Template.Spec, Status: corev1.PodStatus{Phase: corev1.PodPending},
	}
}

func (w *world) deployment() *appsv1.Deployment {
	w.t.Helper()
	d, err := w.client.AppsV1().Deployments(namespace).Get(w.t.Context(), "coredns", metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// pod checks the phase of a pod and whether kubectl would call it ready.
func (w *world) pod(name string, phase corev1.PodPhase, ready bool) {
	w.t.Helper()
	p, err := w.client.CoreV1().Pods(namespace).Get(w.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	if p.Status.Phase != phase || isReady(p) != ready {
		w.t.Errorf("pod %s is %s, ready %v; want %s, %v", name, p.Status.Phase, isReady(p), phase, ready)
	}
}

func TestScriptsFindCoreDNS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2, (&world{DNS: New(nil), t: t}).applied()...)
		w.run()
		defer w.stop()
		config, err := w.client.CoreV1().ConfigMaps(namespace).Get(t.Context(), "coredns", metav1.GetOptions{})
		if err != nil || config.Data["Corefile"] != cluster.Corefile("cluster.local") {
			t.Errorf("the ConfigMap coredns has %q, %v", config.Data, err)
		}
		d := w.deployment()
		if d.Spec.Replicas != nil || d.Spec.Template.Labels["k8s-app"] != "kube-dns" || d.Spec.Template.Spec.SchedulerName != "bonsai-agent" ||
			len(d.OwnerReferences) != 1 || d.OwnerReferences[0].UID != "of-the-service" {
			t.Errorf("the Deployment is %+v", d)
		}

		pods := w.client.CoreV1().Pods(namespace)
		foreign := podOf(d, "mine")
		foreign.Spec.SchedulerName = "default-scheduler"
		for _, p := range []*corev1.Pod{podOf(d, "one"), foreign} {
			if _, err := pods.Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		w.settle(eagerTime + patientPause)
		w.pod("one", corev1.PodRunning, false)
		w.agents["dev-2"].says("Running")
		w.settle(patientPause)
		if got := w.Nodes()["dev-2"]; got != cluster.PhaseRunning {
			t.Errorf("dev-2 is %s", got)
		}
		w.pod("one", corev1.PodRunning, true) // the questions of every pod are answered
		w.pod("mine", corev1.PodPending, false)
		// What rollout restart and scale make.
		if _, err := pods.Create(t.Context(), podOf(d, "two"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		w.settle(0)
		w.pod("two", corev1.PodRunning, true)
		one, err := pods.Get(t.Context(), "one", metav1.GetOptions{})
		if err != nil || one.Spec.NodeName != "dev-2" {
			t.Errorf("pod one is on node %q, %v", one.Spec.NodeName, err)
		}
		w.agents["dev-2"].dies()
		w.settle(grace)
		w.pod("one", corev1.PodRunning, false)
		w.pod("two", corev1.PodRunning, false)
	})
}

// TestNobodyElseEndsThePods: no kubelet confirms that a pod has ended, and no garbage collector has to find one whose node is gone.
func TestNobodyElseEndsThePods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2, (&world{DNS: New(nil), t: t}).applied()...)
		w.agents["dev-1"].says("Running")
		w.run()
		defer w.stop()
		w.settle(patientPause)
		d := w.deployment()
		pods := w.client.CoreV1().Pods(namespace)
		ending, gone := podOf(d, "ending"), podOf(d, "gone")
		ending.DeletionTimestamp, ending.Finalizers, ending.Spec.NodeName = &metav1.Time{Time: time.Now()}, []string{"test"}, "dev-1"
		gone.Spec.NodeName = "dev-7"
		for _, p := range []*corev1.Pod{ending, gone} {
			if _, err := pods.Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		w.settle(time.Second)
		for _, name := range []string{"ending", "gone"} {
			if _, err := pods.Get(t.Context(), name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				t.Errorf("pod %s is still there: %v", name, err)
			}
		}
	})
}

// TestAStartBringsThePod: a script after it would find none, because the controllers may not be at work yet.
func TestAStartBringsThePod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, (&world{DNS: New(nil), t: t}).applied()...)
		w.agents["dev-1"].says("Running")
		list := func() []corev1.Pod {
			t.Helper()
			pods, err := w.client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "k8s-app=kube-dns"})
			if err != nil {
				t.Fatal(err)
			}
			return pods.Items
		}
		w.run()
		if got := w.Nodes()["dev-1"]; got != cluster.PhaseRunning {
			t.Errorf("dev-1 is %s", got)
		}
		w.ready("dev-1")
		sets, err := w.client.AppsV1().ReplicaSets(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil || len(sets.Items) != 1 {
			t.Fatalf("ReplicaSets: %v, %v", sets, err)
		}
		set := sets.Items[0]
		if owner := metav1.GetControllerOf(&set); owner == nil || owner.UID != w.deployment().UID || owner.Kind != "Deployment" {
			t.Errorf("the ReplicaSet belongs to %v", owner)
		}
		pods := list()
		if len(pods) != 1 {
			t.Fatalf("%d pods", len(pods))
		}
		hash := set.Labels[appsv1.DefaultDeploymentUniqueLabelKey]
		owner := metav1.GetControllerOf(&pods[0])
		if hash == "" || set.Name != "coredns-"+hash || pods[0].Labels[appsv1.DefaultDeploymentUniqueLabelKey] != hash ||
			owner == nil || owner.Kind != "ReplicaSet" || owner.Name != set.Name {
			t.Errorf("pod %s of %s, labels %v, owner %v", pods[0].Name, set.Name, pods[0].Labels, owner)
		}
		w.pod(pods[0].Name, corev1.PodRunning, true)
		w.stop()

		// Who scaled it to nothing gets nothing from the next start.
		if err := w.client.CoreV1().Pods(namespace).Delete(t.Context(), pods[0].Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		w.run()
		w.settle(time.Minute)
		if pods := list(); len(pods) != 0 {
			t.Errorf("pods: %v", pods)
		}
		w.stop()
	})
}

func TestTheStandInBelongsToTheUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mine := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "coredns"}, Data: map[string]string{"Corefile": "mine"}}
		theirs := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "coredns", Labels: map[string]string{"of": "a chart"}}}
		w := newWorld(t, 1, append((&world{DNS: New(nil), t: t}).applied(), mine, theirs)...)
		w.run()
		w.settle(time.Minute)
		w.stop()
		config, err := w.client.CoreV1().ConfigMaps(namespace).Get(t.Context(), "coredns", metav1.GetOptions{})
		if err != nil || config.Data["Corefile"] != "mine" {
			t.Errorf("the user's ConfigMap has %q, %v", config.Data, err)
		}
		if d := w.deployment(); d.Labels["of"] != "a chart" || len(d.OwnerReferences) != 0 {
			t.Errorf("the user's Deployment is %+v", d)
		}
	})
}

// TestADisabledAddonComesBack: the garbage collector may not have removed the Deployment of the earlier Service yet.
func TestADisabledAddonComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, (&world{DNS: New(nil), t: t}).applied()...)
		w.run()
		w.stop()
		services := w.client.CoreV1().Services(namespace)
		again, err := services.Get(t.Context(), service, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := services.Delete(t.Context(), service, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		w.run() // before the Manager has applied the Service
		again.UID, again.ResourceVersion = types.UID("of-the-next"), ""
		if _, err := services.Create(t.Context(), again, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		w.settle(lastStandInPause)
		if d := w.deployment(); d.OwnerReferences[0].UID != again.UID {
			t.Errorf("it belongs to %s", d.OwnerReferences[0].UID)
		}
		// A user who deletes it does not want it.
		if err := w.client.AppsV1().Deployments(namespace).Delete(t.Context(), "coredns", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		w.settle(time.Hour)
		if _, err := w.client.AppsV1().Deployments(namespace).Get(t.Context(), "coredns", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("it is back: %v", err)
		}
		w.stop()
	})
}
