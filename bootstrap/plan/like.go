package plan

import (
	"maps"
	"slices"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// like returns the spec of a new cluster with the settings of another one. identity has what is its own: name, ID, port and
// network. The ranges of pods and Services are the other's, because objects have addresses of them.
func like(other, identity cluster.Spec, env Environment) (cluster.Spec, error) {
	if _, _, err := cluster.ParseKubernetesVersion(other.KubernetesVersion, env.Kubernetes); err != nil {
		return cluster.Spec{}, fault.New(fault.Version, "", err)
	}
	spec := other
	spec.Version, spec.Name, spec.ID, spec.Suffix = identity.Version, identity.Name, identity.ID, identity.Suffix
	spec.APIPort, spec.Subnet, spec.MTU = identity.APIPort, identity.Subnet, 0
	spec.PodSubnet, spec.ServiceSubnet = other.PodRange(), other.ServiceRange()
	spec.Ports = nil // the other cluster listens there
	if !other.ProxyChosen {
		spec.Proxy = cluster.Proxy{} // the environment's
	}
	spec.Chosen = slices.DeleteFunc(slices.Clone(other.Chosen), func(what string) bool {
		return what == cluster.ChosenAPIPort || what == cluster.ChosenSubnet
	})
	if pool := other.AddonValues[cluster.LoadBalancerAddon][cluster.LoadBalancerPool]; pool != "" {
		spec.AddonValues = maps.Clone(other.AddonValues)
		values := maps.Clone(spec.AddonValues[cluster.LoadBalancerAddon])
		delete(values, cluster.LoadBalancerPool)
		if moved := cluster.MoveLoadBalancerRanges(pool, other.Subnet, spec.Subnet); moved != "" {
			values[cluster.LoadBalancerPool] = moved
		}
		spec.AddonValues[cluster.LoadBalancerAddon] = values
	}
	spec.Nodes = slices.Clone(other.Nodes)
	for i := range spec.Nodes {
		spec.Nodes[i].Stopped, spec.Nodes[i].Pending = false, false
	}
	spec.Replan()
	return spec, nil
}
