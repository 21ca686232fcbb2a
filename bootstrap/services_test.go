package bootstrap

import (
	"reflect"
	"testing"
)

func TestServicesOf(t *testing.T) {
	got, err := servicesOf([]byte(`{"items":[{"metadata":{"namespace":"a","name":"web"},"spec":{"type":"NodePort","ports":[
		{"name":"http","protocol":"TCP","port":80,"targetPort":"web","nodePort":30080}]}},{"metadata":{"namespace":"b","name":"x"},"spec":{"type":"ExternalName"}}]}`))
	want := []Service{
		{"a", "web", "NodePort", []ServicePort{{"http", "TCP", 80, 30080}}},
		{"b", "x", "ExternalName", nil},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := servicesOf([]byte("no json")); err == nil {
		t.Error("nonsense is read as a list")
	}
}
