package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	"k8s.io/client-go/tools/cache"
	registrationfake "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset/fake"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/lastwords"
	"bonsai/bootstrap/localapi"
	"bonsai/bootstrap/spawn"
	"bonsai/bootstrap/statedir"
	"bonsai/controlplane/agents"
	"bonsai/controlplane/observe/birth"
	"bonsai/controlplane/observe/history"
	"bonsai/controlplane/observe/load"
	"bonsai/controlplane/observe/load/traffic"
	"bonsai/controlplane/observe/objects"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// limit is how long anything here may take on a busy machine.
const limit = 30 * time.Second

// house is a daemon whose control plane and addons are this.
type house struct {
	t      *testing.T
	state  statedir.Cluster
	client *localapi.Client
	// start ends the start of the control plane; failed is its sudden end.
	start, failed chan error
	ended         chan error // what Run returned
	cancel        context.CancelFunc
	shut          atomic.Bool // whether the API server's port answers nobody

	mu      sync.Mutex // guards the rest
	notes   []string   // what happened, in order
	applied []cluster.Spec
	addon   cluster.AddonState
	changed func()
	use     func(context.Context, string) (func(), error)
}

// run runs a daemon until the test ends.
func run(t *testing.T) *house {
	t.Helper()
	return runWith(t, func(*house, *Options) {})
}

// runWith is run with other options.
func runWith(t *testing.T, change func(*house, *Options)) *house {
	t.Helper()
	root, err := os.MkdirTemp("/tmp", "bd") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	h := &house{
		t: t, state: statedir.Dir{Root: root}.Cluster("dev"), start: make(chan error, 1), failed: make(chan error, 1), ended: make(chan error, 1),
		addon: cluster.AddonInstalling,
	}
	h.client = localapi.NewClient(h.state.APISocket())
	if err := errors.Join(h.state.Create(), h.state.CreateSocketDir(), os.MkdirAll(h.state.Logs(), 0o700)); err != nil {
		t.Fatal(err)
	}
	spec := specOf(1)
	if err := h.state.SaveSpec(&spec); err != nil {
		t.Fatal(err)
	}
	t.Setenv(spawn.EnvReadyFD, "")
	words, err := lastwords.Open(filepath.Join(h.state.Dir(), spawn.CrashFile))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = words.Close() })
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	h.cancel = cancel
	o := Options{
		State: h.state, Spec: spec, Parts: h.parts, KubernetesVersion: "v1.37.2", Log: slog.New(slog.DiscardHandler), Words: words, Scale: 1,
	}
	change(h, &o)
	go func() { h.ended <- Run(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		select {
		case h.start <- errors.New("the test is over"):
		default:
		}
		h.wait()
	})
	for until := time.Now().Add(limit); ; { // a socket says to nobody that it listens
		c, err := net.Dial("unix", h.state.APISocket())
		if err == nil {
			_ = c.Close()
			break
		}
		select {
		case err := <-h.ended:
			h.ended <- err
			t.Fatalf("the daemon ended: %v", err)
		default:
		}
		if time.Now().After(until) {
			t.Fatal(err)
		}
		runtime.Gosched()
	}
	return h
}

func specOf(nodes int) cluster.Spec {
	s := cluster.Spec{Version: cluster.SpecVersion, Name: "dev", ID: "abc", KubernetesVersion: "1.37", APIPort: 6443, Subnet: netip.MustParsePrefix("10.201.0.0/22"), Gateway: netip.MustParseAddr("10.201.0.1")}
	for i := 1; i <= nodes; i++ {
		s.Nodes = append(s.Nodes, cluster.Node{
			Name: fmt.Sprint("dev-", i), Index: i, IP: netip.AddrFrom4([4]byte{10, 201, 0, byte(9 + i)}), PodCIDR: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, byte(i), 0}), 24),
		})
	}
	return s
}

// wait returns what Run returned; it may be called again.
func (h *house) wait() error {
	h.t.Helper()
	select {
	case err := <-h.ended:
		h.ended <- err
		return err
	case <-time.After(limit):
		h.t.Fatal("the daemon does not end")
		return nil
	}
}

func (h *house) note(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notes = append(h.notes, what)
}

func (h *house) parts(c Calls) (Parts, error) {
	c.Changed() // the addons may call it before there is a watcher
	h.changed, h.use = c.Changed, c.Use
	return Parts{Addons: h, Start: func(ctx context.Context, events func(cluster.Event)) (ControlPlane, error) {
		events(cluster.Event{Kind: cluster.StepStarted, Step: "etcd"})
		select {
		case err := <-h.start:
			if err != nil {
				return nil, err
			}
			return control{h}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}, nil
}

// The addons.

func (h *house) Run(ctx context.Context) {
	h.note("addons run")
	<-ctx.Done()
	h.note("addons end")
}
func (h *house) Reload(spec cluster.Spec) { h.note(fmt.Sprintf("addons of %d nodes", len(spec.Nodes))) }
func (h *house) Status() []cluster.AddonStatus {
	h.mu.Lock()
	defer h.mu.Unlock()
	return []cluster.AddonStatus{{AddonDescription: cluster.AddonDescription{Name: "x"}, State: h.addon}}
}
func (h *house) Observe(context.Context) []cluster.AddonStatus { return h.Status() }
func (h *house) Nodes(string) map[string]cluster.Phase         { return nil }

// control is the control plane.
type control struct{ h *house }

func (c control) Components() []cluster.Component {
	return []cluster.Component{{Name: "kube-apiserver", Phase: cluster.PhaseRunning}}
}
func (c control) Answers(context.Context) error {
	if !c.h.shut.Load() {
		return nil
	}
	return errors.New("127.0.0.1:6443 does not answer")
}
func (c control) Client() kubernetes.Interface { return fake.NewClientset() }
func (c control) ObjectClients() objects.Clients {
	scheme := metadatafake.NewTestScheme()
	_ = metav1.AddMetaToScheme(scheme) // it does not fail for a new scheme
	return objects.Clients{Kubernetes: c.Client(), Metadata: metadatafake.NewSimpleMetadataClient(scheme), Registration: registrationfake.NewSimpleClientset()}
}
func (c control) Agents() *agents.Client {
	return agents.New(func(cluster.Node) http.RoundTripper { return nobody{} }, 1)
}
func (c control) Store() cluster.Store { return cluster.Store{Size: 1, Quota: 2} }
func (c control) CopyStore(_ context.Context, begin func(cluster.StoreCopy) (io.Writer, error)) error {
	w, err := begin(cluster.StoreCopy{Objects: 7})
	if err == nil {
		_, err = w.Write([]byte("objects"))
	}
	return err
}
func (c control) DialInside(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("no Services here")
}
func (c control) DialService(context.Context, string, int) (net.Conn, error) {
	return nil, errors.New("no Services here")
}
func (c control) Births() *birth.Recorder   { return birth.NewRecorder(1) }
func (c control) History() *history.History { return nil }
func (c control) NewLoadMeter() *load.Meter {
	r := func() load.Registry { r := prometheus.NewRegistry(); return load.Registry{Registerer: r, Gatherer: r} }
	return load.NewMeter(load.Sources{
		Traffic: &traffic.Counters{}, Kubernetes: r(), Etcd: r(), DBSize: func() int64 { return 1 },
		Objects: func(schema.GroupResource) (int, error) { return 0, nil }, Controllers: func() int { return 1 },
	})
}
func (c control) Apply(_ context.Context, spec cluster.Spec) error {
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	c.h.applied = append(c.h.applied, spec)
	if len(spec.Nodes) == 3 {
		return errors.New("three are too many")
	}
	return nil
}
func (c control) KeepNodes(ctx context.Context, _ cache.SharedIndexInformer) error {
	<-ctx.Done()
	c.h.note("nodes are kept no longer")
	return nil
}
func (c control) ShowComponents(ctx context.Context, _ cache.SharedIndexInformer) error {
	<-ctx.Done()
	return nil
}
func (c control) Pause() error {
	c.h.note("components end")
	return nil
}
func (c control) Resume()              { c.h.note("components run") }
func (c control) Failed() <-chan error { return c.h.failed }
func (c control) Stop()                { c.h.note("control plane stops") }

// nobody is an agent that does not answer.
type nobody struct{}

func (nobody) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }

// steps are the events until the story of the start ends.
func (h *house) steps() (all []string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), limit)
	defer cancel()
	if err := h.client.Events(ctx, func(e cluster.Event) error {
		all = append(all, strings.TrimSuffix(string(e.Kind)+" "+e.Step+" "+e.Detail, " "))
		return nil
	}); err != nil {
		h.t.Errorf("events: %v", err)
	}
	return all
}

func (h *house) crash() string {
	h.t.Helper()
	reason, _ := lastwords.Read(filepath.Join(h.state.Dir(), spawn.CrashFile))
	return reason
}

func TestLife(t *testing.T) {
	h := run(t)
	s, err := h.client.Snapshot(t.Context())
	if err != nil || s.Phase != cluster.PhaseStarting || len(s.Nodes) != 1 || len(s.Addons) != 1 {
		t.Errorf("before it is ready: %+v, %v", s, err)
	}
	for what, ask := range map[string]func() error{
		"load":   func() error { return h.client.Load(t.Context(), func(cluster.Load) error { return nil }) },
		"reload": func() error { return h.client.Reload(t.Context()) },
	} {
		if err := ask(); fault.KindOf(err) != fault.NotRunning || err.Error() != "the control plane of dev is still starting" {
			t.Errorf("%s before it is ready: %v", what, err)
		}
	}
	h.start <- nil
	if got, want := h.steps(), []string{"started etcd", "done " + bootstrap.StepControlPlane}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	s, err = h.client.Snapshot(t.Context())
	if err != nil || s.Phase != cluster.PhaseRunning || s.KubernetesVersion != "v1.37.2" {
		t.Errorf("when it is ready: %+v, %v", s, err)
	}
	// A stream that is open at the end is closed in order, and does not delay it.
	loads, end := make(chan error, 1), make(chan struct{})
	go func() {
		once := sync.OnceFunc(func() { close(end) })
		loads <- h.client.Load(t.Context(), func(cluster.Load) error { once(); return nil })
	}()
	<-end
	if err := h.client.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := errors.Join(h.wait(), <-loads); err != nil {
		t.Error(err)
	}
	slices.Sort(h.notes[1:3]) // these two end side by side
	if want := []string{"addons run", "addons end", "nodes are kept no longer", "control plane stops"}; !slices.Equal(h.notes, want) {
		t.Errorf("got %q, want %q", h.notes, want)
	}
	if reason, left := lastwords.Read(filepath.Join(h.state.Dir(), spawn.CrashFile)); left {
		t.Errorf("after an orderly end there is %q", reason)
	}
	if _, err := h.client.Snapshot(t.Context()); fault.KindOf(err) != fault.NotRunning {
		t.Errorf("after its end: %v", err)
	}
}

func TestWatch(t *testing.T) {
	h := run(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var seen []string
	enough := errors.New("enough")
	err := h.client.Watch(ctx, func(s cluster.Snapshot) error {
		now := string(s.Phase) + " " + string(s.Addons[0].State)
		if len(seen) > 0 && seen[len(seen)-1] == now {
			return nil
		}
		seen = append(seen, now)
		switch len(seen) {
		case 1:
			h.start <- nil
		case 2:
			h.mu.Lock()
			h.addon = cluster.AddonRunning
			h.mu.Unlock()
			h.changed()
		default:
			return enough
		}
		return nil
	})
	if want := []string{"Starting installing", "Running installing", "Running running"}; !errors.Is(err, enough) || !slices.Equal(seen, want) {
		t.Errorf("got %q, %v, want %q", seen, err, want)
	}
}

func TestReload(t *testing.T) {
	h := run(t)
	h.start <- nil
	h.steps()
	reload := func(nodes int) (int, error) {
		spec := specOf(nodes)
		if err := h.state.SaveSpec(&spec); err != nil {
			t.Fatal(err)
		}
		err := h.client.Reload(t.Context())
		s, err2 := h.client.Snapshot(t.Context())
		if err2 != nil {
			t.Error(err2)
		}
		return len(s.Nodes), err
	}
	if n, err := reload(2); n != 2 || err != nil || len(h.applied) != 1 || len(h.applied[0].Nodes) != 2 || !slices.Contains(h.notes, "addons of 2 nodes") {
		t.Errorf("%d nodes, %v, applied %d, %q", n, err, len(h.applied), h.notes)
	}
	if n, err := reload(3); n != 2 || err == nil || !strings.Contains(err.Error(), "three are too many") || slices.Contains(h.notes, "addons of 3 nodes") {
		t.Errorf("a plan that cannot be: %d nodes, %v", n, err)
	}
	h.shut.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := h.client.Reload(ctx); err == nil || len(h.applied) != 2 {
		t.Errorf("nobody can use the cluster, and it is ready: %v, applied %d", err, len(h.applied))
	}
	h.shut.Store(false)
	if err := os.WriteFile(h.state.SpecFile(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := h.client.Reload(t.Context()); fault.KindOf(err) != fault.SpecBroken {
		t.Errorf("a broken plan: %v", err)
	}
}

func TestReloadOpensPorts(t *testing.T) {
	h := run(t)
	h.start <- nil
	h.steps()
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	spec := specOf(1)
	spec.Ports = []cluster.Port{{
		Address: netip.MustParseAddr("127.0.0.1"), Port: taken.Addr().(*net.TCPAddr).Port, Protocol: cluster.TCP, Service: "default/web", Target: 80,
	}}
	if err := h.state.SaveSpec(&spec); err != nil {
		t.Fatal(err)
	}
	if err := h.client.Reload(t.Context()); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a port that is taken: %v", err)
	}
	_ = taken.Close()
	spec.Ports[0].Target = 81
	if err := h.state.SaveSpec(&spec); err != nil {
		t.Fatal(err)
	}
	if err := h.client.Reload(t.Context()); err != nil {
		t.Errorf("a port that is free: %v", err)
	}
	// The control plane of this test has no Services, so that the connection is reset, at once or a moment later.
	if c, err := net.Dial("tcp4", spec.Ports[0].Listen()); err == nil {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("something answers")
		}
		_ = c.Close()
	} else if !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
	if list, err := h.client.Ports(t.Context()); err != nil || len(list) != 1 || !list[0].Open || list[0].Served != 1 {
		t.Errorf("ports are %+v, %v", list, err)
	}
}

func TestWhyItEndedIsLeftBehind(t *testing.T) {
	t.Run("a start that fails", func(t *testing.T) {
		h := run(t)
		h.start <- errors.New("no leader after 15s")
		if err := h.wait(); err == nil || h.crash() != "no leader after 15s" {
			t.Errorf("got %v and %q", err, h.crash())
		}
	})
	t.Run("a component that ends", func(t *testing.T) {
		h := run(t)
		h.start <- nil
		h.steps()
		h.failed <- errors.New("kube-scheduler: lost")
		if err := h.wait(); err == nil || h.crash() != "kube-scheduler: lost" {
			t.Errorf("got %v and %q", err, h.crash())
		}
		if h.notes[len(h.notes)-1] != "control plane stops" {
			t.Errorf("it did not end in order: %q", h.notes)
		}
	})
}

func TestAFailedStartIsReportedToTheEnd(t *testing.T) {
	h := run(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var got []string
	if err := h.client.Events(ctx, func(e cluster.Event) error {
		if got = append(got, string(e.Kind)+" "+e.Detail); len(got) == 1 {
			h.start <- errors.New("no leader")
		}
		return nil
	}); err != nil || !slices.Equal(got, []string{"started ", "failed no leader"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAddonsAndLogs(t *testing.T) {
	h := run(t)
	if list, err := h.client.Addons(t.Context()); err != nil || len(list) != 1 || list[0].Name != "x" {
		t.Errorf("got %+v, %v", list, err)
	}
	if err := os.WriteFile(h.state.LogFile("etcd"), []byte("one\ntwo\nthree\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := h.client.Logs(t.Context(), localapi.LogQuery{Component: "etcd", Tail: 2}, &out); err != nil || out.String() != "two\nthree\n" {
		t.Errorf("got %q, %v", out.String(), err)
	}
}
