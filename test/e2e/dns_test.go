package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/test/e2e/harness"
)

// resolvers are the ways to ask in a pod created by clients: each takes names and returns what was found for each.
var resolvers = map[string]func(t *testing.T, n *harness.Namespace, pod string, names []string) map[string]string{
	"go": func(t *testing.T, n *harness.Namespace, pod string, names []string) map[string]string {
		return resolveIn(t, n, pod, "main", append([]string{"testpod", "resolve"}, names...), names)
	},
	"glibc": func(t *testing.T, n *harness.Namespace, pod string, names []string) map[string]string {
		return resolveIn(t, n, pod, "glibc", append([]string{"resolve"}, names...), names)
	},
	"busybox": func(t *testing.T, n *harness.Namespace, pod string, names []string) map[string]string {
		script := "for n in " + strings.Join(names, " ") + "; do echo $n $(nslookup $n 2>/dev/null | sed -n '/^$/,$ s/^Address: //p'); done"
		r := n.Bonsai(t, "kubectl", "--", "-n", n.Namespace, "exec", pod, "-c", "busybox", "--", "sh", "-c", script)
		found := map[string]string{}
		for line := range strings.Lines(r.Stdout) {
			if f := strings.Fields(line); len(f) > 1 {
				found[f[0]] = sorted(f[1:])
			}
		}
		return found
	},
}

func resolveIn(t *testing.T, n *harness.Namespace, pod, container string, command, names []string) map[string]string {
	r := n.Bonsai(t, "kubectl", append([]string{"--", "-n", n.Namespace, "exec", pod, "-c", container, "--"}, command...)...)
	found := map[string]string{}
	for _, name := range names {
		if answers := answersOf(r.Stdout, name); answers != "nothing" {
			found[name] = answers
		}
	}
	return found
}

func sorted(answers []string) string {
	slices.Sort(answers)
	return strings.Join(slices.Compact(answers), " ")
}

// clients creates a pod with all resolvers on each node and returns the pods' names.
func clients(t *testing.T, n *harness.Namespace) []string {
	t.Helper()
	var names []string
	var pods []*corev1.Pod
	for _, node := range n.Nodes(t) {
		p := harness.On(node, n.Pod("ask-"+node, harness.Testpod, "sleep"))
		p.Spec.Containers = append(p.Spec.Containers,
			corev1.Container{Name: "busybox", Image: harness.Busybox, Command: []string{"sleep", "1000000"}},
			corev1.Container{Name: "glibc", Image: harness.Glibcpod, Command: []string{"/bin/resolve", "-wait"}})
		pods, names = append(pods, p), append(names, p.Name)
	}
	n.Create(t, pods...)
	return names
}

// answersOf reads "NAME ok ANSWER..." or "NAME failed CAUSE".
func answersOf(output, name string) string {
	for line := range strings.Lines(output) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), name+" ok"); ok {
			return sorted(strings.Fields(rest))
		}
	}
	return "nothing"
}

func testDNSNames(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	backend := n.Create(t, servers2(n)...)
	service := n.Service(t, serverService("web", corev1.ServiceTypeClusterIP))
	headless := serverService("peers", corev1.ServiceTypeClusterIP)
	headless.Spec.ClusterIP = corev1.ClusterIPNone
	n.Service(t, headless)
	n.Service(t, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "elsewhere"}, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeExternalName, ExternalName: "web." + n.Namespace + ".svc.cluster.local",
	}})
	var addresses []string
	for _, p := range backend {
		addresses = append(addresses, p.Status.PodIP)
	}
	slices.Sort(addresses)
	all := strings.Join(addresses, " ")

	own := n.Namespace + ".svc.cluster.local"
	for _, pod := range clients(t, n) {
		for kind, resolve := range resolvers {
			want := map[string]string{
				"kubernetes.default.svc.cluster.local.": "10.96.0.1",
				"web." + own:                            service.Spec.ClusterIP,
				"WEB." + own:                            service.Spec.ClusterIP,
				"peers." + own:                          all,
				"first.peers." + own:                    backend[0].Status.PodIP,
				"elsewhere." + own:                      service.Spec.ClusterIP,
				"host.bonsai.internal":                  gateway(t, c),
			}
			if kind != "busybox" { // whose nslookup leaves the search path alone if a name has a dot
				want["kubernetes.default"] = "10.96.0.1"
				want["web"] = service.Spec.ClusterIP
				want["first.peers"] = backend[0].Status.PodIP
			}
			names := append(slices.Sorted(maps.Keys(want)), "missing."+own, "kubernetes.default.svc.cluster.lan")
			// kube-proxy and the DNS server receive new objects a moment after the API server.
			harness.Until(t, 20*time.Second, kind+" in "+pod+" resolves all names", func() error {
				if got := resolve(t, n, pod, names); !maps.Equal(got, want) {
					return fmt.Errorf("%s in %s finds %q, want %q", kind, pod, got, want)
				}
				return nil
			})
		}
	}

	pod := "ask-" + n.Nodes(t)[0]
	for _, want := range []struct{ kind, name, answers string }{
		{"SRV", "_http._tcp.web." + n.Namespace + ".svc.cluster.local", "web." + n.Namespace + ".svc.cluster.local.:80/0/100"},
		{"PTR", service.Spec.ClusterIP, "web." + n.Namespace + ".svc.cluster.local."},
		{"TXT", "dns-version.cluster.local", "1.1.0"},
	} {
		for _, tcp := range []string{"-tcp=false", "-tcp"} {
			got := answersOf(n.Exec(t, pod, "testpod", "resolve", tcp, "-type", want.kind, want.name), want.name)
			if got != want.answers {
				t.Errorf("%s %s %s gives %q, want %q", want.kind, want.name, tcp, got, want.answers)
			}
		}
	}
}

// servers2 are two serving pods with host names of their own, on different nodes.
func servers2(n *harness.Namespace) []*corev1.Pod {
	var pods []*corev1.Pod
	for i, name := range []string{"first", "second"} {
		p := n.Pod(name, harness.Testpod, "serve")
		p.Labels["role"] = "server"
		p.Spec.Hostname, p.Spec.Subdomain = name, "peers"
		p.Spec.NodeSelector = map[string]string{corev1.LabelHostname: fmt.Sprintf("%s-%d", n.Name, i+1)}
		pods = append(pods, p)
	}
	return pods
}

// gateway is the address of the host on the nodes' network.
func gateway(t *testing.T, c *harness.Cluster) string {
	t.Helper()
	network := harness.Docker(t, "network", "ls", "-q", "--filter", "label="+harness.Label+"="+c.Name)
	return strings.TrimSpace(harness.Docker(t, "network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", network))
}

// A headless Service with more addresses than a datagram holds is answered over TCP.
func testDNSManyAddresses(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	n.Service(t, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "many"}, Spec: corev1.ServiceSpec{
		ClusterIP: corev1.ClusterIPNone, Ports: []corev1.ServicePort{{Port: 80}},
	}})
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "many-1", Labels: map[string]string{discoveryv1.LabelServiceName: "many"}},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	for addr := netip.MustParseAddr("192.0.2.1"); len(slice.Endpoints) < 200; addr = addr.Next() {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{addr.String()}})
	}
	if _, err := n.Client.DiscoveryV1().EndpointSlices(n.Namespace).Create(t.Context(), slice, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	n.Create(t, n.Pod("client", harness.Testpod, "sleep"))
	harness.Until(t, 10*time.Second, "all addresses", func() error {
		r := n.Bonsai(t, "kubectl", "--", "-n", n.Namespace, "exec", "client", "--", "testpod", "resolve", "many")
		if got := len(strings.Fields(answersOf(r.Stdout, "many"))); got != 200 {
			return fmt.Errorf("%d addresses, want 200", got)
		}
		return nil
	})
}

func testDNSPolicies(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	company := n.Create(t, n.Pod("company", harness.Testpod, "names", "-address", "192.0.2.7"))[0]
	plain := n.Pod("default", harness.Testpod, "sleep")
	plain.Spec.DNSPolicy = corev1.DNSDefault
	onHost := n.Pod("on-host", harness.Testpod, "sleep")
	onHost.Spec.HostNetwork, onHost.Spec.DNSPolicy = true, corev1.DNSClusterFirstWithHostNet
	defaultOnHost := n.Pod("default-on-host", harness.Testpod, "sleep")
	defaultOnHost.Spec.HostNetwork, defaultOnHost.Spec.DNSPolicy = true, corev1.DNSDefault
	own := n.Pod("own", harness.Testpod, "sleep")
	own.Spec.DNSPolicy = corev1.DNSNone
	own.Spec.DNSConfig = &corev1.PodDNSConfig{Nameservers: []string{"10.96.0.10"}, Searches: []string{"svc.cluster.local"}}
	n.Create(t, plain, onHost, defaultOnHost, own)
	resolve := func(pod, name string, flags ...string) string {
		args := append([]string{"--", "-n", n.Namespace, "exec", pod, "--", "testpod", "resolve"}, flags...)
		return answersOf(n.Bonsai(t, "kubectl", append(args, name)...).Stdout, name)
	}
	for _, want := range []struct{ pod, name, answers string }{
		{"default", "host.bonsai.internal", gateway(t, c)},
		{"default", "kubernetes.default.svc.cluster.local", "nothing"},
		{"default-on-host", "host.bonsai.internal", gateway(t, c)},
		{"on-host", "kubernetes.default", "10.96.0.1"},
		{"own", "kubernetes.default", "10.96.0.1"},
	} {
		if got := resolve(want.pod, want.name); got != want.answers {
			t.Errorf("pod %s gets %q for %s, want %q", want.pod, got, want.name, want.answers)
		}
	}
	if got := resolve("own", "a.b.c", "-server", company.Status.PodIP+":8053"); got != "192.0.2.7" {
		t.Errorf("the company's own server gives %q", got)
	}
}

// testDNSConfiguration forwards a domain elsewhere, adds hosts, and makes mistakes, as a user may.
func testDNSConfiguration(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	company := n.Create(t, n.Pod("company", harness.Testpod, "names", "-address", "192.0.2.7"), n.Pod("client", harness.Testpod, "sleep"))[0]
	configMaps := n.Client.CoreV1().ConfigMaps(metav1.NamespaceSystem)
	text := fmt.Sprintf(`corp.example:53 {
    forward . %s:8053
}
.:53 {
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    hosts {
        192.0.2.9 build.example
        fallthrough
    }
    frobnicate on
    forward . /etc/resolv.conf
}
`, company.Status.PodIP)
	// The ConfigMap is there, with what is in force (the addon makes it for scripts that edit it).
	shipped, err := configMaps.Get(t.Context(), "coredns", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	inForce := shipped.Data["Corefile"]
	if !strings.Contains(inForce, "kubernetes cluster.local") {
		t.Errorf("the ConfigMap does not hold the Corefile in force:\n%s", inForce)
	}
	shipped.Data["Corefile"] = text
	if _, err := configMaps.Update(t.Context(), shipped, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	ctx := context.WithoutCancel(t.Context()) // the end of the test uses it as well
	remove := func() error {
		err := configMaps.Delete(ctx, "coredns", metav1.DeleteOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	t.Cleanup(func() { // as it was, for the tests that follow
		_ = remove()
		shipped.ObjectMeta = metav1.ObjectMeta{Name: shipped.Name}
		shipped.Data["Corefile"] = inForce
		if _, err := configMaps.Create(ctx, shipped, metav1.CreateOptions{}); err != nil {
			t.Error(err)
		}
	})
	expect := func(name, want string) {
		t.Helper()
		harness.Until(t, 10*time.Second, name, func() error {
			r := n.Bonsai(t, "kubectl", "--", "-n", n.Namespace, "exec", "client", "--", "testpod", "resolve", name)
			if got := answersOf(r.Stdout, name); got != want {
				return fmt.Errorf("%s gives %q, want %q", name, got, want)
			}
			return nil
		})
	}
	expect("www.corp.example", "192.0.2.7")
	expect("www.gone.corp.example", "nothing")
	expect("build.example", "192.0.2.9")
	expect("kubernetes.default", "10.96.0.1")

	harness.Until(t, 10*time.Second, "a Warning Event", func() error {
		events, err := n.Client.CoreV1().Events(metav1.NamespaceSystem).List(t.Context(), metav1.ListOptions{FieldSelector: "reason=DNSConfigProblem"})
		if err != nil {
			return err
		}
		for _, e := range events.Items {
			if strings.Contains(e.Message, "frobnicate") && e.InvolvedObject.Name == "coredns" && e.Type == corev1.EventTypeWarning {
				return nil
			}
		}
		return fmt.Errorf("%d events, none about the directive", len(events.Items))
	})
	if status := c.Bonsai(t, "dns", "status").Stdout; !strings.Contains(status, "frobnicate") || !strings.Contains(status, company.Status.PodIP) {
		t.Errorf("dns status names neither the directive nor the upstream:\n%s", status)
	}
	if err := remove(); err != nil {
		t.Fatal(err)
	}
	expect("build.example", "nothing")
	expect("kubernetes.default", "10.96.0.1")
}

// Killing the agent also kills its node's DNS, kubelet and kube-proxy. Pods of that node must not notice for more than
// a moment.
func testDNSSurvivesItsAgent(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	node := c.Nodes(t)[0]
	// The pod's own process asks, because a command executed in the pod depends on the kubelet. A lost question is
	// repeated after half a second: what counts is when it is answered.
	client := n.Pod("client", harness.Testpod, "lookups", "-for", "8s", "-limit", "500ms", "kubernetes.default.svc.cluster.local.")
	client.Spec.RestartPolicy = corev1.RestartPolicyNever
	n.Create(t, harness.On(node, client))
	for range 2 {
		time.Sleep(2 * time.Second) // lookups continue in the meantime, and are observed
		harness.InNode(t, node, "sh", "-c", "kill -9 $(pidof bonsai-agent)")
	}
	harness.Until(t, time.Minute, "the end of the lookups", func() error {
		p, err := n.Client.CoreV1().Pods(n.Namespace).Get(t.Context(), "client", metav1.GetOptions{})
		if err == nil && p.Status.Phase != corev1.PodSucceeded {
			err = fmt.Errorf("the pod is %s", p.Status.Phase)
		}
		return err
	})
	output := n.Kubectl(t, "-n", n.Namespace, "logs", "client")
	var count, failed int
	var gap string
	if _, err := fmt.Sscanf(output, "%d lookups, %d failed, longest gap %s", &count, &failed, &gap); err != nil {
		t.Fatalf("lookups printed %q", output)
	}
	longest, err := time.ParseDuration(strings.TrimSuffix(gap, ","))
	if err != nil || longest > harness.Scale(2*time.Second) || count < 10 {
		t.Errorf("the pod was without names for too long: %s", output)
	}
	t.Log(strings.TrimSpace(output))
	harness.Until(t, 30*time.Second, "all nodes ready again", func() error {
		if s, code := c.Status(t); code != 0 {
			return fmt.Errorf("status says %s", s.Phase)
		}
		return nil
	})
}

// testDNSVisible looks at DNS like a user who wants to know which pod asks for what.
func testDNSVisible(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	n.Create(t, n.Pod("client", harness.Testpod, "sleep"))
	lines, stop := c.Follow(t, "dns", "log", "-f", "-o", "json")
	defer stop()
	seen := false
	for deadline := time.Now().Add(harness.Scale(20 * time.Second)); !seen && time.Now().Before(deadline); {
		n.Bonsai(t, "kubectl", "--", "-n", n.Namespace, "exec", "client", "--", "testpod", "resolve", "nobody.example")
		for len(lines) > 0 {
			var q cluster.DNSQuery
			if err := json.Unmarshal([]byte(<-lines), &q); err != nil {
				t.Fatalf("dns log -o json: %v", err)
			}
			// The names of the search path were asked first, and are reported with the one that ended the search.
			seen = seen || q.Pod == n.Namespace+"/client" && strings.HasPrefix(q.Name, "nobody.example.") && len(q.Tries) >= 3
		}
	}
	if !seen {
		t.Error("dns log does not show the pod's search for nobody.example")
	}

	trace := c.Bonsai(t, "dns", "query", "kubernetes.default", "--from", n.Namespace+"/client", "--trace")
	if trace.Code != 0 || !strings.Contains(trace.Stdout, "10.96.0.1") || !strings.Contains(trace.Stdout, n.Namespace+".svc.cluster.local") {
		t.Errorf("dns query --trace does not show answer and search: %s", trace)
	}
	if r := c.Bonsai(t, "dns", "query", "kubernetes.defualt"); r.Code == 0 {
		t.Errorf("a name that does not exist gives exit code 0: %s", r)
	}
	if r := c.Bonsai(t, "dns", "flush"); r.Code != 0 {
		t.Errorf("dns flush: %s", r)
	}
}
