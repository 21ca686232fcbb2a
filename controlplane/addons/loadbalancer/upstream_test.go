//go:build !race

// Upstream's controller itself has a data race: its workers for nodes read the Services that those for Services write
// (controllers/service, "Stop relying on this and remove the cache completely"). So this is tested without the detector.

package loadbalancer

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	servicehelper "k8s.io/cloud-provider/service/helpers"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons"
)

// working is upstream's controller at work on a cluster that is in memory.
type working struct {
	t      *testing.T
	client *fake.Clientset
	stop   func()
}

// work starts the controller with these addresses, in a bubble.
func work(t *testing.T, client *fake.Clientset, n *network, addresses ...string) *working {
	t.Helper()
	spec := cluster.Spec{Subnet: netip.MustParsePrefix("10.1.0.0/22"), Nodes: []cluster.Node{{Name: "n1"}, {Name: "n2"}}}
	never := make(chan struct{})
	c := addons.Cluster{
		Client: client, Spec: func() cluster.Spec { return spec }, Changed: func() <-chan struct{} { return never }, Notify: func() {},
		Log: slog.New(slog.DiscardHandler), Scale: 1,
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = New().control(ctx, c, n, client, pool(t, addresses...)) // ends with ctx
	}()
	return &working{t, client, func() { cancel(); <-ended; time.Sleep(5 * time.Second) }} // upstream's workers end later
}

// settle lets everything happen that happens without the test.
func (w *working) settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (w *working) create(s *corev1.Service) {
	w.t.Helper()
	if _, err := w.client.CoreV1().Services(s.Namespace).Create(w.t.Context(), s, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *working) change(name string, change func(*corev1.Service)) {
	w.t.Helper()
	s := w.get(name)
	change(s)
	if _, err := w.client.CoreV1().Services("shop").Update(w.t.Context(), s, metav1.UpdateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *working) get(name string) *corev1.Service {
	w.t.Helper()
	s, err := w.client.CoreV1().Services("shop").Get(w.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// has checks the address of a Service, empty for none, and that it has upstream's finalizer if it is ours.
func (w *working) has(name, want string, finalizer bool) {
	w.t.Helper()
	s := w.get(name)
	got := ""
	if a := addressOf(s); a.IsValid() {
		got = a.String()
	}
	if got != want || servicehelper.HasLBFinalizer(s) != finalizer {
		w.t.Errorf("Service %s has the address %q, want %q, and the finalizers %v", name, got, want, s.Finalizers)
	}
}

// said are the texts of the warnings about a Service.
func (w *working) said(name string) (texts []string) {
	for _, action := range w.client.Actions() {
		create, ok := action.(clienttesting.CreateAction)
		if !ok {
			continue
		}
		if e, ok := create.GetObject().(*corev1.Event); ok && e.InvolvedObject.Name == name && e.Reason == "SyncLoadBalancerFailed" {
			texts = append(texts, e.Message)
		}
	}
	return texts
}

func TestUpstreamsControllerServesServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, n := fake.NewClientset(), newNetwork()
		for _, name := range []string{"n1", "n2"} {
			if _, err := client.CoreV1().Nodes().Create(t.Context(), readyNode(name), metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		w := work(t, client, n, "10.1.3.1-10.1.3.3")
		w.settle(time.Second)

		// A Service gets an address, which a node announces with all its ports before it is in the status.
		w.create(balancerService("web"))
		w.settle(100 * time.Millisecond)
		w.has("web", "10.1.3.1", true)
		if at := n.at(ip("10.1.3.1")); len(at) != 1 {
			t.Errorf("the address is announced by %v", at)
		}
		if ingress := w.get("web").Status.LoadBalancer.Ingress[0]; ingress.IPMode == nil || *ingress.IPMode != corev1.LoadBalancerIPModeVIP {
			t.Errorf("the mode of the address is %v", ingress.IPMode)
		}

		// Our class is served, whose name remains; another is not, and what is another controller's stays.
		w.create(balancerService("ours", class(cluster.LoadBalancerClass)))
		w.create(balancerService("theirs", class("metal.test/x"), func(s *corev1.Service) {
			s.Finalizers = []string{servicehelper.LoadBalancerCleanupFinalizer}
			s.DeletionTimestamp = &metav1.Time{Time: time.Now()}
		}))
		w.settle(time.Second)
		w.has("ours", "10.1.3.2", true)
		if s := w.get("ours"); s.Spec.LoadBalancerClass == nil || *s.Spec.LoadBalancerClass != cluster.LoadBalancerClass {
			t.Errorf("the class is %v", s.Spec.LoadBalancerClass)
		}
		w.has("theirs", "", true)

		// A requested address; one that another Service has, until that has another type.
		w.create(balancerService("asks", func(s *corev1.Service) { s.Annotations = map[string]string{AddressAnnotation: "10.1.3.1"} }))
		w.settle(time.Second)
		w.has("asks", "", true)
		if said := w.said("asks"); len(said) == 0 || !strings.Contains(said[0], "the requested address 10.1.3.1 is in use by Service shop/web") {
			t.Errorf("events are %q", said)
		}
		w.change("web", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })
		w.settle(retry + time.Second)
		w.has("web", "", false)
		w.has("asks", "10.1.3.1", true)

		// All are in use; the one that waits gets what is released.
		w.create(balancerService("third"))
		w.create(balancerService("fourth"))
		w.settle(time.Second)
		last, waits := "third", "fourth"
		if !addressOf(w.get(last)).IsValid() {
			last, waits = waits, last
		}
		w.has(last, "10.1.3.3", true)
		w.has(waits, "", true)
		if said := w.said(waits); len(said) == 0 || !strings.Contains(said[0], "no address is free: all 3 of 10.1.3.1-10.1.3.3 are in use") {
			t.Errorf("events are %q", said)
		}
		now := metav1.Now()
		w.change(last, func(s *corev1.Service) { s.DeletionTimestamp = &now })
		w.settle(retry + time.Second)
		if s, err := client.CoreV1().Services("shop").Get(t.Context(), last, metav1.GetOptions{}); err == nil && servicehelper.HasLBFinalizer(s) {
			t.Error("a Service that is deleted keeps the finalizer")
		}
		w.has(waits, "10.1.3.3", true)

		// Another daemon leaves everything as it is; with other addresses only who has to move does.
		before := n.moves
		w.stop()
		w = work(t, client, n, "10.1.3.1-10.1.3.3")
		w.settle(5 * time.Second)
		w.has("ours", "10.1.3.2", true)
		w.has(waits, "10.1.3.3", true)
		if n.moves != before {
			t.Errorf("%d addresses have moved", n.moves-before)
		}
		w.stop()
		w = work(t, client, n, "10.1.3.2-10.1.3.3", "10.1.1.7")
		w.settle(5 * time.Second)
		w.has("ours", "10.1.3.2", true)
		w.has(waits, "10.1.3.3", true)
		w.has("asks", "10.1.3.1", true) // which it has requested, and keeps until that changes
		if said := w.said("asks"); !slices.ContainsFunc(said, func(text string) bool { return strings.Contains(text, "is not one of the addresses of load balancers") }) {
			t.Errorf("events are %q", said)
		}
		w.change("asks", func(s *corev1.Service) { s.Annotations = nil })
		w.settle(time.Second)
		w.has("asks", "10.1.1.7", true)
		w.stop()
	})
}

func readyNode(name string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Status:     corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}},
	}
}
