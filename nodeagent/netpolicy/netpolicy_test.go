package netpolicy

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"bonsai/bootstrap/cluster"
	"bonsai/nodeagent/netpolicy/rules"
)

func versionKind(version, kind string) schema.GroupVersionKind {
	return schema.FromAPIVersionAndKind(version, kind)
}

// node is a Part at work, with what it has around it.
type node struct {
	*Part
	t       *testing.T
	api     *fakeAPI
	kernel  *fakeKernel
	runtime *fakeRuntime
	stop    func()
}

// newNode returns a part that does not run yet.
func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{t: t, api: newFakeAPI(t), kernel: &fakeKernel{changed: make(chan struct{})}, runtime: newFakeRuntime(t)}
	n.Part = newPart(Config{
		Node: "c-1", NodeIP: netip.MustParseAddr("10.201.0.10"), API: n.api.config(), Runtime: n.runtime.socket,
		Resolver: cluster.NodeResolver, DNSPort: cluster.DNSPort, Scale: 1, Log: slog.New(slog.DiscardHandler),
	}, n.kernel)
	return n
}

func (n *node) run() {
	ctx, cancel := context.WithCancel(n.t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := n.Run(ctx); err != nil {
			n.t.Errorf("run: %v", err)
		}
	})
	n.stop = func() { cancel(); running.Wait() }
	n.t.Cleanup(func() { n.stop() })
}

// until waits for a condition that changes with the kernel, the API server or the health.
func (n *node) until(what string, fits func() bool) {
	n.t.Helper()
	limit := time.After(20 * time.Second)
	for {
		n.kernel.mu.Lock()
		applied := n.kernel.changed
		n.kernel.mu.Unlock()
		n.api.mu.Lock()
		watched := n.api.changed
		n.api.mu.Unlock()
		health, changed := n.Health()
		if fits() {
			return
		}
		select {
		case <-applied:
		case <-watched:
		case <-changed:
		case <-limit:
			n.t.Fatalf("timed out waiting for %s; the node is %+v, and restricts %v", what, health, n.restricted())
		}
	}
}

// restricted are the addresses of the pods to which policies for ingress apply in the kernel; nil without a table.
func (n *node) restricted() []string {
	n.kernel.mu.Lock()
	defer n.kernel.mu.Unlock()
	if n.kernel.now == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(n.kernel.now.Maps["ingress"].Elements))
}

// restricts waits until exactly these pods are.
func (n *node) restricts(want ...string) {
	n.t.Helper()
	n.until(fmt.Sprint("rules for ", want), func() bool { return slices.Equal(n.restricted(), want) })
}

func (n *node) is(phase cluster.Phase, reason string) {
	n.t.Helper()
	n.until(fmt.Sprint(phase, " ", reason), func() bool {
		h, _ := n.Health()
		return h.Phase == phase && strings.Contains(h.Reason, reason)
	})
}

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": name}}
}

func pod(name, ip string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: meta("shop", name), Spec: corev1.PodSpec{NodeName: "c-1"}}
	if ip != "" {
		p.Status.PodIPs = []corev1.PodIP{{IP: ip}}
	}
	return p
}

func enabled() *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: meta(metav1.NamespaceSystem, cluster.NetworkPolicyMap)}
}

func deny(name string) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{ObjectMeta: meta("shop", name)}
}

func TestPolicies(t *testing.T) {
	n := newNode(t)
	n.runtime.serve(t)
	n.api.put(enabled(), &corev1.Namespace{ObjectMeta: meta("", "shop")}, pod("web", "10.244.1.2"), pod("db", "10.244.1.3"))
	n.run()
	n.is(cluster.PhaseRunning, "")
	if got := n.restricted(); got != nil || n.api.watches(pods) > 0 {
		t.Errorf("without policies: %v, %d watches of pods", got, n.api.watches(pods))
	}

	n.api.put(deny("all"))
	n.restricts("10.244.1.2", "10.244.1.3")
	n.is(cluster.PhaseRunning, "")
	n.api.put(pod("late", "10.244.1.4"))
	n.restricts("10.244.1.2", "10.244.1.3", "10.244.1.4")

	before := n.applied()
	ready := pod("late", "10.244.1.4")
	ready.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	n.api.put(ready)
	n.api.remove(pod("db", ""))
	n.restricts("10.244.1.2", "10.244.1.4")
	if got := n.applied(); got != before+1 {
		t.Errorf("%d changes for one that matters", got-before)
	}

	n.api.remove(deny("all"))
	n.restricts()
	n.until("the end of the watch of pods", func() bool { return n.api.watches(pods) == 0 })
	n.is(cluster.PhaseRunning, "")
}

func (n *node) applied() int {
	n.kernel.mu.Lock()
	defer n.kernel.mu.Unlock()
	return n.kernel.applied
}

func TestDisabledAndEnabled(t *testing.T) {
	n := newNode(t)
	n.runtime.serve(t)
	n.api.put(&corev1.Namespace{ObjectMeta: meta("", "shop")}, pod("web", "10.244.1.2"), deny("all"))
	n.run()
	n.is(cluster.PhaseStopped, "disabled")
	if c := n.Component(); c.Name != "" {
		t.Errorf("a disabled addon is shown: %+v", c)
	}
	for range 2 {
		n.api.put(enabled())
		n.restricts("10.244.1.2")
		n.is(cluster.PhaseRunning, "")
		if c := n.Component(); c.Phase != cluster.PhaseRunning {
			t.Errorf("the component is %+v", c)
		}
		n.api.remove(enabled())
		n.restricts()
		n.is(cluster.PhaseStopped, "disabled")
		n.until("the end of all watches but one", func() bool { return n.api.watches(pods)+n.api.watches(policies)+n.api.watches(services) == 0 })
	}
}

// TestUntilEverythingIsKnownTheTableStays: what an earlier agent has left is better than what is known in part.
func TestUntilEverythingIsKnownTheTableStays(t *testing.T) {
	n := newNode(t)
	n.api.put(enabled(), &corev1.Namespace{ObjectMeta: meta("", "shop")}, pod("web", "10.244.1.2"), pod("new", ""), deny("all"))
	n.api.answers(http.StatusForbidden) // there are no roles yet
	n.run()
	n.is(cluster.PhaseStarting, "waiting for the API server")
	n.api.answers(0)
	n.is(cluster.PhaseStarting, "waiting for the container runtime")
	if n.applied() > 0 {
		t.Error("the table is replaced before the container runtime has said which pods it has started")
	}
	n.runtime.starts("s1", rules.Key{Namespace: "shop", Name: "new"}, "10.244.1.3", 1)
	n.runtime.serve(t)
	n.restricts("10.244.1.2", "10.244.1.3")
	n.stop()
	if got := n.restricted(); len(got) != 2 {
		t.Errorf("an agent that ends leaves %v", got)
	}
}

func TestARuntimeThatDoesNotAnswerIsGivenUp(t *testing.T) {
	n := newNode(t)
	n.cfg.Scale = 0.02
	n.api.put(enabled(), &corev1.Namespace{ObjectMeta: meta("", "shop")}, pod("web", "10.244.1.2"), deny("all"))
	n.run()
	n.restricts("10.244.1.2")
	n.is(cluster.PhaseRunning, "")
}

func TestTheRuntimeKnowsAddressesFirst(t *testing.T) {
	n := newNode(t)
	stop := n.runtime.serve(t)
	web := rules.Key{Namespace: "shop", Name: "web"}
	n.api.put(enabled(), &corev1.Namespace{ObjectMeta: meta("", "shop")}, pod("web", ""), deny("all"))
	n.run()
	n.until("the first rules", func() bool { return n.applied() > 0 })
	n.runtime.starts("s1", web, "10.244.1.2", 1)
	n.restricts("10.244.1.2")
	n.runtime.starts("s2", web, "10.244.1.3", 2) // its successor, before it has gone
	n.restricts("10.244.1.3")
	n.runtime.stops("s1")
	n.runtime.starts("s3", rules.Key{Namespace: "shop", Name: "unknown"}, "10.244.1.9", 1)
	n.runtime.starts("s4", rules.Key{Namespace: "shop", Name: "on-the-node"}, "", 1)
	n.api.put(pod("on-the-node", ""), pod("unknown", ""))
	n.restricts("10.244.1.3", "10.244.1.9")

	stop()
	n.runtime.stops("s3")
	n.runtime.starts("s5", web, "10.244.1.5", 5)
	n.runtime.serve(t)
	n.restricts("10.244.1.5")
}

func TestAKernelThatRefuses(t *testing.T) {
	n := newNode(t)
	n.runtime.serve(t)
	n.kernel.fails = errors.New("nftables cannot be used on this node: no such protocol")
	n.api.put(enabled(), &corev1.Namespace{ObjectMeta: meta("", "shop")}, pod("web", "10.244.1.2"), deny("all"))
	n.run()
	n.is(cluster.PhaseFailed, "no such protocol")
	if c := n.Component(); c.Phase != cluster.PhaseFailed || !strings.Contains(c.Reason, "no such protocol") {
		t.Errorf("the component is %+v", c)
	}
	n.kernel.set(func() { n.kernel.fails = nil })
	n.restricts("10.244.1.2")
	n.is(cluster.PhaseRunning, "")
}

func TestWhatOthersChangeIsRestored(t *testing.T) {
	n := newNode(t)
	n.runtime.serve(t)
	n.api.put(enabled(), &corev1.Namespace{ObjectMeta: meta("", "shop")}, pod("web", "10.244.1.2"), deny("all"))
	n.run()
	n.restricts("10.244.1.2")
	n.kernel.set(func() { n.kernel.now, n.kernel.damaged = nil, errors.New("there are 0 rules instead of 9") })
	n.until("a repair", func() bool {
		n.kernel.mu.Lock()
		defer n.kernel.mu.Unlock()
		return n.kernel.now != nil && n.kernel.damaged == nil
	})
}

// TestTheFirstPolicyDoesNotDisturb: pods are read when there is one, and nobody should see that as trouble.
func TestTheFirstPolicyDoesNotDisturb(t *testing.T) {
	n := newNode(t)
	n.runtime.serve(t)
	n.api.put(enabled(), &corev1.Namespace{ObjectMeta: meta("", "shop")}, pod("web", "10.244.1.2"))
	n.run()
	n.is(cluster.PhaseRunning, "")
	_, changed := n.Health()
	n.api.put(deny("all"))
	n.restricts("10.244.1.2")
	select {
	case <-changed:
		h, _ := n.Health()
		t.Errorf("the health has changed: %+v", h)
	default:
	}
}

func TestClusterDNSIsThatOfTheAddon(t *testing.T) {
	n := newNode(t)
	n.runtime.serve(t)
	dns := &corev1.Service{ObjectMeta: meta(metav1.NamespaceSystem, dnsService), Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.10"}}
	dns.Labels = map[string]string{addonLabel: cluster.DNSAddon}
	n.api.put(enabled(), dns, &corev1.Namespace{ObjectMeta: meta("", "shop")}, pod("web", "10.244.1.2"), deny("all"))
	n.run()
	known := func(want bool) {
		t.Helper()
		n.until(fmt.Sprint("the address of DNS to be known: ", want), func() bool {
			n.kernel.mu.Lock()
			defer n.kernel.mu.Unlock()
			return n.kernel.now != nil && n.kernel.now.Sets["dns"].Elements["10.96.0.10"] == want
		})
	}
	known(true)
	dns.Labels = nil // somebody's own servers
	n.api.put(dns)
	known(false)
}

func TestHealthOverHTTP(t *testing.T) {
	n := newNode(t)
	server := httptest.NewServer(n.Handler())
	defer server.Close()
	response, err := http.Get(server.URL + "/health")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewScanner(response.Body)
	for _, want := range []string{`{"phase":"Starting","reason":"not started yet"}`, `{"phase":"Running"}`, `{"phase":"Failed","reason":"x"}`} {
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("got %s, want %s (%v)", lines.Text(), want, lines.Err())
		}
		if strings.Contains(want, "started yet") {
			n.report(cluster.PhaseRunning, "")
		} else {
			n.report(cluster.PhaseFailed, "x")
		}
	}
}

// TestWhatWasStopped: addresses are those of pods, and each has the policies that apply to it now.
func TestWhatWasStopped(t *testing.T) {
	n := newNode(t)
	n.runtime.serve(t)
	if list, err := n.Denied(); err != nil || len(list) > 0 {
		t.Errorf("before there are rules: %+v, %v", list, err)
	}
	only := deny("only-api")
	only.Spec = networkingv1.NetworkPolicySpec{
		PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}},
		Ingress:     []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "api"}}}}}},
	}
	n.api.put(enabled(), &corev1.Namespace{ObjectMeta: meta("", "shop")}, pod("web", "10.244.1.2"), pod("db", "10.244.1.3"), only)
	packet := rules.Packet{Source: netip.MustParseAddr("10.244.1.2"), Dest: netip.MustParseAddr("10.244.1.3"), Protocol: "tcp", Port: 5432}
	n.kernel.set(func() { n.kernel.drops = []rules.Drop{{Packet: packet, Packets: 7, Ago: time.Second}} })
	n.run()
	n.restricts("10.244.1.3")
	n.is(cluster.PhaseRunning, "")
	server := httptest.NewServer(n.Handler())
	defer server.Close()
	var list []cluster.Denied
	answerOf(t, http.MethodGet, server.URL+"/denied", nil, &list)
	if len(list) != 1 {
		t.Fatalf("got %+v", list)
	}
	d := list[0]
	if d.From != "shop/web" || d.To != "shop/db" || d.Egress || !d.Still || d.Packets != 7 || d.Proto != "TCP" || time.Since(d.Last) < time.Second ||
		!slices.Equal(d.Policies, []cluster.PolicyWords{{Namespace: "shop", Name: "only-api", Allows: "ingress from pods app=api"}}) {
		t.Errorf("got %+v", d)
	}
	q := cluster.PolicyQuestion{Source: packet.Source, Dest: netip.AddrPortFrom(packet.Dest, packet.Port), Proto: "TCP"}
	var judged cluster.PolicyAnswer
	answerOf(t, http.MethodPost, server.URL+"/judge", q, &judged)
	if judged.Phase != cluster.PhaseRunning || judged.Egress != nil || judged.Ingress == nil || judged.Ingress.Allowed || judged.Ingress.Policies[0].Name != "only-api" {
		t.Errorf("judged %+v", judged)
	}

	only.Spec.Ingress[0].From[0].PodSelector.MatchLabels["app"] = "web"
	n.api.put(only)
	n.until("the policy to allow it", func() bool {
		answer, err := n.Judge(q)
		return err == nil && answer.Ingress != nil && answer.Ingress.Allowed && answer.Ingress.By == "shop/only-api"
	})
	if list, err := n.Denied(); err != nil || len(list) != 1 || list[0].Still {
		t.Errorf("what is allowed now: %+v, %v", list, err)
	}
}

func answerOf(t *testing.T, method, url string, question, answer any) {
	t.Helper()
	body, err := json.Marshal(question)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s, %v", method, url, resp.Status, err)
	}
}
