package e2e

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bonsai/test/e2e/harness"
)

// servers creates one serving pod on each node, with the label role=server, named after the node.
func servers(t *testing.T, n *harness.Namespace) []*corev1.Pod {
	t.Helper()
	var pods []*corev1.Pod
	for _, node := range n.Nodes(t) {
		p := harness.On(node, n.Pod("on-"+node, harness.Testpod, "serve"))
		p.Labels["role"] = "server"
		pods = append(pods, p)
	}
	return n.Create(t, pods...)
}

// targets are the three ways to ask a server.
func targets(host string, httpPort, otherPort int32) []string {
	return []string{
		fmt.Sprintf("http://%s:%d/", host, httpPort),
		fmt.Sprintf("tcp://%s:%d", host, otherPort),
		fmt.Sprintf("udp://%s:%d", host, otherPort),
	}
}

// serverService is a Service for all servers, HTTP on 80, TCP and UDP on 81.
func serverService(name string, kind corev1.ServiceType) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Type: kind, Selector: map[string]string{"role": "server"},
			Ports: []corev1.ServicePort{
				{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)},
				{Name: "tcp", Port: 81, TargetPort: intstr.FromInt32(8081)},
				{Name: "udp", Port: 81, TargetPort: intstr.FromInt32(8081), Protocol: corev1.ProtocolUDP},
			},
		},
	}
}

// answerers counts the pods that answered.
func answerers(answers []string) map[string]int {
	count := map[string]int{}
	for _, a := range answers {
		name, _, _ := strings.Cut(a, " ")
		count[name]++
	}
	return count
}

// Every pod reaches every pod by its address, on all nodes, and is seen with its own address.
func testPodNetwork(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	pods := servers(t, n)
	bridge := strings.TrimSpace(harness.InNode(t, pods[0].Spec.NodeName, "cat", "/sys/class/net/eth0/mtu"))
	for _, from := range pods {
		var ask []string
		want := map[string]string{}
		for _, to := range pods {
			for _, target := range targets(to.Status.PodIP, 8080, 8081) {
				ask = append(ask, target)
				want[target] = to.Name + " " + from.Status.PodIP
			}
		}
		for target, got := range n.Fetch(t, from.Name, 1, ask...) {
			if got[0] != want[target] {
				t.Errorf("%s asked %s: answer %q, want %q", from.Name, target, got[0], want[target])
			}
		}
		// Large ones, which need a correct MTU: many full segments, and a datagram in fragments.
		other := pods[0]
		if other == from {
			other = pods[1]
		}
		large := fmt.Sprintf("http://%s:8080/bytes?n=5000000", other.Status.PodIP)
		if got := n.Fetch(t, from.Name, 1, large)[large][0]; got != "5000000 bytes" {
			t.Errorf("%s got %q from %s, want 5000000 bytes", from.Name, got, other.Name)
		}
		datagram := fmt.Sprintf("udp://%s:8081", other.Status.PodIP)
		out := n.Exec(t, from.Name, "testpod", "fetch", "-size", "8000", datagram)
		if got := harness.ParseFetch(t, out)[datagram][0]; !strings.HasSuffix(got, "8000 bytes") {
			t.Errorf("%s got %q for a datagram of 8000 bytes", from.Name, got)
		}
	}
	box := n.Create(t, n.Pod("mtu", harness.Busybox, "-c", "sleep 1000"))[0]
	if got := strings.TrimSpace(n.Exec(t, box.Name, "cat", "/sys/class/net/eth0/mtu")); got != bridge {
		t.Errorf("the MTU of a pod is %s, that of its node %s", got, bridge)
	}
}

// Services by cluster address from pods, and by node port from pods and from this machine.
func testServices(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	pods := servers(t, n)
	service := n.Service(t, serverService("servers", corev1.ServiceTypeNodePort))
	const times = 40 // the chance that one of three never answers is 1 in 4 million
	nodePort := func(host string) []string {
		http, tcp, udp := service.Spec.Ports[0].NodePort, service.Spec.Ports[1].NodePort, service.Spec.Ports[2].NodePort
		return []string{
			fmt.Sprintf("http://%s:%d/", host, http), fmt.Sprintf("tcp://%s:%d", host, tcp), fmt.Sprintf("udp://%s:%d", host, udp),
		}
	}
	all := func(from string, answers map[string][]string) {
		t.Helper()
		for target, got := range answers {
			count := answerers(got)
			for _, p := range pods {
				if count[p.Name] == 0 {
					t.Errorf("%s asked %s %d times, %s never answered: %v", from, target, times, p.Name, count)
				}
			}
		}
	}
	for _, from := range pods {
		all(from.Name, n.Fetch(t, from.Name, times, targets(service.Spec.ClusterIP, 80, 81)...))
		for _, to := range pods {
			all(from.Name, n.Fetch(t, from.Name, times, nodePort(to.Status.HostIP)...))
		}
	}
	for _, to := range pods {
		all("this machine", harness.HostFetch(t, times, nodePort(to.Status.HostIP)...))
	}

	// On each node's loopback interface too, by which containerd names a registry in the cluster: localhost:NODEPORT.
	for _, node := range n.Nodes(t) {
		local := fmt.Sprintf("http://localhost:%d/", service.Spec.Ports[0].NodePort)
		if got := harness.InNode(t, node, "bonsai-agent", "probe", local); !strings.Contains(got, "200 OK") {
			t.Errorf("%s asked %s: %q", node, local, got)
		}
	}

	// The API server's own Service, from inside.
	api := n.Fetch(t, pods[0].Name, 1, "https://10.96.0.1:443/readyz")["https://10.96.0.1:443/readyz"]
	if api[0] != "ok" {
		t.Errorf("the API server's Service answers %q, want ok", api[0])
	}
}

func testHostPortAndHairpin(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	nodes := n.Nodes(t)
	p := harness.On(nodes[0], n.Pod("lonely", harness.Testpod, "serve"))
	p.Labels["role"] = "server"
	p.Spec.Containers[0].Ports = []corev1.ContainerPort{
		{ContainerPort: 8080, HostPort: 18080}, {ContainerPort: 8081, HostPort: 18081},
		{ContainerPort: 8081, HostPort: 18081, Protocol: corev1.ProtocolUDP},
	}
	other := harness.On(nodes[1], n.Pod("other", harness.Testpod, "serve"))
	pods := n.Create(t, p, other)
	lonely := pods[0]
	hostPort := targets(lonely.Status.HostIP, 18080, 18081)
	for from, answers := range map[string]map[string][]string{
		"a pod on another node": n.Fetch(t, other.Name, 1, hostPort...),
		"the pod itself":        n.Fetch(t, lonely.Name, 1, hostPort...),
		"this machine":          harness.HostFetch(t, 1, hostPort...),
	} {
		for target, got := range answers {
			if answerers(got)["lonely"] != 1 {
				t.Errorf("%s asked %s: %q, want lonely to answer", from, target, got)
			}
		}
	}
	// Hairpin: a pod reaches itself by its Service.
	service := n.Service(t, serverService("lonely", corev1.ServiceTypeClusterIP))
	for target, got := range n.Fetch(t, lonely.Name, 5, targets(service.Spec.ClusterIP, 80, 81)...) {
		if answerers(got)["lonely"] != 5 {
			t.Errorf("the pod asked %s of its own Service: %q", target, got)
		}
	}
}

func testSessionAffinity(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	pods := servers(t, n)
	s := serverService("sticky", corev1.ServiceTypeClusterIP)
	s.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	service := n.Service(t, s)
	for _, from := range pods {
		// The first answers may come while the last endpoint is still being added.
		target := fmt.Sprintf("http://%s:80/", service.Spec.ClusterIP)
		harness.Until(t, 20*time.Second, "one pod answers all", func() error {
			if count := answerers(n.Fetch(t, from.Name, 30, target)[target]); len(count) != 1 {
				return fmt.Errorf("%s was answered by %v", from.Name, count)
			}
			return nil
		})
	}
}

// A pod's traffic to the outside has its node's address: nothing outside has a route to pods.
func testEgress(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	listener, err := net.Listen("tcp", net.JoinHostPort(engineAddress(t), "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprint(w, "outside ", client)
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	target := "http://" + listener.Addr().String() + "/"
	for _, p := range servers(t, n) {
		got := n.Fetch(t, p.Name, 1, target)[target][0]
		if want := "outside " + p.Status.HostIP; got != want {
			t.Errorf("%s was seen as %q outside, want %q", p.Name, got, want)
		}
	}
}

// engineAddress is this machine's address on the engine's default bridge, which every container can reach.
func engineAddress(t *testing.T) string {
	t.Helper()
	name := harness.Docker(t, "network", "inspect", "bridge", "--format", `{{index .Options "com.docker.network.bridge.name"}}`)
	bridge, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatalf("the engine's default bridge %q: %v", name, err)
	}
	addresses, err := bridge.Addrs()
	if err != nil || len(addresses) == 0 {
		t.Fatalf("the engine's default bridge has the addresses %v, %v", addresses, err)
	}
	ip, _, err := net.ParseCIDR(addresses[0].String())
	if err != nil {
		t.Fatal(err)
	}
	return ip.String()
}

// Rules that are flushed in a node are restored automatically.
func testPodNetworkRepair(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	pods := servers(t, n)
	from, to := pods[0], pods[1]
	flushed := 0
	for route := range strings.SplitSeq(harness.InNode(t, from.Spec.NodeName, "ip", "route"), "\n") {
		if f := strings.Fields(route); len(f) > 2 && f[1] == "via" && f[0] != "default" {
			harness.InNode(t, from.Spec.NodeName, "ip", "route", "del", f[0])
			flushed++
		}
	}
	if flushed != len(pods)-1 {
		t.Errorf("the node had routes to %d others, want %d", flushed, len(pods)-1)
	}
	harness.InNode(t, from.Spec.NodeName, "nft", "delete", "table", "ip", "bonsai")

	target := fmt.Sprintf("http://%s:8080/", to.Status.PodIP)
	if got := n.Fetch(t, from.Name, 1, target)[target][0]; got != to.Name+" "+from.Status.PodIP {
		t.Errorf("after a flush %s asked %s: %q", from.Name, target, got)
	}
	harness.Until(t, 20*time.Second, "masquerade repaired", func() error {
		if table := harness.InNode(t, from.Spec.NodeName, "nft", "list", "tables"); !strings.Contains(table, "table ip bonsai") {
			return fmt.Errorf("the tables are %q", table)
		}
		return nil
	})
}

// port parses a printed port number.
func port(t *testing.T, s string) int {
	t.Helper()
	p, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("%q is not a port", s)
	}
	return p
}
