package bootstrap_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/plan"
)

// TestMain lets the test binary stand in for the daemon: Start spawns it as `EXECUTABLE role daemon --cluster NAME`.
func TestMain(m *testing.M) {
	if len(os.Args) >= 5 && os.Args[1] == "role" {
		if err := runDaemon(os.Args[4], os.Args[5:]); err != nil {
			fmt.Fprintln(os.Stderr, "E daemon:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) == 3 && os.Args[1] == "grow-and-hang" {
		if err := growAndHang(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestLifeOfACluster(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(2)}); err != nil {
		t.Fatal(err)
	}
	if got := m.containers(t); !slices.Equal(got, []string{"dev-1 runs", "dev-2 runs"}) {
		t.Errorf("containers = %v", got)
	}
	s, err := m.Status(t.Context(), "dev")
	if err != nil || s.Phase != cluster.PhaseRunning || s.Kubeconfig != "Configured" || s.LastStart == nil {
		t.Errorf("status = %+v, %v", s, err)
	}
	// A second start repairs what was lost and adds what is asked for.
	m.engine.Kill("dev-1")
	if s, _ := m.Status(t.Context(), "dev"); s.Phase != cluster.PhaseDegraded {
		t.Errorf("with a dead node the phase is %s", s.Phase)
	}
	if err := m.start(t, plan.Wish{Nodes: new(3)}); err != nil {
		t.Fatal(err)
	}
	if got := m.containers(t); !slices.Equal(got, []string{"dev-1 runs", "dev-2 runs", "dev-3 runs"}) {
		t.Errorf("after the repair: %v", got)
	}
	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	if s, err := m.Status(t.Context(), "dev"); err != nil || s.Phase != cluster.PhaseStopped {
		t.Errorf("stopped: %s, %v", s.Phase, err)
	}
	if err := m.start(t, plan.Wish{}); err != nil {
		t.Fatal(err)
	}
	if err := m.Delete(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	m.wantNothingLeft(t)
}

// TestDeleteTakesBackNames: what this machine's resolver was configured with for the cluster goes, and nothing else. Where that is
// not possible, it is a warning with the commands.
func TestDeleteTakesBackNames(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(m.dir.Root, "machine/etc/resolver")
	own := filepath.Join(folder, "bonsai-dev-"+m.dir.Cluster("dev").ID()[:8]+"-0")
	other := filepath.Join(folder, "bonsai-dev-ffffffff-0")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{own, other} {
		if err := os.WriteFile(file, []byte("domain test\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Delete(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(own); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the cluster's names are still asked for: %v", err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Errorf("another cluster's are not: %v", err)
	}

	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	// A folder with something in it is not removed, as a file of root's is not.
	own = filepath.Join(folder, "bonsai-dev-"+m.dir.Cluster("dev").ID()[:8]+"-0")
	if err := os.MkdirAll(filepath.Join(own, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	var warnings []string
	if err := m.Delete(t.Context(), "dev", func(e cluster.Event) {
		if e.Kind == cluster.StepWarning {
			warnings = append(warnings, e.Problem.Summary+" "+e.Problem.HintText())
		}
	}); err != nil {
		t.Fatal(err)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "sudo rm -f /etc/resolver/bonsai-dev-") {
		t.Errorf("the warnings are %q", warnings)
	}
}

func TestAStartLogsWhatItDoesAndNoSecret(t *testing.T) {
	m := newMachine(t)
	mirror := cluster.Mirror{URL: "https://mirror.example", Username: "me", Password: "hunter2"}
	if err := m.start(t, plan.Wish{Nodes: new(1), Registries: cluster.Registries{Mirrors: map[string][]cluster.Mirror{"docker.io": {mirror}}}}); err != nil {
		t.Fatal(err)
	}
	log := m.log.String()
	for _, want := range []string{
		`msg=plan cluster=dev change="`, `msg="file written" path=` + m.dir.Cluster("dev").SpecFile(), `msg="step done" step=pki took=`,
		`msg=daemon request="GET /v1/events" took=`, `msg="step done" step=node/dev-1 took=`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %s", want)
		}
	}
	if strings.Contains(log, "hunter2") {
		t.Error("the password of a registry is in the log")
	}
	if t.Failed() {
		t.Log(log)
	}
}

func TestFailedStartRemovesWhatItMade(t *testing.T) {
	for _, failing := range []string{"EnsureNetwork", "EnsurePayload", "EnsureNode"} {
		t.Run(failing, func(t *testing.T) {
			m := newMachine(t)
			m.engine.Hook = func(_ context.Context, op, _ string) error {
				if op == failing {
					return errors.New("no space left on device")
				}
				return nil
			}
			err := m.start(t, plan.Wish{})
			if err == nil || !strings.Contains(err.Error(), "no space left") {
				t.Errorf("start = %v, want the engine's word", err)
			}
			m.engine.Hook = nil
			m.wantNothingLeft(t)
		})
	}
}

func TestDyingDaemonIsReportedWithItsLog(t *testing.T) {
	m := newMachine(t)
	t.Setenv("TEST_DAEMON_DIES", "1")
	err := m.start(t, plan.Wish{})
	f, ok := errors.AsType[*fault.Fault](err)
	if !ok || f.Kind != fault.ControlPlane || !strings.Contains(strings.Join(f.Evidence, "\n"), "etcd fell over") {
		t.Errorf("start = %v, evidence %q; want the daemon's last words", err, f.Evidence)
	}
	m.wantNothingLeft(t)
}

func TestCancelledStartLeavesNothing(t *testing.T) {
	m := newMachine(t)
	t.Setenv("TEST_NODES_HANG", "1")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := m.Start(ctx, plan.Wish{Name: "dev", APIPort: freePort(t)}, bootstrap.Run{Events: func(e cluster.Event) {
		if strings.HasPrefix(e.Step, "node/") {
			cancel() // everything has been made by now
		}
	}})
	if fault.KindOf(err) != fault.Canceled {
		t.Errorf("start = %v, want Canceled", err)
	}
	m.wantNothingLeft(t)
}

func TestStartWaitsForAnAnswerOfClusterDNS(t *testing.T) {
	m := newMachine(t)
	t.Setenv("TEST_DNS_HANGS", "1")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	waiting := ""
	_, err := m.Start(ctx, plan.Wish{Name: "dev", Nodes: new(1), APIPort: freePort(t)}, bootstrap.Run{Events: func(e cluster.Event) {
		if e.Step == "dns" && e.Kind == cluster.StepStarted {
			waiting = e.Detail
		}
		if e.Step == "node/dev-1" && e.Kind == cluster.StepDone {
			cancel() // the node is ready, and nothing else is left to wait for
		}
	}})
	if fault.KindOf(err) != fault.Canceled || !strings.Contains(waiting, "kubernetes.default.svc.cluster.local") {
		t.Errorf("start = %v, waiting for %q; want Canceled", err, waiting)
	}
	m.wantNothingLeft(t)
}

func TestFailedRepairKeepsTheCluster(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	m.engine.Hook = func(_ context.Context, op, object string) error {
		if op == "EnsureNode" && object == "dev-2" {
			return errors.New("no space left on device")
		}
		return nil
	}
	if err := m.start(t, plan.Wish{Nodes: new(2)}); err == nil {
		t.Error("start succeeded although a node failed")
	}
	m.engine.Hook = nil
	if got := m.containers(t); !slices.Equal(got, []string{"dev-1 runs"}) {
		t.Errorf("containers = %v, want the old one to run on", got)
	}
	spec, err := m.dir.Cluster("dev").LoadSpec()
	if err != nil || len(spec.Nodes) != 1 {
		t.Errorf("spec = %+v, %v; want the old one", spec, err)
	}
	if !m.dir.Cluster("dev").DaemonAlive() {
		t.Error("the running control plane was ended")
	}
}

func TestAPIOnlyClusterNeedsNoEngine(t *testing.T) {
	m := newMachine(t)
	m.engine.Hook = func(context.Context, string, string) error { return errors.New("there is no engine") }
	if err := m.start(t, plan.Wish{Nodes: new(0)}); err != nil {
		t.Fatal(err)
	}
	if calls := m.engine.Calls(); len(calls) > 0 {
		t.Errorf("the engine was asked: %v", calls)
	}
	if err := m.Delete(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
}

func TestVerbsOnAnAbsentCluster(t *testing.T) {
	m := newMachine(t)
	_, statusErr := m.Status(t.Context(), "dev")
	_, contextErr := m.UpdateContext("dev")
	for verb, err := range map[string]error{
		"stop": m.Stop(t.Context(), "dev", nil), "delete": m.Delete(t.Context(), "dev", nil), "status": statusErr, "update-context": contextErr,
	} {
		if fault.KindOf(err) != fault.NotFound {
			t.Errorf("%s = %v, want NotFound", verb, err)
		}
	}
}

func TestStopEndsTheControlPlaneWithoutAnEngine(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	m.engine.Hook = func(_ context.Context, op, _ string) error {
		if op == "List" {
			return fault.Newf(fault.EngineDown, "no engine")
		}
		return nil
	}
	if err := m.Stop(t.Context(), "dev", nil); fault.KindOf(err) != fault.EngineDown || !strings.Contains(fault.Problem(err).HintText(), "bonsai stop -p dev") {
		t.Errorf("stop = %v, want the engine's fault, and what is left to stop", err)
	}
	m.engine.Hook = nil
	if m.dir.Cluster("dev").DaemonAlive() {
		t.Error("the control plane is still running")
	}
}

func TestStartTakesOverADaemonThatStillStarts(t *testing.T) {
	m := newMachine(t)
	ready := filepath.Join(t.TempDir(), "ready")
	t.Setenv("TEST_READY_FILE", ready)
	if err := os.WriteFile(ready, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	// As after a kill -9 of the command that spawned it: the daemon lives, its control plane is not ready yet.
	if err := os.Remove(ready); err != nil {
		t.Fatal(err)
	}
	_, err := m.Start(t.Context(), plan.Wish{Name: "dev"}, bootstrap.Run{Events: func(e cluster.Event) {
		if e.Step == "daemon" && e.Kind == cluster.StepStarted {
			time.AfterFunc(50*time.Millisecond, func() { _ = os.WriteFile(ready, nil, 0o600) })
		}
	}})
	if err != nil {
		t.Errorf("start = %v, want it to wait for the control plane", err)
	}
}

func TestDeadDaemonShowsInStatusAndIsRepaired(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	m.killDaemon(t)
	if s, err := m.Status(t.Context(), "dev"); err != nil || s.Phase != cluster.PhaseDegraded {
		t.Errorf("status = %s, %v; want Degraded: nodes without a control plane", s.Phase, err)
	}
	if err := m.start(t, plan.Wish{}); err != nil {
		t.Fatal(err)
	}
	if s, err := m.Status(t.Context(), "dev"); err != nil || s.Phase != cluster.PhaseRunning {
		t.Errorf("after the repair: %s, %v", s.Phase, err)
	}
}
