package ingressdns

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is what an addon runs in.
type world struct {
	mu      sync.Mutex // guards the rest
	spec    cluster.Spec
	changed chan struct{}
	table   cluster.HostDNS // of the resolver
	ports   []int           // that the resolver was started at
	taken   int             // a port that is in use
	kept    int
	open    bool
	now     cluster.HostDNS // what was published
	news    chan struct{}
}

func newWorld() *world {
	return &world{spec: dev(), changed: make(chan struct{}), news: make(chan struct{}, 1)}
}

func (w *world) Set(h cluster.HostDNS) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.table = h
}

func (w *world) Run(ctx context.Context, port int, listening func(int)) error {
	w.mu.Lock()
	w.ports = append(w.ports, port)
	taken := w.taken
	w.mu.Unlock()
	if port == 0 {
		port = 15353
	}
	if port == taken {
		return errors.New("address already in use")
	}
	listening(port)
	<-ctx.Done()
	return nil
}

func (w *world) options() Options {
	return Options{
		Resolver: w, Reach: func(cluster.Spec) Reach { return Reach{Nodes: true} },
		Kept: func() int { w.mu.Lock(); defer w.mu.Unlock(); return w.kept },
		Keep: func(port int, open bool) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.kept, w.open = port, open
			return nil
		},
		Publish: func(h cluster.HostDNS) {
			w.mu.Lock()
			w.now = h
			w.mu.Unlock()
			select {
			case w.news <- struct{}{}:
			default:
			}
		},
	}
}

// until waits until what was published is as wanted.
func (w *world) until(t *testing.T, what string, ok func(cluster.HostDNS) bool) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		w.mu.Lock()
		now := w.now
		w.mu.Unlock()
		if ok(now) {
			return
		}
		select {
		case <-w.news:
		case <-limit:
			t.Fatalf("timed out waiting for %s; it is %+v", what, now)
		}
	}
}

func (w *world) change(f func(*cluster.Spec)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(&w.spec)
	close(w.changed)
	w.changed = make(chan struct{})
}

func has(h cluster.HostDNS, name string) bool {
	return slices.ContainsFunc(h.Names, func(n cluster.HostName) bool { return n.Name == name })
}

// TestRun: names follow the cluster and the settings, and the port is kept.
func TestRun(t *testing.T) {
	w := newWorld()
	client := fake.NewClientset(service("shop/web", corev1.ServiceTypeLoadBalancer, "10.96.0.20", "10.201.3.1"))
	c := addons.Cluster{
		Client: client, Dynamic: dynamicfake.NewSimpleDynamicClient(runtime.NewScheme()), Config: &rest.Config{Host: "http://127.0.0.1:1"},
		Spec:    func() cluster.Spec { w.mu.Lock(); defer w.mu.Unlock(); return w.spec },
		Changed: func() <-chan struct{} { w.mu.Lock(); defer w.mu.Unlock(); return w.changed },
		Notify:  func() {}, Log: slog.New(slog.DiscardHandler),
	}
	a := New(w.options())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx, c) }()
	w.until(t, "the resolver", func(h cluster.HostDNS) bool {
		return h.Open && h.Port == 15353 && has(h, "web.shop.svc.cluster.local")
	})
	if state, reason, _ := a.Health(ctx, c); state != cluster.AddonRunning {
		t.Errorf("it is %s: %s", state, reason)
	}
	if _, err := client.CoreV1().Services("shop").Create(ctx, service("shop/late", corev1.ServiceTypeClusterIP, "10.96.0.21"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.until(t, "a new Service", func(h cluster.HostDNS) bool { return has(h, "late.shop.svc.cluster.local") })
	w.change(func(s *cluster.Spec) {
		s.AddonValues = map[string]map[string]string{Name: {cluster.HostDNSDomainsSetting: "shop.example.com"}}
	})
	w.until(t, "the new domain", func(h cluster.HostDNS) bool {
		return slices.Contains(h.Domains, "shop.example.com") && !slices.Contains(h.Domains, "test")
	})
	w.mu.Lock()
	if !has(w.table, "late.shop.svc.cluster.local") || w.kept != 15353 || !w.open {
		t.Errorf("the resolver has %+v; kept is port %d, open %v", w.table, w.kept, w.open)
	}
	w.mu.Unlock()
	w.change(func(s *cluster.Spec) {
		s.AddonValues = map[string]map[string]string{Name: {cluster.HostDNSPortSetting: "5300"}}
	})
	w.until(t, "the chosen port", func(h cluster.HostDNS) bool { return h.Open && h.Port == 5300 })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.now.Open || w.kept != 5300 || w.open || !slices.Equal(w.ports, []int{0, 5300}) {
		t.Errorf("at the end: %+v, kept %d, open %v, started at %v", w.now, w.kept, w.open, w.ports)
	}
}

// TestAPortThatIsTaken is an error, as the machine is configured with that port.
func TestAPortThatIsTaken(t *testing.T) {
	w := newWorld()
	w.kept, w.taken = 15360, 15360
	c := addons.Cluster{
		Client: fake.NewClientset(), Dynamic: dynamicfake.NewSimpleDynamicClient(runtime.NewScheme()), Config: &rest.Config{Host: "http://127.0.0.1:1"},
		Spec: func() cluster.Spec { return w.spec }, Changed: func() <-chan struct{} { return w.changed }, Notify: func() {}, Log: slog.New(slog.DiscardHandler),
	}
	if err := New(w.options()).Run(t.Context(), c); err == nil || err.Error() != "address already in use" {
		t.Errorf("got %v", err)
	}
}
