package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/versions"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
)

// mtuOption is the bridge driver's option on networks.
const mtuOption = "com.docker.network.driver.mtu"

// Ping checks that the engine answers and is able to run nodes.
func (d *Driver) Ping(ctx context.Context) (node.EngineInfo, error) {
	const op = "ask the Docker engine"
	ctx, cancel := d.within(ctx, pingLimit)
	defer cancel()
	ping, err := d.api.Ping(ctx)
	if err != nil {
		return node.EngineInfo{}, hungIsDown(d.failure(ctx, op, err))
	}
	if ping.APIVersion == "" || versions.LessThan(ping.APIVersion, minAPI) {
		return node.EngineInfo{}, fault.Newf(fault.EngineTooOld,
			"the Docker engine speaks API %s, at least %s is needed", ping.APIVersion, minAPI).
			Advise("update Docker to 20.10 or newer")
	}
	var (
		info      system.Info
		bridge    network.Inspect
		bridgeErr error
		wg        sync.WaitGroup
	)
	// An engine may run without its default bridge; then there is no MTU to follow.
	wg.Go(func() { bridge, bridgeErr = d.api.NetworkInspect(ctx, "bridge", network.InspectOptions{}) })
	info, err = d.api.Info(ctx)
	wg.Wait()
	if err != nil {
		return node.EngineInfo{}, hungIsDown(d.failure(ctx, op, err))
	}
	if info.OSType != "linux" {
		return node.EngineInfo{}, fault.Newf(fault.Engine, "the engine runs %s containers, bonsai needs Linux", info.OSType).
			Advise("switch Docker to Linux containers")
	}
	return node.EngineInfo{
		Version: info.ServerVersion, APIVersion: ping.APIVersion,
		OS: info.OperatingSystem, Arch: info.Architecture,
		StorageDriver: info.Driver, CgroupVersion: info.CgroupVersion,
		CPUs: info.NCPU, MemoryBytes: info.MemTotal, DataRoot: info.DockerRootDir,
		MTU:              bridgeMTU(bridge),
		HostReachesNodes: d.enginePID() != 0 && sameKernel(info) && bridgeErr == nil && ownsGateway(bridge),
		Apart:            d.apart(ctx),
		Warnings:         warnings(info),
	}, nil
}

// hungIsDown: for a client that asks whether the engine is there, no answer means no.
func hungIsDown(err error) error {
	if f, ok := errors.AsType[*fault.Fault](err); ok && f.Kind == fault.Timeout {
		return fault.New(fault.EngineDown, f.Op, f.Err).
			Advise("restart Docker", cluster.Program("sudo", "systemctl", "restart", "docker").Change()).
			Advise("on a slow machine, set BONSAI_WAIT_SCALE=5")
	}
	return err
}

// Networks lists the address ranges of all the engine's networks.
func (d *Driver) Networks(ctx context.Context) ([]node.Network, error) {
	ctx, cancel := d.within(ctx, callLimit)
	defer cancel()
	all, err := d.api.NetworkList(ctx, network.ListOptions{})
	if err != nil {
		return nil, d.failure(ctx, "list networks", err)
	}
	list := make([]node.Network, 0, len(all))
	for _, n := range all {
		port, _ := strconv.Atoi(n.Labels[node.LabelAPIPort]) // not every network has one
		list = append(list, node.Network{Name: n.Name, ClusterID: n.Labels[node.LabelID], APIPort: port, Subnets: subnets(n)})
	}
	return list, nil
}

// subnets are the ranges of a network, except those that cannot be parsed.
func subnets(n network.Inspect) []netip.Prefix {
	var list []netip.Prefix
	for _, c := range n.IPAM.Config {
		if p, err := netip.ParsePrefix(c.Subnet); err == nil {
			list = append(list, p.Masked())
		}
	}
	return list
}

// bridgeMTU reads the MTU of the default bridge from its option, or from the interface if that is local. The interface
// alone is not enough: a bridge without ports reports the kernel's default.
func bridgeMTU(bridge network.Inspect) int {
	if mtu, err := strconv.Atoi(bridge.Options[mtuOption]); err == nil && mtu > 0 {
		return mtu
	}
	if link, err := net.InterfaceByName("docker0"); err == nil && ownsGateway(bridge) {
		return link.MTU
	}
	return 0
}

// ownsGateway reports whether the bridge's gateway is an address of this process's own network namespace. It is false
// for engines in a VM and for a bonsai that runs in a container itself.
func ownsGateway(bridge network.Inspect) bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, c := range bridge.IPAM.Config {
		// Docker 20.10 reports no gateway while none is set; it uses the first address.
		gateway, err := netip.ParseAddr(c.Gateway)
		if err != nil {
			p, err := netip.ParsePrefix(c.Subnet)
			if err != nil {
				continue
			}
			gateway = p.Masked().Addr().Next()
		}
		if slices.ContainsFunc(addrs, func(a net.Addr) bool {
			p, err := netip.ParsePrefix(a.String())
			return err == nil && p.Addr() == gateway
		}) {
			return true
		}
	}
	return false
}

// ownFile is a line of mountinfo (proc(5)) about a file that Docker mounts into each container, with the container's ID in the
// path of its source. On the machine itself there are lines with such paths as well, of what belongs to its containers
// (/var/lib/docker/containers/ID/mounts/shm), but not as the sources of these files.
var ownFile = regexp.MustCompile(`(?m)^\S+ \S+ \S+ \S*/containers/([0-9a-f]{64})/(?:hostname|hosts|resolv\.conf) /etc/(?:hostname|hosts|resolv\.conf) `)

// inContainer reports whether this process is in a container of some engine, whose /dev is not the machine's.
func inContainer() bool {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	return err == nil && ownFile.Match(mounts)
}

// apart reports whether this process is in a container of this engine that has a network of its own. A container of
// another engine, such as one that has its own engine in it, is not meant.
func (d *Driver) apart(ctx context.Context) bool {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false // not Linux
	}
	return d.isApart(ctx, string(mounts))
}

func (d *Driver) isApart(ctx context.Context, mounts string) bool {
	own := ownFile.FindStringSubmatch(mounts)
	if own == nil {
		return false
	}
	c, err := d.api.ContainerInspect(ctx, own[1])
	return err == nil && c.HostConfig != nil && !c.HostConfig.NetworkMode.IsHost()
}

// sameKernel compares the engine's kernel release with that of this machine.
func sameKernel(info system.Info) bool {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	return err == nil && strings.TrimSpace(string(release)) == info.KernelVersion
}

// warnings lists what works but may cause problems.
func warnings(info system.Info) []string {
	var list []string
	if info.CgroupVersion == "1" {
		list = append(list, "the engine runs on cgroup v1, which Kubernetes has deprecated")
	}
	if slices.Contains(info.SecurityOptions, "name=rootless") {
		list = append(list, "the engine is rootless, which is not tested")
	}
	if info.MemTotal > 0 && info.MemTotal < 2<<30 {
		list = append(list, fmt.Sprintf("the engine has %d MiB of memory, a cluster needs about 1 GiB", info.MemTotal>>20))
	}
	return list
}
