package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/test/e2e/harness"
)

// balanced is a cluster whose Services of type LoadBalancer are tried.
type balanced struct {
	*harness.Cluster
	n *harness.Namespace
}

// TestLoadBalancer has Services of type LoadBalancer answer this machine, whatever happens to nodes and the control plane.
func TestLoadBalancer(t *testing.T) {
	c := harness.New(t)
	c.Start(t)
	c.LoadImages(t)
	b := &balanced{c, c.NewNamespace(t)}
	servers(t, b.n)
	for _, test := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"answers", b.testAnswers},
		{"Local keeps the client's address", b.testLocal},
		{"requested, shared and foreign", b.testChoice},
		{"exhausted", b.testExhausted},
		{"the daemon is killed", b.testDaemonKilled},
		{"the agent is killed", b.testAgentKilled},
		{"a node is frozen", b.testFrozen},
		{"a node is killed", b.testNodeKilled},
		{"off and on", b.testOff},
	} {
		t.Run(test.name, test.run)
	}
}

// create creates a Service for all servers and returns its address.
func (b *balanced) create(t *testing.T, name string, change ...func(*corev1.Service)) string {
	t.Helper()
	s := serverService(name, corev1.ServiceTypeLoadBalancer)
	for _, f := range change {
		f(s)
	}
	began := time.Now()
	b.n.Service(t, s)
	a := b.address(t, name)
	t.Logf("Service %s has address %s after %s", name, a, time.Since(began).Round(time.Millisecond))
	return a
}

// address waits for the address of a Service.
func (b *balanced) address(t *testing.T, name string) (a string) {
	t.Helper()
	harness.Until(t, 30*time.Second, "address of Service "+name, func() error {
		s, err := b.n.Client.CoreV1().Services(b.n.Namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(s.Status.LoadBalancer.Ingress) != 1 {
			return fmt.Errorf("its status is %+v", s.Status.LoadBalancer)
		}
		a = s.Status.LoadBalancer.Ingress[0].IP
		return nil
	})
	return a
}

// remove deletes a Service, which has to be possible.
func (b *balanced) remove(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		b.Kubectl(t, "-n", b.n.Namespace, "delete", "service", name, "--timeout=30s")
	}
}

// answers waits until an address answers this machine, and returns how long that took.
func (b *balanced) answers(t *testing.T, address string) time.Duration {
	t.Helper()
	began := time.Now()
	harness.Until(t, time.Minute, "answer of "+address, func() error {
		conn, err := net.DialTimeout("tcp4", address+":81", 500*time.Millisecond)
		if err != nil {
			return err
		}
		defer conn.Close()
		return errors.Join(conn.SetDeadline(time.Now().Add(500*time.Millisecond)), ask(conn))
	})
	return time.Since(began)
}

// silent waits until nothing answers at an address any more: kube-proxy learns a moment later that a Service is gone.
func (b *balanced) silent(t *testing.T, address string) {
	t.Helper()
	harness.Until(t, 10*time.Second, "no answer of "+address, func() error {
		conn, err := net.DialTimeout("tcp4", address+":81", time.Second)
		if err != nil {
			return nil
		}
		return errors.Join(errors.New("it answers"), conn.Close())
	})
}

// ask sends a line to a server and waits for its answer.
func ask(conn net.Conn) error {
	if _, err := conn.Write([]byte("hello\n")); err != nil {
		return err
	}
	_, err := bufio.NewReader(conn).ReadString('\n')
	return err
}

// holder is the node that announces an address, as the agents know it.
func (b *balanced) holder(t *testing.T, address string) (node string) {
	t.Helper()
	harness.Until(t, 30*time.Second, "one node that announces "+address, func() error {
		var nodes []string
		for _, n := range b.Nodes(t) {
			out, err := harness.TryDocker("exec", harness.Container(t, n), "cat", "/run/bonsai/announced.json")
			if err != nil {
				continue // it has never announced anything
			}
			var a cluster.Announcement
			if err := json.Unmarshal([]byte(out), &a); err != nil {
				return err
			}
			if slices.ContainsFunc(a.Addresses, func(one cluster.AnnouncedAddress) bool { return one.Address.String() == address }) {
				nodes = append(nodes, n)
			}
		}
		if len(nodes) != 1 {
			return fmt.Errorf("these announce it: %v", nodes)
		}
		node = nodes[0]
		return nil
	})
	return node
}

func (b *balanced) testAnswers(t *testing.T) {
	a := b.create(t, "web")
	t.Logf("the first answer came after %s", b.answers(t, a).Round(time.Millisecond))
	want := targets(a, 80, 81)
	for target, got := range harness.HostFetch(t, 6, want...) {
		if len(got) != 6 {
			t.Errorf("%s answers %q", target, got)
		}
	}
	pods := []string{}
	for _, node := range b.Nodes(t) {
		pods = append(pods, "on-"+node)
	}
	for _, pod := range pods { // one of them is on the node that announces it
		for target, got := range b.n.Fetch(t, pod, 2, want...) {
			if len(got) != 2 {
				t.Errorf("%s answers %s with %q", target, pod, got)
			}
		}
	}
	for _, node := range b.Nodes(t) {
		if got := harness.InNode(t, node, "timeout", "5", "wget", "-q", "-O", "-", "http://"+a+"/"); !strings.Contains(got, "on-") {
			t.Errorf("node %s gets %q", node, got)
		}
	}
	// A port that no Service has is refused, and not silent.
	began := time.Now()
	if conn, err := net.DialTimeout("tcp4", a+":82", 10*time.Second); !errors.Is(err, syscall.ECONNREFUSED) {
		if err == nil {
			_ = conn.Close()
		}
		t.Errorf("port 82: %v after %s", err, time.Since(began))
	}
	if url := b.Must(t, "service", "web", "-n", b.n.Namespace, "--url"); !strings.Contains(url, "http://"+a+":80\n") || !strings.Contains(url, "udp://"+a+":81\n") {
		t.Errorf("bonsai service prints %q", url)
	}
	b.remove(t, "web")
	b.silent(t, a)
	if again := b.create(t, "web"); again != a {
		t.Errorf("the address was not released: the next Service has %s", again)
	}
	b.Kubectl(t, "-n", b.n.Namespace, "patch", "service", "web", "-p", `{"spec":{"type":"ClusterIP"}}`)
	if other := b.create(t, "other"); other != a {
		t.Errorf("a Service of another type keeps %s: the next one has %s", a, other)
	}
	b.remove(t, "web", "other")
}

func (b *balanced) testLocal(t *testing.T) {
	nodes := b.Nodes(t)
	lonely := harness.On(nodes[2], b.n.Pod("lonely", harness.Testpod, "serve"))
	lonely.Labels["role"] = "lonely"
	b.n.Create(t, lonely)
	a := b.create(t, "local", func(s *corev1.Service) {
		s.Spec.Selector = map[string]string{"role": "lonely"}
		s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	})
	b.answers(t, a)
	if at := b.holder(t, a); at != nodes[2] {
		t.Errorf("%s announces the address, and the pod is on %s", at, nodes[2])
	}
	conn, err := net.Dial("udp4", a+":81")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	own, _, _ := net.SplitHostPort(conn.LocalAddr().String())
	for target, got := range harness.HostFetch(t, 3, targets(a, 80, 81)...) {
		for _, line := range got {
			if !strings.HasPrefix(line, "lonely "+own) {
				t.Errorf("%s sees %q, and the client is %s", target, line, own)
			}
		}
	}
	if got := b.n.Fetch(t, "on-"+nodes[0], 1, "http://"+a+"/"); len(got) != 1 {
		t.Errorf("a pod of another node gets %v", got)
	}
	// The pod moves, and the address with it.
	b.Kubectl(t, "-n", b.n.Namespace, "delete", "pod", "lonely", "--now")
	second := harness.On(nodes[0], b.n.Pod("second", harness.Testpod, "serve"))
	second.Labels["role"] = "lonely"
	b.n.Create(t, second)
	b.answers(t, a)
	if at := b.holder(t, a); at != nodes[0] {
		t.Errorf("%s announces the address, and the pod is on %s", at, nodes[0])
	}
	b.remove(t, "local")
}

// pool is the addresses that the cluster has for Services.
func (b *balanced) pool(t *testing.T) cluster.AddressRange {
	t.Helper()
	node := harness.InNode(t, b.Nodes(t)[0], "cat", "/etc/bonsai/node.json")
	var cfg cluster.NodeConfig
	if err := json.Unmarshal([]byte(node), &cfg); err != nil {
		t.Fatal(err)
	}
	spec := cluster.Spec{Subnet: cfg.Subnet}
	return spec.LoadBalancerRanges()[0]
}

func (b *balanced) testChoice(t *testing.T) {
	last := b.pool(t).Last
	annotated := func(key, value string) func(*corev1.Service) {
		return func(s *corev1.Service) {
			if s.Annotations == nil {
				s.Annotations = map[string]string{}
			}
			s.Annotations[key] = value
		}
	}
	if a := b.create(t, "field", func(s *corev1.Service) { s.Spec.LoadBalancerIP = last.String() }); a != last.String() {
		t.Errorf("spec.loadBalancerIP %s is %s", last, a)
	}
	before := last.Prev().String()
	if a := b.create(t, "annotation", annotated("bonsai.io/load-balancer-ip", before)); a != before {
		t.Errorf("the annotation %s is %s", before, a)
	}
	if a := b.create(t, "classy", func(s *corev1.Service) { s.Spec.LoadBalancerClass = new(cluster.LoadBalancerClass) }); netip.MustParseAddr(a).Compare(last) >= 0 {
		t.Errorf("a Service of our class has %s", a)
	}
	shared := annotated("bonsai.io/allow-shared-ip", "x")
	port := func(p int32) func(*corev1.Service) {
		return func(s *corev1.Service) {
			s.Spec.Ports = []corev1.ServicePort{s.Spec.Ports[1]}
			s.Spec.Ports[0].Port = p
		}
	}
	one, two := b.create(t, "one", shared, port(81)), b.create(t, "two", shared, port(91))
	if one != two {
		t.Errorf("Services that share have %s and %s", one, two)
	}
	for _, p := range []string{"81", "91"} {
		harness.Until(t, 10*time.Second, "answer of the shared address", func() error {
			conn, err := net.DialTimeout("tcp4", one+":"+p, time.Second)
			if err == nil {
				err = errors.Join(ask(conn), conn.Close())
			}
			return err
		})
	}
	b.n.Service(t, func() *corev1.Service {
		s := serverService("foreign", corev1.ServiceTypeLoadBalancer)
		s.Spec.LoadBalancerClass = new("metal.test/x")
		return s
	}())
	b.n.Service(t, func() *corev1.Service {
		s := serverService("outside", corev1.ServiceTypeLoadBalancer)
		s.Spec.LoadBalancerIP = "192.0.2.1"
		return s
	}())
	b.event(t, "outside", "the requested address 192.0.2.1 is not one of the addresses of load balancers")
	s, err := b.n.Client.CoreV1().Services(b.n.Namespace).Get(t.Context(), "foreign", metav1.GetOptions{})
	if err != nil || len(s.Status.LoadBalancer.Ingress) != 0 || len(s.Finalizers) != 0 {
		t.Errorf("a Service of another class has %v %v, %v", s.Status.LoadBalancer, s.Finalizers, err)
	}
	b.remove(t, "field", "annotation", "classy", "one", "two", "foreign", "outside")
}

// event waits for an Event about a Service.
func (b *balanced) event(t *testing.T, service, text string) {
	t.Helper()
	harness.Until(t, 30*time.Second, "Event about Service "+service, func() error {
		out := b.Kubectl(t, "-n", b.n.Namespace, "get", "events", "--field-selector", "involvedObject.name="+service, "-o", "jsonpath={.items[*].message}")
		if !strings.Contains(out, text) {
			return fmt.Errorf("there are %q", out)
		}
		return nil
	})
}

func (b *balanced) testExhausted(t *testing.T) {
	last := b.pool(t).Last
	b.Must(t, "addons", "configure", "loadbalancer", "addresses="+last.String())
	if a := b.create(t, "only"); a != last.String() {
		t.Errorf("the only address is %s, a Service has %s", last, a)
	}
	b.n.Service(t, serverService("late", corev1.ServiceTypeLoadBalancer))
	b.event(t, "late", "no address is free: all 1 of "+last.String()+" are in use")
	if r := b.Bonsai(t, "addons", "status", "loadbalancer"); !strings.Contains(r.Stdout, "no address is free") || r.Code == 0 {
		t.Errorf("%s", r)
	}
	b.remove(t, "only")
	if a := b.address(t, "late"); a != last.String() {
		t.Errorf("the address that was released is %s, a waiting Service has %s", last, a)
	}
	b.Must(t, "addons", "configure", "loadbalancer", "addresses=")
	b.remove(t, "late")
}

func (b *balanced) testOff(t *testing.T) {
	a := b.create(t, "web")
	b.Must(t, "addons", "disable", "loadbalancer")
	s, err := b.n.Client.CoreV1().Services(b.n.Namespace).Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil || len(s.Status.LoadBalancer.Ingress) != 0 || len(s.Finalizers) != 0 {
		t.Errorf("without the addon the Service has %v %v, %v", s.Status.LoadBalancer, s.Finalizers, err)
	}
	b.silent(t, a)
	harness.Until(t, time.Minute, "status to say why", func() error {
		snapshot, _ := b.Status(t)
		for _, p := range snapshot.Problems {
			if p.Kind == cluster.ProblemBalancer && strings.Contains(p.Cause, "is disabled") {
				return nil
			}
		}
		return fmt.Errorf("problems are %+v", snapshot.Problems)
	})
	b.Must(t, "addons", "enable", "loadbalancer")
	a = b.address(t, "web")
	b.answers(t, a)
	b.remove(t, "web")
}

// TestLoadBalancerWithoutNodes: the Service says why it stays pending.
func TestLoadBalancerWithoutNodes(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	c.Start(t, "--nodes", "0")
	c.Kubectl(t, "create", "service", "loadbalancer", "web", "--tcp=80:80")
	harness.Until(t, time.Minute, "status to say why", func() error {
		snapshot, _ := c.Status(t)
		for _, p := range snapshot.Problems {
			if p.Kind == cluster.ProblemBalancer && strings.Contains(p.Cause, "the cluster has no nodes") {
				return nil
			}
		}
		return fmt.Errorf("problems are %+v", snapshot.Problems)
	})
	c.Kubectl(t, "delete", "service", "web", "--timeout=30s")
}
