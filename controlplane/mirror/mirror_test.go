package mirror

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/agents"
	"bonsai/nodeagent/agentapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func specOf(nodes int) cluster.Spec {
	s := cluster.Spec{Name: "dev", Subnet: netip.MustParsePrefix("10.201.0.0/22")}
	for i := range nodes {
		s.Nodes = append(s.Nodes, s.PlanNode(i+1))
	}
	s.Nodes[0].ControlPlane = true
	s.Replan()
	return s
}

func names(list []shown) (names []string) {
	for _, s := range list {
		names = append(names, s.podName())
	}
	return names
}

func TestWhatIsShownWhere(t *testing.T) {
	k := New(Options{Parts: []Part{{Name: "etcd"}}})
	spec := specOf(3)
	if got, want := names(k.plan(spec)), []string{"etcd-dev-1", "kube-proxy-dev-1", "dns-dev-1", "kube-proxy-dev-2", "dns-dev-2", "kube-proxy-dev-3", "dns-dev-3"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	// A node that the user has stopped shows nothing, and another one what is not in nodes.
	spec.Nodes[0].Stopped, spec.Nodes[2].ControlPlane = true, true
	spec.Addons = map[string]bool{cluster.DNSAddon: false}
	if got, want := names(k.plan(spec)), []string{"etcd-dev-3", "kube-proxy-dev-2", "kube-proxy-dev-3"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	spec.Nodes[2].ControlPlane = false
	if got := names(k.plan(spec)); got[0] != "etcd-dev-2" {
		t.Errorf("got %v", got)
	}
	spec.Nodes = nil
	if got := k.plan(spec); got != nil {
		t.Errorf("without nodes: %v", got)
	}
}

// house is a cluster of two nodes with real agent APIs and a fake API server.
type house struct {
	logs    string // the folder of all logs
	t       *testing.T
	client  *fake.Clientset
	keeper  *Keeper
	mu      sync.Mutex // guards the rest
	proxy   cluster.Component
	changed chan struct{}
}

func (h *house) components(context.Context) ([]cluster.Component, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return []cluster.Component{{Name: agent, Phase: cluster.PhaseRunning, Since: t0, Started: t0}, h.proxy}, h.changed
}

func (h *house) set(proxy cluster.Component) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.proxy = proxy
	close(h.changed)
	h.changed = make(chan struct{})
}

func build(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, changed: make(chan struct{}), proxy: cluster.Component{Name: kubeProxy, Phase: cluster.PhaseRunning, Since: t0, Started: t0}}
	h.client = fake.NewClientset()
	spec := specOf(2)
	for _, n := range spec.Nodes {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name, UID: types.UID("uid-" + n.Name)}, Status: corev1.NodeStatus{
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		}}
		if _, err := h.client.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	h.logs = dir
	if err := os.WriteFile(filepath.Join(dir, "etcd.log"), []byte("of etcd\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bonsai-agent.log"), []byte("a component=podnet\nb component=dns\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		err := agentapi.New(agentapi.Config{Components: h.components, LogDir: dir, Log: slog.New(slog.DiscardHandler)}).ServeLocal(ctx, l)
		if err != nil {
			t.Error(err)
		}
	})
	transport := &http.Transport{DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", l.Addr().String())
	}}
	client := agents.New(func(cluster.Node) http.RoundTripper { return transport }, 1)
	h.keeper = New(Options{
		Spec: spec, Version: "v1.37.2", Parts: []Part{{Name: "etcd", Version: "3.7.3"}}, Log: slog.New(slog.DiscardHandler), Scale: 1,
		LogFile: func(name string) string { return filepath.Join(dir, name+".log") },
		DNS: func() map[string]cluster.Phase {
			return map[string]cluster.Phase{"dev-1": cluster.PhaseRunning, "dev-2": cluster.PhaseStarting}
		},
	})
	factory := informers.NewSharedInformerFactory(h.client, 0)
	source := Source{
		Client: h.client, Agents: client, Nodes: factory.Core().V1().Nodes().Informer(),
		Components: func() []cluster.Component {
			return []cluster.Component{{Name: "etcd", Phase: cluster.PhaseRunning, Since: t0.Add(time.Minute), Started: t0}}
		},
	}
	factory.StartWithContext(ctx)
	running.Go(func() {
		if err := h.keeper.Run(ctx, source); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		factory.Shutdown()
		client.Close()
	})
	return h
}

// pods waits until the pods are as ok says.
func (h *house) pods(what string, ok func(map[string]corev1.Pod) bool) map[string]corev1.Pod {
	h.t.Helper()
	late := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		list, err := h.client.CoreV1().Pods(namespace).List(h.t.Context(), metav1.ListOptions{})
		if err != nil {
			h.t.Fatal(err)
		}
		pods := map[string]corev1.Pod{}
		for _, p := range list.Items {
			pods[p.Name] = p
		}
		if ok(pods) {
			return pods
		}
		select {
		case <-late:
			h.t.Fatalf("timed out waiting for %s; pods are %+v", what, pods)
		case <-tick.C:
		}
	}
}

func ready(p corev1.Pod) bool {
	return len(p.Status.ContainerStatuses) == 1 && p.Status.ContainerStatuses[0].Ready
}

func restarts(p corev1.Pod) int32 {
	if len(p.Status.ContainerStatuses) != 1 {
		return -1
	}
	return p.Status.ContainerStatuses[0].RestartCount
}

func TestPodsShowTheComponentsAndComeBack(t *testing.T) {
	h := build(t)
	pods := h.pods("five pods", func(p map[string]corev1.Pod) bool {
		return len(p) == 5 && ready(p["etcd-dev-1"]) && ready(p["kube-proxy-dev-1"]) && ready(p["kube-proxy-dev-2"]) && ready(p["dns-dev-1"]) && len(p["dns-dev-2"].Status.ContainerStatuses) == 1
	})
	if ready(pods["dns-dev-2"]) {
		t.Error("DNS that starts is ready")
	}
	e := pods["etcd-dev-1"]
	owner := metav1.GetControllerOf(&e)
	if e.Annotations[corev1.MirrorPodAnnotationKey] == "" || e.Spec.NodeName != "dev-1" || owner == nil || owner.Kind != "Node" || owner.UID != "uid-dev-1" ||
		e.Spec.SchedulerName != cluster.ComponentPods || e.Labels["component"] != "etcd" {
		t.Errorf("etcd is %+v", e)
	}

	// A restart is counted, also after somebody has deleted the pod.
	h.set(cluster.Component{Name: kubeProxy, Phase: cluster.PhaseRunning, Restarts: 1, Since: t0.Add(time.Minute), Started: t0.Add(time.Minute)})
	pods = h.pods("a restart", func(p map[string]corev1.Pod) bool {
		return restarts(p["kube-proxy-dev-1"]) == 1 && restarts(p["kube-proxy-dev-2"]) == 1
	})
	before := pods["kube-proxy-dev-2"]
	if err := h.client.CoreV1().Pods(namespace).Delete(t.Context(), before.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	h.pods("the pod again", func(p map[string]corev1.Pod) bool {
		return restarts(p[before.Name]) == 1 && ready(p[before.Name])
	})

	// What somebody else writes to a status does not stay.
	other := pods["etcd-dev-1"]
	other.Status.Conditions, other.Status.ContainerStatuses = nil, nil
	if _, err := h.client.CoreV1().Pods(namespace).UpdateStatus(t.Context(), &other, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	h.pods("the status again", func(p map[string]corev1.Pod) bool { return ready(p["etcd-dev-1"]) })

	// Another Node object is another owner.
	n, err := h.client.CoreV1().Nodes().Get(t.Context(), "dev-2", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n.UID = "another"
	if _, err := h.client.CoreV1().Nodes().Update(t.Context(), n, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	h.pods("the new owner", func(p map[string]corev1.Pod) bool {
		pod, ok := p["kube-proxy-dev-2"]
		return ok && pod.OwnerReferences[0].UID == "another" && restarts(pod) == 1
	})

	h.keeper.Reload(specOf(1))
	h.pods("the pods of one node", func(p map[string]corev1.Pod) bool { return len(p) == 3 })
}

func TestLogsOfPods(t *testing.T) {
	h := build(t)
	h.pods("five pods", func(p map[string]corev1.Pod) bool { return len(p) == 5 })
	for pod, want := range map[string]string{"etcd-dev-1": "of etcd\n", "dns-dev-2": "b component=dns\n"} {
		l, ok := h.keeper.Log(pod)
		var out bytes.Buffer
		if !ok || l.Copy(t.Context(), Query{Lines: -1}, &out) != nil || out.String() != want {
			t.Errorf("%s: %q, want %q", pod, &out, want)
		}
	}
	l, ok := h.keeper.Log("kube-proxy-dev-1")
	if err := l.Copy(t.Context(), Query{Lines: -1}, &bytes.Buffer{}); !ok || err == nil || !strings.Contains(err.Error(), "kube-proxy has not written a log yet") {
		t.Errorf("a log that does not exist: %v", err)
	}
	for _, pod := range []string{"etcd-dev-2", "web", ""} {
		if _, ok := h.keeper.Log(pod); ok {
			t.Errorf("%q is a component", pod)
		}
	}
}

// TestPreviousLogs: what a component writes until it is ready is of its present run.
func TestPreviousLogs(t *testing.T) {
	h := build(t)
	h.pods("five pods", func(p map[string]corev1.Pod) bool { return len(p) == 5 && ready(p["kube-proxy-dev-1"]) })
	line := func(after time.Duration, text string) string {
		return "time=" + t0.Add(after).Format(time.RFC3339Nano) + " msg=" + text + "\n"
	}
	before, starting := line(-time.Second, "before"), line(time.Second, "starting")
	for _, name := range []string{"etcd", kubeProxy} {
		if err := os.WriteFile(filepath.Join(h.logs, name+".log"), []byte(before+starting), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	previous := func(pod string) string {
		l, ok := h.keeper.Log(pod)
		var out bytes.Buffer
		if err := l.Copy(t.Context(), Query{Lines: -1, Previous: true}, &out); !ok || err != nil {
			t.Fatalf("the previous log of %s: %v", pod, err)
		}
		return out.String()
	}
	proxy := cluster.Component{Name: kubeProxy, Phase: cluster.PhaseRunning, Restarts: 1, Since: t0.Add(time.Minute), Started: t0, Ended: t0.Add(-time.Millisecond)}
	h.set(proxy)
	h.pods("a restart", func(p map[string]corev1.Pod) bool { return restarts(p["kube-proxy-dev-1"]) == 1 })
	for _, pod := range []string{"etcd-dev-1", "kube-proxy-dev-1"} {
		if got := previous(pod); got != before {
			t.Errorf("%s: %q, want %q", pod, got, before)
		}
	}
	// Between two runs, the newest of them is the previous one.
	h.set(cluster.Component{Name: kubeProxy, Phase: cluster.PhaseFailed, Restarts: 1, Since: t0.Add(time.Hour), Ended: t0.Add(time.Hour), Reason: "boom"})
	h.pods("the failure", func(p map[string]corev1.Pod) bool { return !ready(p["kube-proxy-dev-1"]) })
	if got := previous("kube-proxy-dev-1"); got != before+starting {
		t.Errorf("%q, want all of the log", got)
	}
}
