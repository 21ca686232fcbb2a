package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bonsai/bootstrap/cluster"
	"bonsai/test/e2e/harness"
)

// policed is the world of the tests of policies: a server and a client on each of two nodes.
type policed struct {
	*harness.Namespace
	near, far string            // clients on the server's node and on the other one
	at        map[string]string // addresses of pods
	service   string
}

// TestNetworkPolicies has what a policy allows and denies, between pods of one node and of two, and what becomes of it when
// policies, pods, agents and the addon itself come and go.
func TestNetworkPolicies(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	c.Start(t, "--nodes", "2")
	c.Must(t, "addons", "enable", cluster.NetworkPolicyAddon) // waits until it runs
	c.LoadImages(t)
	w := newPoliced(t, c)

	for _, test := range []struct {
		name, policy string
		near, far    bool
	}{
		{"nothing", "", true, true},
		{"deny all", "podSelector: {}", false, false},
		{"deny all egress", "{podSelector: {matchLabels: {app: far}}, policyTypes: [Egress]}", true, false},
		{"by label", "{podSelector: {matchLabels: {app: server}}, ingress: [{from: [{podSelector: {matchLabels: {app: far}}}]}]}", false, true},
		{"by namespace", "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NS}}, podSelector: {matchLabels: {app: near}}}]}]}", true, false},
		{"by another namespace", "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: default}}}]}]}", false, false},
		{"by port", "{podSelector: {}, ingress: [{ports: [{port: 8080}]}]}", true, true},
		{"by another port", "{podSelector: {}, ingress: [{ports: [{port: 8081}, {port: 9000, endPort: 9999}, {port: 8080, protocol: UDP}]}]}", false, false},
		{"by a range of ports", "{podSelector: {}, ingress: [{ports: [{port: 8000, endPort: 8090}]}]}", true, true},
		{"by the name of a port", "{podSelector: {}, ingress: [{ports: [{port: web}]}]}", true, true},
		{"egress by the name of a port", "{podSelector: {matchLabels: {app: near}}, policyTypes: [Egress], egress: [{ports: [{port: other}]}]}", false, true},
		{"by a block", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: FAR/32}}]}]}", false, true},
		{"by a block with an exception", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [FAR/32]}}]}]}", true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w.only(t, test.policy)
			for from, want := range map[string]bool{w.near: test.near, w.far: test.far} {
				w.wants(t, from, "http://"+w.at["server"]+":8080/", want)
				w.wants(t, from, "http://"+w.service+"/", want)
			}
		})
	}

	t.Run("a pod reaches itself and the kubelet its pods", func(t *testing.T) {
		w.only(t, "{podSelector: {}, policyTypes: [Ingress, Egress]}")
		w.wants(t, "near", "http://"+w.at["server"]+":8080/", false)
		if got := w.Fetch(t, "server", 1, "http://"+w.service+"/")["http://"+w.service+"/"]; len(got) != 1 {
			t.Errorf("got %q", got)
		}
		probed := w.Pod("probed", harness.Testpod, "serve")
		probed.Spec.Containers[0].ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromInt(8080)}}, PeriodSeconds: 1}
		w.Create(t, probed)
	})

	t.Run("cluster DNS", func(t *testing.T) {
		asks := func() bool {
			r := w.Bonsai(t, "kubectl", "--", "-n", w.Namespace.Namespace, "exec", "server", "--", "testpod", "resolve", "kubernetes.default.svc.cluster.local.")
			return r.Code == 0 && strings.Contains(r.Stdout, "10.96.0.1")
		}
		for policy, want := range map[string]bool{
			"{podSelector: {}, policyTypes: [Egress]}": false,
			"{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{port: 53, protocol: UDP}]}]}": true,
			"{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 53, protocol: UDP}]}]}":   true,
			"{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 5353, protocol: UDP}]}]}": false,
		} {
			w.only(t, policy)
			harness.Until(t, time.Minute, fmt.Sprintf("answers of DNS to be %v with %s", want, policy), func() error {
				if asks() != want {
					return fmt.Errorf("they are not")
				}
				return nil
			})
		}
	})

	t.Run("open connections", func(t *testing.T) { w.testOpen(t) })

	t.Run("an agent that is killed", func(t *testing.T) {
		w.only(t, "podSelector: {}")
		w.wants(t, "far", "http://"+w.at["server"]+":8080/", false)
		// Without an agent nothing can be executed in a pod.
		try := fmt.Sprintf("timeout 1 wget -qO- http://%s:8080/ >/dev/null && echo passed", w.at["server"])
		w.Exec(t, "far", "sh", "-c", "rm -f /tmp/done; (for i in $(seq 20); do "+try+"; done; touch /tmp/done) >/tmp/tries 2>/dev/null </dev/null &")
		for _, node := range c.Nodes(t) {
			harness.InNode(t, node, "sh", "-c", "kill -9 $(pidof bonsai-agent)")
		}
		harness.Until(t, time.Minute, "the last try", func() error {
			if r := w.Bonsai(t, "kubectl", "--", "-n", w.Namespace.Namespace, "exec", "far", "--", "test", "-e", "/tmp/done"); r.Code != 0 {
				return fmt.Errorf("%s", r)
			}
			return nil
		})
		if got := w.Exec(t, "far", "cat", "/tmp/tries"); strings.Contains(got, "passed") {
			t.Errorf("while agents restart, %d of 20 connections pass", strings.Count(got, "passed"))
		}
		w.only(t, "")
		w.wants(t, "far", "http://"+w.at["server"]+":8080/", true)
	})

	t.Run("flushed by somebody", func(t *testing.T) {
		w.only(t, "podSelector: {}")
		w.wants(t, "near", "http://"+w.at["server"]+":8080/", false)
		for _, node := range c.Nodes(t) {
			harness.InNode(t, node, "nft", "delete", "table", "ip", "bonsai-policies")
		}
		w.wants(t, "near", "http://"+w.at["server"]+":8080/", false)
	})

	t.Run("off and on", func(t *testing.T) {
		w.only(t, "podSelector: {}")
		w.wants(t, "near", "http://"+w.at["server"]+":8080/", false)
		c.Must(t, "addons", "disable", cluster.NetworkPolicyAddon)
		w.wants(t, "near", "http://"+w.at["server"]+":8080/", true)
		for _, node := range c.Nodes(t) {
			harness.Until(t, 30*time.Second, "the end of the rules on "+node, func() error {
				if tables := harness.InNode(t, node, "nft", "list", "tables"); strings.Contains(tables, "bonsai-policies") {
					return fmt.Errorf("it has %s", tables)
				}
				return nil
			})
		}
		c.Must(t, "addons", "enable", cluster.NetworkPolicyAddon)
		w.wants(t, "near", "http://"+w.at["server"]+":8080/", false)
	})

	t.Run("a pod that starts is restricted from its first packet", func(t *testing.T) {
		w.only(t, "{podSelector: {matchLabels: {app: far}}}")
		w.wants(t, "near", "http://"+w.at["server"]+":8080/", true)
		w.only(t, "{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [server]}]}, policyTypes: [Egress]}")
		w.wants(t, "near", "http://"+w.at["server"]+":8080/", false)
		for i := range 6 {
			name := fmt.Sprint("early-", i)
			try := fmt.Sprintf("timeout 2 wget -qO- http://%s:8080/ >/dev/null && echo passed >/tmp/first || echo blocked >/tmp/first; exec sleep 100000", w.at["server"])
			w.Create(t, harness.On(c.Nodes(t)[i%2], w.Pod(name, harness.Busybox, "-c", try)))
			harness.Until(t, time.Minute, "the first try of "+name, func() error {
				if got := w.Exec(t, name, "sh", "-c", "cat /tmp/first 2>/dev/null; true"); got == "" {
					return fmt.Errorf("there is none")
				} else if strings.Contains(got, "passed") {
					t.Errorf("%s is not restricted at first", name)
				}
				return nil
			})
		}
	})

	t.Run("a node that joins", func(t *testing.T) {
		w.only(t, "podSelector: {}")
		c.Start(t, "--nodes", "3")
		w.Create(t, harness.On(c.Nodes(t)[2], w.Pod("third", harness.Busybox, "-c", "exec sleep 100000")))
		w.wants(t, "third", "http://"+w.at["server"]+":8080/", false)
		w.only(t, "{podSelector: {matchLabels: {app: third}}, policyTypes: [Egress]}")
		w.wants(t, "near", "http://"+w.at["server"]+":8080/", true)
		w.wants(t, "third", "http://"+w.at["server"]+":8080/", false)
		w.only(t, "")
		w.wants(t, "third", "http://"+w.at["server"]+":8080/", true)
	})
}

func newPoliced(t *testing.T, c *harness.Cluster) *policed {
	t.Helper()
	n, nodes := c.NewNamespace(t), c.Nodes(t)
	server := harness.On(nodes[0], n.Pod("server", harness.Testpod, "serve"))
	server.Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "web", ContainerPort: 8080}, {Name: "other", ContainerPort: 8081}}
	pods := n.Create(t, server,
		harness.On(nodes[0], n.Pod("near", harness.Busybox, "-c", "exec sleep 100000")),
		harness.On(nodes[1], n.Pod("far", harness.Busybox, "-c", "exec sleep 100000")))
	w := &policed{Namespace: n, near: "near", far: "far", at: map[string]string{}}
	for _, p := range pods {
		w.at[p.Name] = p.Status.PodIP
	}
	w.service = n.Service(t, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "server"}, Spec: corev1.ServiceSpec{
		Selector: map[string]string{"app": "server"}, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt(8080)}},
	}}).Spec.ClusterIP
	return w
}

// only makes a policy the only one of the namespace; none if it is empty.
func (w *policed) only(t *testing.T, spec string) {
	t.Helper()
	if spec == "" {
		w.Kubectl(t, "-n", w.Namespace.Namespace, "delete", "networkpolicies", "--all")
		return
	}
	spec = strings.NewReplacer("FAR", w.at["far"], "NS", w.Namespace.Namespace).Replace(spec)
	if !strings.HasPrefix(spec, "{") {
		spec = "{" + spec + "}"
	}
	file := filepath.Join(t.TempDir(), "policy.yaml")
	text := "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: test}\nspec: " + spec + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w.Kubectl(t, "-n", w.Namespace.Namespace, "delete", "--ignore-not-found", "networkpolicy", "test")
	r := w.Bonsai(t, "kubectl", "--", "-n", w.Namespace.Namespace, "apply", "-f", file)
	if r.Code != 0 || strings.Contains(r.Stderr, "Warning") {
		t.Fatalf("%s", r)
	}
}

func (w *policed) reaches(t *testing.T, from, url string) bool {
	t.Helper()
	return w.Bonsai(t, "kubectl", "--", "-n", w.Namespace.Namespace, "exec", from, "--", "timeout", "2", "wget", "-qO-", url).Code == 0
}

// wants waits until a pod reaches a URL or does not any more.
func (w *policed) wants(t *testing.T, from, url string, want bool) {
	t.Helper()
	harness.Until(t, 30*time.Second, fmt.Sprintf("%s to reach %s to be %v", from, url, want), func() error {
		if w.reaches(t, from, url) != want {
			return fmt.Errorf("it is %v", !want)
		}
		return nil
	})
}

// testOpen keeps a connection open, over which each line is answered, while policies come and go.
func (w *policed) testOpen(t *testing.T) {
	w.only(t, "")
	talk := fmt.Sprintf("mkfifo /tmp/in; sleep 100000 >/tmp/in & exec nc %s 8081 </tmp/in >/tmp/out", w.at["server"])
	w.Create(t, w.Pod("open", harness.Busybox, "-c", talk))
	lines := 0
	said := func() int {
		out := w.Exec(t, "open", "sh", "-c", "cat /tmp/out 2>/dev/null; true")
		return strings.Count(out, "\n")
	}
	say := func() { lines++; w.Exec(t, "open", "sh", "-c", "echo hello >/tmp/in") }
	answered := func(what string) {
		t.Helper()
		harness.Until(t, 30*time.Second, what, func() error {
			if got := said(); got != lines {
				return fmt.Errorf("%d of %d lines are answered", got, lines)
			}
			return nil
		})
	}
	harness.Until(t, 30*time.Second, "the connection", func() error {
		r := w.Bonsai(t, "kubectl", "--", "-n", w.Namespace.Namespace, "exec", "open", "--", "sh", "-c", "test -p /tmp/in -a -e /tmp/out")
		if r.Code != 0 {
			return fmt.Errorf("%s", r)
		}
		return nil
	})
	say()
	answered("an answer without policies")
	w.only(t, "podSelector: {}")
	w.wants(t, "near", "http://"+w.at["server"]+":8080/", false)
	before := said()
	say()
	for range 3 {
		if w.reaches(t, "near", "http://"+w.at["server"]+":8080/") {
			t.Error("new connections are possible")
		}
	}
	if got := said(); got != before {
		t.Errorf("an open connection goes on: %d lines, before %d", got, before)
	}
	w.only(t, "")
	answered("an answer after the policy was deleted") // sent again by TCP
}
