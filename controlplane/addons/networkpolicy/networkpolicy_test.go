package networkpolicy

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons"
	"bonsai/controlplane/agents"
)

// agent is the agent of one node. Nobody listens until it says something.
type agent struct {
	mu      sync.Mutex // guards what follows
	says    string     // a line; "" is a refused connection
	streams []*io.PipeWriter
}

// RoundTrip answers GET /v1/network-policy/health.
func (a *agent) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.Method != http.MethodGet || r.URL.Path != "/v1/network-policy/health" {
		return nil, fmt.Errorf("unexpected request %s %s", r.Method, r.URL)
	}
	if a.says == "" {
		return nil, syscall.ECONNREFUSED
	}
	body, w := io.Pipe()
	a.streams = append(a.streams, w)
	context.AfterFunc(r.Context(), func() { _ = body.CloseWithError(r.Context().Err()) })
	go func(line string) { _, _ = io.WriteString(w, line+"\n") }(a.says)
	return &http.Response{StatusCode: http.StatusOK, Body: body}, nil
}

func (a *agent) reports(phase cluster.Phase, reason string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.says = fmt.Sprintf(`{"phase":%q,"reason":%q}`, phase, reason)
	for _, w := range a.streams {
		_, _ = io.WriteString(w, a.says+"\n")
	}
}

// dies breaks all connections and refuses new ones.
func (a *agent) dies() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.says = ""
	for _, w := range a.streams {
		_ = w.CloseWithError(io.ErrUnexpectedEOF)
	}
	a.streams = nil
}

// world is the addon at work on a plan of nodes.
type world struct {
	*Addon
	t      *testing.T
	c      addons.Cluster
	agents map[string]*agent

	mu       sync.Mutex // guards what follows
	spec     cluster.Spec
	changed  chan struct{}
	notified int
}

// newWorld runs the addon until the test ends.
func newWorld(t *testing.T, nodes int) *world {
	t.Helper()
	w := &world{Addon: New(), t: t, agents: map[string]*agent{}, changed: make(chan struct{})}
	w.plan(nodes)
	w.c = addons.Cluster{
		Log: slog.New(slog.DiscardHandler), Scale: 1, Client: newClient(), Dynamic: newDynamic(),
		Spec:    func() cluster.Spec { w.mu.Lock(); defer w.mu.Unlock(); return w.spec },
		Changed: func() <-chan struct{} { w.mu.Lock(); defer w.mu.Unlock(); return w.changed },
		Notify: func() {
			w.mu.Lock()
			w.notified++
			w.mu.Unlock()
			_, _, _ = w.Addon.Health(t.Context(), w.c) // as the Manager does
		},
		Agents: agents.New(func(n cluster.Node) http.RoundTripper { return w.agents[n.Name] }, 1),
	}
	return w
}

// run begins; the returned function ends it.
func (w *world) run() (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.Run(ctx, w.c) }()
	synctest.Wait()
	return func() { cancel(); <-done; synctest.Wait() }
}

func (w *world) plan(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	spec := cluster.Spec{Name: "dev", Subnet: netip.MustParsePrefix("10.201.0.0/22")}
	for i := 1; i <= n; i++ {
		node := spec.PlanNode(i)
		spec.Nodes = append(spec.Nodes, node)
		if w.agents[node.Name] == nil {
			w.agents[node.Name] = &agent{}
		}
	}
	w.spec = spec
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *world) is(state cluster.AddonState, reason string) {
	w.t.Helper()
	synctest.Wait()
	got, why, advice := w.Health(w.t.Context(), w.c)
	if got != state || !strings.Contains(why, reason) || (reason == "") != (why == "") {
		w.t.Errorf("health is %s, %q; want %s, %q", got, why, state, reason)
	}
	if got == cluster.AddonDegraded && len(advice) == 0 {
		w.t.Errorf("no advice for %q", why)
	}
}

func TestItRunsWhenEveryNodeEnforces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		stop := w.run()
		w.is(cluster.AddonInstalling, "0 of 2 nodes enforce policies; dev-1: it has not applied")
		w.agents["dev-1"].reports(cluster.PhaseRunning, "")
		w.agents["dev-2"].reports(cluster.PhaseStarting, "waiting for the API server")
		time.Sleep(time.Second)
		w.is(cluster.AddonInstalling, "1 of 2 nodes enforce policies; dev-2: waiting for the API server")
		w.agents["dev-2"].reports(cluster.PhaseRunning, "")
		w.is(cluster.AddonRunning, "")
		if got := w.Nodes(); len(got) != 2 || got["dev-2"] != cluster.PhaseRunning {
			t.Errorf("the nodes are %v", got)
		}

		w.agents["dev-2"].reports(cluster.PhaseFailed, "nftables cannot be used on this node")
		w.is(cluster.AddonDegraded, "dev-2: nftables cannot be used on this node")
		w.agents["dev-2"].reports(cluster.PhaseRunning, "")
		w.is(cluster.AddonRunning, "")

		w.plan(3) // a node joins
		w.is(cluster.AddonDegraded, "2 of 3 nodes enforce policies; dev-3")
		w.agents["dev-3"].reports(cluster.PhaseRunning, "")
		time.Sleep(time.Second)
		w.is(cluster.AddonRunning, "")
		w.plan(1)
		w.is(cluster.AddonRunning, "")
		if got := w.Nodes(); len(got) != 1 {
			t.Errorf("the nodes are %v", got)
		}
		stop()
		if got := w.Nodes(); got != nil {
			t.Errorf("an addon that has ended has nodes: %v", got)
		}
	})
}

// TestAnAgentThatRestarts keeps the rules in the kernel, so nothing is wrong unless it stays away.
func TestAnAgentThatRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.agents["dev-1"].reports(cluster.PhaseRunning, "")
		defer w.run()()
		w.is(cluster.AddonRunning, "")
		w.agents["dev-1"].dies()
		time.Sleep(grace - eagerPause)
		w.is(cluster.AddonRunning, "")
		w.agents["dev-1"].reports(cluster.PhaseRunning, "")
		time.Sleep(time.Second)
		w.is(cluster.AddonRunning, "")
		w.agents["dev-1"].dies()
		time.Sleep(grace + time.Second)
		w.is(cluster.AddonDegraded, "the rules of before stay in force")
		w.agents["dev-1"].reports(cluster.PhaseRunning, "")
		time.Sleep(2 * patientPause)
		w.is(cluster.AddonRunning, "")
	})
}

func TestAgentsMayReadNoOtherConfigMap(t *testing.T) {
	a := New()
	objects := a.Objects(addons.Cluster{})
	m, ok := objects[0].(*corev1.ConfigMap)
	if !ok || len(objects) != 1 || m.Name != cluster.NetworkPolicyMap || m.Namespace != "kube-system" {
		t.Fatalf("the objects are %+v", objects)
	}
	for _, rule := range append(a.NodeRules().Cluster, a.NodeRules().System...) {
		for _, resource := range rule.Resources {
			if resource == "configmaps" && (len(rule.ResourceNames) != 1 || rule.ResourceNames[0] != m.Name) || resource == "secrets" {
				t.Errorf("agents may read more than they need: %+v", rule)
			}
		}
		for _, verb := range rule.Verbs {
			if verb != "get" && verb != "list" && verb != "watch" {
				t.Errorf("agents may %s: %+v", verb, rule)
			}
		}
	}
}
