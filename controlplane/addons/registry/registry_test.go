package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons"
	"bonsai/controlplane/agents"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// agent is the agent of one node.
type agent struct {
	mu      sync.Mutex // guards what follows
	down    bool
	has     string // what it received last, "" after it was to forget it
	streams []*io.PipeWriter
}

// RoundTrip answers requests below /v1/registries.
func (a *agent) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.down {
		return nil, syscall.ECONNREFUSED
	}
	body, w := io.Pipe()
	switch r.Method + " " + r.URL.Path {
	case "POST /v1/registries/registry":
		var n cluster.NodeRegistries
		if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
			return nil, err
		}
		a.has = n.URL + " " + strings.Join(n.Names, ",")
		a.streams = append(a.streams, w)
		context.AfterFunc(r.Context(), func() { _ = body.CloseWithError(r.Context().Err()) })
		go func() { _, _ = io.WriteString(w, "{}\n") }()
	case "DELETE /v1/registries/registry":
		a.has = ""
		_ = w.Close()
	default:
		return nil, fmt.Errorf("unexpected request %s %s", r.Method, r.URL)
	}
	return &http.Response{StatusCode: http.StatusOK, Body: body}, nil
}

// restarts breaks all connections; with down it does not come back.
func (a *agent) restarts(down bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down, a.has = down, ""
	for _, w := range a.streams {
		_ = w.CloseWithError(io.ErrUnexpectedEOF)
	}
	a.streams = nil
}

func (a *agent) knows() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.has
}

// world is the addon at work on a plan of nodes.
type world struct {
	*Addon
	c      addons.Cluster
	agents map[string]*agent
	stop   func()

	mu      sync.Mutex // guards what follows
	spec    cluster.Spec
	status  cluster.RegistryStatus
	changed chan struct{}
}

func newWorld(t *testing.T, nodes int) *world {
	t.Helper()
	w := &world{agents: map[string]*agent{}, changed: make(chan struct{}), status: cluster.RegistryStatus{Open: true, Port: 5000, NodesURL: "https://10.201.0.1:1"}}
	w.plan(nodes, w.status)
	w.Addon = New(func() cluster.RegistryStatus { w.mu.Lock(); defer w.mu.Unlock(); return w.status })
	w.c = addons.Cluster{
		Log: slog.New(slog.DiscardHandler), Scale: 1, Notify: func() {},
		Spec:    func() cluster.Spec { w.mu.Lock(); defer w.mu.Unlock(); return w.spec },
		Changed: func() <-chan struct{} { w.mu.Lock(); defer w.mu.Unlock(); return w.changed },
		Agents:  agents.New(func(n cluster.Node) http.RoundTripper { w.mu.Lock(); defer w.mu.Unlock(); return w.agents[n.Name] }, 1),
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.Run(ctx, w.c) }()
	w.stop = func() { cancel(); <-done }
	return w
}

// plan changes the plan to that many nodes.
func (w *world) plan(nodes int, s cluster.RegistryStatus) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status = s
	w.spec = cluster.Spec{Name: "dev", Subnet: netip.MustParsePrefix("10.201.0.0/22"), Addons: map[string]bool{cluster.RegistryAddon: true}}
	for i := range nodes {
		n := w.spec.PlanNode(i + 1)
		w.spec.Nodes = append(w.spec.Nodes, n)
		if w.agents[n.Name] == nil {
			w.agents[n.Name] = &agent{}
		}
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *world) state(t *testing.T) cluster.AddonState {
	t.Helper()
	state, _, _ := w.Health(t.Context(), w.c)
	return state
}

const want = "https://10.201.0.1:1 localhost:5000"

func TestNodesAreNotified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		synctest.Wait()
		if a, b := w.agents["dev-1"].knows(), w.agents["dev-2"].knows(); a != want || b != want || w.state(t) != cluster.AddonRunning {
			t.Errorf("they know %q and %q; it is %s", a, b, w.state(t))
		}
		// A late one.
		w.plan(3, w.status)
		synctest.Wait()
		if got := w.agents["dev-3"].knows(); got != want {
			t.Errorf("a late node knows %q", got)
		}
		// One that was restarted.
		w.agents["dev-2"].restarts(false)
		time.Sleep(2 * eagerPause)
		synctest.Wait()
		if got := w.agents["dev-2"].knows(); got != want {
			t.Errorf("a node that was restarted knows %q", got)
		}
		// One that does not come back.
		w.agents["dev-2"].restarts(true)
		time.Sleep(eagerTime + 2*patientPause)
		synctest.Wait()
		if missing := w.delivery.Missing(w.c); !slices.Equal(missing, []string{"dev-2"}) || w.state(t) != cluster.AddonInstalling {
			t.Errorf("missing are %v; it is %s", missing, w.state(t))
		}
		// Another port.
		w.plan(1, cluster.RegistryStatus{Open: true, Port: 5001, NodesURL: "https://10.201.0.1:2"})
		synctest.Wait()
		if got := w.agents["dev-1"].knows(); got != "https://10.201.0.1:2 localhost:5001" {
			t.Errorf("after a change it knows %q", got)
		}
		w.plan(1, cluster.RegistryStatus{Reason: "its port is taken"})
		synctest.Wait()
		if state, reason, advice := w.Health(t.Context(), w.c); state != cluster.AddonDegraded || reason != "its port is taken" || len(advice) != 1 {
			t.Errorf("got %s, %s, %v", state, reason, advice)
		}
		w.stop()
		if err := w.Remove(t.Context(), w.c); err != nil {
			t.Error(err)
		}
		if got := w.agents["dev-1"].knows(); got != "" {
			t.Errorf("after it was disabled it knows %q", got)
		}
		w.c.Agents.Close()
	})
}

// A cluster that has never had the addon is not asked anything.
func TestRemoveOfWhatNeverWas(t *testing.T) {
	a := New(nil)
	c := addons.Cluster{Spec: func() cluster.Spec { return cluster.Spec{Nodes: []cluster.Node{{Name: "n"}}} }}
	if err := a.Remove(t.Context(), c); err != nil {
		t.Error(err)
	}
}

func TestToolsFindTheRegistry(t *testing.T) {
	open := true
	a := New(func() cluster.RegistryStatus { return cluster.RegistryStatus{Open: open, Port: 5003} })
	list := a.Objects(addons.Cluster{})
	if len(list) != 1 {
		t.Fatalf("got %v", list)
	}
	m := list[0].(*corev1.ConfigMap)
	if m.Namespace != "kube-public" || m.Name != "local-registry-hosting" || !strings.HasPrefix(m.Data["localRegistryHosting.v1"], "host: \"localhost:5003\"\n") {
		t.Errorf("got %+v", m)
	}
	if open = false; len(a.Objects(addons.Cluster{})) > 0 {
		t.Error("tools find a registry that does not listen")
	}
}
