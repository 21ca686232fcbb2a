package dns

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

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons"
	"bonsai/controlplane/agents"
)

// agent is the agent of one node. Nobody listens until it says something.
type agent struct {
	mu      sync.Mutex // guards everything below
	phase   string     // what is said first; "" is a refused connection
	streams []*io.PipeWriter
	asked   []time.Time
	machine []cluster.Resolvers // what it has received
}

// RoundTrip answers GET /v1/dns/health, and PUT /v1/dns/resolvers.
func (a *agent) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.Method == http.MethodPut && r.URL.Path == "/v1/dns/resolvers" {
		return a.receives(r)
	}
	a.asked = append(a.asked, time.Now())
	if got := r.URL.Path; r.Method != http.MethodGet || got != "/v1/dns/health" || r.URL.Port() != "10270" {
		return nil, fmt.Errorf("unexpected request %s %s", r.Method, r.URL)
	}
	if a.phase == "" {
		return nil, &netError{syscall.ECONNREFUSED}
	}
	if a.phase == "404" {
		return &http.Response{StatusCode: http.StatusNotFound, Status: "404 Not Found", Body: http.NoBody}, nil
	}
	body, w := io.Pipe()
	a.streams = append(a.streams, w)
	context.AfterFunc(r.Context(), func() { _ = body.CloseWithError(r.Context().Err()) })
	if first := a.phase; first != "silent" {
		go func() { _, _ = io.WriteString(w, line(first)) }()
	}
	return &http.Response{StatusCode: http.StatusOK, Body: body}, nil
}

// receives takes over the resolvers of the machine. a.mu is held.
func (a *agent) receives(r *http.Request) (*http.Response, error) {
	var m cluster.Resolvers
	if a.phase == "" {
		return nil, &netError{syscall.ECONNREFUSED}
	}
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		return nil, err
	}
	a.machine = append(a.machine, m)
	return &http.Response{StatusCode: http.StatusNoContent, Status: "204 No Content", Body: http.NoBody}, nil
}

// received is what it has received last, and how often it has.
func (a *agent) received() (last cluster.Resolvers, times int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.machine) == 0 {
		return last, 0
	}
	return a.machine[len(a.machine)-1], len(a.machine)
}

type netError struct{ error }

func line(phase string) string {
	if strings.HasPrefix(phase, "{") {
		return phase + "\n"
	}
	return fmt.Sprintf("{\"phase\":%q}\n", phase)
}

// says is a change of the phase, for those who listen and those who come.
func (a *agent) says(phase string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.phase = phase
	for _, w := range a.streams {
		_, _ = io.WriteString(w, line(phase))
	}
}

// dies breaks all connections and refuses new ones.
func (a *agent) dies() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.phase = ""
	for _, w := range a.streams {
		_ = w.CloseWithError(io.ErrUnexpectedEOF)
	}
	a.streams = nil
}

func (a *agent) times() []time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.asked)
}

// world is the addon at work on a cluster in memory.
type world struct {
	*DNS
	t      *testing.T
	c      addons.Cluster
	client *fake.Clientset
	agents map[string]*agent

	mu       sync.Mutex // guards everything below
	spec     cluster.Spec
	changed  chan struct{}
	writes   int
	notified int
	refuse   error

	stop func()
	err  chan error
}

func newWorld(t *testing.T, nodes int, have ...runtime.Object) *world {
	t.Helper()
	w := &world{DNS: New(nil), t: t, agents: map[string]*agent{}, changed: make(chan struct{}), err: make(chan error, 1)}
	if len(have) == 0 {
		have = []runtime.Object{w.shell()}
	}
	w.client = fake.NewClientset(have...)
	w.client.PrependReactor("patch", "endpointslices", func(clienttesting.Action) (bool, runtime.Object, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.refuse != nil {
			return true, nil, w.refuse
		}
		w.writes++
		return false, nil, nil
	})
	w.client.PrependReactor("create", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
		if a.GetSubresource() != "binding" {
			return false, nil, nil
		}
		b := a.(clienttesting.CreateAction).GetObject().(*corev1.Binding)
		o, err := w.client.Tracker().Get(a.GetResource(), b.Namespace, b.Name)
		if err != nil {
			return true, nil, err
		}
		p := o.(*corev1.Pod).DeepCopy()
		p.Spec.NodeName = b.Target.Name
		return true, b, w.client.Tracker().Update(a.GetResource(), p, b.Namespace)
	})
	w.plan(nodes)
	w.c = addons.Cluster{
		Client: w.client, Log: slog.New(slog.DiscardHandler), Scale: 1,
		Spec:    func() cluster.Spec { w.mu.Lock(); defer w.mu.Unlock(); return w.spec },
		Changed: func() <-chan struct{} { w.mu.Lock(); defer w.mu.Unlock(); return w.changed },
		Notify:  func() { w.mu.Lock(); defer w.mu.Unlock(); w.notified++ },
		Agents:  agents.New(func(n cluster.Node) http.RoundTripper { return w.agents[n.Name] }, 1),
	}
	return w
}

// shell is the slice as the Manager applies it.
func (w *world) shell() *discoveryv1.EndpointSlice {
	for _, object := range w.Objects(addons.Cluster{Spec: func() cluster.Spec { return cluster.Spec{} }}) {
		if slice, ok := object.(*discoveryv1.EndpointSlice); ok {
			return slice
		}
	}
	w.t.Fatal("the addon has no slice")
	return nil
}

// plan changes the number of nodes.
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

func (w *world) run() {
	ctx, cancel := context.WithCancel(w.t.Context())
	go func() { w.err <- w.Run(ctx, w.c) }()
	w.stop = func() { cancel(); <-w.err }
	w.settle(0)
}

// settle lets time pass and everything that it leads to happen.
func (w *world) settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// ready checks which nodes pods are sent to.
func (w *world) ready(want ...string) {
	w.t.Helper()
	slice, err := w.client.DiscoveryV1().EndpointSlices(namespace).Get(w.t.Context(), sliceName, metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	var got []string
	for _, e := range slice.Endpoints {
		if *e.Conditions.Ready != *e.Conditions.Serving || *e.Conditions.Terminating {
			w.t.Errorf("conditions of %s: %+v", *e.NodeName, e.Conditions)
		}
		if *e.Conditions.Ready {
			got = append(got, *e.NodeName)
		}
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("ready are %v, want %v", got, want)
	}
}

func (w *world) health(state cluster.AddonState, reason string) {
	w.t.Helper()
	got, why, advice := w.Health(w.t.Context(), w.c)
	if got != state || why != reason {
		w.t.Errorf("health is %s, %q; want %s, %q", got, why, state, reason)
	}
	if got == cluster.AddonDegraded && len(advice) == 0 {
		w.t.Errorf("no hint for %q", why)
	}
}
