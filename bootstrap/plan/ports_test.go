package plan

import (
	"slices"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

func ports(t *testing.T, texts ...string) (list []cluster.Port) {
	t.Helper()
	for _, text := range texts {
		p, err := cluster.ParsePort(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

func TestPortsAreAddedAndReplaced(t *testing.T) {
	spec := mustResolve(t, Wish{Ports: ports(t, "8080:80@2", "53:30053/udp")}, nil, quietMachine())
	if spec.Ports[0].Node != "dev-2" {
		t.Errorf("the node is %q, want its name", spec.Ports[0].Node)
	}
	changed := mustResolve(t, Wish{Ports: ports(t, "8080:81", "9000:default/web:80")}, &spec, quietMachine())
	changed.Ports = slices.Delete(changed.Ports, 1, 2)
	var got []string
	for _, c := range Diff(State{Spec: &spec, Running: true}, State{Spec: &changed, Running: true}) {
		got = append(got, c.String()+": "+c.Needs().String())
	}
	want := []string{
		"stop forwarding 127.0.0.1:53/udp: nothing", "forward 127.0.0.1:8080 to 81: nothing",
		"forward 127.0.0.1:9000 to default/web:80: nothing",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := Resolve(Wish{Name: "dev", Ports: ports(t, "80:80@9")}, &spec, quietMachine()); fault.KindOf(err) != fault.Usage {
		t.Errorf("a node that does not exist: %v", err)
	}
	if again := mustResolve(t, Wish{}, &spec, quietMachine()); len(again.Ports) != 2 {
		t.Errorf("without a wish the ports are %v", again.Ports)
	}
}
