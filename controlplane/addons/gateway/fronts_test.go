package gateway

import (
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons/gateway/compile"
)

// TestFronts: a Gateway's Service and its EndpointSlice are made, changed, made again, and deleted with it.
func TestFronts(t *testing.T) {
	client := fake.NewClientset(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}})
	f := newFronts(client)
	key := compile.Key{Namespace: "shop", Name: "gw-bonsai"}
	front := compile.Front{
		Service: key, UID: "u", Labels: map[string]string{compile.OwnerLabel: compile.Owner},
		Ports: []compile.FrontPort{{Number: 80, Inner: 61000}, {Number: 443, Inner: 61001}},
		Nodes: []compile.FrontNode{{Name: "n1", Address: netip.MustParseAddr("10.201.0.10"), Ready: true}},
	}
	// apply acts on what there is, and returns how often it wrote.
	apply := func(want map[compile.Key]compile.Front) (writes int) {
		t.Helper()
		services, err := client.CoreV1().Services("").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		slices, err := client.DiscoveryV1().EndpointSlices("").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var all []*corev1.Service
		for i := range services.Items {
			all = append(all, &services.Items[i])
		}
		sliced := map[compile.Key]bool{}
		for _, s := range slices.Items {
			sliced[compile.Key{Namespace: s.Namespace, Name: s.Name}] = true
		}
		client.ClearActions()
		if err := f.apply(t.Context(), byKey(all), sliced, want); err != nil {
			t.Fatal(err)
		}
		return len(client.Actions())
	}
	want := map[compile.Key]compile.Front{key: front}
	apply(want)
	s, err := client.CoreV1().Services("shop").Get(t.Context(), "gw-bonsai", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if s.Spec.Type != corev1.ServiceTypeLoadBalancer || *s.Spec.LoadBalancerClass != cluster.LoadBalancerClass || len(s.Spec.Ports) != 2 || s.Spec.Ports[0].TargetPort.IntVal != 61000 {
		t.Errorf("the Service is %+v", s.Spec)
	}
	slice, err := client.DiscoveryV1().EndpointSlices("shop").Get(t.Context(), "gw-bonsai", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(slice.Endpoints) != 1 || *slice.Endpoints[0].NodeName != "n1" || *slice.Ports[1].Port != 61001 {
		t.Errorf("the EndpointSlice is %+v %+v", slice.Endpoints, slice.Ports)
	}
	if n := apply(want); n != 0 {
		t.Errorf("%d writes without a change", n)
	}
	if err := client.DiscoveryV1().EndpointSlices("shop").Delete(t.Context(), "gw-bonsai", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := apply(want); n != 2 {
		t.Errorf("%d writes after somebody deleted the EndpointSlice, want 2", n)
	}
	front.Nodes = append(front.Nodes, compile.FrontNode{Name: "n2", Address: netip.MustParseAddr("10.201.0.11")})
	want[key] = front
	if n := apply(want); n != 2 {
		t.Errorf("%d writes for another node, want 2", n)
	}
	apply(nil)
	services, err := client.CoreV1().Services("").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(services.Items) != 1 || services.Items[0].Name != "web" {
		t.Errorf("without the Gateway there are %v, %v", services.Items, err)
	}
}
