package bootstrap

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// surroundings is what plan has to know of the machine: values, so that planning stays pure.
type surroundings struct {
	// taken are the address ranges that the cluster's network must not overlap.
	taken []netip.Prefix
	// portFree says whether nobody listens on 127.0.0.1:port.
	portFree func(port int) bool
	// freePort is some port that nobody listens on.
	freePort int
	// id is used for a new cluster.
	id string
	// embedded is the version of the linked Kubernetes ("v1.37.2").
	embedded string
	mtu      int
}

// defaultAPIPort is what everybody knows; a second cluster takes any free one.
const defaultAPIPort = 6443

// plan decides what the cluster is to be: what the options ask for, on top of what it already is. It fails with a
// usage or conflict fault before anything was changed. running says that the cluster's API port is in use by itself.
func plan(o StartOptions, existing *cluster.Spec, running bool, s surroundings) (cluster.Spec, error) {
	var spec cluster.Spec
	var err error
	if existing == nil {
		spec, err = planNew(o, s)
	} else {
		spec, err = planChange(o, *existing, running, s)
	}
	if err != nil {
		return cluster.Spec{}, err
	}
	if !running && !s.portFree(spec.APIPort) {
		return cluster.Spec{}, fault.Newf(fault.Conflict, "port %d on 127.0.0.1, where the API server of cluster %q has to listen, is taken", spec.APIPort, spec.Name).
			WithHint("see what has it:  ss -ltnp 'sport = :%d'\nor use another one:  bonsai start -p %s --api-port %d", spec.APIPort, spec.Name, s.freePort)
	}
	spec.MTU = s.mtu
	spec.Addons = chooseAddons(spec.Addons, o.Addons)
	return spec, spec.Validate()
}

func planNew(o StartOptions, s surroundings) (cluster.Spec, error) {
	minor, _, err := cluster.ParseKubernetesVersion(o.KubernetesVersion, s.embedded)
	if err != nil {
		return cluster.Spec{}, fault.New(fault.Version, "", err)
	}
	spec := cluster.Spec{
		Version: cluster.SpecVersion, Name: o.Name, ID: s.id, Suffix: s.id[:min(cluster.SuffixLength, len(s.id))], KubernetesVersion: minor,
		APIPort: o.APIPort, Registries: o.Registries, UpstreamHooks: o.UpstreamHooks,
	}
	if spec.APIPort == 0 {
		spec.APIPort = defaultAPIPort
		if !s.portFree(spec.APIPort) {
			spec.APIPort = s.freePort
		}
	}
	if err := planSubnet(&spec, o.Subnet, s); err != nil {
		return cluster.Spec{}, err
	}
	nodes := cluster.DefaultNodes
	if o.Nodes != nil {
		nodes = *o.Nodes
	}
	planNodes(&spec, nodes, o)
	return spec, nil
}

func planSubnet(spec *cluster.Spec, wanted netip.Prefix, s surroundings) error {
	switch {
	case !wanted.IsValid():
		chosen, err := cluster.ChooseSubnet(s.taken)
		if err != nil {
			return fault.New(fault.Conflict, "choose a network for the nodes", err).
				WithHint("name a free one:  bonsai start -p %s --subnet 172.29.0.0/22", spec.Name)
		}
		spec.Subnet = chosen
	case slices.ContainsFunc(s.taken, wanted.Overlaps):
		i := slices.IndexFunc(s.taken, wanted.Overlaps)
		hint := "leave --subnet away and bonsai finds a free one"
		if free, err := cluster.ChooseSubnet(s.taken); err == nil {
			hint = fmt.Sprintf("leave --subnet away, or use a free one:  --subnet %s", free)
		}
		return fault.Newf(fault.Conflict, "subnet %s overlaps %s, which is in use on this machine", wanted, s.taken[i]).WithHint("%s", hint)
	default:
		spec.Subnet = wanted
	}
	spec.Replan()
	return nil
}

// planNodes adds nodes until there are n, with the limits of the options.
func planNodes(spec *cluster.Spec, n int, o StartOptions) {
	for index := 1; len(spec.Nodes) < n; index++ {
		if slices.ContainsFunc(spec.Nodes, func(n cluster.Node) bool { return n.Index == index }) {
			continue
		}
		node := spec.PlanNode(index)
		node.CPUs, node.MemoryBytes = o.CPUs, o.MemoryBytes
		spec.Nodes = append(spec.Nodes, node)
	}
	slices.SortFunc(spec.Nodes, func(a, b cluster.Node) int { return a.Index - b.Index })
}

func planChange(o StartOptions, spec cluster.Spec, running bool, s surroundings) (cluster.Spec, error) {
	spec.Nodes = slices.Clone(spec.Nodes)
	fixed := func(what string, have, want any) *fault.Fault {
		return fault.Newf(fault.Usage, "cluster %q has %s %v, which a start cannot change to %v", spec.Name, what, have, want).
			WithHint("make it anew:  bonsai delete -p %[1]s  and then  bonsai start -p %[1]s with the new setting\nor leave the flag away to start it as it is", spec.Name)
	}
	if o.KubernetesVersion != "" {
		minor, _, err := cluster.ParseKubernetesVersion(o.KubernetesVersion, s.embedded)
		if err != nil {
			return spec, fault.New(fault.Version, "", err)
		}
		if minor != spec.KubernetesVersion {
			return spec, fixed("Kubernetes version", spec.KubernetesVersion, minor)
		}
	}
	if o.Subnet.IsValid() && o.Subnet != spec.Subnet {
		return spec, fixed("subnet", spec.Subnet, o.Subnet)
	}
	if o.APIPort != 0 && o.APIPort != spec.APIPort {
		if running {
			return spec, fixed("API port", spec.APIPort, o.APIPort).
				WithHint("stop it first:  bonsai stop -p %[1]s  and then  bonsai start -p %[1]s --api-port %[2]d", spec.Name, o.APIPort)
		}
		spec.APIPort = o.APIPort
	}
	if o.Nodes != nil {
		if *o.Nodes < len(spec.Nodes) {
			return spec, fault.Newf(fault.Usage, "cluster %q has %d nodes; start adds nodes but never removes any", spec.Name, len(spec.Nodes)).
				WithHint("leave --nodes away to start it as it is, or delete the cluster:  bonsai delete -p %s", spec.Name)
		}
		planNodes(&spec, *o.Nodes, o)
	}
	if len(o.Registries.Mirrors) > 0 {
		spec.Registries = o.Registries
	}
	return spec, nil
}

// chooseAddons adds addons to what was chosen, which stays as it is.
func chooseAddons(chosen map[string]bool, enable []string) map[string]bool {
	if len(enable) == 0 {
		return chosen
	}
	chosen = maps.Clone(chosen)
	if chosen == nil {
		chosen = map[string]bool{}
	}
	for _, name := range enable {
		chosen[name] = true
	}
	return chosen
}
