package dns

import (
	"context"
	"encoding/json"
	"errors"
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
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons"
	"bonsai/controlplane/agents"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

func TestEndpointsFollowTheNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.run()
		defer w.stop()
		w.ready()
		w.health(cluster.AddonInstalling, "none of 3 nodes answers yet")
		if got := w.Nodes()["dev-1"]; got != cluster.PhaseStarting {
			t.Errorf("dev-1 is %s before anybody has heard of it", got)
		}

		w.agents["dev-2"].says("Starting")
		w.settle(eagerPause)
		w.ready()
		w.agents["dev-2"].says("Running")
		w.settle(0)
		w.ready("dev-2")
		w.health(cluster.AddonDegraded, "1 of 3 nodes answer, not dev-1, dev-3")
		w.agents["dev-1"].says("Degraded") // it answers
		w.agents["dev-3"].says("Running")
		w.settle(eagerPause)
		w.ready("dev-1", "dev-2", "dev-3")
		w.health(cluster.AddonRunning, "")
		if got := w.Nodes(); got["dev-1"] != cluster.PhaseDegraded || got["dev-3"] != cluster.PhaseRunning || len(got) != 3 {
			t.Errorf("the nodes are %v", got)
		}

		w.agents["dev-3"].dies()
		w.settle(grace - time.Millisecond) // it may be back in a moment
		w.ready("dev-1", "dev-2", "dev-3")
		w.settle(time.Millisecond)
		w.ready("dev-1", "dev-2")
		w.health(cluster.AddonDegraded, "2 of 3 nodes answer, not dev-3")
		if got := w.Nodes()["dev-3"]; got != cluster.PhaseUnknown {
			t.Errorf("dev-3 is %s after its agent has died", got)
		}
		w.agents["dev-3"].says("Running")
		w.settle(eagerPause)
		w.ready("dev-1", "dev-2", "dev-3")
	})
}

func TestAnAgentThatComesBackSoonChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.agents["dev-1"].says("Running")
		w.agents["dev-2"].says("Running")
		w.run()
		defer w.stop()
		w.ready("dev-1", "dev-2")
		writes := w.writes
		w.agents["dev-1"].dies()
		w.settle(100 * time.Millisecond)
		w.agents["dev-1"].says("Starting") // the next agent, without records yet
		w.settle(100 * time.Millisecond)
		w.agents["dev-1"].says("Running")
		w.settle(time.Second)
		w.ready("dev-1", "dev-2")
		if w.writes != writes {
			t.Errorf("the endpoints were written %d times", w.writes-writes)
		}
	})
}

func TestTheSliceIsWhatKubeProxyUnderstands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.agents["dev-1"].says("Running")
		w.run()
		defer w.stop()
		slice, err := w.client.DiscoveryV1().EndpointSlices(namespace).Get(t.Context(), sliceName, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var ports []string
		for _, p := range slice.Ports {
			ports = append(ports, fmt.Sprintf("%s %d/%s", *p.Name, *p.Port, *p.Protocol))
		}
		if want := []string{"dns 10271/UDP", "dns-tcp 10271/TCP", "metrics 10272/TCP"}; !slices.Equal(ports, want) {
			t.Errorf("ports are %v, want %v", ports, want)
		}
		var ends []string
		for _, e := range slice.Endpoints {
			ends = append(ends, fmt.Sprintf("%v on %s for %v ready %v", e.Addresses, *e.NodeName, e.Hints.ForNodes, *e.Conditions.Ready))
		}
		if want := []string{"[10.201.0.10] on dev-1 for [{dev-1}] ready true", "[10.201.0.11] on dev-2 for [{dev-2}] ready false"}; !slices.Equal(ends, want) {
			t.Errorf("endpoints are %v, want %v", ends, want)
		}
		if slice.AddressType != discoveryv1.AddressTypeIPv4 || slice.Labels["kubernetes.io/service-name"] != "kube-dns" || slice.Labels[discoveryv1.LabelManagedBy] == "" {
			t.Errorf("type %s, labels %v", slice.AddressType, slice.Labels)
		}
	})
}

func TestNothingIsWrittenWithoutAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.agents["dev-1"].says("Running")
		w.agents["dev-2"].says("Running")
		w.run()
		defer w.stop()
		w.ready("dev-1", "dev-2")
		writes := w.writes
		for range 5 {
			w.agents["dev-1"].says("Running")
			w.agents["dev-1"].says("Degraded")
			w.settle(time.Minute)
		}
		if w.writes != writes {
			t.Errorf("%d writes of the same", w.writes-writes)
		}
	})
}

// TestAnswersGoOnWhileThisProcessIsRestarted: the nodes know nothing of it.
// firstWord is what an agent gets to say how its server is (package agents).
const firstWord = time.Second

func TestAnswersGoOnWhileThisProcessIsRestarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.agents["dev-1"].says("Running")
		w.agents["dev-2"].says("Running")
		w.run()
		w.ready("dev-1", "dev-2")
		w.stop()
		if got := w.Nodes(); got != nil {
			t.Errorf("after its end the addon knows of %v", got)
		}
		w.agents["dev-1"].says("silent") // it takes its time
		w.agents["dev-2"].says("silent")
		writes := w.writes
		w.run()
		w.settle(firstWord / 2)
		w.ready("dev-1", "dev-2")
		w.agents["dev-1"].says("Running")
		w.settle(firstWord)
		w.ready("dev-1") // the other one has had its time
		if got := w.writes - writes; got != 1 {
			t.Errorf("%d writes, want 1", got)
		}
		w.stop()
	})
}

func TestReconnectsAreEagerFirstAndPatientLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.run()
		defer w.stop()
		w.settle(time.Second)
		if got := len(w.agents["dev-1"].times()); got < 20 || got > 22 {
			t.Errorf("%d tries in the first second", got)
		}
		w.settle(eagerTime)
		before := len(w.agents["dev-1"].times())
		w.settle(10 * time.Second)
		if got := len(w.agents["dev-1"].times()) - before; got < 9 || got > 11 {
			t.Errorf("%d tries in ten seconds, after %s", got, eagerTime)
		}
		if got := w.Nodes()["dev-1"]; got != cluster.PhaseUnknown {
			t.Errorf("a node that never came is %s", got)
		}
		w.agents["dev-1"].says("Running")
		w.settle(patientPause)
		w.ready("dev-1")
		// An agent that dies later is waited for eagerly again.
		w.agents["dev-1"].dies()
		w.settle(0)
		before = len(w.agents["dev-1"].times())
		w.settle(time.Second)
		if got := len(w.agents["dev-1"].times()) - before; got < 19 || got > 21 {
			t.Errorf("%d tries in the second after the agent died", got)
		}
	})
}

// TestServersKnowTheResolversOfTheMachine: at once, after a change, and after the agent was restarted.
func TestServersKnowTheResolversOfTheMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		news := make(chan cluster.Resolvers)
		w.machine = func(ctx context.Context, _ *slog.Logger, each func(cluster.Resolvers)) {
			for {
				select {
				case <-ctx.Done():
					return
				case r := <-news:
					each(r)
				}
			}
		}
		home := cluster.Resolvers{Servers: []netip.AddrPort{netip.MustParseAddrPort("192.168.1.1:53")}, Since: time.Now()}
		vpn := cluster.Resolvers{Servers: []netip.AddrPort{netip.MustParseAddrPort("10.8.0.1:53")}, Search: []string{"corp.test"}, Since: time.Now()}
		one, two := w.agents["dev-1"], w.agents["dev-2"]
		one.says("Running")
		w.run()
		defer w.stop()
		if _, times := one.received(); times != 0 {
			t.Error("it received something before anything was known")
		}
		news <- home
		w.settle(0)
		if got, _ := one.received(); !got.Equal(home) {
			t.Errorf("the first node knows %+v", got)
		}
		two.says("Running") // which comes later
		w.settle(2 * patientPause)
		if got, _ := two.received(); !got.Equal(home) {
			t.Errorf("the second node knows %+v", got)
		}
		news <- vpn
		w.settle(0)
		for name, a := range w.agents {
			if got, _ := a.received(); !got.Equal(vpn) {
				t.Errorf("%s knows %+v", name, got)
			}
		}
		_, before := one.received()
		w.settle(time.Minute)
		if _, times := one.received(); times != before {
			t.Errorf("without news it received %d times", times-before)
		}
		one.dies()
		w.settle(0)
		one.says("Running")
		w.settle(2 * patientPause)
		if got, times := one.received(); times == before || !got.Equal(vpn) {
			t.Errorf("after its restart it knows %+v, received %d times", got, times-before)
		}
	})
}

func TestStrangeAnswersDoNotCount(t *testing.T) {
	for _, answer := range []string{"404", "silent", `{"phase":"Excellent"}`, `{"phase":7}`, `{}`, "{" + strings.Repeat("x", 64<<10+1), "Stopping", "Failed"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 1)
			w.agents["dev-1"].says("Running")
			w.run()
			defer w.stop()
			w.ready("dev-1")
			w.agents["dev-1"].dies()
			w.agents["dev-1"].says(answer)
			w.settle(3 * time.Second)
			w.ready()
			w.health(cluster.AddonDegraded, "the node does not answer")
		})
	}
}

func TestNodesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.agents["dev-1"].says("Running")
		w.run()
		defer w.stop()
		w.plan(2)
		w.settle(0)
		w.ready("dev-1")
		w.health(cluster.AddonDegraded, "1 of 2 nodes answer, not dev-2")
		w.agents["dev-2"].says("Running")
		w.settle(eagerPause)
		w.ready("dev-1", "dev-2")
		w.plan(1)
		w.settle(0)
		w.ready("dev-1")
		if got := w.Nodes(); len(got) != 1 {
			t.Errorf("the nodes are %v", got)
		}
		before := len(w.agents["dev-2"].times())
		w.agents["dev-2"].dies()
		w.settle(time.Minute)
		if got := len(w.agents["dev-2"].times()); got != before {
			t.Errorf("a node that is no longer planned was asked %d times", got-before)
		}
	})
}

func TestWithoutNodesItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		w.run()
		defer w.stop()
		w.health(cluster.AddonRunning, "")
		w.ready()
	})
}

func TestTheSliceIsRepaired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.agents["dev-1"].says("Running")
		w.run()
		defer w.stop()
		w.ready("dev-1")
		slicesOf := w.client.DiscoveryV1().EndpointSlices(namespace)
		slice, err := slicesOf.Get(t.Context(), sliceName, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		slice.Endpoints[0].Conditions.Ready = new(false)
		if _, err := slicesOf.Update(t.Context(), slice, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		w.settle(0)
		w.ready("dev-1")
		// Deleted, and made again by the Manager.
		if err := slicesOf.Delete(t.Context(), sliceName, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		w.settle(0)
		w.health(cluster.AddonInstalling, "its endpoints are being written")
		if _, err := slicesOf.Create(t.Context(), w.shell(), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		w.settle(0)
		w.ready("dev-1")
		w.health(cluster.AddonRunning, "")
	})
}

func TestWritingIsTriedAgainAndThenReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.agents["dev-1"].says("Running")
		set := func(err error) { w.mu.Lock(); defer w.mu.Unlock(); w.refuse = err }
		set(apierrors.NewInternalError(errors.New("etcd is away")))
		w.run()
		w.settle(2 * tryPause)
		w.health(cluster.AddonInstalling, "its endpoints are being written")
		set(nil)
		w.settle(tryPause)
		w.ready("dev-1")
		set(apierrors.NewInternalError(errors.New("etcd is away")))
		w.agents["dev-1"].dies()
		if err := <-w.err; err == nil || !strings.Contains(err.Error(), "write the endpoints of kube-dns") || !strings.Contains(err.Error(), "etcd is away") {
			t.Errorf("it ended with %v", err)
		}
	})
}

func TestWatchersAreNotified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.run()
		defer w.stop()
		before := w.notified
		w.agents["dev-1"].says("Starting") // no endpoint changes, but what is known of the node may
		w.agents["dev-2"].says("Running")
		w.settle(eagerPause)
		if w.notified <= before {
			t.Error("nothing was notified")
		}
		before = w.notified
		w.settle(time.Minute)
		if w.notified != before {
			t.Errorf("notified %d times without a change", w.notified-before)
		}
	})
}
