package bootstrap_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/plan"
)

// Mirrors change while the cluster runs: its nodes read them before the command returns. Of a stopped one only the plan changes.
func TestSetMirrors(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(2), Registries: cluster.Registries{Mirrors: map[string][]cluster.Mirror{"ghcr.io": {{URL: "https://old"}}}}}); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex // guards ran
	var ran []string
	m.engine.Commands = func(_ string, e node.Exec) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		ran = append(ran, strings.Join(e.Cmd, " "))
		return 0, nil
	}
	running, err := m.SetMirrors(t.Context(), "dev", func(all map[string][]cluster.Mirror) error {
		all["docker.io"] = append(all["docker.io"], cluster.Mirror{URL: "https://one"})
		delete(all, "ghcr.io")
		return nil
	})
	if err != nil || !running || len(ran) != 2 || ran[0] != "bonsai-agent registries" {
		t.Errorf("running %v, ran %q, %v", running, ran, err)
	}
	got := m.nodeConfig(t, "dev-1").Registries.Mirrors
	if len(got) != 1 || len(got["docker.io"]) != 1 || got["docker.io"][0].URL != "https://one" {
		t.Errorf("the node received %v", got)
	}
	refused := errors.New("no")
	ran = nil
	if _, err := m.SetMirrors(t.Context(), "dev", func(map[string][]cluster.Mirror) error { return refused }); !errors.Is(err, refused) || len(ran) > 0 {
		t.Errorf("got %v, ran %q", err, ran)
	}
	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	ran = nil
	running, err = m.SetMirrors(t.Context(), "dev", func(all map[string][]cluster.Mirror) error { all["docker.io"] = nil; return nil })
	if err != nil || running || len(ran) > 0 {
		t.Errorf("stopped: running %v, ran %q, %v", running, ran, err)
	}
	spec, err := m.dir.Cluster("dev").LoadSpec()
	if err != nil || len(spec.Registries.Mirrors) > 0 {
		t.Errorf("the plan has %v, %v", spec.Registries.Mirrors, err)
	}
}
