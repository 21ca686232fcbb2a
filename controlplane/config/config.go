// Package config turns a cluster's Spec into the configuration of the control plane's components: pure functions from
// values to upstream's own flags, which are upstream's most stable interface and easy to print.
//
// It links no Kubernetes, so that its tests run in milliseconds. Begin reading at Config.
package config

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"bonsai/bootstrap/cluster"
)

const (
	// VolumeProvisioner is the provisioner of StorageClasses whose volumes are on the nodes' own disks.
	VolumeProvisioner = "bonsai.io/local"
	// VolumeBindingPlugin replaces the scheduler's plugin VolumeBinding, see package scheduler.
	VolumeBindingPlugin = "BonsaiVolumeBinding"
	// ObserverPlugin records what the scheduler decides and does not influence it.
	ObserverPlugin = "BonsaiObserver"
)

// Config is everything that one control plane needs to run.
type Config struct {
	Spec cluster.Spec
	// PKIDir holds the certificates that package pki makes.
	PKIDir string
	// EtcdDir is etcd's data directory.
	EtcdDir string
	// RunDir is a private folder (0700) for sockets and generated files; its path is short enough for a socket.
	RunDir string
	// LogDir is where the components' logs are.
	LogDir string
	// Volatile says that nothing has to survive a loss of power: the cluster ends with a process. etcd does not wait for the disk then.
	Volatile bool
	// Emulate is the minor version to emulate ("1.35"), empty for the embedded one.
	Emulate string
}

// EtcdURL is the address for the only client of etcd, the API server. A unix socket in a private folder keeps every
// other local user out without certificates (etcd accepts such endpoints since 3.7, etcd#19760).
func (c Config) EtcdURL() string { return "unix://" + filepath.Join(c.RunDir, "etcd.sock") }

func (c Config) pki(name string) string { return filepath.Join(c.PKIDir, name) }

// AuthenticationFile is where AuthenticationConfiguration has to be written.
func (c Config) AuthenticationFile() string { return filepath.Join(c.RunDir, "authentication.json") }

// AuthenticationConfiguration allows requests without credentials on the health endpoints only, unless the user's own says
// otherwise.
func (c Config) AuthenticationConfiguration() ([]byte, error) {
	if text := c.Spec.Settings.Files[cluster.FileAuthentication]; text != "" {
		return withAnonymous(text)
	}
	return json.MarshalIndent(map[string]any{
		"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", "anonymous": anonymous(),
	}, "", "  ")
}

// APIServerFlags are kube-apiserver's flags. The listener is passed in code and has no flags.
func (c Config) APIServerFlags() []string {
	flags := []string{
		// The address that in-cluster clients reach through the Service default/kubernetes.
		"--advertise-address=" + c.Spec.Gateway.String(),
		"--service-cluster-ip-range=" + c.Spec.ServiceRange().String(),
		"--etcd-servers=" + c.EtcdURL(),

		// Node limits each kubelet to its own node's objects; NodeRestriction does so for writes.
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--authentication-config=" + c.AuthenticationFile(),
		"--client-ca-file=" + c.pki("ca.crt"),
		"--tls-cert-file=" + c.pki("apiserver.crt"),
		"--tls-private-key-file=" + c.pki("apiserver.key"),

		// These tell aggregated API servers from whom a forwarded request is.
		"--requestheader-client-ca-file=" + c.pki("front-proxy-ca.crt"),
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + c.pki("front-proxy-client.crt"),
		"--proxy-client-key-file=" + c.pki("front-proxy-client.key"),

		"--service-account-issuer=https://kubernetes.default.svc." + cluster.ClusterDomain,
		"--service-account-signing-key-file=" + c.pki("sa.key"),
		"--service-account-key-file=" + c.pki("sa.key"),

		"--kubelet-certificate-authority=" + c.pki("ca.crt"),
		"--kubelet-client-certificate=" + c.pki("apiserver-kubelet-client.crt"),
		"--kubelet-client-key=" + c.pki("apiserver-kubelet-client.key"),
		// The default begins with Hostname, which only Docker's DNS inside the node network resolves.
		"--kubelet-preferred-address-types=InternalIP",

		// How long pods stay on a node that no longer reports. Upstream's 300 s suit machines that reboot; a node here is back
		// in a second or not at all.
		"--default-not-ready-toleration-seconds=30",
		"--default-unreachable-toleration-seconds=30",

		// As kubeadm does: without it no CNI, CSI or monitoring agent could ever be installed.
		"--allow-privileged=true",
		// Limits the stop to seconds while watches are open; without it the server waits a request timeout (60 s).
		"--shutdown-send-retry-after=true",
		// Profiling through the API is not needed; the goroutine and heap endpoints would be open to every admin token.
		"--profiling=false",
	}
	if c.Emulate != "" {
		// KEP-4330: the APIs, feature gates and storage versions of an older minor.
		flags = append(flags, "--emulated-version=kube="+c.Emulate)
	}
	if !c.Spec.Runs(cluster.ControllerManager) {
		// It refuses pods whose account does not exist, and nobody makes accounts.
		flags = append(flags, "--disable-admission-plugins=ServiceAccount")
	}
	flags = append(flags, c.settingsFlags()...)
	return append(flags, c.extra(cluster.ComponentAPIServer)...)
}

// ControllerManagerFlags are kube-controller-manager's flags.
func (c Config) ControllerManagerFlags() []string {
	flags := []string{
		"--kubeconfig=" + c.KubeconfigFile("controller-manager"),
		// One process, one controller manager: an election would only add seconds, and losing it exits the process.
		"--leader-elect=false",
		// Health and metrics are those of the API server's process; a port here would cost two RSA keys at start.
		"--secure-port=0",
		"--root-ca-file=" + c.pki("ca.crt"),
		"--service-account-private-key-file=" + c.pki("sa.key"),
		"--cluster-signing-cert-file=" + c.pki("ca.crt"),
		"--cluster-signing-key-file=" + c.pki("ca.key"),
		"--cluster-name=" + c.Spec.Name,
		// Pod CIDRs are planned together with the node's address and are in the Node object from the beginning.
		"--allocate-node-cidrs=false",
		// Each controller acts as its own account with its own default role; RBAC gives the manager itself no rights.
		"--use-service-account-credentials=true",
		// The API server is on the same host and has its own priority and fairness.
		"--kube-api-qps=1000", "--kube-api-burst=1000",
		// How soon a node that stopped reporting is noticed after its grace period (default 5 s).
		"--node-monitor-period=2s",
		// How often autoscalers look (default 15 s): with the ten seconds between two figures, the first decision after a change of the
		// load takes less than half a minute. It costs nothing without autoscalers.
		"--horizontal-pod-autoscaler-sync-period=5s",
		"--profiling=false",
	}
	return append(flags, c.extra(cluster.ComponentControllerManager)...)
}

// SchedulerFlags are kube-scheduler's flags.
func (c Config) SchedulerFlags() []string {
	flags := []string{
		"--config=" + c.SchedulerConfigFile(),
		"--secure-port=0", // as for the controller manager
	}
	return append(flags, c.extra(cluster.ComponentScheduler)...)
}

// SchedulerConfigFile is where SchedulerConfiguration has to be written.
func (c Config) SchedulerConfigFile() string { return filepath.Join(c.RunDir, "scheduler.json") }

// SchedulerConfiguration sets what no longer has a flag: the client's limits, no election, and two plugins of ours: the
// one that waits for volumes without pauses, and the one that observes. The latter comes first where that matters; a
// plugin that a profile lists by name for an extension point goes before those that it lists for all points. Everything
// else of the only profile is upstream's default.
func (c Config) SchedulerConfiguration() []byte {
	return fmt.Appendf(nil, `{
  "apiVersion": "kubescheduler.config.k8s.io/v1",
  "kind": "KubeSchedulerConfiguration",
  "leaderElection": {"leaderElect": false},
  "enableProfiling": false,
  "clientConnection": {"kubeconfig": %[1]q, "qps": 1000, "burst": 1000, "contentType": "application/vnd.kubernetes.protobuf"},
  "profiles": [{
    "schedulerName": "default-scheduler",
    "plugins": {
      "multiPoint": {"disabled": [{"name": "VolumeBinding"}], "enabled": [{"name": %[2]q}, {"name": %[3]q}]},
      "preFilter": {"enabled": [{"name": %[3]q}]},
      "postFilter": {"enabled": [{"name": %[3]q}]},
      "reserve": {"enabled": [{"name": %[3]q}]}
    }
  }]
}
`, c.KubeconfigFile("scheduler"), VolumeBindingPlugin, ObserverPlugin)
}

// KubeconfigFile is where the kubeconfig of an in-process client has to be written.
func (c Config) KubeconfigFile(identity string) string {
	return filepath.Join(c.RunDir, identity+".kubeconfig")
}

// Kubeconfig lets an in-process component reach the API server over loopback with the certificate of identity.
func (c Config) Kubeconfig(identity string) []byte {
	return fmt.Appendf(nil, `{
  "apiVersion": "v1", "kind": "Config", "current-context": "bonsai",
  "clusters": [{"name": "bonsai", "cluster": {"server": "https://127.0.0.1:%d", "certificate-authority": %q}}],
  "users": [{"name": "bonsai", "user": {"client-certificate": %q, "client-key": %q}}],
  "contexts": [{"name": "bonsai", "context": {"cluster": "bonsai", "user": "bonsai"}}]
}
`, c.Spec.APIPort, c.pki("ca.crt"), c.pki(identity+".crt"), c.pki(identity+".key"))
}
