package bootstrap_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"bonsai/bootstrap"
	"bonsai/bootstrap/buildinfo"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/statedir"
)

// TestAStartReplacesAControlPlaneOfAnotherExecutable: with the nodes, which have this one afterwards. Other commands leave
// everything as it is.
func TestAStartReplacesAControlPlaneOfAnotherExecutable(t *testing.T) {
	m := newMachine(t)
	m.startNodes(t, 3)
	again := func() {
		t.Helper()
		if err := m.start(t, plan.Wish{}); err != nil {
			t.Fatal(err)
		}
	}
	state := m.dir.Cluster("dev")
	daemon := func() statedir.Daemon {
		t.Helper()
		d, ok := state.Daemon()
		if !ok || !state.DaemonAlive() {
			t.Fatalf("there is no daemon: %+v", d)
		}
		return d
	}
	first := daemon()
	if first.Build == "" || first.Build != buildinfo.Self() || first.Bonsai != buildinfo.Version {
		t.Errorf("recorded is %+v", first)
	}
	if again(); daemon().PID != first.PID {
		t.Error("a start of the same executable replaces the control plane")
	}

	for node, build := range map[string]string{"dev-2": "0123456789abcdef", "dev-3": ""} { // an older bonsai recorded none
		other := daemon()
		other.Build = build
		data, err := json.Marshal(other)
		if err == nil {
			err = os.WriteFile(filepath.Join(state.Dir(), "daemon.json"), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Apply(t.Context(), "node delete", "dev", plan.WithoutNodes([]string{node}), bootstrap.Run{}); err != nil {
			t.Fatal(err)
		}
		if daemon().PID != other.PID {
			t.Error("another command replaces the control plane")
		}
		again()
		if now := daemon(); now.PID == other.PID || now.Build != buildinfo.Self() {
			t.Errorf("after a start with another executable the daemon is %+v, before it was %+v", now, other)
		}
	}
}
