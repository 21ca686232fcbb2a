package config_test

import (
	"slices"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/config"
)

func TestSettingsOfTheUserComeLast(t *testing.T) {
	c := testConfig()
	c.RunDir, c.LogDir = "/run", "/logs"
	if len(c.SettingsFiles()) != 0 || strings.Contains(strings.Join(c.APIServerFlags(), " "), "audit") {
		t.Errorf("without settings: %v", c.APIServerFlags())
	}
	c.Spec.Settings = cluster.Settings{
		FeatureGates: map[string]bool{"B": false, "A": true},
		Args: map[string]map[string]string{
			cluster.ComponentAPIServer: {"v": "4", "audit-log-maxsize": "1"}, cluster.ComponentControllerManager: {"controllers": "*,-ttl"}, cluster.ComponentScheduler: {"v": "3"},
		},
		Files: map[string]string{cluster.FileAudit: "policy", cluster.FileEncryption: "keys", cluster.FileAdmission: "plugins", cluster.FileKubelet: "maxPods: 9"},
	}
	flags := c.APIServerFlags()
	want := []string{
		"--feature-gates=A=true,B=false", "--audit-policy-file=/run/auditPolicy.yaml", "--audit-log-path=/logs/audit.log", "--audit-log-maxsize=10",
		"--audit-log-maxbackup=1", "--admission-control-config-file=/run/admission.yaml", "--encryption-provider-config=/run/encryption.yaml",
		"--audit-log-maxsize=1", "--v=4",
	}
	if got := flags[len(flags)-len(want):]; !slices.Equal(got, want) {
		t.Errorf("flags end with %q, want %q", got, want)
	}
	if f := c.ControllerManagerFlags(); f[len(f)-1] != "--controllers=*,-ttl" {
		t.Errorf("flags %q", f)
	}
	if f := c.SchedulerFlags(); f[len(f)-1] != "--v=3" {
		t.Errorf("flags %q", f)
	}
	if files := c.SettingsFiles(); len(files) != 3 || string(files["/run/auditPolicy.yaml"]) != "policy" {
		t.Errorf("files %q", files)
	}
}

func TestAnonymousRequestsStayLimited(t *testing.T) {
	c := testConfig()
	for text, want := range map[string]string{
		"": `"path": "/livez"`,
		"apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt: []\n":                     "path: /livez",
		"apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\nanonymous: {enabled: false}\n": "enabled: false",
	} {
		c.Spec.Settings.Files = map[string]string{cluster.FileAuthentication: text}
		got, err := c.AuthenticationConfiguration()
		if err != nil || !strings.Contains(string(got), want) || strings.Contains(string(got), "false") && strings.Contains(string(got), "livez") {
			t.Errorf("%q becomes %s, %v", text, got, err)
		}
	}
}

// TestWhatBonsaiSetsIsNotTheUsers: a flag that bonsai gives a component would otherwise be replaced, and the cluster break.
func TestWhatBonsaiSetsIsNotTheUsers(t *testing.T) {
	// These the user may replace: nothing of bonsai's relies on them.
	theirs := []string{"allow-privileged", "default-not-ready-toleration-seconds", "default-unreachable-toleration-seconds", "enable-admission-plugins", "horizontal-pod-autoscaler-sync-period", "kube-api-burst", "kube-api-qps", "node-monitor-period", "profiling", "service-account-issuer", "shutdown-send-retry-after"}
	c := testConfig()
	c.Emulate = "1.36"
	for component, flags := range map[string][]string{
		cluster.ComponentAPIServer: c.APIServerFlags(), cluster.ComponentControllerManager: c.ControllerManagerFlags(), cluster.ComponentScheduler: c.SchedulerFlags(),
	} {
		for _, f := range flags {
			name, _, _ := strings.Cut(strings.TrimPrefix(f, "--"), "=")
			if allowed := config.Refusal(component, name) == ""; allowed != slices.Contains(theirs, name) {
				t.Errorf("%s --%s: the user may set it: %t", component, name, allowed)
			}
		}
	}
	for _, name := range []string{"v", "audit-log-path", "runtime-config", "event-ttl", "cluster-signing-duration"} {
		if reason := config.Refusal(cluster.ComponentAPIServer, name); reason != "" {
			t.Errorf("--%s is refused: %s", name, reason)
		}
	}
	for _, name := range []string{"bind-address", "feature-gates", "etcd-servers-overrides", "oidc-issuer-url", "vmodule"} {
		if config.Refusal(cluster.ComponentAPIServer, name) == "" {
			t.Errorf("--%s is not refused", name)
		}
	}
}
