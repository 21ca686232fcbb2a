package envtest

import (
	"reflect"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	upstream "sigs.k8s.io/controller-runtime/pkg/envtest"
)

// A suite that sets a field has to compile with the other import.
func TestAllFieldsOfUpstreamAreThere(t *testing.T) {
	ours := reflect.TypeFor[Environment]()
	for field := range reflect.TypeFor[upstream.Environment]().Fields() {
		have, ok := ours.FieldByName(field.Name)
		if !ok && field.IsExported() {
			t.Errorf("there is no field %s", field.Name)
		} else if ok && have.Type != field.Type {
			t.Errorf("%s has the type %s, upstream's %s", field.Name, have.Type, field.Type)
		}
	}
	for method := range reflect.TypeFor[*upstream.Environment]().Methods() {
		have, ok := reflect.TypeFor[*Environment]().MethodByName(method.Name)
		if !ok {
			t.Errorf("there is no method %s", method.Name)
		} else if have.Type.NumIn() != method.Type.NumIn() || have.Type.NumOut() != method.Type.NumOut() {
			t.Errorf("%s is %s, upstream's %s", method.Name, have.Type, method.Type)
		}
	}
}

func TestFlagsOfTheAPIServerArePassedOn(t *testing.T) {
	var e Environment
	e.ControlPlane.GetAPIServer().Configure().
		Append("feature-gates", "A=true").Append("feature-gates", "B=false").
		Set("v", "3").Append("disable-admission-plugins", "X", "Y")
	if got := len(apiServerFlags(e.ControlPlane.GetAPIServer().Configure())); got != 3 {
		t.Errorf("got %d options, want one for each flag", got)
	}
	if got := len(e.options()); got != 4 {
		t.Errorf("got %d options, want those and that it is an API alone", got)
	}
}

func TestUsersActThroughTheAdministrator(t *testing.T) {
	admin := &rest.Config{Host: "https://127.0.0.1:7", TLSClientConfig: rest.TLSClientConfig{CertData: []byte("c"), CAData: []byte("ca")}}
	e := Environment{Config: admin}
	if err := e.describe(); err != nil {
		t.Fatal(err)
	}
	user, err := e.AddUser(User{Name: "dev", Groups: []string{"team"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := user.Config()
	if strings.TrimSuffix(got.Host, "/") != admin.Host || got.Impersonate.UserName != "dev" || got.Impersonate.Groups[0] != "team" || string(got.CertData) != "c" {
		t.Errorf("got %+v", got)
	}
}

func TestStopWithoutStartDoesNothing(t *testing.T) {
	var e Environment
	if err := e.Stop(); err != nil {
		t.Error(err)
	}
}
