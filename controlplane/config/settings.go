package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"bonsai/bootstrap/cluster"
)

// Refusal says why the user cannot set a flag of a component, "" if that is possible. component is one of the constants
// cluster.Component….
func Refusal(component, flag string) string {
	const (
		address      = "bonsai plans the addresses of a cluster"
		certificates = "bonsai makes the certificates of a cluster, and renews them"
		logs         = "bonsai writes the logs of all components itself; v is possible"
		alone        = "there is one of each component, in one process"
		connection   = "bonsai connects the components of a cluster itself"
		nodes        = "nodes and API server rely on each other's certificates and rights"
	)
	if reason, ok := map[string]string{
		"feature-gates": "it is written as featureGates, for all components", "emulated-version": "it is written as kubernetesVersion",
		"min-compatibility-version": "it follows kubernetesVersion",
		"vmodule":                   logs, "logging-format": logs,
	}[flag]; ok {
		return reason
	}
	byComponent := map[string]map[string]string{
		cluster.ComponentAPIServer: {
			"audit-policy-file":             "it is written as " + cluster.FileAudit,
			"admission-control-config-file": "it is written as " + cluster.FileAdmission,
			"authentication-config":         "it is written as " + cluster.FileAuthentication,
			"anonymous-auth":                "it is a part of " + cluster.FileAuthentication,
			"encryption-provider-config":    "it is written as " + cluster.FileEncryption,
			"advertise-address":             address, "bind-address": address, "secure-port": address, "permit-address-sharing": address,
			"permit-port-sharing": address, "service-cluster-ip-range": "it is written as network.serviceSubnet",
			"authorization-mode": nodes, "authorization-config": nodes, "client-ca-file": nodes, "kubelet-preferred-address-types": nodes,
			"service-account-signing-key-file": certificates, "service-account-key-file": certificates, "service-account-signing-endpoint": certificates,
			"cert-dir": certificates, "egress-selector-config-file": "bonsai reaches nodes, pods and Services through the agents of nodes",
			"storage-backend": connection,
		},
		cluster.ComponentControllerManager: {
			"kubeconfig": connection, "master": connection, "bind-address": address, "secure-port": address, "cert-dir": certificates,
			"root-ca-file": certificates, "service-account-private-key-file": certificates, "client-ca-file": certificates,
			"allocate-node-cidrs": address, "cluster-cidr": address, "service-cluster-ip-range": address, "node-cidr-mask-size": address,
			"node-cidr-mask-size-ipv4": address, "node-cidr-mask-size-ipv6": address, "cluster-name": "it is the name of the cluster",
			"authentication-kubeconfig": connection, "authorization-kubeconfig": connection, "use-service-account-credentials": "the rights of the controllers depend on it",
		},
		cluster.ComponentScheduler: {
			"config": "bonsai's own plugins are in it", "kubeconfig": connection, "master": connection, "bind-address": address, "secure-port": address,
			"cert-dir": certificates, "client-ca-file": certificates, "authentication-kubeconfig": connection, "authorization-kubeconfig": connection,
		},
	}
	if reason, ok := byComponent[component][flag]; ok {
		return reason
	}
	for prefix, reason := range map[string]string{
		"etcd-": "etcd is in the same process, and only the API server reaches it", "tls-": certificates, "requestheader-": certificates,
		"proxy-client-": certificates, "kubelet-c": nodes, "cluster-signing-": certificates, "leader-elect": alone, "log-": logs,
		"oidc-": "it is a part of " + cluster.FileAuthentication,
	} {
		if strings.HasPrefix(flag, prefix) && (prefix != "cluster-signing-" || flag != "cluster-signing-duration") {
			return reason
		}
	}
	return ""
}

// extra are the user's flags of a component, after bonsai's own: the last one wins, and lists are joined.
func (c Config) extra(component string) (flags []string) {
	args := c.Spec.Settings.Args[component]
	for _, name := range slices.Sorted(maps.Keys(args)) {
		flags = append(flags, "--"+name+"="+args[name])
	}
	return flags
}

// settingsFlags are those of the API server that follow from the user's settings. Feature gates are for all components,
// which share them.
func (c Config) settingsFlags() (flags []string) {
	if gates := c.Spec.Settings.FeatureGates; len(gates) > 0 {
		var list []string
		for _, name := range slices.Sorted(maps.Keys(gates)) {
			list = append(list, fmt.Sprintf("%s=%t", name, gates[name]))
		}
		flags = append(flags, "--feature-gates="+strings.Join(list, ","))
	}
	files := c.Spec.Settings.Files
	if files[cluster.FileAudit] != "" {
		flags = append(flags, "--audit-policy-file="+c.settingsFile(cluster.FileAudit),
			// Beside the other logs, and limited like them.
			"--audit-log-path="+filepath.Join(c.LogDir, "audit.log"), "--audit-log-maxsize=10", "--audit-log-maxbackup=1")
	}
	if files[cluster.FileAdmission] != "" {
		flags = append(flags, "--admission-control-config-file="+c.settingsFile(cluster.FileAdmission))
	}
	if files[cluster.FileEncryption] != "" {
		flags = append(flags, "--encryption-provider-config="+c.settingsFile(cluster.FileEncryption))
	}
	return flags
}

func (c Config) settingsFile(name string) string {
	return filepath.Join(c.RunDir, strings.TrimPrefix(name, cluster.ComponentAPIServer+".")+".yaml")
}

// SettingsFiles are the files that the flags name, by path.
func (c Config) SettingsFiles() map[string][]byte {
	files := map[string][]byte{}
	for _, name := range []string{cluster.FileAudit, cluster.FileAdmission, cluster.FileEncryption} {
		if text := c.Spec.Settings.Files[name]; text != "" {
			files[c.settingsFile(name)] = []byte(text)
		}
	}
	return files
}

// withAnonymous adds to an AuthenticationConfiguration of the user's what it does not say about requests without
// credentials.
func withAnonymous(text string) ([]byte, error) {
	var doc map[string]any
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		return nil, fmt.Errorf("read %s: %w", cluster.FileAuthentication, err)
	}
	if _, has := doc["anonymous"]; !has {
		doc["anonymous"] = anonymous()
	}
	return yaml.Marshal(doc)
}

// anonymous allows requests without credentials on the health endpoints only (KEP-4633).
func anonymous() map[string]any {
	type condition struct {
		Path string `yaml:"path" json:"path"`
	}
	return map[string]any{"enabled": true, "conditions": []condition{{"/livez"}, {"/readyz"}, {"/healthz"}}}
}
