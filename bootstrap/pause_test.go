package bootstrap_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/plan"
)

// controllersFile exists while the daemon of these tests runs no controllers.
func (d *daemon) controllersFile() string { return filepath.Join(d.state.Dir(), "test-no-controllers") }

func (d *daemon) Pause(_ context.Context, idle bool) error {
	if idle && os.Getenv("TEST_DAEMON_USED") != "" {
		return fault.Newf(fault.Busy, "somebody uses it")
	}
	return os.WriteFile(d.controllersFile(), nil, 0o600)
}

func (d *daemon) Resume(context.Context) error {
	err := os.Remove(d.controllersFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// is checks what the cluster dev is: the states of its nodes, and whether controllers run and the record says that it is paused.
func (m *machine) is(t *testing.T, nodes string, controllers, record bool) {
	t.Helper()
	list, err := m.engine.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var states []string
	for _, c := range list {
		states = append(states, c.State)
	}
	if got := strings.Join(states, " "); got != nodes {
		t.Errorf("the nodes are %q, want %q", got, nodes)
	}
	if _, err := os.Stat(filepath.Join(m.dir.Cluster("dev").Dir(), "test-no-controllers")); (err != nil) != controllers {
		t.Errorf("controllers run: %t, want %t", err != nil, controllers)
	}
	if got := m.dir.Cluster("dev").Paused() != nil; got != record {
		t.Errorf("the record says paused: %t, want %t", got, record)
	}
}

func TestPauseAndUnpause(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(2)}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing to do
		if err := m.Pause(t.Context(), "dev", false, nil); err != nil {
			t.Fatal(err)
		}
		m.is(t, "paused paused", false, true)
	}
	if p := m.dir.Cluster("dev").Paused(); p == nil || p.Auto || time.Since(p.Since) > time.Minute {
		t.Errorf("the record is %+v", p)
	}
	for range 2 {
		if err := m.Unpause(t.Context(), "dev", nil); err != nil {
			t.Fatal(err)
		}
		m.is(t, "running running", true, false)
	}
	// One that stopped nodes of its own accord keeps them so.
	if _, err := m.Apply(t.Context(), "node stop", "dev", plan.StoppedNodes([]string{"2"}), bootstrap.Run{}); err != nil {
		t.Fatal(err)
	}
	if err := m.Pause(t.Context(), "dev", false, nil); err != nil {
		t.Fatal(err)
	}
	m.is(t, "paused exited", false, true)
	if err := m.Wake(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	m.is(t, "running exited", true, false)
	calls := len(m.engine.Calls())
	if err := m.Wake(t.Context(), "dev", nil); err != nil || len(m.engine.Calls()) != calls+1 { // is asks once
		m.is(t, "running exited", true, false)
	}
}

func TestPauseOfWhatDoesNotRun(t *testing.T) {
	m := newMachine(t)
	if err := m.Pause(t.Context(), "dev", false, nil); fault.KindOf(err) != fault.NotFound {
		t.Errorf("of a cluster that does not exist: %v", err)
	}
	if err := m.Unpause(t.Context(), "dev", nil); fault.KindOf(err) != fault.NotFound {
		t.Errorf("of a cluster that does not exist: %v", err)
	}
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	for verb, err := range map[string]error{"pause": m.Pause(t.Context(), "dev", false, nil), "unpause": m.Unpause(t.Context(), "dev", nil)} {
		if fault.KindOf(err) != fault.NotRunning || fault.Problem(err).HintText() != "start it:  bonsai start -p dev" {
			t.Errorf("%s of a stopped one: %v, %s", verb, err, fault.Problem(err).HintText())
		}
	}
	m.is(t, "exited", true, false)
}

func TestAPauseThatFailsIsUndone(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(2)}); err != nil {
		t.Fatal(err)
	}
	m.engine.Hook = func(_ context.Context, op, object string) error {
		if op == "PauseNode" && strings.Contains(object, "dev-2") {
			return errors.New("no freezer")
		}
		return nil
	}
	if err := m.Pause(t.Context(), "dev", false, nil); fault.KindOf(err) != fault.Engine || !strings.Contains(err.Error(), "no freezer") {
		t.Errorf("got %v", err)
	}
	m.engine.Hook = nil
	m.is(t, "running running", true, false)
}

func TestAnIdlePauseIsRefusedWhileTheClusterIsUsed(t *testing.T) {
	t.Setenv("TEST_DAEMON_USED", "1")
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	if err := m.Pause(t.Context(), "dev", true, nil); fault.KindOf(err) != fault.Busy {
		t.Errorf("got %v", err)
	}
	m.is(t, "running", true, false)
}

// Whatever changes a paused cluster wakes it first, except what only changes when it pauses.
func TestChangesWakeAPausedCluster(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*testing.T, *machine) error
		nodes  string
		paused bool
	}{
		"start":      {func(t *testing.T, m *machine) error { return m.start(t, plan.Wish{}) }, "running running", false},
		"start more": {func(t *testing.T, m *machine) error { return m.start(t, plan.Wish{Nodes: new(3)}) }, "running running running", false},
		"node stop": {func(t *testing.T, m *machine) error {
			_, err := m.Apply(t.Context(), "node stop", "dev", plan.StoppedNodes([]string{"1"}), bootstrap.Run{})
			return err
		}, "exited running", false},
		"checkpoint restore": {func(t *testing.T, m *machine) error {
			m.setObjects(t, "a")
			if _, err := m.SaveCheckpoint(t.Context(), "dev", "a", false); err != nil {
				return err
			}
			return m.RestoreCheckpoint(t.Context(), "dev", "a", bootstrap.Run{})
		}, "running running", false},
		"auto-pause": {func(t *testing.T, m *machine) error {
			p, err := m.SetAutoPause(t.Context(), "dev", 10*time.Minute)
			if err == nil && (len(p.Changes) != 1 || p.Changes[0].String() != "pause after 10m without a request") {
				t.Errorf("the changes are %v", p.Changes)
			}
			if spec, err := m.dir.Cluster("dev").LoadSpec(); err != nil || spec.AutoPause != 10*time.Minute {
				t.Errorf("the plan is %+v, %v", spec, err)
			}
			return err
		}, "paused paused", true},
		"no change": {func(t *testing.T, m *machine) error {
			_, err := m.SetAutoPause(t.Context(), "dev", 0)
			return err
		}, "paused paused", true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			if err := m.start(t, plan.Wish{Nodes: new(2)}); err != nil {
				t.Fatal(err)
			}
			if err := m.Pause(t.Context(), "dev", false, nil); err != nil {
				t.Fatal(err)
			}
			if err := test.change(t, m); err != nil {
				t.Fatal(err)
			}
			m.is(t, test.nodes, !test.paused, test.paused)
		})
	}
}

func TestStopOfAPausedCluster(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	if err := m.Pause(t.Context(), "dev", false, nil); err != nil {
		t.Fatal(err)
	}
	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	if m.dir.Cluster("dev").Paused() != nil {
		t.Error("the record still says that it is paused")
	}
	calls := m.engine.Calls()
	if i := slices.IndexFunc(calls, func(c string) bool { return strings.HasPrefix(c, "StopNode") }); i < 1 || !strings.HasPrefix(calls[i-1], "UnpauseNode") {
		t.Errorf("its node does not end in order: %q", calls)
	}
}
