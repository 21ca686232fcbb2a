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
)

const (
	// KubeletCgroup is kubelet's cgroupRoot: pods live below it, apart from the agent and from what the container's own
	// engine keeps at the root.
	KubeletCgroup = "/kubelet"
	// ResolvConf is kubelet's resolvConf: the resolv.conf of pods that use the node's DNS.
	ResolvConf = "/etc/bonsai/resolv.conf"

	cgroupRoot = "/sys/fs/cgroup"
)

// dirs are what containerd, kubelet and CNI expect to exist; on a machine their packages create them.
var dirs = []string{
	"/etc/cni/net.d", "/etc/containerd", "/etc/kubernetes",
	"/run/bonsai", "/run/containerd",
	"/var/lib/bonsai", "/var/lib/cni", "/var/lib/containerd", "/var/lib/kubelet",
	"/var/log/bonsai", "/var/log/containers", "/var/log/pods",
}

// Prepare makes the container a node. It stops at the first failure without which no pod can run and says what the
// container lacks; what only some pods need is logged. resolver and omit are those of WriteResolvConf.
func Prepare(resolver netip.Addr, omit func(domain string) bool, log *slog.Logger) error {
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
	}
	if err := linkVarRun("/var/run", "/run"); err != nil {
		return err
	}
	if err := shareMounts(); err != nil {
		return err
	}
	if err := mountOnce(addedPlugins, AddedCNIDir); err != nil {
		log.Warn("CNI plugins that are installed in "+AddedCNIDir+" will not outlive the container", "cause", err)
	}
	if err := prepareCgroups(log); err != nil {
		return err
	}
	if err := setSysctls("/proc/sys", log); err != nil {
		return err
	}
	if err := setIdentity("/var/lib/bonsai/machine-id", log); err != nil {
		return err
	}
	return WriteResolvConf(resolver, omit)
}

// linkVarRun makes /var/run a link to /run, as it is on every distribution. /var is a volume that outlives the
// container, /run is not: sockets and network namespaces in a real /var/run would be stale after a restart.
func linkVarRun(link, target string) error {
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
