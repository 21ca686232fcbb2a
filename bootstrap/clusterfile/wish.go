package clusterfile

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/plan"
)

// hidden is what View writes in place of a password.
const hidden = "***"

// wish checks the values of a document, and says what they mean.
func (d *decoder) wish(doc document, o Options) plan.Wish {
	w := plan.Wish{
		Name: doc.Name, APIPort: doc.APIPort, Exact: true, ControlPlaneTaint: doc.ControlPlaneTaint, UpstreamHooks: doc.UpstreamHooks,
	}
	if doc.Name != "" {
		d.badAt("name", cluster.ValidateName(doc.Name))
	}
	if doc.KubernetesVersion != "" {
		minor, _, err := cluster.ParseKubernetesVersion(doc.KubernetesVersion, o.Kubernetes)
		d.badAt("kubernetesVersion", err)
		w.KubernetesVersion = minor
	}
	if doc.Network != nil {
		w.Subnet = d.prefix("network.subnet", doc.Network.Subnet, cluster.ValidateSubnet)
		w.PodSubnet = d.prefix("network.podSubnet", doc.Network.PodSubnet, cluster.ValidatePodSubnet)
		w.ServiceSubnet = d.prefix("network.serviceSubnet", doc.Network.ServiceSubnet, cluster.ValidateServiceSubnet)
	}
	if doc.DNS != nil {
		w.DNSSearch = doc.DNS.Search
	}
	if doc.AutoPause != "" {
		after, err := cluster.ParseAutoPause(doc.AutoPause)
		d.badAt("autoPause", err)
		w.AutoPause = &after
	}
	if doc.Nodes != nil {
		w.Nodes = doc.Nodes.Count
		w.NodeList = d.nodes(doc.Nodes.List, o.Dir)
	}
	w.Mounts = d.mounts("mounts", doc.Mounts, o.Dir)
	for i := range w.NodeList { // its own mounts have precedence
		if n := &w.NodeList[i]; len(w.Mounts) > 0 {
			n.Mounts = cluster.MountWith(slices.Clone(w.Mounts), n.Mounts...)
		}
	}
	w.Ports = d.ports(doc.Ports)
	w.Manifests = d.manifests(doc.Manifests, o)
	w.Registries = d.registries(doc.Registries)
	w.Authorities = d.authorities(doc.CACertificates, o)
	switch {
	case doc.Proxy == nil:
	case doc.Proxy.Environment != "":
		w.ProxyFrom = plan.ProxyOfEnvironment
	default:
		w.Proxy, w.ProxyFrom = d.proxy(doc.Proxy.proxyFields), plan.ProxyOfFile
	}
	if doc.Components != nil {
		components, err := cluster.ParseComponents(doc.Components)
		d.badAt("components", err)
		w.Components = components
	}
	d.settings(doc, &w, o)
	d.addons(doc.Addons, &w, o)
	return w
}

// has reports whether the file has a field.
func (d *decoder) has(path string) bool {
	_, ok := d.lines[path]
	return ok
}

func (d *decoder) prefix(path, text string, validate func(netip.Prefix) error) netip.Prefix {
	if !d.has(path) {
		return netip.Prefix{}
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		d.badAt(path, fmt.Errorf("%q is not an IPv4 range such as 10.201.0.0/16", text))
		return netip.Prefix{}
	}
	d.badAt(path, validate(p))
	return p
}

// nodes returns nil for a file that does not list them.
func (d *decoder) nodes(groups []nodeGroup, dir string) []plan.NodeWish {
	if groups == nil {
		return nil
	}
	list, roles := []plan.NodeWish{}, false
	for i, g := range groups {
		path := fmt.Sprintf("nodes[%d]", i)
		n := plan.NodeWish{ControlPlane: g.Role == cluster.RoleControlPlane, Labels: g.Labels}
		roles = roles || g.Role != ""
		if g.CPUs != nil {
			n.CPUs = *g.CPUs
		}
		if d.has(path + ".memory") {
			bytes, err := cluster.ParseMemory(g.Memory)
			d.badAt(path+".memory", err)
			n.MemoryBytes = bytes
		}
		for _, key := range slices.Sorted(maps.Keys(g.Labels)) {
			d.badAt(path+".labels."+key, cluster.ValidateNodeLabels(map[string]string{key: g.Labels[key]}))
		}
		for j, text := range g.Taints {
			t, err := cluster.ParseTaint(text)
			d.badAt(fmt.Sprintf("%s.taints[%d]", path, j), err)
			n.Taints = append(n.Taints, t)
		}
		if own := d.mounts(path+".mounts", g.Mounts, dir); len(own) > 0 {
			n.Mounts = own
		}
		count := 1
		if g.Count != nil {
			count = min(*g.Count, cluster.MaxNodes+1) // more than are possible are an error already
		}
		if len(list) <= cluster.MaxNodes {
			list = append(list, slices.Repeat([]plan.NodeWish{n}, max(0, count))...)
		}
	}
	if len(list) > cluster.MaxNodes {
		d.badAt("nodes", fmt.Errorf("there are more than %d", cluster.MaxNodes))
	}
	if !roles && len(list) > 0 {
		list[0].ControlPlane = true
	}
	return list
}

// ports returns nil for a file that does not list them.
func (d *decoder) ports(texts []string) []cluster.Port {
	if texts == nil {
		return nil
	}
	list, seen := []cluster.Port{}, map[string]int{}
	for i, text := range texts {
		path := fmt.Sprintf("ports[%d]", i)
		p, err := cluster.ParsePort(text)
		if err != nil {
			d.badAt(path, err)
			continue
		}
		if line, twice := seen[p.Listen()]; twice {
			d.badAt(path, fmt.Errorf("%s is in line %d already", p.Listen(), line))
		}
		seen[p.Listen()] = d.lines[path]
		list = append(list, p)
	}
	return list
}

func (d *decoder) registries(byName map[string]registry) (r cluster.Registries) {
	if byName == nil {
		return r
	}
	r.Mirrors = map[string][]cluster.Mirror{}
	for _, written := range slices.Sorted(maps.Keys(byName)) {
		path, name := "registries."+written, strings.ToLower(written)
		if name == "" || strings.ContainsAny(name, "/@=, \t\r\n\"'\\") {
			d.badAt(path, fmt.Errorf("%q is not the host name of a registry", written))
			continue
		}
		if _, twice := r.Mirrors[name]; twice {
			d.badAt(path, errors.New("the file has it already, written otherwise"))
			continue
		}
		mirrors := []cluster.Mirror{}
		for i, m := range byName[written].Mirrors {
			mirrors = append(mirrors, d.mirror(fmt.Sprintf("%s.mirrors[%d]", path, i), name, m))
		}
		r.Mirrors[name] = mirrors
	}
	return r
}

// authorities reads the certificates that a file has or names; nil for a file that does not say.
func (d *decoder) authorities(list []string, o Options) *string {
	if list == nil {
		return nil
	}
	var all strings.Builder
	for i, entry := range list {
		at := fmt.Sprintf("caCertificates[%d]", i)
		if !strings.Contains(entry, "-----BEGIN") {
			name := entry
			if entry = d.read(at, name, o); entry == "" {
				continue // with a mistake
			}
		}
		text, err := cluster.ParseAuthorities(entry)
		d.badAt(at, err)
		all.WriteString(text)
	}
	text := all.String()
	if text != "" { // each of them once
		text, _ = cluster.ParseAuthorities(text)
	}
	return &text
}

func (d *decoder) mirror(path, registry string, m mirror) cluster.Mirror {
	if m.URL == "" { // which is a mistake already
		return cluster.Mirror{}
	}
	parsed, err := cluster.ParseRegistries([]string{registry + "=" + m.URL}, "", "")
	if err != nil || len(parsed.Mirrors[registry]) != 1 {
		d.badAt(path, err)
		return cluster.Mirror{}
	}
	c := parsed.Mirrors[registry][0]
	switch {
	case (m.Username != "" || m.Password != "") && (c.Username != "" || c.Password != ""):
		d.badAt(path, errors.New("user and password are in the URL and beside it"))
	case m.Username != "" || m.Password != "":
		c.Username, c.Password = m.Username, m.Password
	}
	if c.Password == hidden {
		d.badAt(path, errors.New("the password is hidden; write the real one, or use  bonsai config view --raw"))
	}
	secure := strings.HasPrefix(c.URL, "https:")
	switch {
	case m.CA != "" && !secure, m.SkipVerify && !secure:
		d.badAt(path, errors.New("certificates are for https only"))
	case m.CA != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(m.CA)):
		d.badAt(path+".ca", errors.New("it contains no PEM certificate"))
	}
	c.CA, c.SkipVerify = m.CA, m.SkipVerify
	return c
}

func (d *decoder) proxy(p proxyFields) *cluster.Proxy {
	read := func(path, text string) string {
		if text == "" {
			return ""
		}
		u, err := cluster.ProxyURL(text)
		if err != nil {
			err = fmt.Errorf("it is not the URL of a proxy: %w", err)
		}
		d.badAt(path, err)
		return u
	}
	c := &cluster.Proxy{HTTP: read("proxy.http", p.HTTP), HTTPS: read("proxy.https", p.HTTPS)}
	if *c != (cluster.Proxy{}) {
		c.Except = p.NoProxy
	}
	return c
}
