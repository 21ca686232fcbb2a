package doctor

import (
	"fmt"
	"slices"
	"strings"

	"bonsai/bootstrap/cluster"
)

// Feature is something that the kernel has to have for nodes.
type Feature struct {
	// Option is how it is called in the kernel's configuration, Module the file that has it if it is not built in.
	Option, Module string
	// For is what nodes need it for. Without one that is Optional they work, but worse.
	For      string
	Optional bool
}

// Features lists what nodes need of a kernel besides what every distribution has. kube-proxy's rules use the nft ones.
func Features() []Feature {
	return []Feature{
		{Option: "CONFIG_VETH", Module: "veth", For: "the network of pods"},
		{Option: "CONFIG_BRIDGE", Module: "bridge", For: "the network of nodes"},
		{Option: "CONFIG_NF_TABLES", Module: "nf_tables", For: "Services"},
		{Option: "CONFIG_NF_CONNTRACK", Module: "nf_conntrack", For: "Services"},
		{Option: "CONFIG_NFT_CT", Module: "nft_ct", For: "Services"},
		{Option: "CONFIG_NFT_NAT", Module: "nft_nat", For: "Services"},
		{Option: "CONFIG_NFT_MASQ", Module: "nft_masq", For: "connections of pods to the outside"},
		{Option: "CONFIG_NFT_NUMGEN", Module: "nft_numgen", For: "Services with several pods"},
		{Option: "CONFIG_NFT_FIB_IPV4", Module: "nft_fib_ipv4", For: "NodePorts"},
		{Option: "CONFIG_NFT_REJECT", Module: "nft_reject", For: "Services without pods"},
		{Option: "CONFIG_OVERLAY_FS", Module: "overlay", For: "images, which are copied for each container without it", Optional: true},
	}
}

// Kernel is the kernel that runs, as far as it can be seen.
type Kernel struct {
	Release string
	// Config says of options whether they are built in ("y") or modules ("m"); nil if it cannot be read.
	Config map[string]string
	// Loaded are modules that are loaded or built in and have a folder in /sys/module.
	Loaded []string
	// Modules are those on the disk for this kernel, and those that are built in; nil if there is no folder for it.
	Modules []string
	// Contained says that this process is in a container, which may not see the machine's modules.
	Contained bool
}

// has reports whether the kernel has a feature; known is false if that cannot be seen. gone means that the feature is a module
// whose file is not there.
func (k Kernel) has(f Feature) (has, gone, known bool) {
	option := ""
	if k.Config != nil {
		option = k.Config[f.Option]
	}
	switch {
	case option == "y", slices.Contains(k.Loaded, f.Module), slices.Contains(k.Modules, f.Module):
		return true, false, true
	case option == "m":
		return false, k.Modules == nil, !k.Contained
	case k.Config != nil:
		return false, false, true
	}
	return false, false, k.Modules != nil
}

// CheckKernel looks for what nodes need.
func CheckKernel(k Kernel) Check {
	c := Check{ID: IDKernel, Detail: "Linux " + k.Release}
	var gone []string
	unknown := 0
	for _, f := range Features() {
		switch has, isGone, known := k.has(f); {
		case !known:
			unknown++
		case has:
		case isGone:
			gone = append(gone, f.Module)
		default:
			severity := cluster.SeverityError
			if f.Optional {
				severity = cluster.SeverityWarning
			}
			c.add(cluster.ProblemKernel, severity, fmt.Sprintf("this kernel has no %s (%s)", f.Module, f.Option), "nodes need it for "+f.For,
				cluster.Advise("install the package with the other modules of this kernel, or use a kernel of a distribution"))
		}
	}
	if len(gone) > 0 {
		c.add(cluster.ProblemModules, cluster.SeverityError, fmt.Sprintf("the modules of the running kernel %s are not on the disk", k.Release),
			"the kernel was probably updated, and "+strings.Join(gone, ", ")+" cannot be loaded any more",
			cluster.Advise("restart this machine", cluster.Program("sudo", "reboot").Change()))
	}
	switch {
	case unknown == len(Features()):
		c.Unknown, c.Detail = true, c.Detail+"; neither its configuration nor its modules can be read"
	case len(c.Findings) == 0 && unknown == 0:
		c.Detail += fmt.Sprintf(" with all %d features that nodes need", len(Features()))
	case unknown > 0:
		c.Detail += fmt.Sprintf("; %d of %d features cannot be seen", unknown, len(Features()))
	}
	return c
}

// Cgroups are the machine's control groups.
type Cgroups struct {
	// Version is 1 or 2, 0 if unknown.
	Version int
	// Controllers are those that are on; nil if unknown.
	Controllers []string
}

// neededControllers are those without which the kubelet does not start, or pods have no limits.
var neededControllers = []string{"cpu", "cpuset", "memory", "pids"}

// CheckCgroups looks for the controllers that kubelets need.
func CheckCgroups(g Cgroups) Check {
	if g.Version == 0 || g.Controllers == nil {
		return Unknown(IDCgroups, "they cannot be read")
	}
	c := Check{ID: IDCgroups, Detail: fmt.Sprintf("version %d with %s", g.Version, strings.Join(g.Controllers, ", "))}
	for _, name := range neededControllers {
		if slices.Contains(g.Controllers, name) {
			continue
		}
		advice := cluster.Advise("turn it on in the kernel's configuration")
		if name == "memory" { // off by default on many small boards
			advice = cluster.Advise("add cgroup_enable=memory to the kernel's command line, and restart this machine")
		}
		c.add(cluster.ProblemCgroups, cluster.SeverityError, "the control group controller "+name+" is off", "kubelets need it", advice)
	}
	if g.Version == 1 {
		c.add(cluster.ProblemCgroupV1, cluster.SeverityWarning, "this machine has control groups of version 1",
			"Kubernetes has deprecated them, and enforces limits less exactly with them",
			cluster.Advise("remove systemd.unified_cgroup_hierarchy=0 from the kernel's command line, and restart this machine"))
	}
	return c
}
