package bootstrap_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/localapi"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/node/fake"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/statedir"
)

// nodeObjects are the names of the Node objects that the daemon has.
func (m *machine) nodeObjects(t *testing.T) (names []string) {
	t.Helper()
	s, err := localapi.NewClient(m.dir.Cluster("dev").APISocket()).Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range s.Nodes {
		names = append(names, n.Name)
	}
	return names
}

// wantNodes checks spec, containers and Node objects of a running cluster.
func (m *machine) wantNodes(t *testing.T, want ...string) {
	t.Helper()
	spec, err := m.dir.Cluster("dev").LoadSpec()
	if err != nil {
		t.Fatal(err)
	}
	var planned, running []string
	for _, n := range spec.Nodes {
		planned = append(planned, n.Name)
	}
	for _, c := range m.containers(t) {
		if name, ok := strings.CutSuffix(c, " runs"); ok {
			running = append(running, name)
		}
	}
	if objects := m.nodeObjects(t); !slices.Equal(planned, want) || !slices.Equal(running, want) || !slices.Equal(objects, want) {
		t.Errorf("planned are %v, containers run of %v, Node objects are %v; want %v each", planned, running, objects, want)
	}
}

func TestAnInterruptedGrowthLeavesNoNode(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	m.engine.Hook = func(ctx context.Context, op, object string) error {
		if op != "EnsureNode" || object != "dev-2" {
			return nil
		}
		for ctx.Err() == nil { // it fails after the daemon has made the Node object
			if s, err := localapi.NewClient(m.dir.Cluster("dev").APISocket()).Snapshot(ctx); err == nil && len(s.Nodes) == 2 {
				return errors.New("no space left on device")
			}
		}
		return ctx.Err()
	}
	if err := m.start(t, plan.Wish{Nodes: new(2)}); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("start = %v, want the engine's error", err)
	}
	m.engine.Hook = nil
	m.wantNodes(t, "dev-1")
}

// TestTheNextStartCompletesAGrowthThatWasKilled: nobody takes back what a killed command wrote, so it holds.
func TestTheNextStartCompletesAGrowthThatWasKilled(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	made := filepath.Join(m.dir.Root, "made")
	grow := exec.Command(os.Args[0], "grow-and-hang", made)
	grow.Stderr = os.Stderr
	if err := grow.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		if _, err := os.Stat(made); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the growth did not begin")
		}
	}
	if err := grow.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = grow.Wait()
	if got := m.nodeObjects(t); !slices.Equal(got, []string{"dev-1", "dev-2"}) {
		t.Fatalf("Node objects are %v before the second start", got)
	}
	if err := m.start(t, plan.Wish{}); err != nil {
		t.Fatal(err)
	}
	m.wantNodes(t, "dev-1", "dev-2")
}

// growAndHang is another process that adds a node, and makes no headway once the daemon has its Node object.
func growAndHang(made string) error {
	engine := &fake.Engine{}
	m := machineIn(os.Getenv(statedir.EnvHome), engine, "aaaabbbbcccc", made+".lock")
	engine.Hook = func(ctx context.Context, op, object string) error {
		if op != "EnsureNode" || object != "dev-2" {
			return nil
		}
		for {
			s, err := localapi.NewClient(m.dir.Cluster("dev").APISocket()).Snapshot(ctx)
			if err == nil && len(s.Nodes) == 2 {
				break
			}
		}
		if err := os.WriteFile(made, nil, 0o600); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}
	_, err := m.Start(context.Background(), plan.Wish{Name: "dev", Nodes: new(2)}, bootstrap.Run{})
	return err
}

func TestAStartRemovesWhatIsNotPlanned(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(2)}); err != nil {
		t.Fatal(err)
	}
	// As after a kill of the cleanup of a growth: the old spec is written, and the container is still there.
	state := m.dir.Cluster("dev")
	spec, err := state.LoadSpec()
	if err != nil {
		t.Fatal(err)
	}
	spec.Nodes = spec.Nodes[:1]
	if err := state.SaveSpec(spec); err != nil {
		t.Fatal(err)
	}
	if err := m.start(t, plan.Wish{}); err != nil {
		t.Fatal(err)
	}
	m.wantNodes(t, "dev-1")
}

func TestApplyRemovesANode(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(3)}); err != nil {
		t.Fatal(err)
	}
	p, err := m.Apply(t.Context(), "node delete", "dev", plan.WithoutNodes([]string{"dev-2"}), bootstrap.Run{})
	if err != nil || len(p.Changes) != 1 || p.Changes[0].String() != "remove node dev-2 and its data" {
		t.Fatalf("changes = %v, %v", p.Changes, err)
	}
	// Its certificates went, which must not be taken for new ones: it would be restarted while it is removed.
	if calls := m.engine.Calls(); slices.ContainsFunc(calls, func(c string) bool { return strings.HasPrefix(c, "StopNode") }) {
		t.Errorf("a node was stopped: %v", calls)
	}
	m.wantNodes(t, "dev-1", "dev-3")
	// The next one gets another name.
	if err := m.start(t, plan.Wish{Nodes: new(3)}); err != nil {
		t.Fatal(err)
	}
	m.wantNodes(t, "dev-1", "dev-3", "dev-4")
	// Of a stopped cluster, too; it stays stopped.
	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Apply(t.Context(), "node delete", "dev", plan.WithoutNodes([]string{"dev-3"}), bootstrap.Run{}); err != nil {
		t.Fatal(err)
	}
	if got := m.containers(t); !slices.Equal(got, []string{"dev-1 stands", "dev-4 stands"}) || m.dir.Cluster("dev").DaemonAlive() {
		t.Errorf("containers = %v", got)
	}
}

// TestTheLastNodeTakesTheNetworkWithIt: of a cluster without nodes nobody asks the engine any more.
func TestTheLastNodeTakesTheNetworkWithIt(t *testing.T) {
	m := newMachine(t)
	m.startNodes(t, 1)
	if _, err := m.Apply(t.Context(), "node delete", "dev", plan.WithoutNodes([]string{"dev-1"}), bootstrap.Run{}); err != nil {
		t.Fatal(err)
	}
	if left := holdingOf(t, m, m.dir.Cluster("dev").ID()); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	m.startNodes(t, 2)
	m.wantNodes(t, "dev-2", "dev-3")
}

func TestApplyThatFailsChangesNothing(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(2)}); err != nil {
		t.Fatal(err)
	}
	m.engine.Hook = func(_ context.Context, op, _ string) error {
		if op == "RemoveNode" {
			return errors.New("the engine is stuck")
		}
		return nil
	}
	if _, err := m.Apply(t.Context(), "node delete", "dev", plan.WithoutNodes([]string{"dev-2"}), bootstrap.Run{}); err == nil || !strings.Contains(err.Error(), "stuck") {
		t.Errorf("got %v", err)
	}
	m.engine.Hook = nil
	m.wantNodes(t, "dev-1", "dev-2")
	if _, err := m.Apply(t.Context(), "node delete", "absent", plan.WithoutNodes([]string{"dev-2"}), bootstrap.Run{}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("of an absent cluster: %v", err)
	}
}

func TestRunningNodesTakeOverMirrors(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(2)}); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex // guards ran
	var ran []string
	code := 0
	m.engine.Commands = func(container string, e node.Exec) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		ran = append(ran, container+" "+strings.Join(e.Cmd, " "))
		return code, nil
	}
	mirrors := func(url string) cluster.Registries {
		return cluster.Registries{Mirrors: map[string][]cluster.Mirror{"docker.io": {{URL: url}}}}
	}
	if err := m.start(t, plan.Wish{Registries: mirrors("https://one")}); err != nil {
		t.Fatal(err)
	}
	if len(ran) != 2 || !strings.HasSuffix(ran[0], " bonsai-agent registries") {
		t.Errorf("ran %q, want the agent's tool in each node", ran)
	}
	if got := m.nodeConfig(t, "dev-1").Registries.Mirrors["docker.io"]; len(got) != 1 || got[0].URL != "https://one" {
		t.Errorf("the node received %v", got)
	}
	code = 1
	if err := m.start(t, plan.Wish{Registries: mirrors("https://two")}); fault.KindOf(err) != fault.Node {
		t.Errorf("start = %v, want the node's failure", err)
	}
	if got := m.nodeConfig(t, "dev-1").Registries.Mirrors["docker.io"]; len(got) != 1 || got[0].URL != "https://one" {
		t.Errorf("after the failure the node received %v", got)
	}
	// In a cluster that was stopped, nodes read it as they start.
	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	ran = nil
	if err := m.start(t, plan.Wish{Registries: mirrors("https://three")}); err != nil || len(ran) > 0 {
		t.Errorf("start = %v, ran %q", err, ran)
	}
}

func TestForegroundOfARunningClusterIsRefused(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(0)}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Start(t.Context(), plan.Wish{Name: "dev"}, bootstrap.Run{Foreground: true}); fault.KindOf(err) != fault.Usage {
		t.Errorf("start = %v, want Usage", err)
	}
}

// TestTheNetworkFollowsTheEngine: but not while it is in use.
func TestTheNetworkFollowsTheEngine(t *testing.T) {
	m := newMachine(t)
	wantMTU := func(want int) {
		t.Helper()
		if spec, err := m.dir.Cluster("dev").LoadSpec(); err != nil || spec.MTU != want {
			t.Errorf("the MTU is %d, %v; want %d", spec.MTU, err, want)
		}
	}
	m.engine.Info.MTU = 1400
	if err := m.start(t, plan.Wish{Nodes: new(0)}); err != nil {
		t.Fatal(err)
	}
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil { // the control plane runs, and there is no network yet
		t.Fatal(err)
	}
	wantMTU(1400)
	m.engine.Info.MTU = 1500
	if err := m.start(t, plan.Wish{}); err != nil {
		t.Fatal(err)
	}
	wantMTU(1400)
	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	if err := m.start(t, plan.Wish{}); err != nil {
		t.Fatal(err)
	}
	wantMTU(1500)
}

// TestNodesWithoutAControlPlane are what a restart of the machine leaves: the engine starts them again, nobody the daemon.
func TestNodesWithoutAControlPlane(t *testing.T) {
	m := newMachine(t)
	m.engine.Info.MTU = 1400
	if err := m.start(t, plan.Wish{Nodes: new(2)}); err != nil {
		t.Fatal(err)
	}
	m.killDaemon(t)
	// They know the port, and do not read it again.
	if err := m.start(t, plan.Wish{APIPort: freePort(t)}); fault.KindOf(err) != fault.Usage {
		t.Errorf("another port: %v, want it refused", err)
	}
	// A start that fails leaves them running.
	t.Setenv("TEST_DAEMON_DIES", "1")
	if err := m.start(t, plan.Wish{}); fault.KindOf(err) != fault.ControlPlane {
		t.Errorf("start = %v, want the control plane's failure", err)
	}
	t.Setenv("TEST_DAEMON_DIES", "")
	if got := m.containers(t); !slices.Equal(got, []string{"dev-1 runs", "dev-2 runs"}) {
		t.Errorf("after a failed start: %v", got)
	}
	// Their network is in use.
	m.engine.Info.MTU = 1500
	if err := m.start(t, plan.Wish{}); err != nil {
		t.Errorf("with another MTU: %v", err)
	}
	m.wantNodes(t, "dev-1", "dev-2")
}
