package clusterfile

import (
	"bytes"
	"maps"
	"reflect"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"

	"bonsai/bootstrap/cluster"
)

// ViewOptions are what View shows.
type ViewOptions struct {
	// Kubernetes is the version of the linked components.
	Kubernetes string
	// Raw shows passwords.
	Raw bool
	// OffByDefault reports whether an addon is disabled unless somebody enables it; nil: none is.
	OffByDefault func(addon string) bool
}

// View returns the file that makes a cluster like that of a spec: what was chosen for it, its nodes, and nothing that bonsai
// would find itself. Fields are always in the same order.
func View(spec cluster.Spec, o ViewOptions) ([]byte, error) {
	chosen := func(value string) bool { return slices.Contains(spec.Chosen, value) }
	doc := document{APIVersion: APIVersion, Kind: Kind, Name: spec.Name, Nodes: viewNodes(spec.Nodes), Addons: viewAddons(spec, o.OffByDefault)}
	if builtIn, _, err := cluster.ParseKubernetesVersion("", o.Kubernetes); err != nil || chosen(cluster.ChosenVersion) || spec.KubernetesVersion != builtIn {
		doc.KubernetesVersion = spec.KubernetesVersion
	}
	if chosen(cluster.ChosenAPIPort) {
		doc.APIPort = spec.APIPort
	}
	ranges := network{}
	if chosen(cluster.ChosenSubnet) {
		ranges.Subnet = spec.Subnet.String()
	}
	if chosen(cluster.ChosenPodSubnet) {
		ranges.PodSubnet = spec.PodRange().String()
	}
	if chosen(cluster.ChosenServiceSubnet) {
		ranges.ServiceSubnet = spec.ServiceRange().String()
	}
	if ranges != (network{}) {
		doc.Network = &ranges
	}
	if spec.DNSSearch != "" {
		doc.DNS = &dns{Search: spec.DNSSearch}
	}
	if spec.ControlPlaneTaint {
		doc.ControlPlaneTaint = &spec.ControlPlaneTaint
	}
	if spec.AutoPause != 0 {
		doc.AutoPause = cluster.FormatAutoPause(spec.AutoPause)
	}
	doc.Components = spec.Components
	if spec.UpstreamHooks {
		doc.UpstreamHooks = &spec.UpstreamHooks
	}
	if doc.Nodes.Count != nil && len(spec.Nodes) > 0 {
		doc.Mounts = viewMounts(spec.Nodes[0].Mounts)
	}
	for _, p := range spec.Ports {
		doc.Ports = append(doc.Ports, viewPort(p, spec.Nodes))
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Registries.Mirrors)) {
		if doc.Registries == nil {
			doc.Registries = map[string]registry{}
		}
		doc.Registries[name] = registry{Mirrors: viewMirrors(spec.Registries.Mirrors[name], o.Raw)}
	}
	doc.CACertificates = cluster.SplitAuthorities(spec.Registries.Authorities)
	if spec.ProxyChosen {
		p := spec.Proxy
		if !o.Raw {
			p = p.Redacted()
		}
		doc.Proxy = &proxy{proxyFields: proxyFields{HTTP: p.HTTP, HTTPS: p.HTTPS, NoProxy: p.Except}}
	}
	doc.Manifests = viewManifests(spec.Manifests)
	if err := viewSettings(spec.Settings, &doc, o.Raw); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(doc); err != nil {
		return nil, err
	}
	return out.Bytes(), e.Close()
}

// viewNodes are a number if nothing else has to be said, and a list of groups otherwise.
func viewNodes(all []cluster.Node) *nodes {
	groups, usual := []nodeGroup{}, true
	controlPlane := slices.ContainsFunc(all, func(n cluster.Node) bool { return n.ControlPlane })
	for i, n := range all {
		g := nodeGroup{Labels: n.Labels}
		// The first node alone has the role that it gets without a word of roles.
		usual = usual && n.ControlPlane == (i == 0)
		if n.CPUs != 0 {
			g.CPUs = &n.CPUs
		}
		if n.MemoryBytes != 0 {
			g.Memory = cluster.FormatMemory(n.MemoryBytes)
		}
		for _, t := range n.Taints {
			g.Taints = append(g.Taints, t.String())
		}
		g.Mounts = viewMounts(n.Mounts)
		usual = usual && g.CPUs == nil && g.Memory == "" && len(g.Labels)+len(g.Taints) == 0 && slices.Equal(n.Mounts, all[0].Mounts)
		if n.ControlPlane || !controlPlane { // a list without any role would have one
			g.Role = n.Role()
		}
		groups = append(groups, g)
	}
	if usual {
		count := len(all)
		return &nodes{Count: &count}
	}
	return &nodes{List: grouped(groups)}
}

// grouped counts groups that follow each other and are the same.
func grouped(groups []nodeGroup) (list []nodeGroup) {
	for _, g := range groups {
		if last := len(list) - 1; last >= 0 {
			before := list[last]
			before.Count = nil
			if reflect.DeepEqual(before, g) {
				count := 2
				if list[last].Count != nil {
					count = *list[last].Count + 1
				}
				list[last].Count = &count
				continue
			}
		}
		list = append(list, g)
	}
	return list
}

// viewPort names the node of a port by its number, so that the file can be used under another name.
func viewPort(p cluster.Port, all []cluster.Node) string {
	if i := slices.IndexFunc(all, func(n cluster.Node) bool { return n.Name == p.Node }); i >= 0 {
		p.Node = strconv.Itoa(all[i].Index)
	}
	return p.String()
}

func viewMirrors(mirrors []cluster.Mirror, raw bool) []mirror {
	list := []mirror{}
	for _, m := range mirrors {
		if m.Password != "" && !raw {
			m.Password = hidden
		}
		list = append(list, mirror{URL: m.URL, Username: m.Username, Password: m.Password, CA: m.CA, SkipVerify: m.SkipVerify})
	}
	return list
}
