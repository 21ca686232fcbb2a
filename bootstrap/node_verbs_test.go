package bootstrap_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/plan"
)

func TestApplyStopsAndStartsANode(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(2)}); err != nil {
		t.Fatal(err)
	}
	down := func(names ...string) bootstrap.Want {
		return func(current plan.State, _ plan.Environment) (plan.State, error) {
			current.Down = map[string]bool{}
			for _, n := range names {
				current.Down[n] = true
			}
			return current, nil
		}
	}
	if _, err := m.Apply(t.Context(), "node stop", "dev", down("dev-2"), bootstrap.Run{}); err != nil {
		t.Fatal(err)
	}
	if got := m.containers(t); !slices.Equal(got, []string{"dev-1 runs", "dev-2 stands"}) {
		t.Errorf("containers = %v", got)
	}
	// What another verb does leaves it down.
	if _, err := m.enable(t, "a", true); err != nil {
		t.Fatal(err)
	}
	if p, err := m.Plan(t.Context(), plan.Wish{Name: "dev"}); err != nil || len(p.Changes) != 1 || p.Changes[0].String() != "start node dev-2" {
		t.Errorf("a start would do %v, %v", p.Changes, err)
	}
	if _, err := m.Apply(t.Context(), "node start", "dev", down(), bootstrap.Run{}); err != nil {
		t.Fatal(err)
	}
	m.wantNodes(t, "dev-1", "dev-2")
}

// TestANodeThatIsMeantToBeDownIsNotAFailure while others are waited for.
func TestANodeThatIsMeantToBeDownIsNotAFailure(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(2)}); err != nil {
		t.Fatal(err)
	}
	var stopped atomic.Bool
	var looks atomic.Int32
	looked := make(chan struct{})
	m.engine.Hook = func(ctx context.Context, op, _ string) error {
		switch {
		case op == "StopNode":
			stopped.Store(true)
		case op == "List" && stopped.Load():
			switch looks.Add(1) {
			case 1: // the wait begins; the watch of the containers goes on beside it
				select {
				case <-looked:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			case 3: // the second look of the watch: it had nothing against what the first one saw
				close(looked)
			}
		}
		return nil
	}
	defer func() { m.engine.Hook = nil }()
	_, err := m.Apply(t.Context(), "node stop", "dev", func(current plan.State, env plan.Environment) (plan.State, error) {
		wanted, err := plan.NewNodes{Count: 1}.Wanted(current, env) // which is waited for
		wanted.Down["dev-2"] = true
		return wanted, err
	}, bootstrap.Run{})
	if err != nil {
		t.Errorf("stop of a node: %v", err)
	}
}

// nodeConfig is the configuration that a node last received.
func (m *machine) nodeConfig(t *testing.T, name string) (c cluster.NodeConfig) {
	t.Helper()
	list, err := m.engine.List(t.Context(), m.dir.Cluster("dev").ID())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(c node.Container) bool { return c.Node == name })
	var out strings.Builder
	commands := m.engine.Commands
	m.engine.Commands = nil
	defer func() { m.engine.Commands = commands }()
	if _, err := m.engine.Exec(t.Context(), list[i].Name, node.Exec{Cmd: []string{"guest", "cat", cluster.NodeConfigFile}, Stdout: &out}); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(out.String()), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestOtherLimitsKeepTheContainers: their kubelets read them again.
func TestOtherLimitsKeepTheContainers(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(2)}); err != nil {
		t.Fatal(err)
	}
	ids := func() (list []string) {
		t.Helper()
		containers, err := m.engine.List(t.Context(), m.dir.Cluster("dev").ID())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range containers {
			list = append(list, c.ID)
		}
		return list
	}
	before := ids()
	var mu sync.Mutex // guards ran
	var ran []string
	m.engine.Commands = func(container string, e node.Exec) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		ran = append(ran, container+" "+strings.Join(e.Cmd, " "))
		return 0, nil
	}
	if _, err := m.Apply(t.Context(), "node update", "dev", plan.ResizedNodes([]string{"2"}, new(2.0), nil), bootstrap.Run{}); err != nil {
		t.Fatal(err)
	}
	if len(ran) != 1 || !strings.HasPrefix(ran[0], "dev-2") || !strings.HasSuffix(ran[0], " bonsai-agent limits") {
		t.Errorf("ran %q, want the agent's tool in dev-2", ran)
	}
	if err := m.start(t, plan.Wish{CPUs: new(2.0)}); err != nil || len(ran) != 2 {
		t.Fatalf("ran %q, %v, want it in dev-1 as well", ran, err)
	}
	m.wantNodes(t, "dev-1", "dev-2")
	if after := ids(); !slices.Equal(after, before) {
		t.Errorf("the containers are %v, they were %v", after, before)
	}
	if c := m.nodeConfig(t, "dev-2"); c.Node.CPUs != 2 {
		t.Errorf("the node runs with %v CPUs", c.Node.CPUs)
	}
	// A change that fails half-way is taken back.
	var failed atomic.Bool
	m.engine.Hook = func(_ context.Context, op, object string) error {
		if op == "EnsureNode" && object == "dev-2" && !failed.Swap(true) {
			return errors.New("no")
		}
		return nil
	}
	if err := m.start(t, plan.Wish{CPUs: new(4.0)}); err == nil {
		t.Error("the start did not fail")
	}
	m.wantNodes(t, "dev-1", "dev-2")
	for _, name := range []string{"dev-1", "dev-2"} {
		if c := m.nodeConfig(t, name); c.Node.CPUs != 2 {
			t.Errorf("%s runs with %v CPUs", name, c.Node.CPUs)
		}
	}
	// An engine cannot remove a limit.
	m.engine.Hook, ran = nil, nil
	if err := m.start(t, plan.Wish{CPUs: new(0.0)}); err != nil || len(ran) > 0 || slices.Equal(ids(), before) {
		t.Errorf("without limits: ran %q, containers %v, %v", ran, ids(), err)
	}
	m.wantNodes(t, "dev-1", "dev-2")
}

// TestNewNodesLeaveTheOthersAlone: even if one of those does not run.
func TestNewNodesLeaveTheOthersAlone(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(2)}); err != nil {
		t.Fatal(err)
	}
	m.engine.Kill("dev-2")
	before := len(m.engine.Calls())
	p, err := m.Apply(t.Context(), "node add", "dev", plan.NewNodes{Count: 2}.Wanted, bootstrap.Run{})
	if err != nil || len(p.Changes) != 2 {
		t.Fatalf("changes = %v, %v", p.Changes, err)
	}
	if got := m.containers(t); !slices.Equal(got, []string{"dev-1 runs", "dev-2 stands", "dev-3 runs", "dev-4 runs"}) {
		t.Errorf("containers = %v", got)
	}
	for _, call := range m.engine.Calls()[before:] {
		if strings.HasPrefix(call, "EnsureNode") && call != "EnsureNode dev-3" && call != "EnsureNode dev-4" {
			t.Errorf("the engine received %s", call)
		}
	}
}

func TestNodesOfAStoppedCluster(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(2)}); err != nil {
		t.Fatal(err)
	}
	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	apply := func(verb string, want bootstrap.Want) {
		t.Helper()
		if _, err := m.Apply(t.Context(), verb, "dev", want, bootstrap.Run{}); err != nil {
			t.Fatalf("%s: %v", verb, err)
		}
	}
	apply("node add", plan.NewNodes{Count: 1}.Wanted)
	apply("node stop", plan.StoppedNodes([]string{"1"}))
	if s, err := m.Status(t.Context(), "dev"); err != nil || s.Phase != cluster.PhaseStopped || len(s.Problems) > 0 {
		t.Errorf("status: %s, %v, %v; want no problem with a node that has never run", s.Phase, s.Problems, err)
	}
	for range 2 { // it stays so
		if err := m.start(t, plan.Wish{}); err != nil {
			t.Fatal(err)
		}
		if got := m.containers(t); !slices.Equal(got, []string{"dev-1 stands", "dev-2 runs", "dev-3 runs"}) {
			t.Errorf("containers = %v", got)
		}
		if s, err := m.Status(t.Context(), "dev"); err != nil || s.Phase != cluster.PhaseRunning || len(s.Problems) > 0 || !s.Nodes[0].Stopped || s.Nodes[0].Host != cluster.PhaseStopped {
			t.Errorf("status: %s, %v, %v", s.Phase, s.Problems, err)
		}
		if err := m.Stop(t.Context(), "dev", nil); err != nil {
			t.Fatal(err)
		}
	}
	apply("node start", plan.StartedNodes([]string{"1"}))
	if err := m.start(t, plan.Wish{}); err != nil {
		t.Fatal(err)
	}
	m.wantNodes(t, "dev-1", "dev-2", "dev-3")
	if err := m.RestartNodes(t.Context(), "dev", []string{"2"}, bootstrap.Run{}); err != nil {
		t.Fatal(err)
	}
	m.wantNodes(t, "dev-1", "dev-2", "dev-3")
}

func TestDeletedNodesAreEmptiedBefore(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(2)}); err != nil {
		t.Fatal(err)
	}
	limit := bootstrap.DeleteOptions{Limit: time.Minute}
	// What is in the way keeps it, and everything stays.
	t.Setenv("TEST_DAEMON_BLOCKS", "1")
	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	if err := m.start(t, plan.Wish{}); err != nil {
		t.Fatal(err)
	}
	_, err := m.DeleteNodes(t.Context(), "dev", []string{"2"}, limit, bootstrap.Run{})
	if p := fault.Problem(err); fault.KindOf(err) != fault.Blocked || !slices.Contains(p.Evidence, "pod default/a") {
		t.Errorf("got %v", err)
	}
	m.wantNodes(t, "dev-1", "dev-2")
	force := limit
	force.Force = true
	if _, err := m.DeleteNodes(t.Context(), "dev", []string{"2"}, force, bootstrap.Run{}); err != nil {
		t.Fatal(err)
	}
	m.wantNodes(t, "dev-1")
	if _, err := m.DeleteNodes(t.Context(), "dev", []string{"2"}, force, bootstrap.Run{}); fault.KindOf(err) != fault.NodeNotFound {
		t.Errorf("again: %v", err)
	}
}
