package problems

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	registrationfake "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset/fake"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/observe/objects"
	"bonsai/controlplane/observe/problems/diagnose"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// names is cluster DNS.
type names struct {
	queries chan cluster.DNSQuery
	rcode   string

	mu      sync.Mutex // guards lookups
	lookups []string
}

func (n *names) DNSLog(ctx context.Context, _ cluster.DNSLogQuery, watching func(), send func(cluster.DNSQuery) error) error {
	watching()
	for {
		select {
		case <-ctx.Done():
			return nil
		case q := <-n.queries:
			if err := send(q); err != nil {
				return err
			}
		}
	}
}

func (n *names) DNSLookup(_ context.Context, q cluster.DNSQuestion) (a cluster.DNSAnswer, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lookups = append(n.lookups, q.Pod+" "+q.Name)
	a.Steps = []cluster.DNSStep{{Name: q.Name, Rcode: n.rcode}}
	return a, nil
}

func newView(t *testing.T, dns *names, present ...runtime.Object) (*View, *fake.Clientset) {
	t.Helper()
	client := fake.NewClientset(present...)
	scheme := metadatafake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	clients := objects.Clients{
		Kubernetes: client, Metadata: metadatafake.NewSimpleMetadataClient(scheme), Registration: registrationfake.NewSimpleClientset(),
	}
	v := New(Options{
		Cluster: "dev", Client: client, Metadata: clients.Metadata, Objects: objects.New(clients), Log: slog.New(slog.DiscardHandler), Scale: 10,
		DNS: func() DNS {
			if dns == nil {
				return nil
			}
			return dns
		},
	})
	t.Cleanup(v.Close)
	return v, client
}

// crashing is a pod in its back-off.
func crashing(name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: "uid"},
		Spec:       corev1.PodSpec{NodeName: "dev-1", Containers: []corev1.Container{{Name: "cart", Image: "cart:1"}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{
			Name: "cart", RestartCount: 2,
			State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, ContainerID: "containerd://1", FinishedAt: metav1.Now()}},
		}}},
	}
}

// until waits for problems that f accepts.
func until(t *testing.T, w *Watcher, what string, f func([]cluster.Problem) bool) []cluster.Problem {
	t.Helper()
	limit := time.After(10 * time.Second)
	for {
		list, changed := w.Problems()
		if f(list) {
			return list
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("still no %s: %+v", what, list)
		}
	}
}

func TestWatchersAreNotifiedAtOnce(t *testing.T) {
	v, client := newView(t, nil)
	w := v.Watch()
	defer w.Close()
	if _, err := client.CoreV1().Pods("shop").Create(t.Context(), crashing("a"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	list := until(t, w, "crash with its log", func(list []cluster.Problem) bool { return len(list) == 1 && len(list[0].Evidence) > 0 })
	if list[0].Object != "pod/shop/a" || list[0].Evidence[0] != "fake logs" {
		t.Errorf("got %+v", list[0])
	}
	other := v.Watch()
	defer other.Close()
	if list, _ := other.Problems(); len(list) != 1 {
		t.Errorf("another watcher sees %+v", list)
	}
	begin := time.Now()
	if err := client.CoreV1().Pods("shop").Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	until(t, w, "end of the problem", func(list []cluster.Problem) bool { return len(list) == 0 })
	t.Logf("reported after %s", time.Since(begin))
}

func TestOnceWaitsForTheWholeStory(t *testing.T) {
	dns := &names{rcode: "NXDOMAIN"}
	pod := crashing("a")
	pod.Status.ContainerStatuses[0].LastTerminationState.Terminated.Message = "lookup api.example.com: no such host"
	pod.Status.ContainerStatuses[0].LastTerminationState.Terminated.ContainerID = ""
	v, client := newView(t, dns, pod)
	list := v.Once(t.Context())
	if len(list) != 1 || list[0].Kind != cluster.ProblemName || !slices.Equal(dns.lookups, []string{"shop/a api.example.com"}) {
		t.Errorf("got %+v, after %v", list, dns.lookups)
	}
	if v.run != nil {
		t.Error("something runs on")
	}
	watches := 0
	for _, a := range client.Actions() {
		if a.GetVerb() == "watch" {
			watches++
		}
	}
	if watches == 0 {
		t.Error("nothing was watched")
	}
}

func TestFailedLookupsAreRemembered(t *testing.T) {
	dns := &names{queries: make(chan cluster.DNSQuery)}
	healthy := crashing("a")
	healthy.Status.ContainerStatuses[0] = corev1.ContainerStatus{Name: "cart", Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}}
	v, _ := newView(t, dns, healthy, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "redis"}})
	w := v.Watch()
	defer w.Close()
	for range 3 {
		for _, kind := range []string{"A", "AAAA"} {
			dns.queries <- cluster.DNSQuery{
				Pod: "shop/a", Name: "redis.defualt.svc.", Type: kind, Rcode: "NXDOMAIN",
				Tries: []string{"redis.defualt.svc.shop.svc.cluster.local.", "redis.defualt.svc.svc.cluster.local.", "redis.defualt.svc.cluster.local."},
			}
		}
	}
	list := until(t, w, "failed lookup", func(list []cluster.Problem) bool { return len(list) == 1 })
	if p := list[0]; p.Summary != "asks DNS for redis.defualt.svc: no such name; meant redis.default.svc?" || !strings.Contains(p.Evidence[0], "3 lookups of redis.defualt.svc, and no such name; tried redis.defualt.svc.shop.svc.cluster.local") {
		t.Errorf("got %+v", p)
	}
}

func TestLookupsAreBounded(t *testing.T) {
	l := &lookups{poke: func() {}}
	now := time.Now()
	for i := range 1000 {
		name := strings.Repeat("x", 1+i%60) + ".shop.svc"
		l.take(cluster.DNSQuery{Pod: "shop/" + strings.Repeat("p", 1+i), Name: name, Type: "A", Rcode: "NXDOMAIN"}, now)
		l.take(cluster.DNSQuery{Pod: "shop/p", Name: name + "." + strings.Repeat("y", i), Type: "A", Rcode: "NXDOMAIN"}, now)
	}
	if got := len(l.failed(now)); got > maxPodsNamed+maxPerPod {
		t.Errorf("%d are remembered", got)
	}
	if got := l.failed(now.Add(forget + time.Second)); len(got) != 0 || len(l.byPod) != 0 {
		t.Errorf("%d are not forgotten", len(got))
	}
}

func TestWhatAPodAskedFor(t *testing.T) {
	search := []string{".shop.svc.cluster.local.", ".svc.cluster.local.", ".cluster.local."}
	tries := func(name string) (all []string) {
		for _, s := range search {
			all = append(all, name+s)
		}
		return all
	}
	for name, q := range map[string]cluster.DNSQuery{
		"redis":                           {Name: "redis.", Tries: tries("redis")},
		"redis.defualt.svc":               {Name: "redis.defualt.svc.", Tries: tries("redis.defualt.svc")},
		"redis.defualt.svc.cluster.local": {Name: "redis.defualt.svc.cluster.local."},
		"web.shop.svc.cluster.local":      {Name: "web.shop.svc.cluster.local."},
		"api.example.com":                 {Name: "API.example.com.", Tries: tries("api.example.com")},
	} {
		if got := wanted(q, "shop"); got != name {
			t.Errorf("got %q, want %q", got, name)
		}
	}
}

func TestAfterClose(t *testing.T) {
	v, _ := newView(t, nil, crashing("a"))
	w := v.Watch()
	until(t, w, "crash", func(list []cluster.Problem) bool { return len(list) == 1 })
	v.Close()
	if list, _ := w.Problems(); len(list) != 1 {
		t.Errorf("what was known is forgotten: %+v", list)
	}
	w.Close()
	late := v.Watch()
	defer late.Close()
	if list, changed := late.Problems(); list != nil || changed != nil {
		t.Errorf("a late watcher sees %+v", list)
	}
	if got := v.Once(t.Context()); got != nil {
		t.Errorf("a late look sees %+v", got)
	}
}

func TestAnswersThatAreNotAskedForAreForgotten(t *testing.T) {
	_, client := newView(t, nil, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cfg"}, Data: map[string]string{"key": ""}})
	changed := make(chan struct{}, 9)
	f := newFetcher(Options{Client: client, DNS: func() DNS { return nil }}, func() { changed <- struct{}{} })
	defer f.wait()
	q := diagnose.Question{Topic: diagnose.KeysOfConfigMap, Namespace: "shop", Name: "cfg"}
	gone := diagnose.Question{Topic: diagnose.KeysOfSecret, Namespace: "shop", Name: "none"}
	if open, _ := f.ask(t.Context(), []diagnose.Question{q, gone}); open != 2 {
		t.Errorf("%d are open", open)
	}
	<-changed
	<-changed
	known := f.known()
	if !slices.Equal(known[q].Lines, []string{"key"}) || !known[gone].Failed {
		t.Errorf("got %+v", known)
	}
	if open, expiry := f.ask(t.Context(), []diagnose.Question{q}); open != 0 || expiry.IsZero() || len(f.known()) != 1 {
		t.Errorf("%d are open, good until %s, %d known", open, expiry, len(f.known()))
	}
}

// TestAPodThatListensIsAskedOnce: a request to its node is only repeated as long as a problem may end.
func TestAPodThatListensIsAskedOnce(t *testing.T) {
	changed := make(chan struct{}, 9)
	var asked []string
	f := newFetcher(Options{Client: fake.NewClientset(), Scale: 1, Listening: func(_ context.Context, node, uid string) ([]cluster.Listening, error) {
		asked = append(asked, node+" "+uid) // read after changed, one question at a time
		return []cluster.Listening{{Protocol: "TCP", Port: 8080}, {Protocol: "TCP", Port: 9090, Inside: true}}, nil
	}}, func() { changed <- struct{}{} })
	defer f.wait()
	for port, found := range map[int32]bool{8080: true, 9090: false, 80: false} {
		q := diagnose.Question{Topic: diagnose.Listening, Namespace: "shop", Name: "web", ID: "uid", Node: "dev-1", Port: port, Protocol: "TCP"}
		f.ask(t.Context(), []diagnose.Question{q})
		<-changed
		if a := f.known()[q]; a.Found != found || len(a.Ports) != 2 || asked[len(asked)-1] != "dev-1 uid" {
			t.Errorf("port %d: got %+v of %v", port, a, asked)
		}
		if open, expiry := f.ask(t.Context(), []diagnose.Question{q}); open != 0 || expiry.IsZero() != found {
			t.Errorf("port %d: it is asked again at %s", port, expiry)
		}
	}
}

func TestABusyNodeDoesNotTakeBackWhatItHasSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failure error
		f := newFetcher(Options{Client: fake.NewClientset(), Scale: 1, Listening: func(context.Context, string, string) ([]cluster.Listening, error) {
			return []cluster.Listening{{Protocol: "TCP", Port: 9090}}, failure
		}}, func() {})
		q := diagnose.Question{Topic: diagnose.Listening, Port: 80, Protocol: "TCP"}
		for _, failure = range []error{errors.New("busy"), nil, errors.New("busy")} {
			before := f.known()[q]
			f.ask(t.Context(), []diagnose.Question{q})
			synctest.Wait()
			if got := f.known()[q]; got.Failed != (failure != nil && len(before.Ports) == 0) {
				t.Errorf("after %+v and %v: %+v", before, failure, got)
			}
			time.Sleep(fresh)
		}
		f.wait()
	})
}
