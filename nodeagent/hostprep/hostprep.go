// Package hostprep turns a bare container into something that looks like a machine to kubelet and containerd: mounts
// that propagate, cgroups that can be subdivided, an identity of its own, kernel settings, folders and a resolv.conf
// that works for pods.
//
// Everything in it is safe to repeat: the agent runs it at each of its starts, even if only the agent was restarted and
// pods are running. Begin reading at Prepare.
package hostprep

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"

	"bonsai/bootstrap/cluster"
)

const (
	// KubeletCgroup is kubelet's cgroupRoot: pods live below it, apart from the agent and from what the container's own
	// engine keeps at the root.
	KubeletCgroup = "/kubelet"
	// ResolvConf is kubelet's resolvConf: the resolv.conf of pods that use the node's DNS.
	ResolvConf = "/etc/bonsai/resolv.conf"
	// EngineResolvConf is a copy of the node's own resolv.conf as the engine wrote it when the node started; see NodeResolvConf.
	EngineResolvConf = "/run/bonsai/engine-resolv.conf"

	// kubernetesDir is where people and their charts look for a node's settings. What is in it is on the node's volume
	// and outlives the container.
	kubernetesDir     = "/etc/kubernetes"
	keptKubernetesDir = "/var/lib/bonsai/kubernetes"
	// ManifestsDir is kubelet's staticPodPath, where kubeadm has it.
	ManifestsDir = kubernetesDir + "/manifests"
	// DropInDir has files of the user's with kubelet settings, where upstream's documentation has them.
	DropInDir = kubernetesDir + "/kubelet.conf.d"
	// ContainerdDropInDir has those with containerd settings.
	ContainerdDropInDir = kubernetesDir + "/containerd.conf.d"

	cgroupRoot = "/sys/fs/cgroup"
)

// dirs are what containerd, kubelet and CNI expect to exist, and what pods mount from every machine; there their packages
// create them.
var dirs = []string{
	"/etc/cni/net.d", "/etc/containerd",
	keptKubernetesDir + "/manifests", keptKubernetesDir + "/kubelet.conf.d", keptKubernetesDir + "/containerd.conf.d",
	"/run/bonsai", "/run/containerd",
	"/run/udev", // storage drivers mount it; empty, because the machine's udev knows nothing of nodes
	"/var/lib/bonsai", "/var/lib/cni", "/var/lib/containerd", "/var/lib/kubelet",
	"/var/log/bonsai", "/var/log/containers", "/var/log/pods",
}

// Prepare makes the container a node. It stops at the first failure without which no pod can run and says what the
// container lacks; what only some pods need is logged. resolver and search are those of WriteResolvConf.
func Prepare(resolver netip.Addr, search func(own []string) []string, log *slog.Logger) error {
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
	}
	// As on every distribution. /var is a volume that outlives the container, /run is not: sockets and network namespaces
	// in a real /var/run would be stale after a restart.
	if err := linkDir("/var/run", "/run"); err != nil {
		return err
	}
	if err := linkDir(kubernetesDir, keptKubernetesDir); err != nil {
		return err
	}
	if err := setIdentity("/var/lib/bonsai/machine-id"); err != nil {
		return err
	}
	if err := moveToVolume("/etc", cluster.NodeMachineDir, "/var/lib/bonsai/etc", machineFiles, log); err != nil {
		return err
	}
	if err := limitOpenFiles(log); err != nil {
		return err
	}
	if err := shareMounts(); err != nil {
		return err
	}
	if err := mountOnce(addedPlugins, AddedCNIDir); err != nil {
		log.Warn("CNI plugins that are installed in "+AddedCNIDir+" will not outlive the container", "cause", err)
	}
	openSysfs(log)
	mountKernelFiles(log)
	if err := prepareCgroups(log); err != nil {
		return err
	}
	if err := setSysctls("/proc/sys", log); err != nil {
		return err
	}
	return WriteResolvConf(resolver, search)
}

// linkDir makes link a link to a folder, in place of whatever it is.
func linkDir(link, target string) error {
	if to, err := os.Readlink(link); err == nil && to == target {
		return nil
	}
	if err := os.RemoveAll(link); err != nil {
		return fmt.Errorf("replace %s: %w", link, err)
	}
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return fmt.Errorf("replace %s: %w", link, err)
	}
	return os.Symlink(target, link)
}
