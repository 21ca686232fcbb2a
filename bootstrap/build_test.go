package bootstrap_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"bonsai/bootstrap"
	"bonsai/bootstrap/buildinfo"
	"bonsai/bootstrap/node"
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

// TestAnotherPayloadReplacesNodesOneAfterTheOther: in a cluster that runs. Pods leave Services before, and serve again before the
// next node follows.
func TestAnotherPayloadReplacesNodesOneAfterTheOther(t *testing.T) {
	m := newMachine(t)
	m.startNodes(t, 3)
	upgrade := func(payload string) (calls []string) {
		t.Helper()
		m.with(func(e *bootstrap.Env) {
			before := e.Payload
			e.Payload = func() (node.Payload, error) {
				p, err := before()
				p.Hash, p.ImageRef = payload, "bonsai-node:"+payload
				return p, err
			}
		})
		began := len(m.engine.Calls())
		if err := m.start(t, plan.Wish{}); err != nil {
			t.Fatal(err)
		}
		for _, c := range m.engine.Calls()[began:] {
			if verb, object, _ := strings.Cut(c, " "); verb == "StopNode" || verb == "EnsureNode" {
				calls = append(calls, verb+" "+regexp.MustCompile(`dev-[0-9]`).FindString(object))
			}
		}
		return calls
	}
	handedOver := func() string {
		data, _ := os.ReadFile(filepath.Join(m.dir.Cluster("dev").Dir(), "handover"))
		return string(data)
	}
	want := []string{"StopNode dev-1", "EnsureNode dev-1", "StopNode dev-2", "EnsureNode dev-2", "StopNode dev-3", "EnsureNode dev-3"}
	if got := upgrade("ddddeeeeffff"); !slices.Equal(got, want) {
		t.Errorf("the engine was asked for %q, want %q", got, want)
	}
	const said = "leave dev-1\nawait dev-1 of-dev-1\nleave dev-2\nawait dev-2 of-dev-2\nleave dev-3\nawait dev-3 of-dev-3\n"
	if got := handedOver(); got != said {
		t.Errorf("the control plane was asked for %q", got)
	}
	list, err := m.engine.List(t.Context(), m.dir.Cluster("dev").ID())
	if err != nil || len(list) != 3 {
		t.Fatalf("the containers are %v, %v", list, err)
	}
	for _, c := range list {
		if c.Payload != "ddddeeeeffff" {
			t.Errorf("%s has the payload %s", c.Node, c.Payload)
		}
	}

	// Nothing runs in a stopped cluster that could go on.
	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	if got := upgrade("aaaabbbbcccc"); len(got) != 3 {
		t.Errorf("in a stopped cluster the engine was asked for %q", got)
	}
	if got := handedOver(); got != said {
		t.Errorf("after the start of a stopped cluster, the control plane was asked for %q", got)
	}
}
