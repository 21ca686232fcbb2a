package bootstrap

import (
	"net/netip"
	"reflect"
	"testing"
)

func TestServicesOf(t *testing.T) {
	got, err := servicesOf([]byte(`{"items":[{"metadata":{"namespace":"a","name":"web"},"spec":{"type":"NodePort","ports":[
		{"name":"http","protocol":"TCP","port":80,"targetPort":"web","nodePort":30080,"appProtocol":"kubernetes.io/ws"}]}},{"metadata":{"namespace":"b","name":"x"},"spec":{"type":"ExternalName"}},
		{"metadata":{"namespace":"b","name":"y"},"spec":{"type":"LoadBalancer"},"status":{"loadBalancer":{"ingress":[{"hostname":"y.test"},{"ip":"10.201.3.1"}]}}}]}`))
	want := []Service{
		{"a", "web", "NodePort", netip.Addr{}, []ServicePort{{"http", "TCP", 80, 30080, "kubernetes.io/ws"}}},
		{"b", "x", "ExternalName", netip.Addr{}, nil},
		{"b", "y", "LoadBalancer", netip.MustParseAddr("10.201.3.1"), nil},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := servicesOf([]byte("no json")); err == nil {
		t.Error("nonsense is read as a list")
	}
}
