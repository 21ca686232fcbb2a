// Package plan decides, as pure functions of values, what has to happen for a cluster to become what the user wants.
//
// A Wish is what the user requested, and nothing about how a command runs. Resolve computes the wanted cluster.Spec
// from it, from what the cluster is and from the Environment. Diff compares the State of the cluster with the wanted
// one and returns the Changes between them, one type for each kind; a Change knows what it needs and how to describe
// itself. New does all of that and refuses what cannot be done. Nothing here does input or output: package bootstrap
// observes, and applies what was planned.
//
// Begin reading at Wish, New and Change.
package plan

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// Wish is what the user wants of one cluster. A field that is not set means "unchanged", or the default for a new
// cluster. The values have been checked already, one by one.
type Wish struct {
	Name string `json:"name"`
	// Nodes is how many the cluster should have.
	Nodes *int `json:"nodes,omitempty"`
	// NodeList, if it is not nil, is each of them, in order. Nodes is nil then. Each node that exists is matched with the one
	// that it is most like.
	NodeList []NodeWish `json:"nodeList,omitempty"`
	// Exact says that Nodes, and Ports if it is not nil, are all that the cluster has: others are removed.
	Exact bool `json:"exact,omitempty"`
	// KubernetesVersion is anything that cluster.ParseKubernetesVersion reads.
	KubernetesVersion string       `json:"kubernetesVersion,omitempty"`
	APIPort           int          `json:"apiPort,omitempty"`
	Subnet            netip.Prefix `json:"subnet,omitzero"`
	// PodSubnet and ServiceSubnet are the ranges of pods and Services.
	PodSubnet     netip.Prefix `json:"podSubnet,omitzero"`
	ServiceSubnet netip.Prefix `json:"serviceSubnet,omitzero"`
	// CPUs and MemoryBytes limit every node; 0 removes the limit.
	CPUs        *float64 `json:"cpus,omitempty"`
	MemoryBytes *int64   `json:"memoryBytes,omitempty"`
	// Mounts are those of every node: added to what it has, or all of them if the wish is Exact and not nil. Those of a
	// NodeList are in it.
	Mounts []cluster.Mount `json:"mounts,omitempty"`
	// Settings are those of components that change: of an exact wish, each map that is not nil is all that there is. An
	// empty file is none.
	Settings *cluster.Settings `json:"settings,omitempty"`
	// Components are those of the control plane that run, as cluster.ParseComponents returns them; nil: as they are.
	Components []string `json:"components,omitempty"`
	// Registries holds the mirrors of some registries, none for an empty list; those of others stay as they are.
	Registries cluster.Registries `json:"registries,omitzero"`
	// Authorities are all that there are of cluster.Registries.Authorities; nil: those that there are stay.
	Authorities *string `json:"authorities,omitempty"`
	// Proxy is that of the environment, for pulls; nil keeps the one that the cluster has.
	Proxy *cluster.Proxy `json:"proxy,omitempty"`
	// ProxyFrom is where Proxy is from: one of the constants Proxy…. Empty means the environment, which does not replace one
	// that a file has chosen.
	ProxyFrom string `json:"proxyFrom,omitempty"`
	// Addons turns some addons on or off by name; others stay as they are.
	Addons map[string]bool `json:"addons,omitempty"`
	// AddonValues are by addon all the values that are chosen for its settings, in their canonical form; those of other
	// addons stay as they are.
	AddonValues map[string]map[string]string `json:"addonValues,omitempty"`
	// Ports are added, or replace those that listen at the same addresses; others stay as they are. A node may be given by
	// number.
	Ports []cluster.Port `json:"ports,omitempty"`
	// Manifests, if it is not nil, are all that the cluster has. They are applied in their order.
	Manifests []Manifest `json:"manifests,omitempty"`
	// DNSSearch is as in cluster.Spec; empty means unchanged.
	DNSSearch string `json:"dnsSearch,omitempty"`
	// AutoPause is as in cluster.Spec.
	AutoPause *time.Duration `json:"autoPause,omitempty"`
	// UpstreamHooks runs upstream's bootstrap hooks in place of bonsai's.
	UpstreamHooks *bool `json:"upstreamHooks,omitempty"`
	// ControlPlaneTaint keeps ordinary pods off nodes with the control-plane role.
	ControlPlaneTaint *bool `json:"controlPlaneTaint,omitempty"`
	// Like is the cluster that a new one is made after: it gets all of its settings, and as many nodes. What identifies a
	// cluster and its ports on this machine are its own. The other fields but Name and Proxy are not set then.
	Like *cluster.Spec `json:"-"`
	// File is the cluster file that says all this, empty if it was said otherwise. Advice names it.
	File string `json:"file,omitempty"`
}

// NodeCount is how many nodes a cluster has with this wish that has so many without it.
func (w Wish) NodeCount(have int) int {
	switch {
	case w.NodeList != nil:
		return len(w.NodeList)
	case w.Nodes != nil:
		return *w.Nodes
	case w.Like != nil:
		return len(w.Like.Nodes)
	}
	return have
}

// The values of Wish.ProxyFrom.
const (
	// ProxyOfFile is chosen in a cluster file.
	ProxyOfFile = "file"
	// ProxyOfEnvironment is that of the environment again, whatever a file has chosen before.
	ProxyOfEnvironment = "environment"
)

// Environment is what planning has to know about the machine.
type Environment struct {
	// Taken are the address ranges that the network of a new cluster must not overlap.
	Taken []netip.Prefix
	// Routed are ranges that the machine reaches through others. A new cluster chooses its ranges elsewhere if it can.
	Routed []netip.Prefix
	// Reserved are the API ports of other clusters, running or not. A cluster takes one only if the wish says so.
	Reserved []int
	// PortFree reports whether the API server could listen on 127.0.0.1:port. Nil means that it does not matter,
	// because the cluster listens already or is not about to be started.
	PortFree func(port int) bool
	// FreePort is some port that nobody listens on and no cluster has.
	FreePort int
	// ID is given to a new cluster.
	ID string
	// Kubernetes is the version of the linked components ("v1.37.2").
	Kubernetes string
	// MTU of the container network, 0 if it is unknown or must stay as it is.
	MTU int
	// CPUs is how many processors the engine has, 0 if it was not asked.
	CPUs int
}

// defaultAPIPort is the usual one; a second cluster uses any free one.
const defaultAPIPort = 6443

// Resolve returns the spec that fulfils the wish, based on what the cluster is; existing is nil for a new one, and is
// not changed. It fails with a fault if there is no such spec; whether the cluster can get there is decided by New.
func Resolve(w Wish, existing *cluster.Spec, env Environment) (cluster.Spec, error) {
	var spec cluster.Spec
	var err error
	if existing == nil {
		spec, err = resolveNew(w, env)
	} else {
		spec, err = resolveChange(w, *existing, env)
	}
	if err != nil {
		return cluster.Spec{}, err
	}
	if env.PortFree != nil && !env.PortFree(spec.APIPort) {
		f := fault.Newf(fault.Conflict, "port %d on 127.0.0.1, where the API server of cluster %q has to listen, is taken", spec.APIPort, spec.Name)
		f.Advice = PortAdvice(spec, existing != nil, cluster.Bonsai("start").With("--api-port", strconv.Itoa(env.FreePort)))
		if w.File != "" && w.APIPort != 0 {
			f.Advice = append(f.Advice[:1:1], cluster.Advise("or write another apiPort into the file"))
		}
		return cluster.Spec{}, f
	}
	if err := limitNodes(&spec, w); err != nil {
		return cluster.Spec{}, err
	}
	if err := w.mountNodes(&spec); err != nil {
		return cluster.Spec{}, err
	}
	if env.MTU != 0 {
		spec.MTU = env.MTU
	}
	if w.DNSSearch != "" && (spec.DNSSearch != "" || w.DNSSearch != cluster.DNSSearchAuto) {
		spec.DNSSearch = w.DNSSearch
	}
	if w.AutoPause != nil {
		spec.AutoPause = *w.AutoPause
	}
	if w.UpstreamHooks != nil {
		spec.UpstreamHooks = *w.UpstreamHooks
	}
	if w.ControlPlaneTaint != nil {
		spec.ControlPlaneTaint = *w.ControlPlaneTaint
	}
	spec.Registries.Mirrors = overlay(spec.Registries.Mirrors, w.Registries.Mirrors)
	maps.DeleteFunc(spec.Registries.Mirrors, func(_ string, m []cluster.Mirror) bool { return len(m) == 0 })
	if w.Authorities != nil {
		spec.Registries.Authorities = *w.Authorities
	}
	if w.Proxy != nil && (w.ProxyFrom != "" || !spec.ProxyChosen) {
		spec.Proxy, spec.ProxyChosen = *w.Proxy, w.ProxyFrom == ProxyOfFile
	}
	spec.Settings = w.withSettings(spec.Settings)
	if w.Components != nil {
		spec.RunComponents(w.Components)
	}
	spec.Manifests = w.withManifests(spec.Manifests)
	spec.Chosen = chosen(spec.Chosen, w)
	spec.Addons = overlay(spec.Addons, w.Addons)
	spec.AddonValues = overlay(spec.AddonValues, w.AddonValues)
	maps.DeleteFunc(spec.AddonValues, func(_ string, values map[string]string) bool { return len(values) == 0 })
	if err := spec.ValidateLoadBalancerRanges(); err != nil {
		return cluster.Spec{}, fault.New(fault.Usage, "", err).Advise("see the addresses that are possible", cluster.Bonsai("addons", "configure").On(cluster.LoadBalancerAddon).Of(spec.Name))
	}
	if spec.Ports, err = withPorts(spec, w); err != nil {
		return cluster.Spec{}, err
	}
	return spec, spec.Validate()
}

// PortAdvice is what to do if another program has the API port of a cluster: other starts it with another one. Nodes of an
// existing cluster may run without its control plane, and have to be stopped before.
func PortAdvice(spec cluster.Spec, existing bool, other cluster.Command) []cluster.Advice {
	commands := []cluster.Command{other.Of(spec.Name).Change()}
	if existing {
		commands = slices.Insert(commands, 0, cluster.Bonsai("stop").Of(spec.Name).Change())
	}
	return []cluster.Advice{
		cluster.Advise("see what has it", cluster.Program("ss", "-ltnp").On(fmt.Sprintf("sport = :%d", spec.APIPort))),
		cluster.Advise("or use another one", commands...),
	}
}

// Started is the wanted state in which the wish is fulfilled and all of the cluster runs, except nodes that the user has
// stopped.
func (w Wish) Started(current State, env Environment) (State, error) {
	spec, err := Resolve(w, current.Spec, env)
	if err == nil {
		err = w.refuseRemoval(current.Spec, spec)
	}
	down := map[string]bool{}
	for i := range spec.Nodes {
		n := &spec.Nodes[i]
		if n.Stopped {
			down[n.Name] = true
		} else {
			n.Pending = false
		}
	}
	return State{Spec: &spec, Running: true, Down: down, File: w.File}, err
}

// refuseRemoval keeps a start from removing nodes with what is on them.
func (w Wish) refuseRemoval(have *cluster.Spec, want cluster.Spec) error {
	if have == nil {
		return nil
	}
	var leaving []string
	for _, n := range have.Nodes {
		if _, stays := want.NodeByName(n.Name); !stays {
			leaving = append(leaving, n.Name)
		}
	}
	if len(leaving) == 0 {
		return nil
	}
	return fault.Newf(fault.Usage, "cluster %q has nodes that the file does not have: %s; start never removes any", want.Name, strings.Join(leaving, ", ")).
		Advise("move their pods elsewhere and remove them", cluster.Bonsai("apply").With("-f", w.File).Change()).
		Advise("or delete them first", cluster.Bonsai("node", "delete").On(leaving...).Of(want.Name).Change())
}

// Kept is the wanted state in which the wish is fulfilled, and what runs or does not run stays so. The cluster exists.
func (w Wish) Kept(current State, env Environment) (State, error) {
	env.PortFree = nil
	spec, err := Resolve(w, current.Spec, env)
	down := maps.Clone(current.Down)
	maps.DeleteFunc(down, func(name string, _ bool) bool { _, stays := spec.NodeByName(name); return !stays })
	for i := range spec.Nodes {
		if _, had := current.Spec.NodeByName(spec.Nodes[i].Name); !had {
			spec.Nodes[i].Pending = !current.Running
		}
	}
	return State{Spec: &spec, Running: current.Running, Down: down, File: w.File}, err
}

// overlay returns base with the entries of top in it. Neither is changed.
func overlay[V any](base, top map[string]V) map[string]V {
	if len(top) == 0 {
		return base
	}
	merged := maps.Clone(base)
	if merged == nil {
		merged = map[string]V{}
	}
	maps.Copy(merged, top)
	return merged
}

func resolveNew(w Wish, env Environment) (cluster.Spec, error) {
	minor, _, err := cluster.ParseKubernetesVersion(w.KubernetesVersion, env.Kubernetes)
	if err != nil {
		return cluster.Spec{}, fault.New(fault.Version, "", err)
	}
	spec := cluster.Spec{
		Version: cluster.SpecVersion, Name: w.Name, ID: env.ID, Suffix: env.ID[:min(cluster.SuffixLength, len(env.ID))],
		KubernetesVersion: minor, APIPort: w.APIPort,
	}
	if spec.APIPort == 0 {
		spec.APIPort = defaultAPIPort
		if slices.Contains(env.Reserved, spec.APIPort) || env.PortFree != nil && !env.PortFree(spec.APIPort) {
			spec.APIPort = env.FreePort
		}
	}
	if spec.Subnet, err = chooseSubnet(w, env); err != nil {
		return cluster.Spec{}, err
	}
	if w.Like != nil {
		return like(*w.Like, spec, env)
	}
	chooseRanges(&spec, w, env)
	if err := checkRanges(spec, w); err != nil {
		return cluster.Spec{}, err
	}
	spec.Replan()
	if w.NodeList != nil {
		return spec, w.fitNodes(&spec)
	}
	return spec, addNodes(&spec, w.NodeCount(cluster.DefaultNodes))
}

// chosen adds to the values that the user has given already those of the wish.
func chosen(before []string, w Wish) []string {
	after := slices.Clone(before)
	for _, v := range []struct {
		given bool
		name  string
	}{
		{w.KubernetesVersion != "", cluster.ChosenVersion}, {w.APIPort != 0, cluster.ChosenAPIPort}, {w.Subnet.IsValid(), cluster.ChosenSubnet},
		{w.PodSubnet.IsValid(), cluster.ChosenPodSubnet}, {w.ServiceSubnet.IsValid(), cluster.ChosenServiceSubnet},
	} {
		if v.given && !slices.Contains(after, v.name) {
			after = append(after, v.name)
		}
	}
	return after
}

func chooseSubnet(w Wish, env Environment) (netip.Prefix, error) {
	wished := slices.DeleteFunc([]netip.Prefix{w.PodSubnet, w.ServiceSubnet}, func(p netip.Prefix) bool { return !p.IsValid() })
	// A bridge is closer than any route, so what is routed is only avoided where that is possible.
	free, noneFree := cluster.ChooseSubnet(slices.Concat(env.Taken, wished, env.Routed))
	if noneFree != nil {
		free, noneFree = cluster.ChooseSubnet(slices.Concat(env.Taken, wished))
	}
	i := slices.IndexFunc(env.Taken, w.Subnet.Overlaps)
	switch {
	case !w.Subnet.IsValid() && noneFree != nil:
		return free, fault.New(fault.Conflict, "choose a network for the nodes", noneFree).
			Advise("name a free one", cluster.Bonsai("start").Of(w.Name).With("--subnet", "172.29.0.0/22").Change())
	case !w.Subnet.IsValid():
		return free, nil
	case i < 0:
		return w.Subnet, nil
	}
	f := fault.Newf(fault.Conflict, "subnet %s overlaps %s, which is in use on this machine", w.Subnet, env.Taken[i])
	if w.File != "" {
		return w.Subnet, f.Advise("omit it in the file and bonsai finds a free one")
	}
	if noneFree != nil {
		return w.Subnet, f.Advise("omit --subnet and bonsai finds a free one")
	}
	return w.Subnet, f.Advise("omit --subnet, or use a free one", cluster.Bonsai("start").Of(w.Name).With("--subnet", free.String()).Change())
}

// chooseRanges gives a new cluster the ranges of pods and Services: those of the wish, or some that overlap nothing. If there
// are none, the default ones have to do.
func chooseRanges(spec *cluster.Spec, w Wish, env Environment) {
	taken := slices.Concat(env.Taken, env.Routed, []netip.Prefix{spec.Subnet})
	spec.PodSubnet, spec.ServiceSubnet = w.PodSubnet, w.ServiceSubnet
	choose := func(p *netip.Prefix, other netip.Prefix, free func([]netip.Prefix) (netip.Prefix, error), otherwise netip.Prefix) {
		if p.IsValid() {
			return
		}
		not := taken
		if other.IsValid() {
			not = append(slices.Clip(taken), other)
		}
		var err error
		if *p, err = free(not); err != nil {
			*p = otherwise
		}
	}
	choose(&spec.PodSubnet, spec.ServiceSubnet, cluster.ChoosePodSubnet, cluster.DefaultPodSubnet)
	choose(&spec.ServiceSubnet, spec.PodSubnet, cluster.ChooseServiceSubnet, cluster.DefaultServiceSubnet)
}

// checkRanges refuses ranges of the wish that overlap each other.
func checkRanges(spec cluster.Spec, w Wish) error {
	err := spec.Overlap()
	if err == nil {
		return nil
	}
	f := fault.New(fault.Usage, "", err)
	if w.File != "" {
		return f.Advise("omit it in the file and bonsai finds a free one")
	}
	if w.PodSubnet.IsValid() || w.ServiceSubnet.IsValid() {
		return f.Advise("omit --pod-subnet and --service-subnet, and bonsai finds ranges that are free")
	}
	return f.Advise("omit --subnet and bonsai finds a free one")
}

func resolveChange(w Wish, spec cluster.Spec, env Environment) (cluster.Spec, error) {
	spec.Nodes = slices.Clone(spec.Nodes)
	if w.KubernetesVersion != "" {
		minor, _, err := cluster.ParseKubernetesVersion(w.KubernetesVersion, env.Kubernetes)
		if err != nil {
			return spec, fault.New(fault.Version, "", err)
		}
		spec.KubernetesVersion = minor
	}
	if w.APIPort != 0 {
		spec.APIPort = w.APIPort
	}
	if w.Subnet.IsValid() && w.Subnet != spec.Subnet {
		spec.Subnet = w.Subnet
		spec.Replan()
	}
	if w.PodSubnet.IsValid() && w.PodSubnet != spec.PodRange() {
		spec.PodSubnet = w.PodSubnet
		spec.Replan()
	}
	if w.ServiceSubnet.IsValid() && w.ServiceSubnet != spec.ServiceRange() {
		spec.ServiceSubnet = w.ServiceSubnet
	}
	wanted := w.NodeCount(len(spec.Nodes))
	if wanted < len(spec.Nodes) && !w.Exact {
		return spec, fault.Newf(fault.Usage, "cluster %q has %d nodes; start adds nodes but never removes any", spec.Name, len(spec.Nodes)).
			Advise("omit --nodes to start it as it is, or delete nodes", cluster.Bonsai("node", "delete").On(spec.Nodes[len(spec.Nodes)-1].Name).Of(spec.Name).Change())
	}
	return spec, w.fitNodes(&spec)
}

// limitNodes gives every node the limits of the wish.
func limitNodes(spec *cluster.Spec, w Wish) error {
	if w.CPUs == nil && w.MemoryBytes == nil {
		return nil
	}
	if len(spec.Nodes) == 0 {
		return fault.Newf(fault.Usage, "cluster %q has no nodes whose processors and memory could be limited", spec.Name).
			Advise("omit --cpus and --memory, or add nodes:  --nodes 1")
	}
	for i := range spec.Nodes {
		if w.CPUs != nil {
			spec.Nodes[i].CPUs = *w.CPUs
		}
		if w.MemoryBytes != nil {
			spec.Nodes[i].MemoryBytes = *w.MemoryBytes
		}
	}
	return nil
}
