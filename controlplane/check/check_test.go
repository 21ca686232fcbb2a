package check_test

import (
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/check"
)

const (
	policy    = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n"
	admission = "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n- name: PodSecurity\n  configuration:\n    apiVersion: pod-security.admission.config.k8s.io/v1\n    kind: PodSecurityConfiguration\n    defaults: {enforce: baseline}\n"
	authn     = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n- issuer: {url: https://issuer.example, audiences: [me]}\n  claimMappings: {username: {claim: sub, prefix: \"\"}}\n"
	keys      = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers:\n  - aescbc: {keys: [{name: one, secret: MDEyMzQ1Njc4OWFiY2RlZg==}]}\n  - identity: {}\n"
)

func TestWhatTheComponentsTake(t *testing.T) {
	wrong := check.Settings(cluster.Settings{
		FeatureGates: map[string]bool{"AllAlpha": false, "StorageVersionAPI": true, "APIServerIdentity": true},
		Args: map[string]map[string]string{
			cluster.ComponentAPIServer:         {"v": "4", "event-ttl": "2h", "runtime-config": "internal.apiserver.k8s.io/v1alpha1=true"},
			cluster.ComponentControllerManager: {"controllers": "*,-ttl-after-finished-controller", "node-monitor-grace-period": "20s"},
			cluster.ComponentScheduler:         {"v": "3"},
		},
		Files: map[string]string{cluster.FileAudit: policy, cluster.FileAdmission: admission, cluster.FileAuthentication: authn, cluster.FileEncryption: keys},
	}, "1.37")
	for path, err := range wrong {
		t.Errorf("%s: %v", path, err)
	}
}

func TestWhatTheyDoNotTakeIsNamed(t *testing.T) {
	arg := func(component, name, value string) cluster.Settings {
		return cluster.Settings{Args: map[string]map[string]string{component: {name: value}}}
	}
	file := func(name, text string) cluster.Settings {
		return cluster.Settings{Files: map[string]string{name: text}}
	}
	gate := func(name string, on bool) cluster.Settings {
		return cluster.Settings{FeatureGates: map[string]bool{name: on}}
	}
	for _, tc := range []struct {
		settings   cluster.Settings
		minor      string
		path, want string
	}{
		{gate("StorageVersionApi", true), "1.37", "featureGates.StorageVersionApi", `did you mean "StorageVersionAPI"?`},
		{gate("Nonsense", true), "1.37", "featureGates.Nonsense", `unknown feature gate "Nonsense"`},
		{gate("ServiceAccountTokenNodeBinding", false), "1.37", "featureGates.ServiceAccountTokenNodeBinding", "always true"},
		{arg(cluster.ComponentAPIServer, "event-tll", "1h"), "1.37", "apiServer.extraArgs.event-tll", `did you mean "event-ttl"?`},
		{arg(cluster.ComponentAPIServer, "event-ttl", "often"), "1.37", "apiServer.extraArgs.event-ttl", "invalid"},
		{arg(cluster.ComponentAPIServer, "etcd-servers", "x"), "1.37", "apiServer.extraArgs.etcd-servers", "it cannot be set here: etcd is in the same process"},
		{arg(cluster.ComponentScheduler, "event-ttl", "1h"), "1.37", "scheduler.extraArgs.event-ttl", `unknown flag "event-ttl"`},
		{arg("kubelet", "v", "1"), "1.37", "kubelet", "has no flags"},
		{file(cluster.FileAudit, strings.Replace(policy, "Metadata", "Everything", 1)), "1.37", cluster.FileAudit, "Everything"},
		{file(cluster.FileAudit, policy+"rulez: []\n"), "1.37", cluster.FileAudit, "rulez"},
		{file(cluster.FileAdmission, strings.Replace(admission, "name: PodSecurity", "name: PodSecurty", 1)), "1.37", cluster.FileAdmission, `did you mean "PodSecurity"?`},
		{file(cluster.FileAuthentication, strings.Replace(authn, "https:", "http:", 1)), "1.37", cluster.FileAuthentication, "https"},
		{file(cluster.FileEncryption, strings.Replace(keys, "MDEy", "", 1)), "1.37", cluster.FileEncryption, "key"},
		{file(cluster.FileEncryption, policy), "1.37", cluster.FileEncryption, "Policy"},
	} {
		wrong := check.Settings(tc.settings, tc.minor)
		if err := wrong[tc.path]; len(wrong) != 1 || err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v, want %s: %s", tc.settings, wrong, tc.path, tc.want)
		}
	}
}

// TestGatesAreThoseOfTheEmulatedVersion: one that is younger does not exist in an older cluster.
func TestGatesAreThoseOfTheEmulatedVersion(t *testing.T) {
	found := false
	for name, since := range check.Gates() {
		if since == "1.37" {
			found = true
			if err := check.Settings(cluster.Settings{FeatureGates: map[string]bool{name: true}}, "1.35")["featureGates."+name]; err == nil || !strings.Contains(err.Error(), "came with 1.37") {
				t.Errorf("%s in 1.35: %v", name, err)
			}
		}
	}
	if !found {
		t.Error("no gate came with 1.37: choose another version here")
	}
}
