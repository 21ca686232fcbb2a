package observe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	registrationfake "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset/fake"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/controlplane/agents"
	"bonsai/controlplane/observe/birth"
	"bonsai/controlplane/observe/history"
	"bonsai/controlplane/observe/load"
	"bonsai/controlplane/observe/load/traffic"
	"bonsai/controlplane/observe/objects"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a cluster of one node, with a control plane that does nothing.
type world struct {
	*Observer
	client *fake.Clientset
	agents *agents.Client

	mu       sync.Mutex // guards the rest
	spec     cluster.Spec
	addons   []cluster.AddonStatus
	restarts int   // of the kubelet, as the agent reports
	port     error // what the API server's port answers
	store    cluster.Store
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{client: fake.NewClientset()}
	w.spec = cluster.Spec{Name: "dev", Nodes: []cluster.Node{{Name: "dev-1", Index: 1, IP: netip.MustParseAddr("10.201.0.10"), PodCIDR: netip.MustParsePrefix("10.244.1.0/24")}}}
	w.agents = agents.New(func(cluster.Node) http.RoundTripper { return w }, 1)
	w.Observer = New(Options{
		Spec: func() cluster.Spec { w.mu.Lock(); defer w.mu.Unlock(); return w.spec }, Addons: w, KubernetesVersion: "v1.37.2",
		Log: slog.New(slog.DiscardHandler), Scale: 1,
	})
	return w
}

// RoundTrip is the agent of every node.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	a := httptest.NewRecorder()
	w.mu.Lock()
	defer w.mu.Unlock()
	err := json.NewEncoder(a).Encode(map[string]any{"components": []cluster.Component{{Name: "kubelet", Phase: cluster.PhaseRunning, Restarts: w.restarts}}})
	return a.Result(), err
}

func (w *world) Status() []cluster.AddonStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]cluster.AddonStatus(nil), w.addons...)
}
func (w *world) Observe(context.Context) []cluster.AddonStatus { return w.Status() }
func (w *world) Nodes(string) map[string]cluster.Phase {
	return map[string]cluster.Phase{"dev-1": cluster.PhaseRunning}
}

// changes makes the addon x be in another state, and says so.
func (w *world) changes(reason string) {
	w.mu.Lock()
	w.addons = []cluster.AddonStatus{{AddonDescription: cluster.AddonDescription{Name: "x"}, State: cluster.AddonRunning, Reason: reason}}
	w.mu.Unlock()
	w.Notify()
}

func (w *world) Client() kubernetes.Interface { return w.client }
func (w *world) ObjectClients() objects.Clients {
	scheme := metadatafake.NewTestScheme()
	_ = metav1.AddMetaToScheme(scheme) // it does not fail for a new scheme
	return objects.Clients{Kubernetes: w.client, Metadata: metadatafake.NewSimpleMetadataClient(scheme), Registration: registrationfake.NewSimpleClientset()}
}
func (w *world) Agents() *agents.Client    { return w.agents }
func (w *world) Births() *birth.Recorder   { return birth.NewRecorder(1) }
func (w *world) History() *history.History { return nil }
func (w *world) Components() []cluster.Component {
	return []cluster.Component{{Name: "etcd", Phase: cluster.PhaseRunning}, {Name: apiServer, Phase: cluster.PhaseRunning}}
}
func (w *world) Answers(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.port
}
func (w *world) Store() cluster.Store {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.store
}
func (w *world) NewLoadMeter() *load.Meter {
	r := func() load.Registry { r := prometheus.NewRegistry(); return load.Registry{Registerer: r, Gatherer: r} }
	return load.NewMeter(load.Sources{
		Traffic: &traffic.Counters{}, Kubernetes: r(), Etcd: r(), DBSize: func() int64 { return 1 },
		Objects: func(schema.GroupResource) (int, error) { return 0, nil }, Controllers: func() int { return 1 },
	})
}

func (w *world) ready(t *testing.T) {
	t.Helper()
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "dev-1"},
		Status:     corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}},
	}
	if _, err := w.client.CoreV1().Nodes().Create(t.Context(), n, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// questions are all that can be asked of a control plane only.
func (w *world) questions(ctx context.Context) map[string]func() error {
	return map[string]func() error{
		"load": func() error { return w.Load(ctx, func(cluster.Load) error { return nil }) },
		"log": func() error {
			return w.DNSLog(ctx, cluster.DNSLogQuery{}, func() {}, func(cluster.DNSQuery) error { return nil })
		},
		"status": func() error { _, err := w.DNSStatus(ctx); return err },
		"lookup": func() error { _, err := w.DNSLookup(ctx, cluster.DNSQuestion{Name: "x"}); return err },
		"flush":  func() error { _, err := w.DNSFlush(ctx, ""); return err },
		"birth":  func() error { return w.Birth(ctx, "shop", "cart", func(cluster.Birth) error { return nil }) },
		"ready":  w.Ready,
	}
}

func TestOneFaultBeforeAndAfter(t *testing.T) {
	w := newWorld(t)
	all := func(text string) {
		t.Helper()
		for name, ask := range w.questions(t.Context()) {
			if err := ask(); fault.KindOf(err) != fault.NotRunning || err.Error() != text {
				t.Errorf("%s: got %v, want %s", name, err, text)
			}
		}
	}
	all("the control plane of dev is still starting")
	if s := w.Snapshot(t.Context()); s.Phase != cluster.PhaseStarting || len(s.Nodes) != 1 || s.KubernetesVersion != "" {
		t.Errorf("before: %+v", s)
	}
	w.Start(w)
	w.ready(t)
	if err := w.Ready(); err != nil {
		t.Error(err)
	}
	w.Close()
	all("the control plane of dev is stopping")
	if s := w.Snapshot(t.Context()); s.Phase != cluster.PhaseRunning || s.KubernetesVersion != "v1.37.2" {
		t.Errorf("after: %+v", s)
	}
}

func TestAFullStoreIsAProblem(t *testing.T) {
	w := newWorld(t)
	w.Start(w)
	defer w.Close()
	w.ready(t)
	problem := func(s cluster.Snapshot) bool {
		return slices.ContainsFunc(s.Problems, func(p cluster.Problem) bool { return p.Kind == cluster.ProblemStore })
	}
	w.mu.Lock()
	w.store = cluster.Store{Size: 10, Quota: 100}
	w.mu.Unlock()
	if s := w.Snapshot(t.Context()); s.Store == nil || s.Store.Size != 10 || problem(s) {
		t.Errorf("with room: %+v, %+v", s.Store, s.Problems)
	}
	w.mu.Lock()
	w.store.ReadOnly = true
	w.mu.Unlock()
	if s := w.Snapshot(t.Context()); !problem(s) {
		t.Errorf("full: %+v, %+v", s.Store, s.Problems)
	}
}

func TestADeadPortIsSeenBehindAComponentThatRuns(t *testing.T) {
	w := newWorld(t)
	w.Start(w)
	defer w.Close()
	w.ready(t)
	w.mu.Lock()
	w.port = errors.New("127.0.0.1:6443 does not answer: connection refused")
	w.mu.Unlock()
	s := w.Snapshot(t.Context())
	i := slices.IndexFunc(s.Problems, func(p cluster.Problem) bool { return p.Object == "component/"+apiServer })
	if s.Phase != cluster.PhaseDegraded || s.APIServer != cluster.PhaseDegraded || i < 0 || s.Problems[i].Cause != w.port.Error() {
		t.Errorf("got %s, %s, %+v", s.Phase, s.APIServer, s.Problems)
	}
	w.mu.Lock()
	w.port = nil
	w.mu.Unlock()
	if s := w.Snapshot(t.Context()); s.Phase != cluster.PhaseRunning {
		t.Errorf("it answers again: %s, %+v", s.Phase, s.Problems)
	}
}

func TestWithoutDNSTheFaultSaysSo(t *testing.T) {
	w := newWorld(t)
	w.spec.Addons = map[string]bool{cluster.DNSAddon: false}
	if _, err := w.DNSStatus(t.Context()); fault.KindOf(err) != fault.Addon {
		t.Errorf("got %v", err)
	}
}

func TestCloseEndsStreamsAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		if _, err := w.client.CoreV1().Pods("shop").Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart", UID: "1"}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		w.Start(w)
		ended := make(chan string, 3)
		for _, name := range []string{"load", "log", "birth"} {
			ask := w.questions(t.Context())[name]
			go func() { ended <- fmt.Sprint(name, " ", ask()) }()
		}
		time.Sleep(3 * time.Second)
		if len(ended) != 0 {
			t.Fatalf("%s", <-ended)
		}
		w.Close()
		synctest.Wait()
		for range 3 {
			if got := <-ended; got != "load <nil>" && got != "log <nil>" && got != "birth <nil>" {
				t.Error(got)
			}
		}
	})
}

// watcher collects what a Watch sends.
type watcher struct {
	mu   sync.Mutex // guards sent and at
	sent []cluster.Snapshot
	at   []time.Time
	end  func() error
}

func (w *world) watch(t *testing.T) *watcher {
	v := &watcher{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- w.Watch(ctx, func(s cluster.Snapshot) error {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.sent, v.at = append(v.sent, s), append(v.at, time.Now())
			return nil
		})
	}()
	v.end = func() error { cancel(); return <-done }
	return v
}

func (v *watcher) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.sent)
}

// last is the newest snapshot; there is one from the first count on.
func (v *watcher) last() cluster.Snapshot {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.sent[len(v.sent)-1]
}

func (v *watcher) reason() string {
	a := v.last().Addons
	if len(a) == 0 {
		return ""
	}
	return a[0].Reason
}

func TestWatchFromTheBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		v := w.watch(t)
		synctest.Wait()
		if v.count() != 1 || v.last().Phase != cluster.PhaseStarting {
			t.Fatalf("got %d, at last %+v", v.count(), v.last())
		}
		w.Start(w)
		synctest.Wait()
		w.ready(t)
		time.Sleep(time.Second) // an informer takes a moment
		synctest.Wait()
		last := v.last()
		if last.Phase != cluster.PhaseRunning || !last.Nodes[0].Ready || last.Nodes[0].DNS != cluster.PhaseRunning || last.Nodes[0].Host != cluster.PhaseUnknown {
			t.Errorf("got %+v", last)
		}
		time.Sleep(askInterval)
		synctest.Wait()
		if last = v.last(); last.Nodes[0].Host != cluster.PhaseRunning || last.Nodes[0].Components[0].Name != "kubelet" {
			t.Errorf("its agent was not asked: %+v", last.Nodes[0])
		}
		w.Close()
		w.changes("while it stops")
		time.Sleep(time.Second)
		if v.reason() != "while it stops" {
			t.Error("a watch ends with the control plane")
		}
		if err := v.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestWatchIsPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Start(w)
		v := w.watch(t)
		time.Sleep(time.Minute)
		synctest.Wait()
		before := v.count()
		if before > 3 {
			t.Errorf("%d snapshots of a cluster that rests", before)
		}
		w.Notify() // nothing is different
		synctest.Wait()
		if v.count() != before {
			t.Error("an equal snapshot is sent again")
		}
		w.changes("at once")
		synctest.Wait()
		if v.count() != before+1 || v.reason() != "at once" {
			t.Errorf("a change of a cluster that rests waits: %d more", v.count()-before)
		}
		before = v.count()
		for i := range 1000 { // two seconds
			w.changes(fmt.Sprint("burst ", i))
			time.Sleep(2 * time.Millisecond)
		}
		if n := v.count() - before; n < 15 || n > 2*snapshotsPerSecond+snapshotsAtOnce {
			t.Errorf("%d snapshots of two seconds of changes", n)
		}
		time.Sleep(time.Second / snapshotsPerSecond)
		synctest.Wait()
		if v.reason() != "burst 999" {
			t.Errorf("the last state is missing: %s", v.reason())
		}
		if err := v.end(); err != nil {
			t.Error(err)
		}
		w.Close()
	})
}

func TestAWatchEndsWithItsReader(t *testing.T) {
	w := newWorld(t)
	w.Start(w)
	defer w.Close()
	gone := fmt.Errorf("gone")
	if err := w.Watch(t.Context(), func(cluster.Snapshot) error { return gone }); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}
