package bootstrap_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/plan"
)

// "docker system prune" takes what does not run. Status says what that was, and the start makes it again and says so.
func TestPrunedWhileStopped(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(2)}); err != nil {
		t.Fatal(err)
	}
	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	if s, _ := m.Status(t.Context(), "dev"); len(s.Problems) != 0 {
		t.Errorf("of a cluster that only stopped status says %+v", s.Problems)
	}
	record := filepath.Join(m.dir.Cluster("dev").Dir(), "claims.json")
	if err := os.WriteFile(record, []byte(`{"dev-1":["default/d","shop/cart"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	m.engine.Prune()

	s, err := m.Status(t.Context(), "dev")
	if err != nil || len(s.Problems) != 2 {
		t.Fatalf("%v, problems %+v", err, s.Problems)
	}
	for i, want := range []string{"the data of claims default/d, shop/cart, are lost", "the data of all claims that were on it, are lost"} {
		p := s.Problems[i]
		if !strings.Contains(p.Summary, "is gone, with its data") || !strings.Contains(p.Cause, want) || p.FixText() != "start" {
			t.Errorf("got %+v, want a cause with %q", p, want)
		}
	}

	var warnings []string
	_, err = m.Start(t.Context(), plan.Wish{Name: "dev"}, bootstrap.Run{Events: func(e cluster.Event) {
		if e.Kind == cluster.StepWarning {
			warnings = append(warnings, e.Detail)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) != 2 || !strings.Contains(warnings[0], "node dev-1 is created again") || !strings.Contains(warnings[0], "default/d") {
		t.Errorf("the start warns %q", warnings)
	}
	if got := m.containers(t); !slices.Equal(got, []string{"dev-1 runs", "dev-2 runs"}) {
		t.Errorf("containers = %v", got)
	}
	if s, _ := m.Status(t.Context(), "dev"); s.Phase != cluster.PhaseRunning {
		t.Errorf("afterwards the cluster is %s: %+v", s.Phase, s.Problems)
	}
}

// A container alone holds nothing that matters.
func TestALostContainerKeepsItsData(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	all, err := m.engine.List(t.Context(), "")
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	m.engine.RemoveContainer(all[0].Name)
	s, err := m.Status(t.Context(), "dev")
	if err != nil || !slices.ContainsFunc(s.Problems, func(p cluster.Problem) bool { return p.Summary == "the container of node dev-1 is gone" }) {
		t.Errorf("%v, problems %+v", err, s.Problems)
	}
}
