package bootstrap

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/doctor"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kubeconfig"
	"bonsai/bootstrap/limits"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/routes"
	"bonsai/bootstrap/statedir"
)

// Host is this machine as far as Doctor looks at it; look.Machine is one.
type Host interface {
	Kernel() doctor.Kernel
	Cgroups() doctor.Cgroups
	Memory() doctor.Memory
	Disk(of, path string) doctor.Disk
	Clock() doctor.Clock
	Firewalls() []doctor.Firewall
	Session() doctor.Session
	Folder(dir statedir.Dir) doctor.Folder
	// Free reports whether nothing listens on a TCP port of this machine.
	Free(ctx context.Context, at netip.AddrPort) bool
	// Proxy is that of the environment; the error says which variables are not proxies.
	Proxy() (cluster.Proxy, error)
}

// Doctor looks at this machine, the engine and the clusters of the state folder, and returns all checks in a fixed order. It
// changes nothing unless fix is set: then it repairs what this process has the rights for, and looks again.
func (m *Manager) Doctor(ctx context.Context, fix bool) ([]cluster.Check, error) {
	checks, err := m.examine(ctx)
	if err != nil {
		return nil, err
	}
	done := map[string][]string{}
	if fix {
		for _, c := range checks {
			for _, f := range c.Findings {
				if said := m.repair(f); said != "" {
					done[c.ID] = append(done[c.ID], said)
				}
			}
		}
	}
	if len(done) > 0 {
		if checks, err = m.examine(ctx); err != nil {
			return nil, err
		}
	}
	results := make([]cluster.Check, len(checks))
	for i, c := range checks {
		results[i] = c.Result()
		results[i].Fixed = done[c.ID]
	}
	return results, nil
}

// examine makes all checks.
func (m *Manager) examine(ctx context.Context) ([]doctor.Check, error) {
	clusters, broken, err := m.knownClusters()
	if err != nil {
		return []doctor.Check{doctor.Failed(doctor.IDFolder, err)}, nil
	}
	h, e := m.env.Host, m.askEngine(ctx)
	defer e.close()
	local := func(check func() doctor.Check, id string) doctor.Check {
		if e.err == nil && !e.info.HostReachesNodes {
			return doctor.Unknown(id, "the engine is not on this machine")
		}
		return check()
	}
	all, routeErr := routes.Read()
	subnets := doctor.CheckSubnets(clusters, e.taken(clusters), all)
	if routeErr != nil {
		subnets = doctor.Unknown(doctor.IDSubnets, routeErr.Error())
	}
	clock := h.Clock()
	clock.Latest, clock.From = latestFile(m.env.Dir, clusters)
	proxy, proxyErr := h.Proxy()
	disks := []doctor.Disk{h.Disk("the state folder", m.env.Dir.Root)}
	if e.err == nil && e.info.HostReachesNodes {
		disks = append(disks, h.Disk("the container engine", e.info.DataRoot))
	}
	checks := []doctor.Check{
		e.check(),
		local(func() doctor.Check { return doctor.CheckCgroups(h.Cgroups()) }, doctor.IDCgroups),
		local(func() doctor.Check { return doctor.CheckKernel(h.Kernel()) }, doctor.IDKernel),
		local(func() doctor.Check { return m.checkRoom(ctx, e, clusters) }, doctor.IDLimits),
		doctor.CheckMemory(h.Memory()),
		doctor.CheckDisk(disks...),
		doctor.CheckClock(clock),
		doctor.CheckFolder(h.Folder(m.env.Dir)),
		doctor.CheckKubeconfig(kubeconfig.Check(), clusters),
		doctor.CheckPorts(clusters, func(at netip.AddrPort) bool { return h.Free(ctx, at) }),
		subnets,
		local(func() doctor.Check { return doctor.CheckFirewall(h.Firewalls(), m.probe(ctx, e, clusters)) }, doctor.IDFirewall),
		doctor.CheckProxy(proxy, proxyErr),
		doctor.CheckSession(h.Session()),
		doctor.CheckClusters(clusters, broken, m.clusterTroubles(ctx, clusters)),
	}
	return checks, context.Cause(ctx)
}

// knownClusters are those of the state folder; broken are the faults of those whose spec cannot be used.
func (m *Manager) knownClusters() (clusters []doctor.Known, broken []error, err error) {
	names, err := m.List()
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		state := m.env.Dir.Cluster(name)
		spec, err := state.LoadSpec()
		if err != nil {
			broken = append(broken, err)
			continue
		}
		k := doctor.Known{Spec: *spec, Running: state.DaemonAlive(), Context: kubeconfig.Missing, Apart: state.Apart()}
		if entry, err := kubeconfigEntry(state, spec); err == nil {
			k.Context = kubeconfig.Inspect(entry).State
			k.Leads = k.Context == kubeconfig.Configured
		}
		clusters = append(clusters, k)
	}
	return clusters, broken, nil
}

// askedEngine is what the engine answered.
type askedEngine struct {
	driver   node.Driver
	info     node.EngineInfo
	networks []node.Network
	err      error
}

func (m *Manager) askEngine(ctx context.Context) *askedEngine {
	e := &askedEngine{}
	if e.driver, e.err = m.env.Driver(); e.err != nil {
		return e
	}
	if e.info, e.err = e.driver.Ping(ctx); e.err == nil {
		e.networks, e.err = e.driver.Networks(ctx)
	}
	return e
}

func (e *askedEngine) close() {
	if e.driver != nil {
		_ = e.driver.Close()
	}
}

func (e *askedEngine) check() doctor.Check {
	if e.err != nil {
		return doctor.Failed(doctor.IDEngine, e.err)
	}
	return doctor.CheckEngine(e.info)
}

// taken are the ranges that a new cluster does not take.
func (e *askedEngine) taken(clusters []doctor.Known) (ranges []netip.Prefix) {
	for _, n := range e.networks {
		ranges = append(ranges, n.Subnets...)
	}
	for _, k := range clusters {
		ranges = append(ranges, k.Spec.Subnet)
	}
	return append(ranges, hostNetworks()...)
}

// checkRoom judges the limits of this machine.
func (m *Manager) checkRoom(ctx context.Context, e *askedEngine, clusters []doctor.Known) doctor.Check {
	if m.env.Machine == nil {
		return doctor.Unknown(doctor.IDLimits, "they are not looked at")
	}
	facts := m.env.Machine.Facts(e.info.DataRoot)
	demand := limits.Demand{Nodes: doctor.ClusterNodes, ControlPlane: true, CgroupV2: e.info.CgroupVersion == "2"}
	if facts[limits.InotifyInstances].AtLeast {
		demand.ControlPlane = false // as in checkLimits
		if e.err == nil {
			if err := countNodes(ctx, e.driver, facts); err != nil {
				return doctor.Failed(doctor.IDLimits, err)
			}
		}
	}
	return doctor.CheckLimits(facts, demand, slices.ContainsFunc(clusters, func(k doctor.Known) bool { return k.Running }))
}

// probeLimit bounds the question to a node whether it reaches the API server; a firewall that drops packets makes it wait.
const probeLimit = 10 * time.Second

// probe asks a node of each running cluster whether it reaches the API server.
func (m *Manager) probe(ctx context.Context, e *askedEngine, clusters []doctor.Known) (probes []doctor.Probe) {
	if e.err != nil {
		return nil
	}
	ctx, cancel := m.limit(ctx, probeLimit, "nodes to reach the API server")
	defer cancel()
	for _, k := range clusters {
		if !k.Running {
			continue
		}
		containers, err := e.driver.List(ctx, k.Spec.ID)
		if err != nil {
			continue
		}
		if i := slices.IndexFunc(containers, func(c node.Container) bool { return c.Running }); i >= 0 {
			c := containers[i]
			probes = append(probes, doctor.Probe{Cluster: k.Spec.Name, Node: c.Node, Err: reachesServer(ctx, e.driver, c.Name, &k.Spec)})
		}
	}
	return probes
}

// clusterTroubles are what status reports about control planes and nodes; workloads are not this machine's matter.
func (m *Manager) clusterTroubles(ctx context.Context, clusters []doctor.Known) (list []cluster.Problem) {
	for _, k := range clusters {
		s, err := m.Status(ctx, k.Spec.Name)
		if err != nil {
			continue // its spec has gone meanwhile
		}
		for _, p := range s.Problems {
			if p.Object != "daemon" && !strings.HasPrefix(p.Object, "node/") {
				continue
			}
			p = p.For(k.Spec.Name)
			p.Object = "cluster/" + k.Spec.Name
			list = append(list, p)
		}
	}
	return list
}

// latestFile is the newest time of a file that clusters write, and which it is.
func latestFile(dir statedir.Dir, clusters []doctor.Known) (latest time.Time, path string) {
	for _, k := range clusters {
		state := dir.Cluster(k.Spec.Name)
		for _, file := range []string{state.SpecFile(), state.Kubeconfig(), state.LogFile("daemon")} {
			if info, err := os.Stat(file); err == nil && info.ModTime().After(latest) {
				latest, path = info.ModTime(), file
			}
		}
	}
	return latest, path
}

// repair does what "--fix" does about a finding, and says what it did; "" if it could do nothing.
func (m *Manager) repair(f doctor.Finding) string {
	var err error
	said := ""
	switch f.Repair.Do {
	case doctor.RaiseLimit:
		l := limits.Of(limits.Name(f.Repair.Of))
		said, err = "raised "+l.Setting+" until this machine restarts", errors.New("this machine's limits are not known")
		if m.env.Machine != nil {
			err = m.env.Machine.Raise(l)
		}
	case doctor.MakePrivate:
		said, err = "made "+f.Repair.Of+" private", statedir.MkdirPrivate(f.Repair.Of)
	case doctor.WriteContext:
		said = "wrote the entry of cluster " + f.Repair.Of + " into the kubeconfig"
		_, err = m.UpdateContext(f.Repair.Of)
	default:
		return ""
	}
	if err != nil {
		m.env.Log.Debug("a repair failed", "of", f.Repair.Of, "kind", fault.KindOf(err), "cause", err)
		return ""
	}
	return said
}
