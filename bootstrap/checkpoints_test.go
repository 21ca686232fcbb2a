package bootstrap_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/statedir"
)

func objectsFile(state statedir.Cluster) string { return filepath.Join(state.Etcd(), "objects") }

// daemonObjects is the part of the little daemon that stores objects, in a file.
type daemonObjects struct{ file string }

func (d *daemonObjects) CopyStore(_ context.Context, begin func(cluster.StoreCopy) (io.Writer, error)) error {
	text, err := os.ReadFile(d.file)
	if err != nil {
		return err
	}
	w, err := begin(cluster.StoreCopy{Objects: len(strings.Fields(string(text)))})
	if err == nil {
		_, err = w.Write(text)
	}
	return err
}

// restore replaces the objects, as the real daemon does: only if it can start with them.
func (d *daemonObjects) restore(state statedir.Cluster, args []string) error {
	i := slices.Index(args, "--restore")
	if i < 0 {
		return nil
	}
	r, err := bootstrap.CheckpointsOf(state).Open(args[i+1])
	if err != nil {
		return err
	}
	text, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		return err
	}
	if strings.Contains(string(text), "unreadable") {
		return errors.New("the API server cannot read these objects")
	}
	if r, _, ok := state.ClaimsRestore(); ok {
		if err := os.WriteFile(filepath.Join(state.Etcd(), cluster.RestoredFile), []byte(r.ID), 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(d.file, text, 0o600)
}

func (m *machine) objects(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(objectsFile(m.dir.Cluster("dev")))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (m *machine) setObjects(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(objectsFile(m.dir.Cluster("dev")), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) save(t *testing.T, name string) {
	t.Helper()
	if _, err := m.SaveCheckpoint(t.Context(), "dev", name, false); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) daemonPID(t *testing.T) int {
	t.Helper()
	d, ok := m.dir.Cluster("dev").Daemon()
	if !ok || !m.dir.Cluster("dev").DaemonAlive() {
		t.Fatal("there is no daemon")
	}
	return d.PID
}

func TestCheckpoints(t *testing.T) {
	m := newMachine(t)
	if _, err := m.Checkpoints("dev"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("without a cluster: %v", err)
	}
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	m.setObjects(t, "a b c")
	m.save(t, "first")
	if _, err := m.SaveCheckpoint(t.Context(), "dev", "first", false); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a second one of that name: %v", err)
	}
	m.setObjects(t, "a d")
	if err := m.start(t, plan.Wish{Nodes: new(2)}); err != nil { // a node that comes later stays
		t.Fatal(err)
	}
	before := m.daemonPID(t)
	var steps []string
	restore := func(name string) error {
		return m.RestoreCheckpoint(t.Context(), "dev", name, bootstrap.Run{Events: func(e cluster.Event) {
			if e.Kind == cluster.StepStarted {
				steps = append(steps, e.Title)
			}
		}})
	}
	if err := restore("first"); err != nil {
		t.Fatal(err)
	}
	if got := m.objects(t); got != "a b c" {
		t.Errorf("restored are %q", got)
	}
	if m.daemonPID(t) == before {
		t.Error("the control plane is the same process")
	}
	m.wantNodes(t, "dev-1", "dev-2")
	list, err := m.Checkpoints("dev")
	if err != nil || len(list) != 2 || list[0].Reason != "before checkpoint restore" || !list[0].Automatic() || list[0].Objects != 2 || list[1].Objects != 3 {
		t.Errorf("there are %+v, %v", list, err)
	}
	if err := restore(list[0].Name); err != nil { // which takes the restore back
		t.Fatal(err)
	}
	if got := m.objects(t); got != "a d" {
		t.Errorf("after it was taken back there are %q", got)
	}
	if want := "Control plane with the objects of checkpoint first"; !strings.Contains(strings.Join(steps, "\n"), want) {
		t.Errorf("the steps are %q", steps)
	}
	if err := restore("none"); fault.KindOf(err) != fault.CheckpointNotFound {
		t.Errorf("restore of none: %v", err)
	}
	if err := m.DeleteCheckpoint(t.Context(), "dev", "none"); fault.KindOf(err) != fault.CheckpointNotFound {
		t.Errorf("delete of none: %v", err)
	}

	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := m.SaveCheckpoint(t.Context(), "dev", "second", false); fault.KindOf(err) != fault.NotRunning {
		t.Errorf("save of a stopped cluster: %v", err)
	}
	if err := restore("first"); err != nil { // starts it
		t.Fatal(err)
	}
	if got := m.objects(t); got != "a b c" {
		t.Errorf("restored into a stopped cluster are %q", got)
	}
	m.wantNodes(t, "dev-1", "dev-2")
	if err := m.DeleteCheckpoint(t.Context(), "dev", "first"); err != nil {
		t.Error(err)
	}
}

// A control plane that cannot start with the objects of a checkpoint goes on with those that it had.
func TestAFailedRestoreIsUndone(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	m.setObjects(t, "unreadable")
	m.save(t, "bad")
	m.setObjects(t, "a b")
	err := m.RestoreCheckpoint(t.Context(), "dev", "bad", bootstrap.Run{})
	if fault.KindOf(err) != fault.ControlPlane || !strings.Contains(err.Error(), "cannot read these objects") {
		t.Errorf("got %v", err)
	}
	m.daemonPID(t)
	if got := m.objects(t); got != "a b" {
		t.Errorf("there are %q", got)
	}
	m.wantNodes(t, "dev-1")
	s, err := m.Status(t.Context(), "dev")
	if err != nil || s.Phase != cluster.PhaseRunning || len(s.Problems) > 0 {
		t.Errorf("status: %+v, %v", s, err)
	}
}

// What can be refused is refused while the control plane runs.
func TestARestoreThatIsImpossibleStopsNothing(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(0), KubernetesVersion: "1.36"}); err != nil {
		t.Fatal(err)
	}
	m.setObjects(t, "a")
	m.save(t, "damaged")
	pid := m.daemonPID(t)
	folder := bootstrap.CheckpointsOf(m.dir.Cluster("dev"))
	if err := os.Truncate(filepath.Join(folder.Path, "damaged", "store.zst"), 3); err != nil {
		t.Fatal(err)
	}
	spec, err := m.dir.Cluster("dev").LoadSpec()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]cluster.Checkpoint{
		"foreign": {ClusterID: "zzzzzzzzzzzz", KubernetesVersion: "1.36"},
		"newer":   {ClusterID: spec.ID, KubernetesVersion: "1.37"},
	} {
		c.Name = name
		if _, err := folder.Save(c, *spec, func(io.Writer) (cluster.StoreCopy, error) { return cluster.StoreCopy{}, nil }); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"damaged": "damaged", "foreign": "of another cluster", "newer": "Kubernetes 1.37"} {
		err := m.RestoreCheckpoint(t.Context(), "dev", name, bootstrap.Run{})
		if fault.KindOf(err) != fault.Checkpoint || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	if m.daemonPID(t) != pid {
		t.Error("the control plane was restarted")
	}
}

func TestAForcedDeleteOfANodeTakesACheckpoint(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(2)}); err != nil {
		t.Fatal(err)
	}
	m.setObjects(t, "a")
	if _, err := m.DeleteNodes(t.Context(), "dev", []string{"2"}, bootstrap.DeleteOptions{Force: true}, bootstrap.Run{}); err != nil {
		t.Fatal(err)
	}
	if list, err := m.Checkpoints("dev"); err != nil || len(list) != 1 || list[0].Reason != "before node delete" {
		t.Errorf("there are %+v, %v", list, err)
	}
}

func TestFork(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(2)}); err != nil {
		t.Fatal(err)
	}
	m.setObjects(t, "a b c")
	m.save(t, "base")
	m.setObjects(t, "a")
	t.Cleanup(func() {
		for _, name := range []string{"ci", "now"} {
			if err := m.Delete(context.Background(), name, nil); err != nil && fault.KindOf(err) != fault.NotFound {
				t.Errorf("delete of the fork: %v", err)
			}
		}
	})
	if _, err := m.Fork(t.Context(), "dev", "base", "dev", false, bootstrap.Run{}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a fork of the same name: %v", err)
	}
	if _, err := m.Fork(t.Context(), "dev", "none", "ci", false, bootstrap.Run{}); fault.KindOf(err) != fault.CheckpointNotFound || m.dir.Cluster("ci").Exists() {
		t.Errorf("a fork of nothing: %v", err)
	}
	if _, err := m.Fork(t.Context(), "dev", "base", "ci", true, bootstrap.Run{}); fault.KindOf(err) != fault.Checkpoint || m.dir.Cluster("ci").Exists() {
		t.Errorf("a fork with data that the checkpoint does not have: %v", err)
	}
	for name, from := range map[string]string{"ci": "base", "now": ""} {
		if _, err := m.Fork(t.Context(), "dev", from, name, false, bootstrap.Run{}); err != nil {
			t.Fatal(err)
		}
		spec, err := m.dir.Cluster(name).LoadSpec()
		if err != nil || len(spec.Nodes) != 2 || spec.Nodes[1].Name != name+"-2" || spec.ID == m.dir.Cluster("dev").ID() {
			t.Errorf("the fork is %+v, %v", spec, err)
		}
		got, err := os.ReadFile(objectsFile(m.dir.Cluster(name)))
		if want := map[string]string{"ci": "a b c", "now": "a"}[name]; err != nil || string(got) != want {
			t.Errorf("%s has %q, %v; want %q", name, got, err, want)
		}
	}
	if got := m.objects(t); got != "a" {
		t.Errorf("the other cluster has %q", got)
	}
	list, err := m.Checkpoints("ci")
	if err != nil || len(list) != 1 || !list[0].Imported {
		t.Fatalf("the fork has the checkpoints %+v, %v", list, err)
	}
	if err := m.RestoreCheckpoint(t.Context(), "ci", "base", bootstrap.Run{}); err != nil {
		t.Errorf("restore of the checkpoint in the fork: %v", err)
	}
}

// A fork that cannot start with the objects leaves nothing.
func TestAFailedForkLeavesNothing(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	m.setObjects(t, "unreadable")
	if _, err := m.Fork(t.Context(), "dev", "", "ci", false, bootstrap.Run{}); fault.KindOf(err) != fault.ControlPlane {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(m.dir.Cluster("ci").Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its folder is left (%v)", err)
	}
	m.daemonPID(t)
}
