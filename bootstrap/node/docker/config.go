package docker

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/node"
)

// settings is everything that the engine gets about a node's container.
type settings struct {
	Config  *container.Config
	Host    *container.HostConfig
	Network *network.NetworkingConfig
}

// nodeLabels tie an object to its cluster and node.
func nodeLabels(n node.NodeSpec) map[string]string {
	return map[string]string{
		node.LabelCluster: n.Spec.Name, node.LabelID: n.Spec.ID, node.LabelNode: n.Node.Name,
	}
}

// ours adds the label that everything of bonsai has. It is not among a node's settings: those that were made before there was
// such a label stay as they are.
func ours(labels map[string]string) map[string]string {
	labels[node.LabelOurs] = ""
	return labels
}

// containerConfig is every setting of a node's container, each with its reason. payload is the volume to mount.
//
// Not set, on purpose: ulimits (raising them needs SYS_RESOURCE, which not every engine has; kubelet and
// containerd raise their own), IPv6 sysctls (the start fails on kernels without IPv6), published ports.
func containerConfig(n node.NodeSpec, payload string, g grant) settings {
	net := node.NetworkName(n.Spec)
	stopTimeout := 20 // seconds; for `docker stop` and engine shutdown: in which the init stops pods and children
	labels := nodeLabels(n)
	labels[node.LabelPayload] = n.Payload
	labels[labelGrant] = g.String()

	s := settings{
		Config: &container.Config{
			Image:    n.Image,
			Hostname: n.Node.Name, // kubelet's default name for the node, and what `hostname` says inside
			Labels:   labels,
			// Programs of the systemd world, including containerd, check this to know that they are in a container.
			Env:         []string{"container=docker"},
			StopSignal:  "SIGTERM", // what the init forwards
			StopTimeout: &stopTimeout,
		},
		Host: &container.HostConfig{
			Privileged: g.privileged,
			// runc inside mounts, pivots, and loads its own seccomp filters; the engine's default profiles forbid that.
			// Hardened engines set no-new-privileges for every container; all pods would inherit it, and setuid
			// programs and file capabilities would not work in any of them.
			SecurityOpt: []string{"seccomp=unconfined", "apparmor=unconfined", "no-new-privileges=false"},
			// kubelet and runc write cgroups; a private namespace shows them their own subtree as the root.
			CgroupnsMode: container.CgroupnsModePrivate,
			// Nothing is shared with the host's or other nodes' IPC, whatever the engine's default.
			IpcMode: container.IPCModePrivate,
			// Where the engine maps users, a mapped root could not mount; without mapping it changes nothing.
			UsernsMode: "host",
			// The init of the image reaps orphans; Docker's must not take its place as PID 1.
			Init: new(bool),
			// Nodes come back with the engine, but not after `bonsai stop`: Docker remembers stops.
			RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyUnlessStopped},
			NetworkMode:   container.NetworkMode(net),
			// The API server's host by a name of its own (it is in the certificate).
			ExtraHosts: []string{"host.bonsai.internal:" + n.Spec.Gateway.String()},
			Mounts: []mount.Mount{
				{ // containerd, kubelet, CNI and all tools; one copy for all nodes, read-only
					Type: mount.TypeVolume, Source: payload, Target: "/opt/bonsai", ReadOnly: true,
					VolumeOptions: &mount.VolumeOptions{NoCopy: true},
				},
				{ // images, pods and logs; overlay mounts need a real filesystem below, and it outlives the container
					Type: mount.TypeVolume, Source: node.VolumeName(n.Spec, n.Node), Target: "/var",
					VolumeOptions: &mount.VolumeOptions{NoCopy: true, Labels: nodeLabels(n)},
				},
			},
			Tmpfs: map[string]string{
				"/run": "exec,mode=755",  // sockets and run-time state must not survive a restart; runc executes from it
				"/tmp": "exec,mode=1777", // as on any machine
			},
			Sysctls: map[string]string{
				"net.ipv4.ip_forward":          "1", // the node routes for its pods
				"net.ipv4.conf.all.arp_ignore": "0", // the ptp plugin's gateway answers for addresses of other links
			},
			// The node's own output is the init's few lines; a crash loop must not fill the disk.
			LogConfig: container.LogConfig{
				Type: "json-file", Config: map[string]string{"max-size": "10m", "max-file": "2"},
			},
			Resources: container.Resources{
				NanoCPUs: nanoCPUs(n.Node),
				Memory:   n.Node.MemoryBytes,
				// No swap on top of the limit: kubelet counts memory only.
				MemorySwap: n.Node.MemoryBytes,
			},
		},
		Network: &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
			// The planned address: certificates, routes and kube-proxy rely on it.
			net: {IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: n.Node.IP.String()}, Aliases: aliases(n)},
		}},
	}
	for _, m := range n.Node.Mounts {
		s.Host.Mounts = append(s.Host.Mounts, mount.Mount{ // the user's; a missing source is an error and not an empty folder
			Type: mount.TypeBind, Source: m.Host, Target: m.Path, ReadOnly: m.ReadOnly,
		})
	}
	if !g.privileged {
		restrict(s.Host, g)
	}
	return s
}

// nanoCPUs is the limit in the engine's unit.
func nanoCPUs(n cluster.Node) int64 { return int64(n.CPUs * 1e9) }

// aliases are the additional names by which the engine's resolver knows a node. The other nodes, and pods that ask
// them, find it by its Kubernetes name.
func aliases(n node.NodeSpec) []string {
	if n.Node.Name == node.ContainerName(n.Spec, n.Node) {
		return nil
	}
	return []string{n.Node.Name}
}

// restrict replaces "privileged" by its parts, as far as the engine has them.
func restrict(h *container.HostConfig, g grant) {
	h.CapAdd = []string{"ALL"}
	h.CapDrop = g.missing // asking for what the engine lacks makes the start fail
	// Mounting a fresh proc and sysfs for a pod is refused by the kernel while parts of the node's are hidden,
	// and the agent writes sysctls below /proc/sys. Empty lists, not nil: nil means Docker's defaults.
	h.MaskedPaths, h.ReadonlyPaths = []string{}, []string{}
	// Pods get device nodes made by runc, and privileged pods all of them.
	h.DeviceCgroupRules = []string{"a *:* rwm"}
	if g.kmsg {
		// kubelet watches the kernel's log for processes killed for lack of memory.
		h.Devices = []container.DeviceMapping{{
			PathOnHost: "/dev/kmsg", PathInContainer: "/dev/kmsg", CgroupPermissions: "rwm",
		}}
	}
}

// configHash identifies the settings that require a new container when they change. What the engine grants is not among
// them, so that it need not be determined for a container that is up to date; nor are limits, which setLimits changes; the
// network is, because its settings must not change under a stopped container.
func configHash(n node.NodeSpec, payload string) string {
	n.Node.CPUs, n.Node.MemoryBytes = 0, 0
	network := networkOptions(n.Spec)
	network.IPAM.Config[0].IPRange = "" // of containers that others attach: networks that were made without it are as good for nodes
	data, err := json.Marshal([]any{containerConfig(n, payload, grant{privileged: true}), network})
	if err != nil {
		panic(err) // plain structs of strings and numbers
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}
