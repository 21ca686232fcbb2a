package doctor

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/limits"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/routes"
)

// found is what a check has found, a line for each problem.
func found(c Check) string {
	var lines []string
	for _, p := range c.Result().Problems {
		lines = append(lines, fmt.Sprintf("%s %s: %s", p.Severity, p.Kind, p.Summary))
	}
	return strings.Join(lines, "\n")
}

// want compares the problems of a check; each has to say what to do.
func want(t *testing.T, c Check, state cluster.CheckState, lines ...string) {
	t.Helper()
	r := c.Result()
	if got, want := found(c), strings.Join(lines, "\n"); got != want || r.State != state {
		t.Errorf("%s is %s, want %s; got\n%s\nwant\n%s", c.ID, r.State, state, got, want)
	}
	for _, p := range r.Problems {
		if len(p.Advice) == 0 && p.Kind != cluster.ProblemEngine {
			t.Errorf("%s says nothing about what to do", p.Kind)
		}
	}
	if r.Title == "" {
		t.Errorf("check %s has no title", c.ID)
	}
}

// all is a kernel's configuration with all features, as value says.
func all(value string) map[string]string {
	config := map[string]string{}
	for _, f := range Features() {
		config[f.Option] = value
	}
	return config
}

func modules(but ...string) (names []string) {
	names = []string{}
	for _, f := range Features() {
		if !slices.Contains(but, f.Module) {
			names = append(names, f.Module)
		}
	}
	return names
}

func TestKernel(t *testing.T) {
	without := all("y")
	delete(without, "CONFIG_VETH")
	delete(without, "CONFIG_OVERLAY_FS")
	for name, tc := range map[string]struct {
		kernel Kernel
		state  cluster.CheckState
		lines  []string
	}{
		"everything built in":       {Kernel{Config: all("y")}, cluster.CheckOK, nil},
		"everything on the disk":    {Kernel{Config: all("m"), Modules: modules()}, cluster.CheckOK, nil},
		"no configuration to read":  {Kernel{Modules: modules()}, cluster.CheckOK, nil},
		"loaded, files gone":        {Kernel{Config: all("m"), Loaded: modules()}, cluster.CheckOK, nil},
		"nothing to read":           {Kernel{}, cluster.CheckUnknown, nil},
		"in a container":            {Kernel{Config: all("m"), Contained: true}, cluster.CheckUnknown, nil},
		"updated since the restart": {Kernel{Release: "6.1", Config: all("m"), Loaded: modules("nft_nat")}, cluster.CheckError, []string{"error ModulesGone: the modules of the running kernel 6.1 are not on the disk"}},
		"not built":                 {Kernel{Config: without}, cluster.CheckError, []string{"error KernelLacks: this kernel has no veth (CONFIG_VETH)", "warning KernelLacks: this kernel has no overlay (CONFIG_OVERLAY_FS)"}},
		"a package is missing":      {Kernel{Modules: modules("nft_fib_ipv4")}, cluster.CheckError, []string{"error KernelLacks: this kernel has no nft_fib_ipv4 (CONFIG_NFT_FIB_IPV4)"}},
	} {
		t.Run(name, func(t *testing.T) { want(t, CheckKernel(tc.kernel), tc.state, tc.lines...) })
	}
}

func TestCgroups(t *testing.T) {
	want(t, CheckCgroups(Cgroups{2, []string{"cpu", "cpuset", "memory", "pids", "io"}}), cluster.CheckOK)
	want(t, CheckCgroups(Cgroups{}), cluster.CheckUnknown)
	c := CheckCgroups(Cgroups{2, []string{"cpu", "cpuset", "pids"}})
	want(t, c, cluster.CheckError, "error CgroupsLack: the control group controller memory is off")
	if hint := c.Result().Problems[0].HintText(); !strings.Contains(hint, "cgroup_enable=memory") {
		t.Errorf("the hint is %q", hint)
	}
	want(t, CheckCgroups(Cgroups{1, []string{"cpu", "cpuset", "memory", "pids"}}), cluster.CheckWarning,
		"warning CgroupV1: this machine has control groups of version 1")
}

func TestEngine(t *testing.T) {
	info := node.EngineInfo{Version: "26.1", HostReachesNodes: true}
	want(t, CheckEngine(info), cluster.CheckOK)
	info.Warnings = []string{"the engine is rootless, which is not tested", "the engine runs on cgroup v1, which Kubernetes has deprecated"}
	want(t, CheckEngine(info), cluster.CheckWarning, "warning EngineWarning: the engine is rootless, which is not tested")
	want(t, CheckEngine(node.EngineInfo{Version: "26.1"}), cluster.CheckError, "error EngineElsewhere: the engine does not run on this machine's own kernel")
	want(t, CheckEngine(node.EngineInfo{Version: "26.1", Apart: true}), cluster.CheckError, "error HostUnreachable: bonsai is in a container with a network of its own")
}

func TestLimits(t *testing.T) {
	demand := limits.Demand{Nodes: 3, ControlPlane: true}
	facts := limits.Facts{limits.InotifyInstances: {Limit: 128, Used: 120}}
	c := CheckLimits(facts, demand, false)
	want(t, c, cluster.CheckError, "error MachineLimit: this machine does not have enough inotify instances: 8 of 128 inotify instances are left, and 3 nodes take 39")
	if r := c.Findings[0].Repair; r != (Repair{RaiseLimit, string(limits.InotifyInstances)}) {
		t.Errorf("the repair is %+v", r)
	}
	if got := CheckLimits(facts, demand, true).Result().State; got != cluster.CheckWarning {
		t.Errorf("beside a cluster that runs it is %s", got)
	}
	want(t, CheckLimits(limits.Facts{limits.InotifyInstances: {Limit: 8192}}, demand, false), cluster.CheckOK)
	want(t, CheckLimits(nil, demand, false), cluster.CheckUnknown)
}

func TestMemoryAndDisk(t *testing.T) {
	want(t, CheckMemory(Memory{8 << 30, 6 << 30}), cluster.CheckOK)
	want(t, CheckMemory(Memory{8 << 30, 500 << 20}), cluster.CheckWarning, "warning LittleMemory: only 500 MiB of memory are available")
	want(t, CheckMemory(Memory{}), cluster.CheckUnknown)
	want(t, CheckDisk(Disk{"the state folder", "/home", 10 << 30, 5 << 30}), cluster.CheckOK)
	want(t, CheckDisk(Disk{"the state folder", "/home", 10 << 30, 5 << 30}, Disk{"the container engine", "/var", 10 << 30, 10 << 20}), cluster.CheckError,
		"error LittleDisk: only 10 MiB are free on the disk of the container engine (/var)")
	want(t, CheckDisk(Disk{"the state folder", "/home", 10 << 30, 900 << 20}), cluster.CheckWarning,
		"warning LittleDisk: only 900 MiB are free on the disk of the state folder (/home)")
	want(t, CheckDisk(Disk{}), cluster.CheckUnknown)
}

func TestClock(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	want(t, CheckClock(Clock{Now: now, Latest: now.Add(time.Second)}), cluster.CheckOK)
	want(t, CheckClock(Clock{Now: now, Latest: now.Add(time.Hour), From: "/x/spec.json"}), cluster.CheckError, "error ClockWrong: the clock is 1h0m0s behind /x/spec.json")
	if got := CheckClock(Clock{Now: now, Known: true}).Result().Detail; !strings.Contains(got, "not synchronized") {
		t.Errorf("the detail is %q", got)
	}
}

func TestFolder(t *testing.T) {
	want(t, CheckFolder(Folder{Path: "/h"}), cluster.CheckOK)
	want(t, CheckFolder(Folder{Path: "/h", Exists: true, Owned: true}), cluster.CheckOK)
	want(t, CheckFolder(Folder{Path: "/h", Exists: true}), cluster.CheckError, "error StateFolder: /h belongs to another user")
	want(t, CheckFolder(Folder{Path: "/h", Trouble: fault.Newf(fault.State, "full").Advise("make room")}), cluster.CheckError, "error StateFolder: full")
	c := CheckFolder(Folder{Path: "/h", Exists: true, Owned: true, Network: "NFS", Open: []string{"/h/a"}})
	want(t, c, cluster.CheckWarning, "warning StateFolderAway: /h is on a network file system (NFS)", "warning StateFolderOpen: other users may look into /h/a")
	if r := c.Findings[1].Repair; r != (Repair{MakePrivate, "/h/a"}) {
		t.Errorf("the repair is %+v", r)
	}
}

func TestProxy(t *testing.T) {
	want(t, CheckProxy(cluster.Proxy{}, nil), cluster.CheckOK)
	c := CheckProxy(cluster.Proxy{HTTPS: "http://me:secret@127.0.0.1:3128"}, errors.New("HTTP_PROXY is not the URL of a proxy: it has no host"))
	want(t, c, cluster.CheckWarning, "warning ProxyUnusable: HTTP_PROXY is not the URL of a proxy: it has no host")
	if strings.Contains(c.Detail, "secret") || !strings.Contains(c.Detail, "forwarded") {
		t.Errorf("the detail is %q", c.Detail)
	}
}

func TestSession(t *testing.T) {
	want(t, CheckSession(Session{Systemd: true}), cluster.CheckOK)
	want(t, CheckSession(Session{Systemd: true, Killed: true, Lingers: true}), cluster.CheckOK)
	want(t, CheckSession(Session{}), cluster.CheckOK)
	want(t, CheckSession(Session{Systemd: true, Killed: true}), cluster.CheckWarning, "warning EndsWithSession: clusters end when you log out")
}

// known is a cluster with a node.
func known(running bool) Known {
	s := cluster.Spec{
		Name: "dev", APIPort: 7443, Subnet: netip.MustParsePrefix("10.201.0.0/22"), Gateway: netip.MustParseAddr("10.201.0.1"),
		Nodes: []cluster.Node{{Name: "dev-1"}},
		Ports: []cluster.Port{{Address: netip.MustParseAddr("127.0.0.1"), Port: 8080, Protocol: cluster.TCP, Target: 80}},
	}
	return Known{Spec: s, Running: running}
}

func TestPorts(t *testing.T) {
	free := func(netip.AddrPort) bool { return true }
	taken := func(at netip.AddrPort) bool { return at.Port() == defaultPort }
	want(t, CheckPorts([]Known{known(false)}, free), cluster.CheckOK)
	want(t, CheckPorts([]Known{known(true)}, taken), cluster.CheckOK)
	want(t, CheckPorts([]Known{known(false)}, taken), cluster.CheckWarning,
		"warning StoppedPortTaken: something listens on 127.0.0.1:8080, which is a port of cluster dev",
		"warning StoppedPortTaken: something listens on port 7443, which the API server of cluster dev uses")
}

func TestSubnets(t *testing.T) {
	route := func(to string) routes.Route { return routes.Route{To: netip.MustParsePrefix(to)} }
	// Those that the cluster's own bridge makes.
	own := []routes.Route{route("10.201.0.0/22"), route("10.201.0.1/32"), route("192.168.0.0/24"), route("10.0.0.0/8")}
	want(t, CheckSubnets(nil, nil, own), cluster.CheckOK)
	c := CheckSubnets([]Known{known(true)}, []netip.Prefix{netip.MustParsePrefix("10.201.0.0/22")}, own[:3])
	want(t, c, cluster.CheckOK)
	if !strings.HasPrefix(c.Detail, "10.201.4.0/22 is free") {
		t.Errorf("the detail is %q", c.Detail)
	}
	want(t, CheckSubnets([]Known{known(true)}, nil, append(own[:3:3], route("10.201.2.0/24"), route("10.244.0.0/17"))), cluster.CheckError,
		"error SubnetRouted: this machine has other routes into the network of the nodes of cluster dev",
		"warning RangeRouted: pods of cluster dev cannot reach what this machine reaches at 10.244.0.0/17")
	want(t, CheckSubnets(nil, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, nil), cluster.CheckWarning,
		"warning SubnetsTaken: no range is free for the nodes of a new cluster")
}

func TestFirewall(t *testing.T) {
	spec := known(true).Spec
	want(t, CheckFirewall(nil, nil), cluster.CheckOK)
	want(t, CheckFirewall([]Firewall{UFW, Firewalld}, nil), cluster.CheckWarning,
		"warning FirewallActive: firewalld is active, and may keep nodes from the API server on this machine",
		"warning FirewallActive: ufw is active, and may keep nodes from the API server on this machine")
	// What a node sees counts more than a guess.
	want(t, CheckFirewall([]Firewall{UFW}, []Probe{{Cluster: "dev", Node: "dev-1"}}), cluster.CheckOK)
	c := CheckFirewall([]Firewall{UFW}, []Probe{{Cluster: "dev", Node: "dev-1", Err: Unreachable(&spec, nil)}})
	want(t, c, cluster.CheckError, "error HostUnreachable: nodes cannot reach the API server at 10.201.0.1:7443 on this host")
	if hint := c.Result().Problems[0].HintText(); !strings.Contains(hint, "sudo ufw allow from 10.201.0.0/22 to any port 7443 proto tcp") {
		t.Errorf("the hint is %q", hint)
	}
}

func TestKubeconfig(t *testing.T) {
	leads := known(true)
	leads.Leads = true
	want(t, CheckKubeconfig(nil, []Known{leads, known(false)}), cluster.CheckOK)
	apart := known(true)
	apart.Apart = true
	want(t, CheckKubeconfig(nil, []Known{leads, apart}), cluster.CheckOK)
	want(t, CheckKubeconfig(fault.Newf(fault.Kubeconfig, "it is not YAML").Advise("repair it"), nil), cluster.CheckError, "error Kubeconfig: it is not YAML")
	lost := known(true)
	lost.Context = "Missing"
	c := CheckKubeconfig(nil, []Known{lost})
	want(t, c, cluster.CheckWarning, "warning ContextMissing: no context of the kubeconfig leads to cluster dev")
	if r := c.Findings[0].Repair; r != (Repair{WriteContext, "dev"}) {
		t.Errorf("the repair is %+v", r)
	}
}

func TestUnfit(t *testing.T) {
	code := func(checks ...Check) int {
		var results []cluster.Check
		for _, c := range checks {
			results = append(results, c.Result())
		}
		return fault.ExitCode(Unfit(results))
	}
	warns := CheckMemory(Memory{8 << 30, 1})
	down := Failed(IDEngine, fault.Newf(fault.EnginePermission, "no"))
	lacks := CheckCgroups(Cgroups{2, []string{}})
	for _, tc := range []struct {
		want   int
		checks []Check
	}{{0, nil}, {0, []Check{warns}}, {21, []Check{warns, down, lacks}}, {18, []Check{lacks, down}}} {
		if got := code(tc.checks...); got != tc.want {
			t.Errorf("got %d, want %d", got, tc.want)
		}
	}
}
