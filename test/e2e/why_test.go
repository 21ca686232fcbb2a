package e2e

import (
	"encoding/json"
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

// newShop is a shop on two nodes: pods web and db, and Services that lead to db, rightly and wrongly.
func newShop(t *testing.T, c *harness.Cluster) *harness.Namespace {
	t.Helper()
	n, nodes := c.NewNamespace(t), c.Nodes(t)
	n.Create(t, harness.On(nodes[0], n.Pod("db", harness.Testpod, "serve")),
		harness.On(nodes[1], n.Pod("web", harness.Busybox, "-c", "while :; do timeout 10 wget -q -O /dev/null http://db/; sleep 1; done")))
	for name, s := range map[string]corev1.ServiceSpec{
		"db":      {Selector: map[string]string{"app": "db"}, Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}}},
		"nowhere": {Selector: map[string]string{"app": "bd"}, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}}},
		"astray":  {Selector: map[string]string{"app": "db"}, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(99)}}},
		"named":   {Selector: map[string]string{"app": "db"}, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromString("http")}}},
	} {
		n.Service(t, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: s})
	}
	return n
}

func applyPolicy(t *testing.T, n *harness.Namespace, name, spec string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "policy.yaml")
	text := "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: " + name + "}\nspec: " + spec + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	n.Kubectl(t, "-n", n.Namespace, "apply", "-f", file)
}

// TestPolicyThatStarvesAnApp: what a policy stops is named within seconds, with what it allows; what is advised lets it through, and
// then the problem ends. It is known although nobody watched when it happened.
func TestPolicyThatStarvesAnApp(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	c.Start(t, "--nodes", "2")
	c.LoadImages(t)
	n := newShop(t, c)
	web, db := n.Namespace+"/web", n.Namespace+"/db"
	denied := func(flow cluster.Flow) bool {
		return flow.State == cluster.FlowDenied && flow.Denial != nil && flow.Denial.Still
	}
	flows := func(t *testing.T) []cluster.Flow {
		t.Helper()
		var all cluster.Flows
		if err := json.Unmarshal([]byte(c.Must(t, "flow", "--refused", "-n", n.Namespace, "-o", "json")), &all); err != nil {
			t.Fatal(err)
		}
		return all.Flows
	}
	problem := func(s cluster.Snapshot) int {
		return slices.IndexFunc(s.Problems, func(p cluster.Problem) bool { return p.Kind == cluster.ProblemDenied && p.Object == "pod/"+web })
	}
	gone := func(t *testing.T) {
		t.Helper()
		harness.Until(t, 30*time.Second, "the problem to end", func() error {
			if s, _ := c.Status(t); problem(s) >= 0 {
				return errors.New("status reports " + problemLines(s.Problems))
			}
			return nil
		})
	}
	if s, _ := c.Status(t); problem(s) >= 0 {
		t.Fatalf("without a policy: %s", problemLines(s.Problems))
	}

	t.Run("ingress", func(t *testing.T) {
		applyPolicy(t, n, "db-only-api", "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: 8080}]}]}")
		began := time.Now()
		planted{name: "the policy", want: expected{
			Kind: cluster.ProblemDenied, Object: "pod/NS/web", Summary: "at port 8080/TCP: stopped by NetworkPolicy db-only-api on the way in",
			Cause: "db-only-api allows ingress from pods app=api at port 8080/TCP; pod web has app=web", Hint: "flow why " + web + " " + db + " 8080",
		}}.reported(t, n)
		t.Logf("named after %s", time.Since(began).Round(time.Second))
		list := flows(t)
		i := slices.IndexFunc(list, func(f cluster.Flow) bool { return denied(f) && f.From.String() == web && f.To.String() == db })
		if i < 0 {
			t.Fatalf("flow --refused shows %+v", list)
		}
		if f := list[i]; f.Denial.Egress || f.Denied < 3 || len(f.Denial.Policies) != 1 || f.Denial.Policies[0].Name != "db-only-api" || f.Service != db {
			t.Errorf("the flow is %+v", f)
		}
		if out := c.Must(t, "flow", "--refused", "-n", n.Namespace); !strings.Contains(out, "denied by "+n.Namespace+"/db-only-api (ingress)") {
			t.Errorf("flow --refused says\n%s", out)
		}
		carryOut(t, n, "pod/"+web)
		gone(t)
	})
	t.Run("egress to DNS", func(t *testing.T) {
		n.Kubectl(t, "-n", n.Namespace, "delete", "networkpolicy", "--all")
		applyPolicy(t, n, "lockdown", "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: db}}}]}]}")
		planted{name: "the policy", want: expected{
			Kind: cluster.ProblemDenied, Object: "pod/NS/web", Summary: "cannot ask cluster DNS: stopped by NetworkPolicy lockdown",
			Cause: "lockdown allows egress to pods app=db", Hint: "k8s-app",
		}}.reported(t, n)
		carryOut(t, n, "pod/"+web)
		gone(t)
	})
}

// TestWhyDoesItNotReach walks from a pod through every way in which a connection can end, and to where it does not.
func TestWhyDoesItNotReach(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	c.Start(t, "--nodes", "2")
	c.LoadImages(t)
	n := newShop(t, c)
	web := n.Namespace + "/web"
	n.Kubectl(t, "-n", n.Namespace, "create", "deployment", "front", "--image="+harness.Testpod, "--", "testpod", "sleep")
	n.Kubectl(t, "-n", n.Namespace, "rollout", "status", "deployment/front", "--timeout=60s")
	const (
		denyEgress  = "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{ports: [{port: 53, protocol: UDP}]}]}"
		denyIngress = "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: api}}}]}]}"
		denyDNS     = "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}]}"
	)
	for _, test := range []struct {
		name, policy string
		args         []string
		ends         cluster.WhyTopic // "" if it is reached
		saw          string
	}{
		{name: "a name", args: []string{web, "db"}},
		{name: "a Service by its port's name", args: []string{web, n.Namespace + "/db", "http"}},
		{name: "a pod", args: []string{web, "pod/db", "8080", "-n", n.Namespace}},
		{name: "from a Deployment", args: []string{n.Namespace + "/deploy/front", "db." + n.Namespace}},
		{name: "a URL", args: []string{web, "http://db/"}},
		{name: "the API server", args: []string{web, "default/kubernetes"}},
		{name: "no such name", args: []string{web, "dbb"}, ends: cluster.WhyName, saw: "cluster DNS has no address for dbb"},
		{name: "no such Service", args: []string{web, n.Namespace + "/dbb"}, ends: cluster.WhyService, saw: "neither a Service nor a pod"},
		{name: "no such port", args: []string{web, "db", "81"}, ends: cluster.WhyPort, saw: "has no port 81"},
		{name: "a selector that matches nothing", args: []string{web, "nowhere"}, ends: cluster.WhyEndpoints, saw: "it selects no pod: none has app=bd"},
		{name: "a port that nobody names", args: []string{web, "named"}, ends: cluster.WhyEndpoints, saw: "it leads to the port named http"},
		{name: "a wrong target port", args: []string{web, "astray"}, ends: cluster.WhyListener, saw: "nothing listens on port 99"},
		{name: "a port of a pod where nobody listens", args: []string{web, "pod/db", "99", "-n", n.Namespace}, ends: cluster.WhyListener, saw: "nothing listens on port 99"},
		{name: "egress", policy: denyEgress, args: []string{web, "db"}, ends: cluster.WhyEgress, saw: "/test does not let it out"},
		{name: "ingress", policy: denyIngress, args: []string{web, "db"}, ends: cluster.WhyIngress, saw: "/test does not let it in"},
		{name: "DNS is denied", policy: denyDNS, args: []string{web, "db"}, ends: cluster.WhyName, saw: "/test does not let the pod ask cluster DNS"},
		{name: "an address that nobody has", args: []string{web, "10.244.0.250", "80"}, ends: cluster.WhyConnect, saw: "10.244.0.250:80"},
	} {
		t.Run(test.name, func(t *testing.T) {
			n.Kubectl(t, "-n", n.Namespace, "delete", "networkpolicy", "--all")
			if test.policy != "" {
				applyPolicy(t, n, "test", test.policy)
			}
			code := 0
			if test.ends != "" {
				code = 44
			}
			harness.Until(t, 30*time.Second, "the way to end at "+string(test.ends), func() error { // rules need a moment
				r := c.Bonsai(t, "flow", append(append([]string{"why"}, test.args...), "-o", "json")...)
				var way cluster.Why
				if err := json.Unmarshal([]byte(r.Stdout), &way); err != nil {
					return errors.New(r.String())
				}
				step, _ := way.Step(way.Ends)
				if r.Code != code || way.Ends != test.ends || way.Reaches != (test.ends == "") || !strings.Contains(step.Saw, test.saw) {
					return errors.New(r.String())
				}
				// What the pod itself sees is what the walk sees.
				connect, walked := way.Step(cluster.WhyConnect)
				if walked && (connect.State == cluster.WhyOK) != way.Reaches {
					return errors.New("the connection: " + r.String())
				}
				return nil
			})
			if out := c.Bonsai(t, "flow", append([]string{"why"}, test.args...)...); out.Code != code || !strings.Contains(out.Stdout, "source") {
				t.Errorf("for people: %s", out)
			} else {
				t.Log("\n" + out.Stdout)
			}
		})
	}
	if r := c.Bonsai(t, "flow", "why", n.Namespace+"/nobody", "db"); r.Code != 40 {
		t.Errorf("from a pod that does not exist: %s", r)
	}
}
