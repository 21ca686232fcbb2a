package bootstrap_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"reflect"
	"slices"
	"sync"
	"testing"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/statedir"
)

// daemonAddons is the part of the little daemon that lives by the spec: addons, which run at once, and Node objects.
type daemonAddons struct {
	mu     sync.Mutex // guards what follows
	wanted map[string]bool
	nodes  []cluster.Node
}

// live reads the spec.
func (d *daemonAddons) live(state statedir.Cluster) error {
	spec, err := state.LoadSpec()
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if spec.Addons["refused"] {
		return errors.New("the daemon has its reasons")
	}
	d.wanted, d.nodes = spec.Addons, spec.Nodes
	return nil
}

// nodeObjects are the Node objects that "kubectl get nodes" would show.
func (d *daemonAddons) nodeObjects() []cluster.Node {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.nodes
}

func (d *daemonAddons) enabled() (list []cluster.AddonStatus) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(d.wanted)) {
		if d.wanted[name] {
			list = append(list, cluster.AddonStatus{AddonDescription: cluster.AddonDescription{Name: name}, Enabled: true, State: cluster.AddonRunning})
		}
	}
	return list
}

func (d *daemonAddons) Addons(context.Context) ([]cluster.AddonStatus, error) {
	return d.enabled(), nil
}

// enable is what the command line does.
func (m *machine) enable(t *testing.T, name string, on bool) (running bool, err error) {
	t.Helper()
	return m.SetAddons(t.Context(), "dev", func(chosen bootstrap.AddonChoice) error {
		chosen.Enabled[name] = on
		return nil
	})
}

// wantChosen checks the spec and, if it runs, what the daemon lives by.
func (m *machine) wantChosen(t *testing.T, want map[string]bool) {
	t.Helper()
	spec, err := m.dir.Cluster("dev").LoadSpec()
	if err != nil || !maps.Equal(spec.Addons, want) {
		t.Errorf("chosen are %v, %v; want %v", spec.Addons, err, want)
	}
	if !m.dir.Cluster("dev").DaemonAlive() {
		return
	}
	list, err := m.Addons(t.Context(), "dev")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, s := range list {
		got[s.Name] = true
	}
	for name, on := range want {
		if got[name] != on {
			t.Errorf("the daemon has %v, want %v", got, want)
		}
	}
}

func TestAddonsAreChosenForLife(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(1), Addons: map[string]bool{"b": true}}); err != nil {
		t.Fatal(err)
	}
	m.wantChosen(t, map[string]bool{"b": true})
	if running, err := m.enable(t, "a", true); err != nil || !running {
		t.Fatalf("enable a: running %v, %v", running, err)
	}
	m.wantChosen(t, map[string]bool{"a": true, "b": true})

	enough := errors.New("enough")
	if err := m.WatchAddons(t.Context(), "dev", func(list []cluster.AddonStatus) error {
		if len(list) != 2 || list[0].Name != "a" || list[0].State != cluster.AddonRunning {
			t.Errorf("watched %+v", list)
		}
		return enough
	}); !errors.Is(err, enough) {
		t.Errorf("watch ended with %v", err)
	}

	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Addons(t.Context(), "dev"); fault.KindOf(err) != fault.NotRunning {
		t.Errorf("addons of a stopped cluster: %v", err)
	}
	if err := m.WatchAddons(t.Context(), "dev", nil); fault.KindOf(err) != fault.NotRunning {
		t.Errorf("watch of a stopped cluster: %v", err)
	}
	if running, err := m.enable(t, "b", false); err != nil || running {
		t.Fatalf("disable b while stopped: running %v, %v", running, err)
	}
	if err := m.start(t, plan.Wish{}); err != nil {
		t.Fatal(err)
	}
	m.wantChosen(t, map[string]bool{"a": true, "b": false})
	// A second start of a running cluster enables more, and what was chosen stays.
	if err := m.start(t, plan.Wish{Addons: map[string]bool{"c": true}}); err != nil {
		t.Fatal(err)
	}
	m.wantChosen(t, map[string]bool{"a": true, "b": false, "c": true})
}

// TestValuesAreChosenForLife: they are kept while an addon is disabled, and over a start that says nothing about them.
func TestValuesAreChosenForLife(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(1), AddonValues: map[string]map[string]string{"b": {"size": "1"}}}); err != nil {
		t.Fatal(err)
	}
	if running, err := m.SetAddons(t.Context(), "dev", func(chosen bootstrap.AddonChoice) error {
		if chosen.Values["b"]["size"] != "1" {
			t.Errorf("chosen before are %v", chosen.Values)
		}
		chosen.Enabled["a"], chosen.Values["a"], chosen.Values["b"] = false, map[string]string{"x": "y", "z": "1"}, nil
		return nil
	}); err != nil || !running {
		t.Fatalf("running %v, %v", running, err)
	}
	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	if err := m.start(t, plan.Wish{Addons: map[string]bool{"b": true}}); err != nil {
		t.Fatal(err)
	}
	spec, err := m.dir.Cluster("dev").LoadSpec()
	if want := map[string]map[string]string{"a": {"x": "y", "z": "1"}}; err != nil || !reflect.DeepEqual(spec.AddonValues, want) {
		t.Errorf("got %v, %v; want %v", spec.AddonValues, err, want)
	}
}

func TestAChoiceThatCannotBeChangesNothing(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(1), Addons: map[string]bool{"a": true}}); err != nil {
		t.Fatal(err)
	}
	why := errors.New("others need it")
	if _, err := m.SetAddons(t.Context(), "dev", func(chosen bootstrap.AddonChoice) error {
		chosen.Enabled["a"], chosen.Values["a"] = false, map[string]string{"x": "1"}
		return why
	}); err != why { //nolint:errorlint // as it is
		t.Errorf("got %v", err)
	}
	m.wantChosen(t, map[string]bool{"a": true})
	if spec, err := m.dir.Cluster("dev").LoadSpec(); err != nil || len(spec.AddonValues) > 0 {
		t.Errorf("values are %v, %v", spec.AddonValues, err)
	}
	// The daemon does not take it.
	if _, err := m.enable(t, "refused", true); fault.KindOf(err) != fault.ControlPlane || fault.Problem(err).HintText() == "" {
		t.Errorf("got %v", err)
	}
	m.wantChosen(t, map[string]bool{"a": true})
	// Another command works on the cluster.
	lock, err := m.dir.Cluster("dev").Lock(t.Context(), "stop")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.enable(t, "b", true); fault.KindOf(err) != fault.Busy {
		t.Errorf("got %v", err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	m.wantChosen(t, map[string]bool{"a": true})
}

func TestAFailedStartTakesItsAddonsBack(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	m.engine.Hook = func(ctx context.Context, op, object string) error {
		if op != "EnsureNode" || object != "dev-2" {
			return nil
		}
		for { // it fails after the daemon has taken over what the start wants
			if list, err := m.Addons(ctx, "dev"); err != nil || len(list) > 0 {
				return errors.Join(errors.New("no"), err)
			}
		}
	}
	if err := m.start(t, plan.Wish{Nodes: new(2), Addons: map[string]bool{"a": true}}); err == nil {
		t.Fatal("the start did not fail")
	}
	m.engine.Hook = nil
	m.wantChosen(t, map[string]bool{})
	if list, err := m.Addons(t.Context(), "dev"); err != nil || len(list) != 0 {
		t.Errorf("the daemon has %v, %v", list, err)
	}
}

func TestAddonsOfAnAbsentCluster(t *testing.T) {
	m := newMachine(t)
	_, addonsErr := m.Addons(t.Context(), "dev")
	_, setErr := m.enable(t, "a", true)
	for verb, err := range map[string]error{"addons": addonsErr, "set": setErr, "watch": m.WatchAddons(t.Context(), "dev", nil)} {
		if fault.KindOf(err) != fault.NotFound {
			t.Errorf("%s = %v, want NotFound", verb, err)
		}
	}
	if _, err := os.Stat(m.dir.Cluster("dev").Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder was made (%v)", err)
	}
}
