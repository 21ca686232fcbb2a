package bootstrap_test

import (
	"strings"
	"testing"

	"bonsai/bootstrap/plan"
)

// A paused node keeps its processes and memory: stop has to end them, and status to say that it is not stopped.
func TestPausedNodes(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(2)}); err != nil {
		t.Fatal(err)
	}
	m.engine.Pause("dev-1")
	s, err := m.Status(t.Context(), "dev")
	if err != nil {
		t.Fatal(err)
	}
	var problems []string
	for _, p := range s.Problems {
		problems = append(problems, p.Summary+"; "+p.HintText())
	}
	if got := strings.Join(problems, "\n"); !strings.Contains(got, "the container of node dev-1 is paused; start it:  bonsai start -p dev") {
		t.Errorf("the problems are %q", got)
	}

	if err := m.start(t, plan.Wish{}); err != nil {
		t.Fatal(err)
	}
	states := func(want string) {
		t.Helper()
		list, err := m.engine.List(t.Context(), "")
		if err != nil || len(list) != 2 {
			t.Fatalf("the nodes are %v (%v)", list, err)
		}
		for _, c := range list {
			if c.State != want {
				t.Errorf("%s is %s, want %s", c.Node, c.State, want)
			}
		}
	}
	states("running")
	m.engine.Pause("dev-2")
	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	states("exited")
}
