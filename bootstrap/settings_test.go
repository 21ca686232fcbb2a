package bootstrap_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/plan"
)

// TestSettingsRestartWhatReadsThem, and a control plane that does not start with them runs as before.
func TestSettingsRestartWhatReadsThem(t *testing.T) {
	m := newMachine(t)
	var mu sync.Mutex
	var tools []string
	m.engine.Commands = func(container string, e node.Exec) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		tools = append(tools, container+" "+strings.Join(e.Cmd, " "))
		return 0, nil
	}
	if err := m.start(t, plan.Wish{Nodes: new(2)}); err != nil {
		t.Fatal(err)
	}
	state := m.dir.Cluster("dev")
	daemon := func() int {
		t.Helper()
		d, ok := state.Daemon()
		if !ok || !state.DaemonAlive() {
			t.Fatal("there is no daemon")
		}
		return d.PID
	}
	apply := func(s cluster.Settings) error {
		t.Helper()
		tools = nil
		_, err := m.ApplyWish(t.Context(), plan.Wish{Name: "dev", Exact: true, Settings: &s}, bootstrap.DeleteOptions{}, bootstrap.Run{})
		return err
	}
	args := func(name string) map[string]map[string]string {
		return map[string]map[string]string{cluster.ComponentAPIServer: {name: "1"}}
	}
	before := daemon()
	if err := apply(cluster.Settings{Args: args("v")}); err != nil {
		t.Fatal(err)
	}
	second := daemon()
	if second == before || len(tools) != 0 {
		t.Errorf("daemon %d after %d, and %q in nodes", second, before, tools)
	}
	// The kubelets alone.
	if err := apply(cluster.Settings{Files: map[string]string{cluster.FileKubelet: "maxPods: 9\n"}}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(tools)
	if daemon() != second || len(tools) != 2 || !strings.HasSuffix(tools[0], "bonsai-agent limits") {
		t.Errorf("daemon %d after %d, and %q in nodes", daemon(), second, tools)
	}
	// One that does not start.
	err := apply(cluster.Settings{Args: args("deadly")})
	if err == nil || !strings.Contains(err.Error(), "etcd fell over") {
		t.Errorf("got %v", err)
	}
	spec, loadErr := state.LoadSpec()
	if loadErr != nil || spec.Settings.Args[cluster.ComponentAPIServer]["v"] != "1" {
		t.Errorf("%v, settings %+v", loadErr, spec.Settings)
	}
	if third := daemon(); third == second {
		t.Error("the daemon was not restarted")
	}
	m.wantNodes(t, "dev-1", "dev-2")
}
