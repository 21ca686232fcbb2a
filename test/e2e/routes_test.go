package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bonsai/bootstrap/cluster"
	"bonsai/test/e2e/harness"
)

// TestDiagnosisOfRoutes has what beginners get wrong between a client and a pod: Services that lead nowhere, a load
// balancer, a policy that nothing enforces, an autoscaler without metrics. What status advises is then carried out.
func TestDiagnosisOfRoutes(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	c.Start(t, "--nodes", "1")
	c.Must(t, "addons", "disable", cluster.NetworkPolicyAddon)
	c.Must(t, "addons", "disable", cluster.MetricsAddon)
	c.LoadImages(t)
	n := c.NewNamespace(t)
	web := n.Pod("web", harness.Busybox, "-c", "echo yes > /tmp/index.html; exec httpd -f -p 8080 -h /tmp")
	inside := n.Pod("inside", harness.Busybox, "-c", "exec httpd -f -p 127.0.0.1:8080")
	n.Create(t, web, inside, n.Pod("client", harness.Testpod, "sleep"))
	deploy(t, n, "idle", 1, idle)
	service := func(name, app string, target intstr.IntOrString, kind corev1.ServiceType) {
		n.Service(t, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{
			Type: kind, Selector: map[string]string{"app": app}, Ports: []corev1.ServicePort{{Port: 80, TargetPort: target}},
		}})
	}
	service("right", "web", intstr.FromInt(8080), corev1.ServiceTypeClusterIP)
	service("typo", "wbe", intstr.FromInt(8080), corev1.ServiceTypeClusterIP)
	service("port", "web", intstr.FromInt(80), corev1.ServiceTypeClusterIP)
	service("named", "web", intstr.FromString("http"), corev1.ServiceTypeClusterIP)
	service("inside", "inside", intstr.FromInt(8080), corev1.ServiceTypeClusterIP)
	n.Service(t, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "balanced"}, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: new("metal.test/x"), // which nothing here serves
		Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt(8080)}},
	}})
	n.Kubectl(t, "-n", n.Namespace, "autoscale", "deployment", "idle", "--min=1", "--max=3", "--cpu=50%")
	policy := filepath.Join(t.TempDir(), "deny.yaml")
	if err := os.WriteFile(policy, []byte(denyAll), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := c.Bonsai(t, "kubectl", "--", "-n", n.Namespace, "apply", "-f", policy); r.Code != 0 || !strings.Contains(r.Stderr, "the addon network-policy is disabled") {
		t.Errorf("nobody warns of a NetworkPolicy: %s", r)
	}

	for _, p := range []planted{
		{name: "selector", want: expected{
			Kind: cluster.ProblemService, Object: "service/NS/typo", Summary: "selects no pod: none has app=wbe; meant app=web?",
			Cause: "app=web is a label of 1 pod", Hint: "set selector service typo app=web",
		}},
		{name: "target port", want: expected{
			Kind: cluster.ProblemTarget, Object: "service/NS/port", Summary: "port 80 leads to 80, where nothing listens",
			Cause: "pod web listens on 8080", Hint: "patch service port",
		}},
		{name: "named target port", want: expected{
			Kind: cluster.ProblemTarget, Object: "service/NS/named", Summary: "port 80 leads to http, which no pod has",
			Cause: "it listens on 8080", Hint: "patch service named",
		}},
		{name: "loopback", want: expected{
			Kind: cluster.ProblemTarget, Object: "service/NS/inside", Summary: "where nothing listens", Cause: "at 127.0.0.1 only", Hint: "logs inside",
		}},
		{name: "load balancer", want: expected{
			Kind: cluster.ProblemBalancer, Object: "service/NS/balanced", Summary: "stays pending", Cause: "at a node's address", Hint: "port-forward service/balanced 8080:80",
		}},
		{name: "policy", want: expected{
			Kind: cluster.ProblemPolicy, Object: "namespace/NS", Summary: "are not enforced here: deny", Cause: "all traffic passes", Hint: "addons enable network-policy",
		}},
		{name: "autoscaler", want: expected{
			Kind: cluster.ProblemAutoscaler, Object: "horizontalpodautoscaler/NS/idle", Summary: "there are no metrics", Cause: "the addon metrics-server is disabled", Hint: "addons enable metrics-server",
		}},
	} {
		t.Run(p.name, func(t *testing.T) { p.reported(t, n) })
	}

	// What it advises works, and the problems end.
	corrected := func(q cluster.Problem) bool {
		return q.Kind == cluster.ProblemService || q.Kind == cluster.ProblemBalancer || q.Kind == cluster.ProblemTarget && !strings.HasSuffix(q.Object, "/inside")
	}
	for _, name := range []string{"typo", "port", "named", "balanced"} {
		carryOut(t, n, "service/"+n.Namespace+"/"+name)
	}
	harness.Until(t, time.Minute, "an end of what was corrected", func() error {
		s, _ := c.Status(t)
		if left := slices.DeleteFunc(s.Problems, func(q cluster.Problem) bool { return !corrected(q) }); len(left) > 0 {
			return errors.New("status reports " + problemLines(left))
		}
		return nil
	})
	for _, name := range []string{"right", "typo", "port", "named"} {
		s, err := n.Client.CoreV1().Services(n.Namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if at := "http://" + s.Spec.ClusterIP + "/index.html"; !slices.Equal(n.Fetch(t, "client", 1, at)[at], []string{"yes"}) {
			t.Errorf("Service %s leads elsewhere", name)
		}
	}
}

const denyAll = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
`

// carryOut runs the first command that is advised for an object and that changes something without an editor. A node that
// is busy may not have said yet what a pod listens on.
func carryOut(t *testing.T, n *harness.Namespace, object string) {
	t.Helper()
	var command cluster.Command
	harness.Until(t, time.Minute, "something to type for "+object, func() error {
		s, _ := n.Status(t)
		for _, q := range s.Problems {
			for _, a := range q.Advice {
				for _, command = range a.Commands {
					if q.Object == object && command.Changes && command.Verb[0] != "edit" {
						return nil
					}
				}
			}
		}
		return errors.New("status reports " + problemLines(s.Problems))
	})
	if r := n.Run(t, command.Argv()[1:]...); r.Code != 0 {
		t.Fatalf("%s: %s", command, r)
	}
}
