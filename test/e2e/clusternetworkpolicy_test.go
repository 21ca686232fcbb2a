package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/test/e2e/harness"
)

// TestClusterNetworkPolicies has what the tiers allow and deny between pods of one node and of two, what people see of it, and what
// becomes of it when the addon goes and comes.
func TestClusterNetworkPolicies(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	c.Start(t, "--nodes", "2")
	c.Must(t, "addons", "enable", cluster.NetworkPolicyAddon) // waits until there is the resource definition
	c.LoadImages(t)
	w := newPoliced(t, c)
	const (
		subject = "subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: NS}}}"
		far     = "{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: far}}}}"
		denyAll = "{name: nobody, action: Deny, from: [{namespaces: {}}]}"
	)
	for _, test := range []struct {
		name, cluster, policy string
		near, far             bool
	}{
		{"nothing", "", "", true, true},
		{"admin denies", "tier: Admin, priority: 1, " + subject + ", ingress: [" + denyAll + "]", "", false, false},
		{"admin accepts and then denies", "tier: Admin, priority: 1, " + subject + ", ingress: [{action: Accept, from: [" + far + "]}, " + denyAll + "]", "", false, true},
		{"admin accepts what a NetworkPolicy does not", "tier: Admin, priority: 1, " + subject + ", ingress: [{action: Accept, from: [" + far + "], protocols: [{destinationNamedPort: web}]}]", "{podSelector: {}}", false, true},
		{"pass", "tier: Admin, priority: 1, " + subject + ", ingress: [{action: Pass, from: [" + far + "]}, " + denyAll + "]", "{podSelector: {matchLabels: {app: server}}, ingress: [{ports: [{port: 8080}]}]}", false, true},
		{"baseline denies", "tier: Baseline, priority: 1, " + subject + ", ingress: [" + denyAll + "]", "", false, false},
		{"baseline gives way", "tier: Baseline, priority: 1, " + subject + ", ingress: [" + denyAll + "]", "{podSelector: {}, ingress: [{}]}", true, true},
		{"egress", "tier: Admin, priority: 1, " + subject + ", egress: [{action: Accept, to: [{networks: [SERVER/32]}], protocols: [{tcp: {destinationPort: {range: {start: 8000, end: 8080}}}}]}, {action: Deny, to: [{networks: [0.0.0.0/0]}]}]", "", true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			w.onlyCluster(t, test.cluster)
			w.only(t, test.policy)
			for from, want := range map[string]bool{w.near: test.near, w.far: test.far} {
				w.wants(t, from, "http://"+w.at["server"]+":8080/", want)
				w.wants(t, from, "http://"+w.service+"/", want)
			}
		})
	}

	t.Run("what people see", func(t *testing.T) {
		w.only(t, "")
		w.onlyCluster(t, "tier: Admin, priority: 1, "+subject+", ingress: ["+denyAll+"]")
		w.wants(t, "far", "http://"+w.at["server"]+":8080/", false)
		r := w.Bonsai(t, "flow", "why", w.Namespace.Namespace+"/far", "pod/server", "8080")
		if !strings.Contains(r.Stdout, "ClusterNetworkPolicy test does not let it in") || !strings.Contains(r.Stdout, "(rule nobody)") {
			t.Errorf("%s", r)
		}
		harness.Until(t, time.Minute, "the problem", func() error {
			w.reaches(t, "far", "http://"+w.at["server"]+":8080/")
			if r := w.Bonsai(t, "status"); !strings.Contains(r.Stdout, "stopped by ClusterNetworkPolicy test") {
				return fmt.Errorf("%s", r)
			}
			return nil
		})
	})

	t.Run("off and on", func(t *testing.T) {
		w.wants(t, "near", "http://"+w.at["server"]+":8080/", false)
		c.Must(t, "addons", "disable", cluster.NetworkPolicyAddon)
		w.wants(t, "near", "http://"+w.at["server"]+":8080/", true)
		if r := w.applyCluster(t, "tier: Admin, priority: 2, "+subject+", ingress: ["+denyAll+"]"); !strings.Contains(r.Stderr, "not enforced") {
			t.Errorf("no warning: %s", r)
		}
		c.Must(t, "addons", "enable", cluster.NetworkPolicyAddon)
		w.wants(t, "near", "http://"+w.at["server"]+":8080/", false)
	})

	t.Run("domain names", func(t *testing.T) {
		w.onlyCluster(t, "tier: Admin, priority: 1, "+subject+", egress: [{name: outside, action: Accept, to: [{domainNames: [example.com]}]}]")
		harness.Until(t, 30*time.Second, "the condition", func() error {
			r := w.Bonsai(t, "kubectl", "--", "get", "clusternetworkpolicy", "test", "-o", "jsonpath={.status.conditions}")
			if !strings.Contains(r.Stdout, "domainNames are not supported") || !strings.Contains(r.Stdout, "outside") {
				return fmt.Errorf("%s", r)
			}
			return nil
		})
		w.wants(t, "near", "http://"+w.at["server"]+":8080/", true)
	})
}

// onlyCluster makes a policy the only one of the cluster; none if it is empty.
func (w *policed) onlyCluster(t *testing.T, spec string) {
	t.Helper()
	w.Bonsai(t, "kubectl", "--", "delete", "--ignore-not-found", "clusternetworkpolicy", "test")
	if spec == "" {
		return
	}
	if r := w.applyCluster(t, spec); r.Code != 0 || strings.Contains(r.Stderr, "Warning") {
		t.Fatalf("%s", r)
	}
}

func (w *policed) applyCluster(t *testing.T, spec string) harness.Result {
	t.Helper()
	spec = strings.NewReplacer("SERVER", w.at["server"], "NS", w.Namespace.Namespace).Replace(spec)
	file := filepath.Join(t.TempDir(), "policy.yaml")
	text := "apiVersion: policy.networking.k8s.io/v1beta1\nkind: ClusterNetworkPolicy\nmetadata: {name: test}\nspec: {" + spec + "}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return w.Bonsai(t, "kubectl", "--", "apply", "-f", file)
}
