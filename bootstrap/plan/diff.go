package plan

import (
	"cmp"
	"maps"
	"slices"

	"bonsai/bootstrap/cluster"
)

// Diff returns the changes from what a cluster is to what is wanted, in the order in which they are shown; none if
// there is nothing to do. Neither state is changed.
func Diff(current, wanted State) []Change {
	want := wanted.Spec
	if current.Spec == nil {
		return []Change{Create{want.Name, len(want.Nodes)}}
	}
	return slices.Concat(
		diffCluster(*current.Spec, *want, current),
		diffSettings(*current.Spec, *want, current.Running),
		diffNodes(current, wanted),
		diffRegistries(current.Spec.Registries.Mirrors, want.Registries.Mirrors),
		diffAuthorities(*current.Spec, *want),
		diffProxy(*current.Spec, *want),
		diffAddons(current.Spec.Addons, want.Addons),
		diffAddonValues(current.Spec.AddonValues, want.AddonValues),
		diffPorts(current.Spec.Ports, want.Ports),
		diffManifests(current.Spec.Manifests, want.Manifests),
		diffRunning(current, wanted),
	)
}

func diffCluster(have, want cluster.Spec, current State) (changes []Change) {
	if have.KubernetesVersion != want.KubernetesVersion {
		changes = append(changes, Version{have.Name, have.KubernetesVersion, want.KubernetesVersion})
	}
	if have.Subnet != want.Subnet {
		changes = append(changes, Subnet{have.Name, have.Subnet, want.Subnet})
	}
	if have, want := have.PodRange(), want.PodRange(); have != want {
		changes = append(changes, PodSubnet{current.Spec.Name, have, want})
	}
	if have, want := have.ServiceRange(), want.ServiceRange(); have != want {
		changes = append(changes, ServiceSubnet{current.Spec.Name, have, want})
	}
	if have.APIPort != want.APIPort {
		changes = append(changes, APIPort{have.Name, have.APIPort, want.APIPort})
	}
	if have.DNSSearch != want.DNSSearch {
		changes = append(changes, DNSSearch{have.Name, cmp.Or(have.DNSSearch, cluster.DNSSearchAuto), want.DNSSearch})
	}
	if have.UpstreamHooks != want.UpstreamHooks {
		changes = append(changes, UpstreamHooks{have.Name, want.UpstreamHooks})
	}
	if have.ControlPlaneTaint != want.ControlPlaneTaint {
		changes = append(changes, ControlPlaneTaint{have.Name, want.ControlPlaneTaint})
	}
	if have.AutoPause != want.AutoPause {
		changes = append(changes, AutoPause{have.Name, have.AutoPause, want.AutoPause})
	}
	if have.MTU != want.MTU && len(have.Nodes) > 0 {
		nodes := []string{}
		for _, n := range have.Nodes {
			if current.runs(n.Name) {
				nodes = append(nodes, n.Name)
			}
		}
		changes = append(changes, MTU{have.Name, have.MTU, want.MTU, nodes})
	}
	return changes
}

func diffNodes(current, wanted State) (changes []Change) {
	for _, n := range current.Spec.Nodes {
		if _, stays := wanted.Spec.NodeByName(n.Name); !stays {
			changes = append(changes, RemoveNode{n.Name})
		}
	}
	for _, n := range wanted.Spec.Nodes {
		old, existed := current.Spec.NodeByName(n.Name)
		if !existed {
			changes = append(changes, AddNode{n})
			continue
		}
		from, to := Limits{old.CPUs, old.MemoryBytes}, Limits{n.CPUs, n.MemoryBytes}
		if from != to {
			changes = append(changes, ResizeNode{n.Name, from, to, current.runs(n.Name)})
		}
		changes = append(changes, diffMounts(old, n, current.runs(n.Name))...)
		changes = append(changes, diffMarks(old, n)...)
		switch down := wanted.Down[n.Name]; {
		case n.Stopped && !old.Stopped || down && !current.Down[n.Name]:
			changes = append(changes, StopNode{n.Name})
		case !n.Stopped && old.Stopped || !down && current.Down[n.Name]:
			changes = append(changes, StartNode{n.Name})
		}
	}
	return changes
}

// runs reports whether a node's container runs, as far as known.
func (s State) runs(node string) bool { return !s.Down[node] }

// nodesRun reports whether any node is known to run, which it also does without a control plane.
func (s State) nodesRun() bool {
	return s.Spec != nil && s.Down != nil && len(s.Down) < len(s.Spec.Nodes)
}

func diffRegistries(have, want map[string][]cluster.Mirror) (changes []Change) {
	for _, name := range keys(have, want) {
		if !slices.Equal(have[name], want[name]) {
			changes = append(changes, Registry{name, redact(have[name]), redact(want[name])})
		}
	}
	return changes
}

func diffAuthorities(have, want cluster.Spec) []Change {
	if have.Registries.Authorities == want.Registries.Authorities {
		return nil
	}
	return []Change{Trust{want.Name, authorityNames(have), authorityNames(want)}}
}

func diffProxy(have, want cluster.Spec) []Change {
	if have.Proxy == want.Proxy {
		return nil
	}
	return []Change{Proxy{want.Name, have.Proxy.Redacted(), want.Proxy.Redacted()}}
}

func diffAddons(have, want map[string]bool) (changes []Change) {
	for _, name := range keys(have, want) {
		was, chosen := have[name]
		if on, still := want[name]; on != was || still != chosen {
			changes = append(changes, Addon{name, on})
		}
	}
	return changes
}

func diffAddonValues(have, want map[string]map[string]string) (changes []Change) {
	for _, name := range keys(have, want) {
		if !maps.Equal(have[name], want[name]) {
			changes = append(changes, AddonValues{name, have[name], want[name]})
		}
	}
	return changes
}

func diffRunning(current, wanted State) []Change {
	if wanted.Running && !current.Running {
		return []Change{Start{wanted.Spec.Name}}
	}
	return nil
}

// keys are those of both maps, in order.
func keys[V any](a, b map[string]V) []string {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]V{}
	}
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}
