package dns

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/controlplane/agents"
	"bonsai/controlplane/observe/objects"
	"bonsai/dnsaddon/api"
	"bonsai/dnsaddon/feed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server stands in for a node's DNS server, behind the real API and the real feed.
type server struct {
	*feed.Feed
	status  cluster.DNSStatus
	cached  int
	mu      sync.Mutex // guards lookups
	lookups []cluster.DNSLookup
}

func (s *server) Status() cluster.DNSStatus                 { return s.status }
func (s *server) Flush() int                                { return s.cached }
func (s *server) SetMachine(cluster.Resolvers)              {}
func (s *server) Health() (h api.Health, _ <-chan struct{}) { return h, nil }
func (s *server) Lookup(_ context.Context, q cluster.DNSLookup) cluster.DNSLookupResult {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lookups = append(s.lookups, q)
	return cluster.DNSLookupResult{Steps: []cluster.DNSStep{{Name: q.Name, Rcode: "NXDOMAIN", Rule: "because"}}}
}

// fleet is a cluster of agents and pods.
type fleet struct {
	view    *View
	client  *fake.Clientset
	servers map[string]*server

	mu     sync.Mutex // guards the rest
	nodes  []cluster.Node
	agents map[string]*httptest.Server
}

func newFleet(t *testing.T, names ...string) *fleet {
	t.Helper()
	f := &fleet{client: fake.NewClientset(), servers: map[string]*server{}, agents: map[string]*httptest.Server{}}
	for _, name := range names {
		f.addNode(name)
	}
	asked := agents.New(func(n cluster.Node) http.RoundTripper {
		return &http.Transport{DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if want := netip.AddrPortFrom(n.IP, cluster.AgentPort).String(); addr != want {
				return nil, errors.New("dialled " + addr + ", want " + want)
			}
			f.mu.Lock()
			agent := f.agents[n.Name]
			f.mu.Unlock()
			if agent == nil {
				return nil, errors.New("connection refused")
			}
			var d net.Dialer
			return d.DialContext(ctx, network, agent.Listener.Addr().String())
		}}
	}, 5)
	f.view = New(Options{
		Cluster: "dev", Pods: cluster.DefaultPodSubnet, Server: netip.MustParseAddr("10.96.0.10"), Client: f.client, Objects: objects.New(objects.Clients{Kubernetes: f.client}), Log: slog.New(slog.DiscardHandler), Scale: 5,
		Nodes: func() []cluster.Node {
			f.mu.Lock()
			defer f.mu.Unlock()
			return slices.Clone(f.nodes)
		},
		Agents: asked,
	})
	t.Cleanup(func() {
		asked.Close()
		for _, name := range names {
			f.stop(name)
		}
	})
	return f
}

// addNode plans a node and starts its agent.
func (f *fleet) addNode(name string) {
	f.mu.Lock()
	i := byte(len(f.nodes) + 1)
	f.nodes = append(f.nodes, cluster.Node{
		Name: name, Index: int(i), IP: netip.AddrFrom4([4]byte{10, 201, 0, 9 + i}), PodCIDR: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, i, 0}), 24),
	})
	f.mu.Unlock()
	f.servers[name] = &server{Feed: feed.New(name), cached: int(i), status: cluster.DNSStatus{Node: name, Phase: cluster.PhaseRunning, Search: []string{"corp.test"}}}
	f.startAgent(name)
}

func (f *fleet) startAgent(name string) {
	mux := http.NewServeMux()
	mux.Handle("/v1/dns/", http.StripPrefix("/v1/dns", api.New(f.servers[name])))
	f.mu.Lock()
	defer f.mu.Unlock()
	f.agents[name] = httptest.NewServer(mux)
}

// stop ends a node's agent, with all connections to it.
func (f *fleet) stop(name string) {
	f.mu.Lock()
	agent := f.agents[name]
	delete(f.agents, name)
	f.mu.Unlock()
	if agent != nil {
		agent.CloseClientConnections()
		agent.Close()
	}
}

func pod(namespace, name, node, ip string) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + name), CreationTimestamp: metav1.Unix(1000, 0)},
		Spec:       corev1.PodSpec{NodeName: node, DNSPolicy: corev1.DNSClusterFirst},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ip},
	}
	if ip != "" {
		p.Status.PodIPs = []corev1.PodIP{{IP: ip}}
	}
	return p
}

func (f *fleet) create(t *testing.T, p *corev1.Pod) {
	t.Helper()
	if _, err := f.client.CoreV1().Pods(p.Namespace).Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestStatusOfAllNodes(t *testing.T) {
	f := newFleet(t, "dev-1", "dev-2", "dev-3")
	f.stop("dev-2")
	f.mu.Lock()
	f.agents["dev-3"].Config.Handler = http.NotFoundHandler() // an agent without DNS
	f.mu.Unlock()
	got, err := f.view.DNSStatus(t.Context())
	want := []cluster.DNSStatus{
		f.servers["dev-1"].status,
		{Node: "dev-2", Phase: cluster.PhaseUnknown, Reason: "its agent does not answer; is the node running? (connection refused)"},
		{Node: "dev-3", Phase: cluster.PhaseUnknown, Reason: "no DNS server is running on the node"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
}

func TestFlush(t *testing.T) {
	f := newFleet(t, "dev-1", "dev-2")
	got, err := f.view.DNSFlush(t.Context(), "dev-2")
	if want := []cluster.DNSFlushed{{Node: "dev-2", Entries: 2}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	f.stop("dev-1")
	got, err = f.view.DNSFlush(t.Context(), "")
	if want := []cluster.DNSFlushed{{Node: "dev-1", Reason: "its agent does not answer; is the node running? (connection refused)"}, {Node: "dev-2", Entries: 2}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := f.view.DNSFlush(t.Context(), "dev-9"); fault.KindOf(err) != fault.NodeNotFound || !strings.Contains(fault.Problem(err).HintText(), "dev-1, dev-2") {
		t.Errorf("a node that is not there: %v", err)
	}
}

func TestLookupForAPod(t *testing.T) {
	f := newFleet(t, "dev-1", "dev-2", "dev-3")
	f.create(t, pod("shop", "cart-6f7", "dev-2", "10.244.2.5"))
	for _, c := range []struct {
		what  string
		q     cluster.DNSQuestion
		node  string
		asked cluster.DNSLookup
		notes int
	}{
		{"nobody", cluster.DNSQuestion{Name: "web"}, "dev-1", cluster.DNSLookup{
			Name: "web", Search: []string{"default.svc.cluster.local", "svc.cluster.local", "cluster.local", "corp.test"}, Ndots: 5}, 0},
		{"nobody, plainly", cluster.DNSQuestion{Name: "web", Plain: true, Type: "SRV", TCP: true}, "dev-1", cluster.DNSLookup{Name: "web", Type: "SRV", TCP: true}, 0},
		{"a node", cluster.DNSQuestion{Name: "web", Plain: true, Node: "dev-3"}, "dev-3", cluster.DNSLookup{Name: "web"}, 0},
		{"a pod", cluster.DNSQuestion{Name: "web", Pod: "shop/cart-6f7"}, "dev-2", cluster.DNSLookup{
			Name: "web", Search: []string{"shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "corp.test"}, Ndots: 5,
			Client: netip.MustParseAddr("10.244.2.5")}, 0},
		{"a pod, elsewhere", cluster.DNSQuestion{Name: "web", Pod: "shop/cart-6f7", Node: "dev-1", Plain: true}, "dev-1", cluster.DNSLookup{
			Name: "web", Client: netip.MustParseAddr("10.244.2.5")}, 1},
	} {
		a, err := f.view.DNSLookup(t.Context(), c.q)
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		if a.Node != c.node || !reflect.DeepEqual(a.Asked, c.asked) || len(a.Notes) != c.notes || a.Pod != c.q.Pod || a.Steps[0].Rule != "because" {
			t.Errorf("%s: got %+v", c.what, a)
		}
		s := f.servers[c.node]
		s.mu.Lock()
		if last := s.lookups[len(s.lookups)-1]; !reflect.DeepEqual(last, c.asked) {
			t.Errorf("%s: the server was asked %+v", c.what, last)
		}
		s.mu.Unlock()
	}
}

func TestLookupThatCannotBe(t *testing.T) {
	f := newFleet(t, "dev-1", "dev-2")
	f.create(t, pod("shop", "cart-6f7", "dev-2", "10.244.2.5"))
	f.create(t, pod("shop", "cart-abc", "dev-2", "10.244.2.6"))
	wantFault := func(q cluster.DNSQuestion, kind fault.Kind, hint string) {
		t.Helper()
		_, err := f.view.DNSLookup(t.Context(), q)
		if fault.KindOf(err) != kind || !strings.Contains(fault.Problem(err).HintText(), hint) {
			t.Errorf("%+v: %v, hint %q; want %s with %q", q, err, fault.Problem(err).HintText(), kind, hint)
		}
	}
	wantFault(cluster.DNSQuestion{Name: "a..b"}, fault.Usage, "")
	wantFault(cluster.DNSQuestion{Name: "web", Type: "NONE?"}, fault.Usage, "")
	wantFault(cluster.DNSQuestion{Name: "web", Node: "dev-9"}, fault.NodeNotFound, "dev-2")
	wantFault(cluster.DNSQuestion{Name: "web", Pod: "cart"}, fault.Usage, "")
	wantFault(cluster.DNSQuestion{Name: "web", Pod: "shop/cart"}, fault.Usage, "shop/cart-6f7, shop/cart-abc?")
	wantFault(cluster.DNSQuestion{Name: "web", Pod: "shop/nobody"}, fault.Usage, "bonsai kubectl -p dev -- get pods -n shop")

	f.servers["dev-1"].status.Phase = cluster.PhaseDegraded
	f.stop("dev-2")
	wantFault(cluster.DNSQuestion{Name: "web", Pod: "shop/cart-6f7"}, fault.Addon, "--node")
	if a, err := f.view.DNSLookup(t.Context(), cluster.DNSQuestion{Name: "web"}); err != nil || a.Node != "dev-1" {
		t.Errorf("got %+v, %v", a, err)
	}
	f.stop("dev-1")
	wantFault(cluster.DNSQuestion{Name: "web"}, fault.Addon, "bonsai status -p dev")
	f.mu.Lock()
	f.nodes = nil
	f.mu.Unlock()
	wantFault(cluster.DNSQuestion{Name: "web"}, fault.Addon, "--nodes 1")
}

// watchLog follows a log in parallel to the test.
func (f *fleet) watchLog(t *testing.T, q cluster.DNSLogQuery) (sent <-chan cluster.DNSQuery, end func() error) {
	t.Helper()
	watching := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	questions := make(chan cluster.DNSQuery, 100)
	done := make(chan error, 1)
	go func() {
		done <- f.view.DNSLog(ctx, q, func() { close(watching) }, func(q cluster.DNSQuery) error { questions <- q; return nil })
	}()
	<-watching
	end = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = end() })
	return questions, end
}

func (f *fleet) wantActive(t *testing.T, node string, want bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); f.servers[node].Active() != want; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("the feed of %s is active: %v", node, !want)
		}
	}
}

func (f *fleet) ask(node, client, name string) {
	f.servers[node].Publish(cluster.DNSQuery{Client: netip.MustParseAddr(client), Name: name, Type: "A", Rcode: "NOERROR"})
}

func next(t *testing.T, sent <-chan cluster.DNSQuery) string {
	t.Helper()
	select {
	case q := <-sent:
		return q.Node + " " + q.Pod + " " + q.Name
	case <-time.After(20 * time.Second):
		t.Fatal("nothing is sent")
		return ""
	}
}

func TestLogOfAllNodesNamesPods(t *testing.T) {
	f := newFleet(t, "dev-1", "dev-2")
	f.create(t, pod("shop", "cart", "dev-1", "10.244.1.5"))
	sent, end := f.watchLog(t, cluster.DNSLogQuery{Fold: true})
	f.wantActive(t, "dev-1", true)
	f.wantActive(t, "dev-2", true)
	for _, c := range []struct{ node, client, want string }{
		{"dev-1", "10.244.1.5", "shop/cart"},
		{"dev-2", "10.244.1.5", "shop/cart"}, // its own node's server was away
		{"dev-2", "10.201.0.10", "node/dev-1"},
		{"dev-2", "127.0.0.1", "node/dev-2"},
		{"dev-1", "169.254.102.71", "node/dev-1"},
		{"dev-1", "10.244.2.1", "node/dev-2"},
		{"dev-1", "203.0.113.9", ""},
	} {
		f.ask(c.node, c.client, "x.")
		if got, want := next(t, sent), c.node+" "+c.want+" x."; got != want {
			t.Errorf("from %s: %q, want %q", c.client, got, want)
		}
	}

	// A pod asks before its kubelet has reported its address.
	f.ask("dev-2", "10.244.2.7", "first.")
	f.ask("dev-2", "10.244.2.7", "second.")
	f.ask("dev-2", "10.201.0.11", "other.")
	if got := next(t, sent); got != "dev-2 node/dev-2 other." {
		t.Errorf("got %q", got)
	}
	f.create(t, pod("shop", "new", "dev-2", "10.244.2.7"))
	for _, want := range []string{"dev-2 shop/new first.", "dev-2 shop/new second."} {
		if got := next(t, sent); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}

	if err := end(); err != nil {
		t.Error(err)
	}
	f.wantActive(t, "dev-1", false)
	f.wantActive(t, "dev-2", false)
	if f.view.pods.users != 0 || f.view.pods.names != nil {
		t.Error("pods are followed although nobody watches")
	}
}

func TestLogOfOnePod(t *testing.T) {
	f := newFleet(t, "dev-1")
	f.create(t, pod("shop", "cart", "dev-1", "10.244.1.5"))
	sent, _ := f.watchLog(t, cluster.DNSLogQuery{Pod: "shop/cart"})
	f.wantActive(t, "dev-1", true)
	f.ask("dev-1", "10.201.0.10", "other.")
	f.ask("dev-1", "10.244.1.5", "mine.")
	if got := next(t, sent); got != "dev-1 shop/cart mine." {
		t.Errorf("got %q", got)
	}
}

func TestLogComesBackWithItsNode(t *testing.T) {
	f := newFleet(t, "dev-1", "dev-2")
	sent, _ := f.watchLog(t, cluster.DNSLogQuery{})
	f.wantActive(t, "dev-2", true)
	f.stop("dev-2")
	f.wantActive(t, "dev-2", false)
	f.startAgent("dev-2")
	f.wantActive(t, "dev-2", true)
	f.ask("dev-2", "10.201.0.10", "again.")
	if got := next(t, sent); got != "dev-2 node/dev-1 again." {
		t.Errorf("got %q", got)
	}
}

// TestWatchingDoesNotWaitForNodesThatAreGone: the log is there for those that are.
func TestWatchingDoesNotWaitForNodesThatAreGone(t *testing.T) {
	f := newFleet(t, "dev-1", "dev-2")
	f.stop("dev-2")
	sent, _ := f.watchLog(t, cluster.DNSLogQuery{}) // returns when it is being watched
	f.wantActive(t, "dev-1", true)
	f.ask("dev-1", "127.0.0.1", "x.")
	if got := next(t, sent); got != "dev-1 node/dev-1 x." {
		t.Errorf("got %q", got)
	}
	f.mu.Lock()
	f.nodes = nil
	f.mu.Unlock()
	f.watchLog(t, cluster.DNSLogQuery{})
}

func TestLogFollowsNewNodes(t *testing.T) {
	f := newFleet(t, "dev-1")
	sent, _ := f.watchLog(t, cluster.DNSLogQuery{})
	f.wantActive(t, "dev-1", true)
	f.addNode("dev-2")
	t.Cleanup(func() { f.stop("dev-2") })
	f.wantActive(t, "dev-2", true)
	f.ask("dev-2", "10.201.0.11", "new.")
	if got := next(t, sent); got != "dev-2 node/dev-2 new." {
		t.Errorf("got %q", got)
	}
}

func TestLogOfOneNode(t *testing.T) {
	f := newFleet(t, "dev-1", "dev-2")
	sent, _ := f.watchLog(t, cluster.DNSLogQuery{Node: "dev-2"})
	f.wantActive(t, "dev-2", true)
	if f.servers["dev-1"].Active() {
		t.Error("the other node is watched too")
	}
	f.ask("dev-2", "10.201.0.10", "x.")
	if got := next(t, sent); got != "dev-2 node/dev-1 x." {
		t.Errorf("got %q", got)
	}
	if err := f.view.DNSLog(t.Context(), cluster.DNSLogQuery{Node: "dev-9"}, nil, nil); fault.KindOf(err) != fault.NodeNotFound {
		t.Errorf("a node that is not there: %v", err)
	}
}

func TestLogEndsWithItsReader(t *testing.T) {
	f := newFleet(t, "dev-1")
	gone := errors.New("gone")
	done := make(chan error, 1)
	go func() {
		done <- f.view.DNSLog(t.Context(), cluster.DNSLogQuery{}, func() {}, func(cluster.DNSQuery) error { return gone })
	}()
	f.wantActive(t, "dev-1", true)
	f.ask("dev-1", "127.0.0.1", "x.")
	if err := <-done; !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
	f.wantActive(t, "dev-1", false)
}

// TestSlowWatcher does not read while far too much is asked: what it misses is counted.
func TestSlowWatcher(t *testing.T) {
	f := newFleet(t, "dev-1")
	const asked = 4 * queueLength
	read, sent, dropped := make(chan struct{}), uint64(0), uint64(0)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- f.view.DNSLog(ctx, cluster.DNSLogQuery{}, func() {}, func(q cluster.DNSQuery) error {
			<-read
			sent++
			if dropped += q.Dropped; q.Name == "end." {
				cancel()
			}
			return nil
		})
	}()
	f.wantActive(t, "dev-1", true)
	for range asked {
		f.ask("dev-1", "127.0.0.1", "x.")
	}
	close(read)
	// The last one finds a place when the others have been read.
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	last := uint64(0)
	for ctx.Err() == nil {
		f.ask("dev-1", "127.0.0.1", "end.")
		last++
		<-tick.C
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if dropped == 0 || sent+dropped < asked || sent+dropped > asked+last {
		t.Errorf("sent %d and dropped %d of %d to %d", sent, dropped, asked, asked+last)
	}
}
