package load

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/agents"
	"bonsai/controlplane/observe/objects"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fleet is a cluster of agents, pods and a control plane, all of which do a fixed work per second.
type fleet struct {
	view   *View
	client *fake.Clientset
	began  time.Time

	mu     sync.Mutex // guards the rest
	nodes  []cluster.Node
	agents map[string]*agent
	meters int
}

// agent answers for a node which uses cores, half of them in a pod.
type agent struct {
	fleet  *fleet
	cores  float64
	asked  int
	answer func(http.ResponseWriter) bool // true if that was all
	hangs  bool
}

func (a *agent) RoundTrip(r *http.Request) (*http.Response, error) {
	a.fleet.mu.Lock()
	a.asked++
	hangs, answer := a.hangs, a.answer
	a.fleet.mu.Unlock()
	if hangs {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	w := httptest.NewRecorder()
	if r.URL.Path != "/v1/usage" || (answer != nil && answer(w)) {
		return w.Result(), nil
	}
	since := time.Since(a.fleet.began)
	used := time.Duration(a.cores * float64(since))
	err := json.NewEncoder(w).Encode(cluster.NodeCounters{
		Time: time.Now(), Clock: since, CPU: used, CPUs: 8, Memory: 5, MemoryLimit: 9, DiskUsed: 1, DiskSize: 2,
		Pods: []cluster.PodCounters{{UID: "1", CPU: used / 2, Memory: 3}},
	})
	return w.Result(), err
}

// meter is a control plane whose CPU figure says how often it was asked.
type meter struct{ asked int }

func (m *meter) measure() cluster.ControlPlaneLoad {
	m.asked++
	return cluster.ControlPlaneLoad{CPU: float64(m.asked)}
}

func newFleet(t *testing.T, names ...string) *fleet {
	t.Helper()
	f := &fleet{client: fake.NewClientset(), began: time.Now(), agents: map[string]*agent{}}
	for _, name := range names {
		f.add(name)
	}
	f.view = New(Options{
		Objects: objects.New(objects.Clients{Kubernetes: f.client}),
		Nodes: func() []cluster.Node {
			f.mu.Lock()
			defer f.mu.Unlock()
			return slices.Clone(f.nodes)
		},
		Agents: agents.New(func(n cluster.Node) http.RoundTripper {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.agents[n.Name]
		}, 1),
		ControlPlane: func() func() cluster.ControlPlaneLoad {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.meters++
			return (&meter{}).measure
		},
	})
	return f
}

func (f *fleet) add(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := len(f.nodes) + 1
	f.nodes = append(f.nodes, cluster.Node{Name: name, Index: i, IP: netip.AddrFrom4([4]byte{10, 201, 0, byte(9 + i)})})
	f.agents[name] = &agent{fleet: f, cores: float64(i)}
}

func (f *fleet) change(name string, how func(*agent)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	how(f.agents[name])
}

// watcher receives Loads in parallel to the test.
type watcher struct {
	end func() error

	mu    sync.Mutex // guards loads
	loads []cluster.Load
}

func (w *watcher) received() []cluster.Load {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.loads)
}

func (f *fleet) watch(t *testing.T) *watcher {
	w := &watcher{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- f.view.Load(ctx, func(l cluster.Load) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.loads = append(w.loads, l)
			return nil
		})
	}()
	w.end = func() error { cancel(); return <-done }
	return w
}

// pass lets time go by, to the moment after everything that is due.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestLoadOfNodesAndPods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "dev-1", "dev-2")
		if _, err := f.client.CoreV1().Pods("shop").Create(t.Context(),
			&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart", UID: "1"}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		w := f.watch(t)
		pass(cluster.LoadInterval)
		if len(w.received()) != 1 {
			t.Fatalf("after one interval there are %d", len(w.received()))
		}
		got := w.received()[0]
		for i, n := range got.Nodes {
			if want := (cluster.NodeUsage{
				Node: f.nodes[i].Name, Time: f.began.Add(secondQuestion), CPU: float64(i + 1), CPUs: 8, Memory: 5, MemoryLimit: 9, DiskUsed: 1, DiskSize: 2,
				Pods: []cluster.PodUsage{{UID: "1", Namespace: "shop", Name: "cart", CPU: float64(i+1) / 2, Memory: 3}},
			}); !n.Time.Equal(want.Time) || !reflect.DeepEqual(noTime(n), noTime(want)) {
				t.Errorf("got  %+v\nwant %+v", n, want)
			}
		}
		if len(got.Nodes) != 2 || got.ControlPlane.CPU != 1 || !got.Time.Equal(f.began.Add(cluster.LoadInterval)) {
			t.Errorf("got %+v", got)
		}
		pass(9 * time.Second)
		if len(w.received()) != 10 || w.received()[9].ControlPlane.CPU != 10 || f.agents["dev-1"].asked != 6 {
			t.Errorf("after ten seconds there are %d, the node was asked %d times", len(w.received()), f.agents["dev-1"].asked)
		}
		if err := w.end(); err != nil {
			t.Error(err)
		}
		asked := f.agents["dev-1"].asked
		pass(time.Minute)
		if f.agents["dev-1"].asked != asked || f.view.measurer != nil {
			t.Error("it goes on although nobody watches")
		}
	})
}

func noTime(u cluster.NodeUsage) cluster.NodeUsage { u.Time = time.Time{}; return u }

func TestWatchersShareAMeasurer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "dev-1")
		first := f.watch(t)
		pass(1500 * time.Millisecond)
		second := f.watch(t)
		pass(0)
		if len(second.received()) != 1 {
			t.Errorf("a later watcher receives %d at once, want the last one", len(second.received()))
		}
		if err := first.end(); err != nil {
			t.Error(err)
		}
		pass(time.Second)
		if len(first.received()) != 1 || len(second.received()) != 2 || f.meters != 1 {
			t.Errorf("they received %d and %d, by %d meters", len(first.received()), len(second.received()), f.meters)
		}
		if err := second.end(); err != nil {
			t.Error(err)
		}
		third := f.watch(t)
		pass(0)
		if len(third.received()) != 0 || f.meters != 2 {
			t.Errorf("a new beginning has %d old ones and %d meters", len(third.received()), f.meters)
		}
		if err := third.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestNodesThatCannotBeMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "hangs", "old", "broken", "garbled", "well")
		refuse := func(status int, text string) func(*agent) {
			return func(a *agent) {
				a.answer = func(w http.ResponseWriter) bool { http.Error(w, text, status); return true }
			}
		}
		f.change("hangs", func(a *agent) { a.hangs = true })
		f.change("old", refuse(http.StatusNotFound, "404 page not found"))
		f.change("broken", refuse(http.StatusInternalServerError, "no cgroups"))
		f.change("garbled", refuse(http.StatusOK, "<html>"))
		w := f.watch(t)
		pass(3 * cluster.LoadInterval)
		last := w.received()[len(w.received())-1]
		if len(w.received()) != 3 {
			t.Errorf("a node that hangs held it up: %d", len(w.received()))
		}
		for i, want := range []string{"timed out after 1s waiting for its agent", "older version", "no cgroups", "its agent's answer cannot be read", ""} {
			if n := last.Nodes[i]; n.Node != f.nodes[i].Name || !strings.Contains(n.Reason, want) || n.Time.IsZero() != (want != "") {
				t.Errorf("got %+v, want %q", n, want)
			}
		}

		// One that was well keeps its figures until it answers again.
		f.change("well", refuse(http.StatusInternalServerError, "no cgroups"))
		f.change("hangs", func(a *agent) { a.hangs = false })
		pass(10 * time.Second)
		last = w.received()[len(w.received())-1]
		if n := last.Nodes[4]; n.Reason != "no cgroups" || n.CPU != 5 || last.Time.Sub(n.Time) < 8*time.Second {
			t.Errorf("got %+v", n)
		}
		if n := last.Nodes[0]; n.Reason != "" || n.CPU != 1 {
			t.Errorf("got %+v", n)
		}
		f.change("well", func(a *agent) { a.answer = nil })
		pass(4 * time.Second)
		if n := w.received()[len(w.received())-1].Nodes[4]; n.Reason != "" || n.CPU != 5 {
			t.Errorf("got %+v", n)
		}
		if err := w.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestNodesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "dev-1")
		w := f.watch(t)
		pass(cluster.LoadInterval)
		f.add("dev-2")
		pass(3 * cluster.LoadInterval)
		if n := w.received()[len(w.received())-1].Nodes; len(n) != 2 || n[1].CPU != 2 {
			t.Errorf("got %+v", n)
		}
		f.mu.Lock()
		f.nodes = f.nodes[1:]
		f.mu.Unlock()
		pass(2 * cluster.LoadInterval)
		asked := f.agents["dev-1"].asked
		pass(10 * time.Second)
		if n := w.received()[len(w.received())-1].Nodes; len(n) != 1 || n[0].Node != "dev-2" || f.agents["dev-1"].asked != asked {
			t.Errorf("got %+v", n)
		}
		if err := w.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestItEndsWithItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "dev-1")
		gone := errors.New("gone")
		if err := f.view.Load(t.Context(), func(cluster.Load) error { return gone }); !errors.Is(err, gone) || f.view.measurer != nil {
			t.Errorf("got %v", err)
		}
		f.change("dev-1", func(a *agent) { a.hangs = true })
		w := f.watch(t)
		pass(1100 * time.Millisecond)
		if err := w.end(); err != nil || f.view.measurer != nil {
			t.Errorf("got %v", err)
		}
	})
}

func TestNamesOfPods(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "b", UID: "1"}}
	before := cluster.NodeUsage{Pods: []cluster.PodUsage{{UID: "1"}, {UID: "2"}}}
	after := namesOf([]*corev1.Pod{pod}).fill(before)
	if after.Pods[0].Namespace != "a" || after.Pods[0].Name != "b" || after.Pods[1].Name != "" || before.Pods[0].Name != "" {
		t.Errorf("got %+v of %+v", after, before)
	}
}
