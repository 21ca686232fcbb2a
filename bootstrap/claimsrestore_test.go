package bootstrap_test

import (
	"archive/tar"
	"context"
	"encoding/json"
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
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/statedir"
)

// claimsOn has the nodes answer for the data of claims: the second of them has some.
func (m *machine) claimsOn(t *testing.T) {
	t.Helper()
	m.engine.Commands = func(container string, x node.Exec) (int, error) {
		second := strings.Contains(container, "-2-")
		switch {
		case x.Cmd[0] == "ls" && second:
			_, err := io.WriteString(x.Stdout, "pvc-1\n")
			return 0, err
		case x.Cmd[0] == "tar":
			w := tar.NewWriter(x.Stdout)
			err := errors.Join(
				w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "var/lib/bonsai/volumes/", Mode: 0o700}),
				w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "var/lib/bonsai/volumes/pvc-1/file", Mode: 0o640, Size: 4}))
			if err == nil {
				_, err = io.WriteString(w, "data")
			}
			return 0, errors.Join(err, w.Close())
		}
		return 0, nil
	}
}

// file reads a file of a node.
func (m *machine) file(t *testing.T, container, path string) string {
	t.Helper()
	commands := m.engine.Commands
	defer func() { m.engine.Commands = commands }()
	m.engine.Commands = nil
	var b strings.Builder
	if _, err := m.engine.Exec(t.Context(), container, node.Exec{Cmd: []string{"sh", "cat", path}, Stdout: &b}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func (m *machine) secondNode(t *testing.T) string {
	t.Helper()
	list, err := m.engine.List(t.Context(), m.dir.Cluster("dev").ID())
	if err != nil || len(list) != 2 {
		t.Fatalf("there are %v, %v", list, err)
	}
	return list[1].Name
}

// calls counts the engine's operations on containers whose names have a part.
func (m *machine) callsOf(op, part string) (n int) {
	for _, c := range m.engine.Calls() {
		if strings.HasPrefix(c, op+" ") && strings.Contains(c, part) {
			n++
		}
	}
	return n
}

func withClaims(t *testing.T) *machine {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(2)}); err != nil {
		t.Fatal(err)
	}
	m.claimsOn(t)
	m.setObjects(t, "a b c")
	c, err := m.SaveCheckpoint(t.Context(), "dev", "base", true)
	if err != nil || len(c.Volumes) != 1 || c.Volumes[0].Node != "dev-2" || c.Volumes[0].Place != 1 {
		t.Fatalf("saved %+v, %v", c, err)
	}
	m.setObjects(t, "d")
	return m
}

func TestRestoreWithVolumes(t *testing.T) {
	m := withClaims(t)
	if err := m.RestoreCheckpoint(t.Context(), "dev", "base", bootstrap.Run{}); err != nil {
		t.Fatal(err)
	}
	if got := m.objects(t); got != "a b c" {
		t.Errorf("restored are %q", got)
	}
	m.wantNodes(t, "dev-1", "dev-2")
	if n1, n2 := m.callsOf("StopNode", "-1-"), m.callsOf("StopNode", "-2-"); n1 != 0 || n2 != 1 {
		t.Errorf("the node without claims was stopped %d times, the other %d times", n1, n2)
	}
	var cfg cluster.NodeConfig
	if err := json.Unmarshal([]byte(m.file(t, m.secondNode(t), cluster.NodeConfigFile)), &cfg); err != nil || cfg.Claims == "" {
		t.Fatalf("the node does not know of any data (%v)", err)
	}
	if got := m.file(t, m.secondNode(t), cluster.NodeIncoming+"-"+cfg.Claims+"/pvc-1/file"); got != "data" {
		t.Errorf("the node got %q", got)
	}
	if _, _, pending := m.dir.Cluster("dev").ClaimsRestore(); pending {
		t.Error("the record is left")
	}
	list, err := m.Checkpoints("dev")
	if err != nil || len(list) != 2 || !list[0].WithVolumes || !list[0].Automatic() {
		t.Errorf("there are %+v, %v", list, err)
	}

	// Stopped, it is started with the data.
	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	if err := m.RestoreCheckpoint(t.Context(), "dev", "base", bootstrap.Run{}); err != nil {
		t.Fatal(err)
	}
	m.wantNodes(t, "dev-1", "dev-2")
	if n := m.callsOf("FillNode", "-2-"); n != 2 {
		t.Errorf("the node was filled %d times", n)
	}
}

// A file that shrinks while it is read fails tar.
func TestACopyOfVolumesIsTriedAgain(t *testing.T) {
	m := withClaims(t)
	commands, failures := m.engine.Commands, 2
	m.engine.Commands = func(container string, x node.Exec) (int, error) {
		if x.Cmd[0] == "tar" && failures > 0 {
			failures--
			_, err := io.WriteString(x.Stderr, "tar: short read")
			return 1, err
		}
		return commands(container, x)
	}
	if c, err := m.SaveCheckpoint(t.Context(), "dev", "again", true); err != nil || c.VolumeBytes() == 0 {
		t.Errorf("saved %+v, %v", c, err)
	}
	failures = 9
	if _, err := m.SaveCheckpoint(t.Context(), "dev", "never", true); fault.KindOf(err) != fault.Node || !strings.Contains(err.Error(), "short read") {
		t.Errorf("got %v", err)
	}
	if list, err := m.Checkpoints("dev"); err != nil || len(list) != 2 {
		t.Errorf("there are %+v, %v", list, err)
	}
}

func TestVolumesNeedTheirNodes(t *testing.T) {
	m := withClaims(t)
	m.engine.Kill("dev-2")
	if _, err := m.SaveCheckpoint(t.Context(), "dev", "more", true); fault.KindOf(err) != fault.NotRunning || !strings.Contains(err.Error(), "dev-2") {
		t.Errorf("save: %v", err)
	}
	if err := m.RestoreCheckpoint(t.Context(), "dev", "base", bootstrap.Run{}); fault.KindOf(err) != fault.NotRunning {
		t.Errorf("restore: %v", err)
	}
	if got := m.objects(t); got != "d" {
		t.Errorf("there are %q", got)
	}
	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := m.SaveCheckpoint(t.Context(), "dev", "more", true); fault.KindOf(err) != fault.NotRunning {
		t.Errorf("save of a stopped cluster: %v", err)
	}
}

// Whatever fails, objects and data are those of before, and everything runs.
func TestARestoreWithVolumesThatFailsIsUndone(t *testing.T) {
	for name, fail := range map[string]func(t *testing.T, m *machine){
		"no room in the node": func(_ *testing.T, m *machine) {
			m.engine.Hook = func(_ context.Context, op, _ string) error {
				if op == "FillNode" {
					return errors.New("write: no space left on device")
				}
				return nil
			}
		},
		"objects that cannot be read": func(t *testing.T, m *machine) {
			m.setObjects(t, "unreadable")
			if err := m.DeleteCheckpoint(t.Context(), "dev", "base"); err != nil {
				t.Fatal(err)
			}
			if _, err := m.SaveCheckpoint(t.Context(), "dev", "base", true); err != nil {
				t.Fatal(err)
			}
			m.setObjects(t, "d")
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := withClaims(t)
			fail(t, m)
			if err := m.RestoreCheckpoint(t.Context(), "dev", "base", bootstrap.Run{}); err == nil {
				t.Fatal("no error")
			}
			m.daemonPID(t)
			if got := m.objects(t); got != "d" {
				t.Errorf("there are %q", got)
			}
			m.wantNodes(t, "dev-1", "dev-2")
			var cfg cluster.NodeConfig
			if err := json.Unmarshal([]byte(m.file(t, m.secondNode(t), cluster.NodeConfigFile)), &cfg); err != nil || cfg.Claims != "" {
				t.Errorf("the node knows of data %q (%v)", cfg.Claims, err)
			}
			if _, _, pending := m.dir.Cluster("dev").ClaimsRestore(); pending {
				t.Error("the record is left")
			}
		})
	}
}

// An engine goes on stopping a node whose command has been interrupted. Without waiting for that, the cluster would seem to run.
func TestAnInterruptedRestoreWaitsUntilItsNodesHaveStopped(t *testing.T) {
	m := withClaims(t)
	ctx, interrupt := context.WithCancel(t.Context())
	stops := 0
	m.engine.Hook = func(ctx context.Context, op, _ string) error {
		if op != "StopNode" {
			return nil
		}
		if stops++; stops > 1 {
			return nil
		}
		interrupt()
		return ctx.Err()
	}
	if err := m.RestoreCheckpoint(ctx, "dev", "base", bootstrap.Run{}); err == nil {
		t.Fatal("no error")
	}
	if n1, n2 := m.callsOf("StopNode", "-1-"), m.callsOf("StopNode", "-2-"); n1 != 0 || n2 != 2 {
		t.Errorf("the node without claims was stopped %d times, the other %d times", n1, n2)
	}
	m.wantNodes(t, "dev-1", "dev-2")
	if got := m.objects(t); got != "d" {
		t.Errorf("there are %q", got)
	}
	if _, _, pending := m.dir.Cluster("dev").ClaimsRestore(); pending {
		t.Error("the record is left")
	}
}

// A command that was killed left a record. The next start puts the data in place if the objects have been replaced.
func TestAStartEndsAnInterruptedRestore(t *testing.T) {
	for name, replaced := range map[string]bool{"before the objects": false, "after them": true} {
		t.Run(name, func(t *testing.T) {
			m := withClaims(t)
			state := m.dir.Cluster("dev")
			m.killDaemon(t) // the node runs on, or so it seems while the engine is about to stop it
			if err := state.SaveClaimsRestore(statedir.ClaimsRestore{ID: "abc", Checkpoint: "base", Nodes: []string{"dev-2"}}); err != nil {
				t.Fatal(err)
			}
			if replaced {
				if err := os.WriteFile(filepath.Join(state.Etcd(), cluster.RestoredFile), []byte("abc"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := m.start(t, plan.Wish{}); err != nil {
				t.Fatal(err)
			}
			var cfg cluster.NodeConfig
			want := map[bool]string{true: "abc"}[replaced]
			if err := json.Unmarshal([]byte(m.file(t, m.secondNode(t), cluster.NodeConfigFile)), &cfg); err != nil || cfg.Claims != want {
				t.Errorf("the node knows of data %q, want %q (%v)", cfg.Claims, want, err)
			}
			if n1, n2 := m.callsOf("StopNode", "-1-"), m.callsOf("StopNode", "-2-"); n1 != 0 || n2 != 1 {
				t.Errorf("the node without claims was stopped %d times, the other %d times", n1, n2)
			}
			if _, _, pending := state.ClaimsRestore(); pending {
				t.Error("the record is left")
			}
		})
	}
}

// A fork has the data of the checkpoint, or that of now.
func TestForkWithVolumes(t *testing.T) {
	for from, checkpoint := range map[string]string{"base": "base", "": "origin"} {
		m := withClaims(t)
		t.Cleanup(func() { _ = m.Delete(context.Background(), "ci", nil) })
		if _, err := m.Fork(t.Context(), "dev", from, "ci", from == "", bootstrap.Run{}); err != nil {
			t.Fatal(err)
		}
		list, err := m.engine.List(t.Context(), m.dir.Cluster("ci").ID())
		if err != nil || len(list) != 2 {
			t.Fatalf("there are %v, %v", list, err)
		}
		if got := m.file(t, list[1].Name, "/var/lib/bonsai/volumes/pvc-1/file"); got != "data" {
			t.Errorf("the fork of %q has %q", from, got)
		}
		checkpoints, err := m.Checkpoints("ci")
		if err != nil || !slices.ContainsFunc(checkpoints, func(c cluster.Checkpoint) bool { return c.Name == checkpoint && c.VolumeBytes() > 0 }) {
			t.Errorf("the fork of %q has the checkpoints %+v, %v", from, checkpoints, err)
		}
	}
	m := withClaims(t)
	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Fork(t.Context(), "dev", "", "ci", true, bootstrap.Run{}); fault.KindOf(err) != fault.NotRunning || m.dir.Cluster("ci").Exists() {
		t.Errorf("a fork of data that cannot be read: %v", err)
	}
}

func TestExportOfACheckpointWithVolumes(t *testing.T) {
	m := withClaims(t)
	file, err := os.Create(filepath.Join(t.TempDir(), "cluster.bonsai"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	has, err := m.ExportCluster(t.Context(), "dev", "base", file, bootstrap.Run{})
	if err != nil || has.NodesWithClaims != 1 {
		t.Fatalf("exported %+v, %v", has, err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Delete(context.Background(), "ci", nil) })
	if _, err := m.StartFrom(t.Context(), "ci", file, bootstrap.Run{}); err != nil {
		t.Fatal(err)
	}
	list, err := m.engine.List(t.Context(), m.dir.Cluster("ci").ID())
	if err != nil || len(list) != 2 {
		t.Fatalf("there are %v, %v", list, err)
	}
	if got := m.file(t, list[1].Name, "/var/lib/bonsai/volumes/pvc-1/file"); got != "data" {
		t.Errorf("the new cluster has %q", got)
	}
}
