package kubelet

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"

	"bonsai/bootstrap/cluster"
	"bonsai/nodeagent/hostprep"
)

const (
	containerdSocket = "/run/containerd/containerd.sock"
	// rootDir is on the node's /var volume: a real file system (overlay mounts are refused on the container's own
	// root on some engines) that outlives the container.
	rootDir = "/var/lib/kubelet"
)

// newServer returns the kubelet's complete settings for a node; everything not set here, or by the user in a drop-in
// file, has upstream's default.
func newServer(cfg Config) (*options.KubeletServer, error) {
	flags := options.NewKubeletFlags()
	flags.KubeConfig = cfg.kubeconfigPath(kubeletName)
	// Name and address are planned; neither may depend on the container's resolver or routes.
	flags.HostnameOverride = cfg.Node.Node.Name
	flags.NodeIP = cfg.Node.Node.IP.String()
	flags.RootDirectory = rootDir
	flags.CertDirectory = filepath.Join(rootDir, "pki")

	kc, err := options.NewKubeletConfiguration()
	if err != nil {
		return nil, fmt.Errorf("default configuration: %w", err)
	}
	setSecurity(kc, cfg)
	setResources(kc)
	setNetwork(kc, cfg)
	setPace(kc)
	kc.ContainerRuntimeEndpoint = "unix://" + containerdSocket
	// Which is that of containerd, except for the images of the payload.
	kc.ImageServiceEndpoint = "unix://" + cfg.imagesSocket()
	// The default is in /usr/libexec, which is read-only here.
	kc.VolumePluginDir = filepath.Join(rootDir, "volumeplugins")
	kc.PodLogsDir = "/var/log/pods"
	// The control plane created the Node object in advance, with pod CIDR, labels and addresses; the kubelet finds it
	// and takes it over. If it was deleted, the kubelet creates a plain one.
	kc.RegisterNode = true
	// By which the control plane knows one that the kubelet made for what it is.
	kc.ProviderID = cluster.ProviderID(cfg.Node.Cluster, cfg.Node.Node.Name)
	// Empty unless the user puts a pod there; watched, so that its pods start at once.
	kc.StaticPodPath = hostprep.ManifestsDir
	kc.FeatureGates = cfg.Node.FeatureGates
	// Last, so that the user's own settings win.
	if err := applyDropIns(kc, cfg.Node.Kubelet, cfg.DropInDir); err != nil {
		return nil, err
	}
	return &options.KubeletServer{KubeletFlags: *flags, KubeletConfiguration: *kc}, nil
}

// setSecurity closes what upstream's command-line defaults leave open.
func setSecurity(kc *kubeletconfig.KubeletConfiguration, cfg Config) {
	// Only the API server (by client certificate) and service accounts that RBAC allows may use the kubelet's API.
	kc.Authentication.Anonymous.Enabled = false
	kc.Authentication.X509.ClientCAFile = filepath.Join(cfg.PKIDir, "ca.crt")
	kc.Authentication.Webhook.Enabled = true
	kc.Authorization.Mode = kubeletconfig.KubeletAuthorizationModeWebhook
	// No plain, unauthenticated port.
	kc.ReadOnlyPort = 0
	// Without files the kubelet would create a self-signed RSA pair, which takes time and cannot be verified by anyone.
	kc.TLSCertFile = filepath.Join(cfg.PKIDir, "kubelet.crt")
	kc.TLSPrivateKeyFile = filepath.Join(cfg.PKIDir, "kubelet.key")
	// The driver renews certificates at each start.
	kc.RotateCertificates = false
	kc.ServerTLSBootstrap = false
	// Only the node's address on the cluster's bridge.
	kc.Address = cfg.Node.Node.IP.String()
	// The agent's health checks come from inside the container.
	kc.HealthzBindAddress = "127.0.0.1"
	kc.HealthzPort = 10248
}

// setResources fits the kubelet into a container: it must not judge the machine's disk, swap and kernel.
func setResources(kc *kubeletconfig.KubeletConfiguration) {
	// Created by the agent in every controller, with the container's own processes beside it: the container's root
	// group cannot hold both processes and limited children.
	kc.CgroupRoot = hostprep.KubeletCgroup
	// There is no systemd in a node; containerd reports the same over CRI, and the kubelet uses that value.
	kc.CgroupDriver = "cgroupfs"
	kc.CgroupsPerQOS = true
	kc.EnforceNodeAllocatable = []string{"pods"}
	// cgroup v1 works; the agent warns about it (upstream's default refuses to start).
	kc.FailCgroupV1 = false
	// Most laptops swap; pods still get no swap (upstream's NoSwap).
	kc.FailSwapOn = false
	// With true, the kubelet refuses machines whose kernel settings differ from what it expects; see shieldKernel for
	// what it does otherwise.
	kc.ProtectKernelDefaults = false
	// The disk is the user's: a node must not evict pods or delete images because of other data on it. Memory is the
	// container's own figure and keeps upstream's threshold.
	kc.EvictionHard = map[string]string{
		"nodefs.available":   "0%",
		"nodefs.inodesFree":  "0%",
		"imagefs.available":  "0%",
		"imagefs.inodesFree": "0%",
		"memory.available":   "100Mi",
	}
	kc.ImageGCHighThresholdPercent = 100
}

// setNetwork configures the cluster DNS of pods.
func setNetwork(kc *kubeletconfig.KubeletConfiguration, cfg Config) {
	kc.ClusterDNS = []string{cfg.Node.DNSServiceIP.String()}
	kc.ClusterDomain = cfg.Node.ClusterDomain
	// Docker's resolver at 127.0.0.11 exists only in the node's network namespace; the agent writes a file without it.
	kc.ResolverConfig = "/etc/resolv.conf"
	if _, err := os.Stat(hostprep.ResolvConf); err == nil {
		kc.ResolverConfig = hostprep.ResolvConf
	}
	// These chains serve iptables users on the host; kube-proxy runs in nftables mode and there is no iptables here.
	kc.MakeIPTablesUtilChains = false
}

// setPace raises limits that protect large clusters from thousands of nodes; here they would only slow things down.
func setPace(kc *kubeletconfig.KubeletConfiguration) {
	kc.KubeAPIQPS, kc.KubeAPIBurst = 500, 1000
	// 0 means no limit. One slow image must not delay the others.
	kc.RegistryPullQPS = 0
	kc.SerializeImagePulls = false
	// By default the kubelet checks pull credentials again for an image that was ever pulled (KEP-2535), which makes
	// pods fail whose image "image load" imported under a second name. All users of a node are one person.
	kc.ImagePullCredentialsVerificationPolicy = string(kubeletconfig.NeverVerify)
	// A node whose process hangs is noticed after at most this long. This is also upstream's default; it is set here
	// because the controllers' node-monitor settings depend on it.
	kc.NodeStatusUpdateFrequency = metav1.Duration{Duration: 10 * time.Second}
}
