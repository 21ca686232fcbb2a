package bootstrap_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/lastwords"
	"bonsai/bootstrap/localapi"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/node/fake"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/ports"
	"bonsai/bootstrap/spawn"
	"bonsai/bootstrap/statedir"
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

// daemon is a control plane in which everything succeeds at once, unless the environment says otherwise. Like the real
// one it reads the spec when it starts and on request, and at no other time: what it read for an interrupted command
// stays in effect until the next request.
type daemon struct {
	daemonAddons
	daemonPorts
	daemonObjects
	localapi.DNSBackend // nil: bootstrap asks nothing of these
	localapi.BirthBackend
	localapi.LoadBackend
	state   statedir.Cluster
	stop    context.CancelFunc
	listens chan struct{} // closed when the API port is open
}

// Drain succeeds, unless TEST_DAEMON_BLOCKS is set.
func (d *daemon) Drain(_ context.Context, r cluster.DrainRequest, send func(cluster.DrainProgress) error) error {
	if os.Getenv("TEST_DAEMON_BLOCKS") != "" && !r.Force {
		return fault.Newf(fault.Blocked, "1 thing would be lost").WithEvidence("pod default/a")
	}
	return send(cluster.DrainProgress{Node: r.Nodes[0], Detail: "waiting"})
}

func (d *daemon) Uncordon(context.Context, []string) error { return nil }

func runDaemon(name string, restore []string) (err error) {
	dir, err := statedir.Home()
	if err != nil {
		return err
	}
	state := dir.Cluster(name)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	lock, err := state.LockDaemon(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }()
	words, err := lastwords.Open(filepath.Join(state.Dir(), spawn.CrashFile))
	if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			err = words.Withdraw()
		} else {
			words.Say(err.Error())
		}
	}()
	spec, err := state.LoadSpec()
	if err != nil {
		return err
	}
	d := &daemon{state: state, stop: stop, listens: make(chan struct{}), daemonObjects: daemonObjects{objectsFile(state)}}
	if err := d.live(state); err != nil {
		return err
	}
	d.forwarder = ports.New(ports.Options{Log: slog.New(slog.DiscardHandler), Scale: 1})
	defer d.forwarder.Close()
	_ = d.forwarder.Apply(*spec) // a port that is taken keeps no cluster from starting
	server, err := localapi.Listen(state.APISocket(), d, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { _ = server.Close() }()
	fd, err := strconv.Atoi(os.Getenv(spawn.EnvReadyFD))
	if err != nil {
		return err
	}
	pipe := os.NewFile(uintptr(fd), "ready")
	if _, err := pipe.Write([]byte{1}); err != nil {
		return err
	}
	if os.Getenv("TEST_DAEMON_DIES") != "" || spec.Settings.Args[cluster.ComponentAPIServer]["deadly"] != "" {
		return errors.New("etcd fell over")
	}
	if err := d.restore(state, restore); err != nil {
		return err
	}
	port, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", spec.APIPort))
	if err != nil {
		return fmt.Errorf("listen on the API port: %w", err)
	}
	defer func() { _ = port.Close() }()
	close(d.listens)
	<-ctx.Done()
	return nil
}

func (d *daemon) Snapshot(context.Context) cluster.Snapshot {
	s := cluster.Snapshot{Name: d.state.Name, APIServer: cluster.PhaseRunning, Addons: d.enabled()}
	for _, n := range d.nodeObjects() {
		status := cluster.NodeStatus{Name: n.Name, Kubelet: cluster.PhaseRunning, Heartbeat: time.Now(), Ready: os.Getenv("TEST_NODES_HANG") == ""}
		if says := os.Getenv("TEST_KUBELET_SAYS"); says != "" {
			status.Components = []cluster.Component{
				{Name: "containerd", Phase: cluster.PhaseRunning, Reason: "running does not need one"},
				{Name: "kubelet", Phase: cluster.PhaseFailed, Restarts: 3, Reason: says},
			}
		}
		if os.Getenv("TEST_DNS_HANGS") == "" {
			status.DNS = cluster.PhaseRunning
		}
		s.Nodes = append(s.Nodes, status)
	}
	return s
}

func (d *daemon) Watch(ctx context.Context, send func(cluster.Snapshot) error) error {
	if err := send(d.Snapshot(ctx)); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func (d *daemon) Events(ctx context.Context, send func(cluster.Event) error) error {
	select {
	case <-d.listens:
	case <-ctx.Done():
		return ctx.Err()
	}
	for path := os.Getenv("TEST_READY_FILE"); path != "" && ctx.Err() == nil; {
		if _, err := os.Stat(path); err == nil {
			break
		}
		<-time.After(5 * time.Millisecond) // stands for a start that takes its time
	}
	return send(cluster.Event{Kind: cluster.StepDone, Step: bootstrap.StepControlPlane})
}

func (d *daemon) Logs(context.Context, localapi.LogQuery, io.Writer) error { return nil }
func (d *daemon) Reload(context.Context) error {
	if path := os.Getenv("TEST_READY_FILE"); path != "" {
		if _, err := os.Stat(path); err != nil {
			return errors.New("the control plane is still starting")
		}
	}
	return errors.Join(d.live(d.state), d.open(d.state))
}

func (d *daemon) Stop() { d.stop() }

// machine is a private state folder and kubeconfig with an engine in memory.
type machine struct {
	*bootstrap.Manager
	env    bootstrap.Env
	dir    statedir.Dir
	engine *fake.Engine
	filled atomic.Int32 // how often the payload was read
	log    logged
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := newMachineOn(t, &fake.Engine{}, "aaaabbbbcccc")
	t.Setenv(statedir.EnvHome, m.dir.Root)
	t.Setenv("KUBECONFIG", filepath.Join(m.dir.Root, "kubeconfig"))
	return m
}

// newMachineOn is a private state folder on an engine that others may use as well, with a payload of its own.
func newMachineOn(t *testing.T, engine *fake.Engine, payload string) *machine {
	t.Helper()
	root, err := os.MkdirTemp("", "bt") // short enough for sockets
	if err != nil {
		t.Fatal(err)
	}
	m := machineIn(root, engine, payload, planningLock(t))
	t.Cleanup(func() {
		if err := m.Delete(context.Background(), "dev", nil); err != nil && fault.KindOf(err) != fault.NotFound {
			t.Errorf("delete at the end: %v", err)
		}
		_ = os.RemoveAll(root)
		_ = os.Remove(planningLock(t))
	})
	return m
}

func machineIn(root string, engine *fake.Engine, payload, lock string) *machine {
	m := &machine{dir: statedir.Dir{Root: root}, engine: engine}
	m.env = bootstrap.Env{
		Dir: m.dir, Executable: os.Args[0], Kubernetes: "v1.37.2", PlanningLock: lock,
		Log:    slog.New(slog.NewTextHandler(&m.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Driver: func() (node.Driver, error) { return m.engine, nil },
		Payload: func() (node.Payload, error) {
			return node.Payload{Hash: payload, ImageRef: "bonsai-node:" + payload,
				Volume: func() (io.ReadCloser, error) { m.filled.Add(1); return io.NopCloser(strings.NewReader("")), nil },
				Image:  func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("")), nil }}, nil
		},
	}
	m.Manager = bootstrap.New(m.env)
	return m
}

// planningLock is one for all state folders of a test.
func planningLock(t *testing.T) string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("bt-planning-%d-%s.lock", os.Getpid(), strings.ReplaceAll(t.Name(), "/", "-")))
}

// logged is a log that may be read while it is written.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (m *machine) start(t *testing.T, w plan.Wish) error {
	t.Helper()
	w.Name = "dev"
	if w.APIPort == 0 && !m.dir.Cluster("dev").Exists() {
		w.APIPort = freePort(t)
	}
	_, err := m.Start(t.Context(), w, bootstrap.Run{})
	return err
}

func (m *machine) containers(t *testing.T) (names []string) {
	t.Helper()
	id := m.dir.Cluster("dev").ID() // "" after it was deleted: then nobody may have anything
	list, err := m.engine.List(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		names = append(names, c.Node+" "+map[bool]string{true: "runs", false: "stands"}[c.Running])
	}
	return names
}

func (m *machine) wantNothingLeft(t *testing.T) {
	t.Helper()
	if left := m.containers(t); len(left) > 0 {
		t.Errorf("containers left: %v", left)
	}
	if m.dir.Cluster("dev").DaemonAlive() {
		t.Error("the daemon is left")
	}
	if _, err := os.Stat(m.dir.Cluster("dev").Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state folder is left (%v)", err)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
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

// killDaemon leaves the nodes without a control plane, as a restart of the machine does.
func (m *machine) killDaemon(t *testing.T) {
	t.Helper()
	state := m.dir.Cluster("dev")
	d, _ := state.Daemon()
	if err := syscall.Kill(d.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := state.WaitDaemonGone(ctx); err != nil {
		t.Fatal(err)
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
