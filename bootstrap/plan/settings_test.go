package plan

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

func TestSettingsOfComponents(t *testing.T) {
	have := cluster.Settings{
		FeatureGates: map[string]bool{"A": true, "B": false},
		Args:         map[string]map[string]string{cluster.ComponentAPIServer: {"v": "2"}},
		Files:        map[string]string{cluster.FileAudit: "rules", cluster.FileEncryption: "secret key"},
	}
	spec := mustResolve(t, Wish{Nodes: new(1), Settings: &have}, nil, quietMachine())
	if !reflect.DeepEqual(spec.Settings, have) {
		t.Fatalf("settings %+v", spec.Settings)
	}
	running := State{Spec: &spec, Running: true, Down: map[string]bool{}}
	for _, tc := range []struct {
		what    string
		wish    Wish
		changes []string
		needs   string
	}{
		{"nothing", Wish{Exact: true}, nil, ""},
		{"the same", Wish{Exact: true, Settings: &have}, nil, ""},
		{"gates of flags are added", Wish{Settings: &cluster.Settings{FeatureGates: map[string]bool{"B": true, "C": false}}},
			[]string{"feature gates: turn on B; turn off C"}, "restarts the control plane and the kubelets"},
		{"gates of a file are all", Wish{Exact: true, Settings: &cluster.Settings{FeatureGates: map[string]bool{"C": true}}},
			[]string{"feature gates: turn on C; reset A, B"}, "restarts the control plane and the kubelets"},
		{"no gates", Wish{Exact: true, Settings: &cluster.Settings{FeatureGates: map[string]bool{}}}, []string{"feature gates: reset A, B"}, "restarts the control plane and the kubelets"},
		{"flags are added", Wish{Settings: &cluster.Settings{Args: map[string]map[string]string{cluster.ComponentAPIServer: {"profiling": "true"}, cluster.ComponentScheduler: {"v": "4"}}}},
			[]string{"run apiServer with --profiling=true", "run scheduler with --v=4"}, "restarts the control plane"},
		{"flags of a file are all", Wish{Exact: true, Settings: &cluster.Settings{Args: map[string]map[string]string{cluster.ComponentAPIServer: {"profiling": "true"}}}},
			[]string{"run apiServer with --profiling=true, without --v"}, "restarts the control plane"},
		{"files come and go", Wish{Exact: true, Settings: &cluster.Settings{Files: map[string]string{cluster.FileAudit: "", cluster.FileEncryption: "other key", cluster.FileKubelet: "maxPods: 9"}}},
			[]string{"remove the settings apiServer.auditPolicy", "change the settings apiServer.encryption", "change the settings kubelet"}, "restarts the control plane"},
	} {
		p := kept(t, tc.wish, running)
		if got := changesOf(p); !slices.Equal(got, tc.changes) {
			t.Errorf("%s: changes %q, want %q", tc.what, got, tc.changes)
			continue
		}
		if len(p.Changes) > 0 && p.Changes[0].Needs().String() != tc.needs {
			t.Errorf("%s needs %q, want %q", tc.what, p.Changes[0].Needs(), tc.needs)
		}
		if text, err := json.Marshal(p.Described()); err != nil || strings.Contains(string(text), "key\"") {
			t.Errorf("%s: %v, %s", tc.what, err, text)
		}
		if p.Restarts(PartControlPlane) != (tc.needs != "") {
			t.Errorf("%s: restarts the control plane: %t", tc.what, p.Restarts(PartControlPlane))
		}
	}
	if !reflect.DeepEqual(spec.Settings, have) {
		t.Errorf("a plan has changed the spec: %+v", spec.Settings)
	}
	stopped := State{Spec: &spec, Down: map[string]bool{"dev-1": true}}
	p := kept(t, Wish{Settings: &cluster.Settings{FeatureGates: map[string]bool{"A": false}}}, stopped)
	if len(p.Changes) != 1 || p.Changes[0].Needs().Effect != Live || p.Restarts(PartKubelet) {
		t.Errorf("of a stopped cluster: %v needs %v", changesOf(p), p.Changes[0].Needs())
	}
	none := kept(t, Wish{Exact: true, Settings: &cluster.Settings{FeatureGates: map[string]bool{}, Args: map[string]map[string]string{cluster.ComponentAPIServer: {}},
		Files: map[string]string{cluster.FileAudit: "", cluster.FileEncryption: ""}}}, stopped)
	if got := none.Wanted.Spec.Settings; !got.IsZero() || got.FeatureGates != nil || got.Args != nil || got.Files != nil {
		t.Errorf("nothing is left, and it is %+v", got)
	}
}

func TestComponentsAreLeftOutAndComeBack(t *testing.T) {
	api := []string{cluster.Etcd, cluster.APIServer}
	spec := mustResolve(t, Wish{Nodes: new(0), Components: api}, nil, quietMachine())
	if !slices.Equal(spec.Components, api) {
		t.Fatalf("components of the new cluster are %v, want %v", spec.Components, api)
	}
	running := State{Spec: &spec, Running: true, Down: map[string]bool{}}
	for _, tc := range []struct {
		what    string
		wish    Wish
		changes []string
	}{
		{"nothing", Wish{}, nil},
		{"the same", Wish{Components: api}, nil},
		{"one more", Wish{Components: []string{cluster.Etcd, cluster.APIServer, cluster.ControllerManager}}, []string{"run the control plane without kube-scheduler"}},
		{"all", Wish{Components: cluster.ControlPlaneComponents()}, []string{"run all components of the control plane"}},
	} {
		p := kept(t, tc.wish, running)
		if got := changesOf(p); !slices.Equal(got, tc.changes) {
			t.Errorf("%s: changes %q, want %q", tc.what, got, tc.changes)
		}
		if p.Restarts(PartControlPlane) != (tc.changes != nil) {
			t.Errorf("%s: restarts the control plane: %t", tc.what, p.Restarts(PartControlPlane))
		}
	}
}

func TestNodesAreRefusedWithoutControllers(t *testing.T) {
	api := []string{cluster.Etcd, cluster.APIServer}
	spec := mustResolve(t, Wish{Nodes: new(0), Components: api}, nil, quietMachine())
	for what, wish := range map[string]Wish{
		"more nodes":                       {Nodes: new(2)},
		"a new cluster with the same wish": {Nodes: new(1), Components: api},
	} {
		current := State{Spec: &spec, Running: true, Down: map[string]bool{}}
		if wish.Components != nil {
			current = State{}
		}
		wish.Name = "dev"
		wanted, err := wish.Started(current, quietMachine())
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		_, err = New(current, wanted)
		if fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), cluster.ControllerManager) {
			t.Errorf("%s: got the error %v, want one that names %s", what, err, cluster.ControllerManager)
		}
	}
	wanted, err := Wish{Name: "dev", Nodes: new(1), Components: []string{cluster.Etcd, cluster.APIServer, cluster.ControllerManager}}.Started(State{}, quietMachine())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(State{}, wanted); err != nil {
		t.Errorf("nodes without a scheduler, which may be somebody's own: %v", err)
	}
}
