package loadbalancer

import (
	"fmt"
	"log/slog"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	servicehelper "k8s.io/cloud-provider/service/helpers"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons"
)

func balancerService(name string, change ...func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name)},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
			Ports: []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80}, {Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53}},
		},
	}
	for _, f := range change {
		f(s)
	}
	return s
}

func class(name string) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Spec.LoadBalancerClass = &name }
}

// What is disabled while a Service has an address leaves it neither that nor the finalizer, and others theirs.
func TestRemove(t *testing.T) {
	with := func(name, address string, change ...func(*corev1.Service)) *corev1.Service {
		s := balancerService(name, change...)
		s.Finalizers = []string{"example.com/other", servicehelper.LoadBalancerCleanupFinalizer}
		s.Status.LoadBalancer = *statusOf(ip(address))
		return s
	}
	client := fake.NewClientset(with("web", "10.1.3.1"), with("theirs", "10.1.3.2", class("metal.test/x")), with("elsewhere", "192.0.2.7"))
	spec := cluster.Spec{Subnet: netip.MustParsePrefix("10.1.0.0/22")}
	c := addons.Cluster{Client: client, Spec: func() cluster.Spec { return spec }, Log: slog.New(slog.DiscardHandler), Scale: 1}
	if err := New().Remove(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"web": "[example.com/other] ", "theirs": "", "elsewhere": ""} {
		s, err := client.CoreV1().Services("shop").Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprint(s.Finalizers, " ")
		if addressOf(s).IsValid() {
			got = ""
		}
		if got != want {
			t.Errorf("Service %s has the finalizers %v and the status %v", name, s.Finalizers, s.Status.LoadBalancer)
		}
	}
}
