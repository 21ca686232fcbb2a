package services

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"bonsai/bootstrap/servicename"
	"bonsai/controlplane/observe/objects"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func service(name, ip string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, ResourceVersion: "1"}, Spec: corev1.ServiceSpec{
		ClusterIP: ip, Ports: []corev1.ServicePort{{Name: "http", AppProtocol: new("http"), Port: 80, Protocol: corev1.ProtocolTCP}},
	}}
}

func watches(client *fake.Clientset) (n int) {
	for _, a := range client.Actions() {
		if a.GetVerb() == "watch" {
			n++
		}
	}
	return n
}

func TestServicesAreFollowedWhileSomebodyAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := service("docs", "")
		other.Spec.Type, other.Spec.ExternalName = corev1.ServiceTypeExternalName, "docs.test"
		client := fake.NewClientset(service("web", "10.96.0.7"), service("db", corev1.ClusterIPNone), other)
		v := New(Options{Objects: objects.New(objects.Clients{Kubernetes: client}), Client: client, Scale: 1})
		defer v.Close()
		if watches(client) != 0 {
			t.Error("it watches before anybody asks")
		}
		want := Service{Namespace: "shop", Name: "web", IP: netip.MustParseAddr("10.96.0.7"), Ports: []servicename.Port{{Name: "http", AppProtocol: "http", Protocol: "TCP", Number: 80}}}
		got, ok, err := v.Get(t.Context(), "shop", "web")
		if err != nil || !ok || got.IP != want.IP || len(got.Ports) != 1 || got.Ports[0] != want.Ports[0] {
			t.Errorf("got %+v, %t, %v", got, ok, err)
		}
		if got, ok, err := v.Get(t.Context(), "shop", "db"); err != nil || !ok || got.IP.IsValid() {
			t.Errorf("a headless one: %+v, %t, %v", got, ok, err)
		}
		if got, ok, err := v.Get(t.Context(), "shop", "docs"); err != nil || !ok || got.External != "docs.test" {
			t.Errorf("another name: %+v, %t, %v", got, ok, err)
		}
		if _, ok, err := v.Get(t.Context(), "shop", "wbe"); ok || err != nil {
			t.Errorf("one that does not exist: %t, %v", ok, err)
		}
		if all, err := v.All(t.Context()); err != nil || len(all) != 3 {
			t.Errorf("all: %v, %v", all, err)
		}
		if n := watches(client); n != 1 {
			t.Errorf("%d watches", n)
		}
		time.Sleep(linger + time.Second)
		synctest.Wait()
		v.mu.Lock()
		if v.following != nil {
			t.Error("it watches although nobody has asked for a minute")
		}
		v.mu.Unlock()
		if _, ok, err := v.Get(t.Context(), "shop", "web"); !ok || err != nil {
			t.Errorf("later: %t, %v", ok, err)
		}
		if n := watches(client); n != 2 {
			t.Errorf("%d watches", n)
		}
	})
}

func TestEndpoints(t *testing.T) {
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db-x", Labels: map[string]string{discoveryv1.LabelServiceName: "db"}},
		Ports:      []discoveryv1.EndpointPort{{Name: new("http"), Port: new(int32(8080))}},
		Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{"10.244.1.2"}, Hostname: new("db-0"), TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: "db-0"}},
			{Addresses: []string{"10.244.1.3"}, Conditions: discoveryv1.EndpointConditions{Ready: new(false)}},
			{Addresses: []string{"example.test"}},
		},
	}
	client := fake.NewClientset(slice)
	v := New(Options{Objects: objects.New(objects.Clients{Kubernetes: client}), Client: client, Scale: 1})
	defer v.Close()
	got, err := v.Endpoints(context.Background(), "shop", "db")
	if err != nil || len(got) != 2 || !got[0].Ready || got[0].Host != "db-0" || got[0].Pod != "db-0" || got[0].Ports["http"] != 8080 || got[1].Ready {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := v.Endpoints(context.Background(), "shop", "web"); err != nil || len(got) != 0 {
		t.Errorf("of another Service: %+v, %v", got, err)
	}
}
