package bootstrap_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/plan"
)

func TestAMountStopsTheNodeInOrderAndReplacesItsContainer(t *testing.T) {
	m := newMachine(t)
	m.engine.Info.HostReachesNodes = true
	if err := m.start(t, plan.Wish{Nodes: new(2)}); err != nil {
		t.Fatal(err)
	}
	before := m.engine.Calls()
	src := cluster.Mount{Host: t.TempDir(), Path: "/src"}
	mount := func(list ...cluster.Mount) error {
		_, err := m.Apply(t.Context(), "node update", "dev", plan.RemountedNodes([]string{"dev-2"}, list, nil), bootstrap.Run{})
		return err
	}
	if err := mount(src); err != nil {
		t.Fatal(err)
	}
	calls := m.engine.Calls()[len(before):]
	stop := slices.IndexFunc(calls, func(c string) bool { return strings.HasPrefix(c, "StopNode") })
	ensure := slices.IndexFunc(calls, func(c string) bool { return strings.HasPrefix(c, "EnsureNode") })
	if stop < 0 || ensure < stop || strings.Contains(strings.Join(calls, " "), "dev-1") {
		t.Errorf("calls of the engine: %v", calls)
	}
	spec, err := m.dir.Cluster("dev").LoadSpec()
	if err != nil || !slices.Equal(spec.Nodes[1].Mounts, []cluster.Mount{src}) || len(spec.Nodes[0].Mounts) != 0 {
		t.Errorf("%v, nodes %+v", err, spec.Nodes)
	}

	// What does not exist is refused, and nothing has changed.
	gone := cluster.Mount{Host: filepath.Join(src.Host, "gone"), Path: "/gone"}
	before = m.engine.Calls()
	if err := mount(gone); fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), "it does not exist") {
		t.Errorf("got %v", err)
	}
	if calls := m.engine.Calls()[len(before):]; slices.ContainsFunc(calls, func(c string) bool { return strings.HasPrefix(c, "StopNode") || strings.HasPrefix(c, "Ensure") }) {
		t.Errorf("calls of the engine: %v", calls)
	}

	// A failure gives the node its old container back.
	other := cluster.Mount{Host: t.TempDir(), Path: "/src"}
	failed := false
	m.engine.Hook = func(_ context.Context, op, object string) error {
		if op == "EnsureNode" && object == "dev-2" && !failed {
			failed = true
			return errors.New("no room")
		}
		return nil
	}
	if err := mount(other); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("got %v", err)
	}
	if spec, err := m.dir.Cluster("dev").LoadSpec(); err != nil || !slices.Equal(spec.Nodes[1].Mounts, []cluster.Mount{src}) {
		t.Errorf("%v, nodes %+v", err, spec.Nodes)
	}
	m.wantNodes(t, "dev-1", "dev-2")

	// One that has gone since is named before the start fails for it, and can be removed.
	m.engine.Hook = nil
	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(src.Host); err != nil {
		t.Fatal(err)
	}
	err = m.start(t, plan.Wish{})
	if fault.KindOf(err) != fault.Usage || !strings.Contains(fault.Problem(err).HintText(), "bonsai node update dev-2 -p dev --unmount /src") {
		t.Errorf("got %v: %s", err, fault.Problem(err).HintText())
	}
	if _, err := m.Apply(t.Context(), "node update", "dev", plan.RemountedNodes([]string{"2"}, nil, []string{"/src"}), bootstrap.Run{}); err != nil {
		t.Fatal(err)
	}
	if err := m.start(t, plan.Wish{}); err != nil {
		t.Error(err)
	}
}

func TestMountsOfAnEngineElsewhereAreItsOwnPaths(t *testing.T) {
	m := newMachine(t)
	var warnings []string
	_, err := m.Start(t.Context(), plan.Wish{Name: "dev", Nodes: new(1), APIPort: freePort(t), Mounts: []cluster.Mount{{Host: "/nowhere/here", Path: "/src"}}},
		bootstrap.Run{Events: func(e cluster.Event) {
			if e.Kind == cluster.StepWarning && e.Step == "mounts" {
				warnings = append(warnings, e.Detail)
			}
		}})
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "those of the engine's machine") {
		t.Errorf("got %v, warnings %q", err, warnings)
	}
}
