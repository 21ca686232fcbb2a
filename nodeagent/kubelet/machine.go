package kubelet

import (
	"context"
	"log/slog"
	"time"

	cadvisorapi "github.com/google/cadvisor/lib/model"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	"k8s.io/kubernetes/pkg/kubelet/cadvisor"
	"k8s.io/kubernetes/pkg/kubelet/cm"

	"bonsai/nodeagent/cgroupinfo"
	"bonsai/nodeagent/hostprep"
)

// machine is upstream's cAdvisor, except that it reports what the node's container may use and is instead of what the
// whole machine has: a node that is limited to 2 CPUs must not offer 16 to the scheduler.
type machine struct {
	cadvisor.Interface
	limits cgroupinfo.Limits
	// systemUUID is the node's own; cAdvisor finds that of the machine, which all nodes share. Empty: cAdvisor's.
	systemUUID string
}

// newMachine creates the cAdvisor that the kubelet would create itself. On file systems that cAdvisor cannot measure it
// disables the accounting of ephemeral storage in server, without which the kubelet would not start.
func newMachine(ctx context.Context, server *options.KubeletServer, log *slog.Logger) (cadvisor.Interface, error) {
	logger := klog.FromContext(ctx)
	roots := []string{cm.NodeAllocatableRoot(server.CgroupRoot, server.CgroupsPerQOS, server.CgroupDriver)}
	if own, err := cm.GetKubeletContainer(logger, server.KubeletCgroups); err == nil && own != "" {
		roots = append(roots, own)
	}
	const legacyStats, withoutDiscovery = false, false // as the kubelet decides for containerd
	upstream, err := cadvisor.New(logger, cadvisor.NewImageFsInfoProvider(server.ContainerRuntimeEndpoint),
		server.RootDirectory, roots, legacyStats, server.LocalStorageCapacityIsolation, withoutDiscovery)
	if err != nil {
		return nil, err
	}
	// The kubelet starts it only after the point of no return. containerd already runs, which is all that it needs.
	if err := upstream.Start(); err != nil {
		return nil, err
	}
	// File systems are known with the first statistics of the root group; the kubelet requests these too.
	_, _ = upstream.ContainerInfoV2("/", cadvisorapi.RequestOptions{
		IdType: cadvisorapi.TypeName, Count: 1, MaxAge: new(time.Duration),
	})
	if _, err := upstream.RootFsInfo(); err != nil {
		log.Warn("ephemeral storage is not limited: its file system cannot be measured", "path", server.RootDirectory, "err", err)
		server.LocalStorageCapacityIsolation = false
	}
	return &machine{upstream, cgroupinfo.Read(cgroupinfo.Root), hostprep.SystemUUID()}, nil
}

// Start does nothing: newMachine has done it.
func (m *machine) Start() error { return nil }

// MachineInfo returns a changed copy; cAdvisor keeps using the original.
func (m *machine) MachineInfo(logger klog.Logger) (*cadvisorapi.MachineInfo, error) {
	info, err := m.Interface.MachineInfo(logger)
	if err != nil {
		return nil, err
	}
	changed := info.Clone()
	if m.limits.CPUs > 0 {
		// Only whole CPUs fit here. Rounding down avoids offering CPUs that do not exist; a node without any CPU could
		// run nothing.
		changed.NumCores = min(changed.NumCores, max(1, int(m.limits.CPUs)))
	}
	if m.limits.MemoryBytes > 0 {
		changed.MemoryCapacity = min(changed.MemoryCapacity, m.limits.MemoryBytes)
	}
	if m.systemUUID != "" {
		changed.SystemUUID = m.systemUUID
	}
	return changed, nil
}
