package plan

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

func namesOf(spec *cluster.Spec) (names []string) {
	for _, n := range spec.Nodes {
		names = append(names, n.Name)
	}
	return names
}

func TestTheFirstNodeHasTheControlPlaneRole(t *testing.T) {
	spec := mustResolve(t, Wish{Nodes: new(2)}, nil, quietMachine())
	if spec.Nodes[0].Role() != cluster.RoleControlPlane || spec.Nodes[1].Role() != cluster.RoleWorker || spec.ControlPlaneTaint {
		t.Errorf("nodes = %+v, tainted %v", spec.Nodes, spec.ControlPlaneTaint)
	}
	spec = mustResolve(t, Wish{Nodes: new(4), ControlPlaneTaint: new(true)}, &spec, quietMachine())
	if spec.Nodes[2].Role() != cluster.RoleWorker || !spec.ControlPlaneTaint {
		t.Errorf("nodes = %+v, tainted %v", spec.Nodes, spec.ControlPlaneTaint)
	}
}

// TestANameIsNotGivenTwice: not even after a long time, when addresses are.
func TestANameIsNotGivenTwice(t *testing.T) {
	spec := mustResolve(t, Wish{Nodes: new(3)}, nil, quietMachine())
	state := State{Spec: &spec, Running: true}
	given := map[string]bool{}
	for _, n := range spec.Nodes {
		given[n.Name] = true
	}
	for range 2 * cluster.MaxNodes {
		last := state.Spec.Nodes[len(state.Spec.Nodes)-1].Name
		without, err := WithoutNodes([]string{last})(state, quietMachine())
		if err != nil {
			t.Fatal(err)
		}
		if state, err = (NewNodes{Count: 1}).Wanted(without, quietMachine()); err != nil {
			t.Fatal(err)
		}
		if err := state.Spec.Validate(); err != nil {
			t.Fatal(err)
		}
		n := state.Spec.Nodes[2]
		if given[n.Name] || n.Number() <= cluster.MaxNodes && n.Index != n.Number() {
			t.Fatalf("the next node is %+v", n)
		}
		given[n.Name] = true
	}
	if got := namesOf(state.Spec); !slices.Equal(got, []string{"dev-1", "dev-2", "dev-203"}) || state.Spec.Nodes[2].Index != 4 && state.Spec.Nodes[2].Index != 3 {
		t.Errorf("nodes = %+v", state.Spec.Nodes)
	}
}

// TestTheControlPlaneRoleDoesNotLeaveWithItsNode: charts and scripts look for it.
func TestTheControlPlaneRoleDoesNotLeaveWithItsNode(t *testing.T) {
	spec := mustResolve(t, Wish{Nodes: new(4)}, nil, quietMachine())
	spec.Nodes[1].Stopped = true
	without := func(spec *cluster.Spec, names ...string) (State, []Change) {
		t.Helper()
		current := State{Spec: spec, Running: true, Down: map[string]bool{}}
		wanted, err := WithoutNodes(names)(current, quietMachine())
		if err != nil {
			t.Fatal(err)
		}
		return wanted, Diff(current, wanted)
	}
	roles := func(s State) (names []string) {
		for _, n := range s.Spec.Nodes {
			if n.ControlPlane {
				names = append(names, n.Name)
			}
		}
		return names
	}
	got, changes := without(&spec, "1")
	if !slices.Equal(roles(got), []string{"dev-3"}) {
		t.Errorf("nodes with the role: %v, want the oldest that runs", roles(got))
	}
	if want := []Change{RemoveNode{"dev-1"}, LabelNode{Node: "dev-3", Role: cluster.RoleControlPlane}}; !reflect.DeepEqual(changes, want) {
		t.Errorf("changes: %v, want %v", changes, want)
	}
	if got, _ = without(&spec, "1", "3", "4"); !slices.Equal(roles(got), []string{"dev-2"}) {
		t.Errorf("nodes with the role: %v, want the only one although it is stopped", roles(got))
	}
	if got, _ = without(&spec, "1", "2", "3", "4"); len(got.Spec.Nodes) > 0 {
		t.Errorf("nodes: %v", namesOf(got.Spec))
	}
	if got, _ = without(&spec, "4"); !slices.Equal(roles(got), []string{"dev-1"}) || !spec.Nodes[0].ControlPlane || spec.Nodes[2].ControlPlane {
		t.Errorf("nodes with the role: %v", roles(got))
	}
	spec.Nodes[3].ControlPlane = true
	if got, _ = without(&spec, "1"); !slices.Equal(roles(got), []string{"dev-4"}) {
		t.Errorf("nodes with the role: %v, want the other one that had it", roles(got))
	}
	spec.Nodes[0].ControlPlane, spec.Nodes[3].ControlPlane = false, false
	if got, _ = without(&spec, "1"); len(roles(got)) > 0 {
		t.Errorf("nodes with the role: %v, although none had it before", roles(got))
	}
}

func TestPortsOfADeletedNodeGo(t *testing.T) {
	spec := mustResolve(t, Wish{Nodes: new(3), Ports: ports(t, "8080:80@1", "8081:80@2", "8082:80")}, nil, quietMachine())
	current := State{Spec: &spec, Running: true, Down: map[string]bool{}}
	wanted, err := WithoutNodes([]string{"2"})(current, quietMachine())
	if err != nil {
		t.Fatal(err)
	}
	if want := []cluster.Port{spec.Ports[0], spec.Ports[2]}; !slices.Equal(wanted.Spec.Ports, want) || len(spec.Ports) != 3 {
		t.Errorf("ports are %v, want %v", wanted.Spec.Ports, want)
	}
	want := Port{Listen: spec.Ports[1].Listen(), From: spec.Ports[1].To()}
	if changes := Diff(current, wanted); !slices.Contains(changes, Change(want)) {
		t.Errorf("changes are %v, want %v among them", changes, want)
	}
}

func TestNewNodes(t *testing.T) {
	spec := mustResolve(t, Wish{Nodes: new(1)}, nil, quietMachine())
	taint := cluster.Taint{Key: "gpu", Effect: "NoSchedule"}
	add := NewNodes{Count: 2, CPUs: 2, MemoryBytes: 1 << 30, ControlPlane: true, Labels: map[string]string{"zone": "a"}, Taints: []cluster.Taint{taint}}
	got, err := add.Wanted(State{Spec: &spec, Running: true, Down: map[string]bool{"dev-1": true}}, quietMachine())
	if err != nil {
		t.Fatal(err)
	}
	n := got.Spec.Nodes[2]
	if n.Name != "dev-3" || n.CPUs != 2 || n.MemoryBytes != 1<<30 || !n.ControlPlane || n.Labels["zone"] != "a" || n.Taints[0] != taint || n.Pending ||
		!reflect.DeepEqual(got.Down, map[string]bool{"dev-1": true}) || len(spec.Nodes) != 1 {
		t.Errorf("got %+v, down %v", n, got.Down)
	}
	// In a stopped cluster they wait for its start.
	if got, err = (NewNodes{Count: 1}).Wanted(State{Spec: &spec}, quietMachine()); err != nil || !got.Spec.Nodes[1].Pending {
		t.Errorf("got %+v, %v", got.Spec.Nodes, err)
	}
	if got, err = (Wish{Name: "dev"}).Started(got, quietMachine()); err != nil || got.Spec.Nodes[1].Pending {
		t.Errorf("started: %+v, %v", got.Spec.Nodes, err)
	}
	if _, err := (NewNodes{Count: cluster.MaxNodes}).Wanted(State{Spec: &spec}, quietMachine()); fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), "at most 100") {
		t.Errorf("too many: %v", err)
	}
}

func TestAStoppedNodeStaysStopped(t *testing.T) {
	spec := mustResolve(t, Wish{Nodes: new(2)}, nil, quietMachine())
	running := State{Spec: &spec, Running: true, Down: map[string]bool{}}
	stopped, err := StoppedNodes([]string{"2", "dev-2"})(running, quietMachine())
	if err != nil || !stopped.Spec.Nodes[1].Stopped || !stopped.Down["dev-2"] || spec.Nodes[1].Stopped || len(running.Down) > 0 {
		t.Fatalf("got %+v, %v", stopped, err)
	}
	after, err := (Wish{Name: "dev"}).Started(State{Spec: stopped.Spec, Down: map[string]bool{"dev-1": true, "dev-2": true}}, quietMachine())
	if want := map[string]bool{"dev-2": true}; err != nil || !reflect.DeepEqual(after.Down, want) {
		t.Errorf("after a start these are down: %v, %v; want %v", after.Down, err, want)
	}
	started, err := StartedNodes([]string{"dev-2"})(stopped, quietMachine())
	if err != nil || started.Spec.Nodes[1].Stopped || started.Down["dev-2"] {
		t.Errorf("started: %+v, %v", started, err)
	}
}

func TestAnUnknownNodeIsRefused(t *testing.T) {
	spec := mustResolve(t, Wish{Nodes: new(2)}, nil, quietMachine())
	for _, want := range []func(State, Environment) (State, error){
		WithoutNodes([]string{"dev-1", "dev-9"}), StoppedNodes([]string{"dev-9"}), StartedNodes([]string{"dev-9"}), ResizedNodes([]string{"dev-9"}, new(1.0), nil),
	} {
		_, err := want(State{Spec: &spec}, quietMachine())
		if p := fault.Problem(err); fault.KindOf(err) != fault.NodeNotFound || !strings.Contains(p.HintText(), "dev-1, dev-2") {
			t.Errorf("got %v", err)
		}
	}
	spec.Nodes = nil
	if _, err := WithoutNodes([]string{"dev-1"})(State{Spec: &spec}, quietMachine()); fault.KindOf(err) != fault.NodeNotFound {
		t.Errorf("without nodes: %v", err)
	}
}

func TestMoreProcessorsThanThereAreAreRefused(t *testing.T) {
	env := Environment{CPUs: 4}
	spec := func(cpus float64) *cluster.Spec {
		return &cluster.Spec{Nodes: []cluster.Node{{Name: "dev-1", CPUs: 1}, {Name: "dev-2", CPUs: cpus}}}
	}
	for name, tc := range map[string]struct {
		current *cluster.Spec
		cpus    float64
		env     Environment
		says    string
	}{
		"as many as there are":            {spec(1), 4, env, ""},
		"more":                            {spec(1), 4.5, env, "node dev-2 cannot have 4.5 processors: the container engine has 4"},
		"of a new cluster":                {nil, 8, env, "node dev-2 cannot have 8 processors"},
		"had before, on a larger machine": {spec(8), 8, env, ""},
		"the engine was not asked":        {spec(1), 8, Environment{}, ""},
	} {
		err := CheckProcessors(State{Spec: tc.current}, State{Spec: spec(tc.cpus)}, tc.env)
		if tc.says == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), tc.says) || fault.KindOf(err) != fault.Usage {
			t.Errorf("%s: %v", name, err)
		}
	}
}
