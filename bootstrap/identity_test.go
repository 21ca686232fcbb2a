package bootstrap_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/plan"
)

// Two state folders on one engine, each with a cluster dev: ours, of two nodes, and theirs. check fails the test unless
// ours is whole and runs.
func twoFolders(t *testing.T) (ours, theirs *machine, check func()) {
	t.Helper()
	ours = newMachine(t)
	theirs = newMachineOn(t, ours.engine, "ddddeeeeffff")
	ours.startNodes(t, 2)
	id := ours.dir.Cluster("dev").ID()
	whole := holdingOf(t, ours, id)
	return ours, theirs, func() {
		t.Helper()
		if got := ours.containers(t); !slices.Equal(got, []string{"dev-1 runs", "dev-2 runs"}) || !ours.dir.Cluster("dev").DaemonAlive() {
			t.Errorf("our cluster was touched: %v", got)
		}
		if got := holdingOf(t, ours, id); !slices.Equal(got, whole) || len(got) != 5 {
			t.Errorf("the engine has %v of our cluster, had %v", got, whole)
		}
		if s, err := ours.Status(t.Context(), "dev"); err != nil || s.Phase != cluster.PhaseRunning {
			t.Errorf("our cluster is %s, %v", s.Phase, err)
		}
	}
}

func (m *machine) startNodes(t *testing.T, nodes int) {
	t.Helper()
	if err := m.start(t, plan.Wish{Nodes: &nodes}); err != nil {
		t.Fatal(err)
	}
}

func holdingOf(t *testing.T, m *machine, id string) []string {
	t.Helper()
	all, err := m.engine.Holdings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range all {
		if h.ID == id {
			return slices.Concat(h.Containers, h.Volumes, h.Networks)
		}
	}
	return nil
}

// failNode makes the start of a node fail.
func failNode(m *machine, name string) {
	m.engine.Hook = func(_ context.Context, op, object string) error {
		if op == "EnsureNode" && object == name {
			return errors.New("no space left on device")
		}
		return nil
	}
}

func TestTwoStateFoldersUseOneName(t *testing.T) {
	ours, theirs, check := twoFolders(t)
	theirs.startNodes(t, 1)
	check()
	if got := theirs.containers(t); !slices.Equal(got, []string{"dev-1 runs"}) {
		t.Errorf("their containers: %v", got)
	}
	if err := theirs.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	check()
	theirs.startNodes(t, 1)
	check()
	// A start that repairs, and fails.
	theirs.engine.Kill("dev-1") // both clusters' node of that name
	failNode(theirs, "dev-2")
	if err := theirs.start(t, plan.Wish{Nodes: new(2)}); err == nil {
		t.Error("their start succeeded although a node failed")
	}
	theirs.engine.Hook = nil
	ours.startNodes(t, 2)
	check()
	// The payload of their version is no longer used by anybody when they delete; ours is.
	theirs.engine.AgePayloads()
	if err := theirs.Delete(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	check()
	ours.engine.Kill("dev-1")
	ours.startNodes(t, 2)
	check()
	if n := ours.filled.Load(); n != 1 {
		t.Errorf("our payload was read %d times; their delete has removed it", n)
	}
	if err := ours.Delete(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	ours.wantNothingLeft(t)
}

func TestAFailedFirstStartLeavesTheNamesakeAlone(t *testing.T) {
	_, theirs, check := twoFolders(t)
	failNode(theirs, "dev-1")
	if err := theirs.start(t, plan.Wish{Nodes: new(1)}); err == nil {
		t.Error("their start succeeded although its node failed")
	}
	theirs.engine.Hook = nil
	if theirs.dir.Cluster("dev").Exists() {
		t.Error("their state folder is left")
	}
	check()
}

// A cluster without nodes asks the engine nothing; its first nodes may meet those of a namesake.
func TestFailingFirstNodesLeaveTheNamesakeAlone(t *testing.T) {
	_, theirs, check := twoFolders(t)
	theirs.startNodes(t, 0)
	failNode(theirs, "dev-1")
	if err := theirs.start(t, plan.Wish{Nodes: new(2)}); err == nil {
		t.Error("their start succeeded although its node failed")
	}
	theirs.engine.Hook = nil
	check()
}

func TestDeleteFindsAClustersObjectsByTheSavedID(t *testing.T) {
	ours, theirs, check := twoFolders(t)
	theirs.startNodes(t, 1)
	state := theirs.dir.Cluster("dev")
	id := state.ID()
	if err := os.WriteFile(state.SpecFile(), []byte("{ broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := theirs.Delete(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	if left := holdingOf(t, ours, id); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	check()
	// Without any trace of the ID nothing is removed by name.
	theirs.startNodes(t, 1)
	id = state.ID()
	if err := errors.Join(os.WriteFile(state.SpecFile(), []byte("{ broken"), 0o600), os.Remove(filepath.Join(state.Dir(), "id"))); err != nil {
		t.Fatal(err)
	}
	err := theirs.Delete(t.Context(), "dev", nil)
	if fault.KindOf(err) != fault.SpecBroken || !strings.Contains(fault.Problem(err).HintText(), "bonsai delete --foreign dev") {
		t.Errorf("delete = %v, want it to say that containers remain and what to type", err)
	}
	check()
	if err := theirs.DeleteForeign(t.Context(), id, nil); err != nil {
		t.Error(err)
	}
	check()
}

func TestDeleteWithoutAnEngineSaysHowToRemoveTheRest(t *testing.T) {
	ours, theirs, check := twoFolders(t)
	theirs.startNodes(t, 1)
	id := theirs.dir.Cluster("dev").ID()
	theirs.engine.Hook = func(_ context.Context, op, _ string) error {
		if op == "RemoveCluster" {
			return fault.Newf(fault.EngineDown, "no engine").Advise("start Docker")
		}
		return nil
	}
	err := theirs.Delete(t.Context(), "dev", nil)
	theirs.engine.Hook = nil
	if fault.KindOf(err) != fault.EngineDown || !strings.Contains(fault.Problem(err).HintText(), "bonsai delete --foreign "+id) {
		t.Errorf("delete = %v, want it to say how to remove the rest", err)
	}
	if theirs.dir.Cluster("dev").Exists() {
		t.Error("their state folder is left")
	}
	if err := theirs.DeleteForeign(t.Context(), id, nil); err != nil {
		t.Fatal(err)
	}
	if left := holdingOf(t, ours, id); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	check()
}

// The state folder, and with it the ID, is gone after a start that failed.
func TestAFailedStartWithoutAnEngineSaysHowToRemoveTheRest(t *testing.T) {
	m := newMachine(t)
	id := ""
	m.engine.Hook = func(_ context.Context, op, _ string) error {
		switch op {
		case "EnsureNode":
			id = m.dir.Cluster("dev").ID()
			return errors.New("the engine is about to end")
		case "RemoveCluster":
			return fault.Newf(fault.EngineDown, "no engine").Advise("start Docker")
		}
		return nil
	}
	err := m.start(t, plan.Wish{Nodes: new(1)})
	m.engine.Hook = nil
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || !strings.Contains(fault.Problem(joined.Unwrap()[1]).HintText(), "bonsai delete --foreign "+id) {
		t.Errorf("start = %v, want it to say how to remove the rest", err)
	}
	if err := m.DeleteForeign(t.Context(), id, nil); err != nil {
		t.Error(err)
	}
}

// A cluster without nodes is deleted without the engine, so that nothing of it may be there.
func TestFailedFirstNodesLeaveNothingInTheEngine(t *testing.T) {
	m := newMachine(t)
	m.startNodes(t, 0)
	state := m.dir.Cluster("dev")
	m.engine.Hook = func(_ context.Context, op, _ string) error {
		switch op {
		case "EnsureNode":
			return errors.New("no space left on device")
		case "RemoveCluster": // whoever is killed now leaves a plan with nodes, which the next start or delete goes by
			if spec, err := state.LoadSpec(); err != nil || len(spec.Nodes) != 2 {
				t.Errorf("while nodes are removed, the plan is %+v, %v", spec, err)
			}
		}
		return nil
	}
	if err := m.start(t, plan.Wish{Nodes: new(2)}); err == nil {
		t.Error("the start succeeded although its nodes failed")
	}
	m.engine.Hook = nil
	if left := holdingOf(t, m, state.ID()); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	m.wantNodes(t)
	// If even that fails, the plan says so, and delete removes them.
	m.engine.Hook = func(_ context.Context, op, _ string) error {
		if op == "EnsureNode" || op == "RemoveCluster" {
			return errors.New("the engine is stuck")
		}
		return nil
	}
	if err := m.start(t, plan.Wish{Nodes: new(2)}); err == nil {
		t.Error("the start succeeded although its nodes failed")
	}
	m.engine.Hook = nil
	id := state.ID()
	if err := m.Delete(t.Context(), "dev", nil); err != nil {
		t.Error(err)
	}
	if left := holdingOf(t, m, id); len(left) > 0 {
		t.Errorf("left behind by the delete: %v", left)
	}
}

func TestAClusterThatIsBeingCreatedIsNotForeign(t *testing.T) {
	m := newMachine(t)
	var once sync.Once
	m.engine.Hook = func(_ context.Context, op, _ string) error {
		if op == "Holdings" {
			once.Do(func() { m.startNodes(t, 1) })
		}
		return nil
	}
	if foreign, err := m.Foreign(t.Context()); err != nil || len(foreign) > 0 {
		t.Errorf("foreign are %v, %v", foreign, err)
	}
}

func TestAnInterruptedDeleteIsRepeated(t *testing.T) {
	m := newMachine(t)
	m.startNodes(t, 1)
	id := m.dir.Cluster("dev").ID()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	m.engine.Hook = func(ctx context.Context, op, _ string) error {
		if op == "RemoveCluster" {
			cancel() // Ctrl-C
		}
		return ctx.Err()
	}
	if err := m.Delete(ctx, "dev", nil); fault.KindOf(err) != fault.Canceled || !strings.Contains(fault.Problem(err).HintText(), "bonsai delete -p dev") {
		t.Errorf("delete = %v", err)
	}
	m.engine.Hook = nil
	if err := m.Delete(t.Context(), "dev", nil); err != nil {
		t.Errorf("the second delete: %v", err)
	}
	if left := holdingOf(t, m, id); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDeleteOfWhatAnotherStateFolderMade(t *testing.T) {
	ours, theirs, check := twoFolders(t)
	id := ours.dir.Cluster("dev").ID()
	err := theirs.Delete(t.Context(), "dev", nil)
	if fault.KindOf(err) != fault.NotFound || !strings.Contains(fault.Problem(err).HintText(), "bonsai delete --foreign dev") {
		t.Errorf("delete = %v, want NotFound and how to remove it all the same", err)
	}
	check()
	// Nobody's own clusters are foreign to them.
	if foreign, err := ours.Foreign(t.Context()); err != nil || len(foreign) > 0 {
		t.Errorf("foreign to their owner: %v, %v", foreign, err)
	}
	for _, which := range []string{id, "dev"} {
		if err := ours.DeleteForeign(t.Context(), which, nil); fault.KindOf(err) != fault.NotFound {
			t.Errorf("their own cluster deleted as a foreign one by %s: %v", which, err)
		}
	}
	check()
	third := newMachineOn(t, ours.engine, "aaaabbbbcccc")
	third.startNodes(t, 1)
	if _, err := theirs.ForeignCluster(t.Context(), "dev"); fault.KindOf(err) != fault.Conflict || !strings.Contains(fault.Problem(err).HintText(), id) {
		t.Errorf("two foreign clusters of one name: %v, want a conflict that lists their IDs", err)
	}
	other := third.dir.Cluster("dev").ID()
	if err := theirs.DeleteForeign(t.Context(), other, nil); err != nil {
		t.Fatal(err)
	}
	if left := holdingOf(t, ours, other); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	check()
	found, err := theirs.ForeignCluster(t.Context(), "dev")
	if err != nil || found.ID != id || len(found.Containers) != 2 || len(found.Volumes) != 2 || len(found.Networks) != 1 {
		t.Errorf("foreign: %+v, %v", found, err)
	}
}

// Clusters of before had no suffix. They go on as they are, beside new ones of their name.
func TestAClusterWithoutSuffixGoesOn(t *testing.T) {
	m := newMachine(t)
	m.startNodes(t, 1)
	state := m.dir.Cluster("dev")
	spec, err := state.LoadSpec()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	spec.Version, spec.Suffix = 1, ""
	if err := errors.Join(m.engine.RemoveCluster(t.Context(), spec.ID), state.SaveSpec(spec), os.Remove(filepath.Join(state.Dir(), "id"))); err != nil {
		t.Fatal(err)
	}
	m.startNodes(t, 2)
	want := []string{"dev-1", "dev-2", "dev-1-var", "dev-2-var", "bonsai-dev"}
	if got := holdingOf(t, m, spec.ID); !slices.Equal(got, want) {
		t.Errorf("the engine has %v, want %v", got, want)
	}
	other := newMachineOn(t, m.engine, "ddddeeeeffff")
	other.startNodes(t, 1)
	if got := holdingOf(t, m, spec.ID); !slices.Equal(got, want) {
		t.Errorf("with a new cluster beside it, the engine has %v, want %v", got, want)
	}
	if err := m.Delete(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	if left := holdingOf(t, m, spec.ID); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if got := other.containers(t); !slices.Equal(got, []string{"dev-1 runs"}) {
		t.Errorf("the new cluster's containers: %v", got)
	}
}

// The kubeconfig is shared, and has one entry of a name.
func TestKubeconfigEntryOfANamesake(t *testing.T) {
	ours, theirs, _ := twoFolders(t)
	warned := ""
	_, err := theirs.Start(t.Context(), plan.Wish{Name: "dev", Nodes: new(0), APIPort: freePort(t)}, bootstrap.Run{Events: func(e cluster.Event) {
		if e.Kind == cluster.StepWarning {
			warned += e.Detail
		}
	}})
	if err != nil || !strings.Contains(warned, "pointed to another cluster") {
		t.Errorf("start = %v, warnings %q; want one about the context that leads elsewhere now", err, warned)
	}
	if err := ours.Delete(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	if s, err := theirs.Status(t.Context(), "dev"); err != nil || s.Kubeconfig != "Configured" {
		t.Errorf("after the delete of ours their entry is %s, %v", s.Kubeconfig, err)
	}
}
