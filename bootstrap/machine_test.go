package bootstrap_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/hostdns"
	"bonsai/bootstrap/localapi"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/node/fake"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/ports"
	"bonsai/bootstrap/spawn/spawntest"
	"bonsai/bootstrap/statedir"
)

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
	localapi.FlowBackend
	localapi.HistoryBackend
	localapi.DashboardBackend
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

// Leave and Await are recorded.
func (d *daemon) Leave(_ context.Context, node string) ([]cluster.ServingPod, error) {
	return []cluster.ServingPod{{Namespace: "default", Name: "of-" + node}}, d.handedOver("leave " + node)
}

func (d *daemon) Await(_ context.Context, node string, pods []cluster.ServingPod, send func(cluster.DrainProgress) error) error {
	return errors.Join(d.handedOver("await "+node+" "+pods[0].Name), send(cluster.DrainProgress{Node: node, Detail: "waiting"}))
}

func (d *daemon) handedOver(what string) error {
	f, err := os.OpenFile(filepath.Join(d.state.Dir(), "handover"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, what)
	return errors.Join(err, f.Close())
}

func (d *daemon) Uncordon(context.Context, []string) error { return nil }

func runDaemon(name string, restore []string) error {
	return spawntest.Run(name, nil, func(ctx context.Context, self spawntest.Daemon) error { return serve(ctx, self, restore) })
}

func serve(ctx context.Context, self spawntest.Daemon, restore []string) error {
	state := self.State
	spec, err := state.LoadSpec()
	if err != nil {
		return err
	}
	d := &daemon{state: state, stop: self.Stop, listens: make(chan struct{}), daemonObjects: daemonObjects{objectsFile(state)}}
	if err := d.live(state); err != nil {
		return err
	}
	d.forwarder = ports.New(ports.Options{Log: slog.New(slog.DiscardHandler), Scale: 1})
	defer d.forwarder.Close()
	if state.Paused() != nil { // as when it is restarted
		_ = d.Pause(ctx, false)
	}
	_ = d.forwarder.Apply(*spec) // a port that is taken keeps no cluster from starting
	server, err := localapi.Listen(state.APISocket(), d, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { _ = server.Close() }()
	if err := self.Ready(); err != nil {
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
		Log:      slog.New(slog.NewTextHandler(&m.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Driver:   func() (node.Driver, error) { return m.engine, nil },
		Resolver: hostdns.System{Root: filepath.Join(root, "machine")},
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
