package plan

import (
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
)

// Kind is a kind of change. Its text is stable: scripts rely on it.
type Kind string

// All kinds, each with its type below.
const (
	KindCreate        Kind = "cluster-created"
	KindStart         Kind = "control-plane-started"
	KindVersion       Kind = "kubernetes-version"
	KindSubnet        Kind = "subnet"
	KindPodSubnet     Kind = "pod-subnet"
	KindServiceSubnet Kind = "service-subnet"
	KindMTU           Kind = "network-mtu"
	KindAPIPort       Kind = "api-port"
	KindDNSSearch     Kind = "dns-search"
	KindUpstreamHooks Kind = "upstream-hooks"
	KindFeatureGates  Kind = "feature-gates"
	KindArgs          Kind = "component-arguments"
	KindFile          Kind = "component-settings"
	KindComponents    Kind = "components"
	KindTaint         Kind = "control-plane-taint"
	KindAutoPause     Kind = "auto-pause"
	KindRemoveNode    Kind = "node-removed"
	KindAddNode       Kind = "node-added"
	KindResizeNode    Kind = "node-resized"
	KindLabelNode     Kind = "node-labels"
	KindTaintNode     Kind = "node-taints"
	KindMountNode     Kind = "node-mounts"
	KindStopNode      Kind = "node-stopped"
	KindStartNode     Kind = "node-started"
	KindRegistry      Kind = "registry"
	KindProxy         Kind = "proxy"
	KindTrust         Kind = "ca-certificates"
	KindAddon         Kind = "addon"
	KindAddonValues   Kind = "addon-values"
	KindPort          Kind = "port"
	KindManifest      Kind = "manifest"
)

// Change is one difference between what a cluster is and what is wanted, of one of the types below. Its JSON form, by
// Describe, never contains a password.
type Change interface {
	Kind() Kind
	// Object is what changes ("node/dev-2").
	Object() string
	Needs() Need
	// String is one line for a person, as an order: "add node dev-4".
	String() string
}

// Create is a new cluster, with everything in its plan.
type Create struct {
	Name  string `json:"name"`
	Nodes int    `json:"nodes"`
}

func (c Create) Kind() Kind     { return KindCreate }
func (c Create) Object() string { return "cluster/" + c.Name }
func (c Create) Needs() Need    { return Need{Effect: Live} }
func (c Create) String() string {
	if c.Nodes == 1 {
		return fmt.Sprintf("create cluster %s with 1 node", c.Name)
	}
	return fmt.Sprintf("create cluster %s with %d nodes", c.Name, c.Nodes)
}

// Start is the start of the control plane of an existing cluster.
type Start struct {
	Name string `json:"name"`
}

func (c Start) Kind() Kind     { return KindStart }
func (c Start) Object() string { return "cluster/" + c.Name }
func (c Start) Needs() Need    { return Need{Effect: Live} }
func (c Start) String() string { return "start the control plane" }

// Version is another minor version of Kubernetes.
type Version struct {
	Name string `json:"name"`
	From string `json:"from"`
	To   string `json:"to"`
}

func (c Version) Kind() Kind     { return KindVersion }
func (c Version) Object() string { return "cluster/" + c.Name }
func (c Version) Needs() Need {
	return Need{Effect: Impossible, Reason: "it can only be chosen when a cluster is created"}
}
func (c Version) String() string {
	return fmt.Sprintf("change the Kubernetes version from %s to %s", c.From, c.To)
}
func (c Version) flag() []string { return []string{"--kubernetes-version", c.To} }

// Subnet is another network of the nodes.
type Subnet struct {
	Name string       `json:"name"`
	From netip.Prefix `json:"from"`
	To   netip.Prefix `json:"to"`
}

func (c Subnet) Kind() Kind     { return KindSubnet }
func (c Subnet) Object() string { return "cluster/" + c.Name }
func (c Subnet) Needs() Need {
	return Need{Effect: Impossible, Reason: "addresses of nodes and certificates depend on it"}
}
func (c Subnet) String() string { return fmt.Sprintf("change the subnet from %s to %s", c.From, c.To) }
func (c Subnet) flag() []string { return []string{"--subnet", c.To.String()} }

// PodSubnet is another range of pods.
type PodSubnet Subnet

func (c PodSubnet) Kind() Kind     { return KindPodSubnet }
func (c PodSubnet) Object() string { return "cluster/" + c.Name }
func (c PodSubnet) Needs() Need {
	return Need{Effect: Impossible, Reason: "nodes and running pods have addresses in it"}
}
func (c PodSubnet) String() string {
	return fmt.Sprintf("change the pod subnet from %s to %s", c.From, c.To)
}
func (c PodSubnet) flag() []string { return []string{"--pod-subnet", c.To.String()} }

// ServiceSubnet is another range of Services.
type ServiceSubnet Subnet

func (c ServiceSubnet) Kind() Kind     { return KindServiceSubnet }
func (c ServiceSubnet) Object() string { return "cluster/" + c.Name }
func (c ServiceSubnet) Needs() Need {
	return Need{Effect: Impossible, Reason: "Services have addresses in it, and certificates depend on it"}
}
func (c ServiceSubnet) String() string {
	return fmt.Sprintf("change the service subnet from %s to %s", c.From, c.To)
}
func (c ServiceSubnet) flag() []string { return []string{"--service-subnet", c.To.String()} }

// MTU is another packet size of the nodes' network: the engine's has changed.
type MTU struct {
	Name string `json:"name"`
	From int    `json:"from"`
	To   int    `json:"to"`
	// Nodes are those that are running.
	Nodes []string `json:"nodes"`
}

func (c MTU) Kind() Kind     { return KindMTU }
func (c MTU) Object() string { return "cluster/" + c.Name }
func (c MTU) Needs() Need {
	if len(c.Nodes) == 0 {
		return Need{Effect: Live}
	}
	return Need{Effect: Recreate, Nodes: c.Nodes}
}
func (c MTU) String() string {
	return fmt.Sprintf("change the MTU of the nodes' network from %d to %d", c.From, c.To)
}

// APIPort is another port of the API server.
type APIPort struct {
	Name string `json:"name"`
	From int    `json:"from"`
	To   int    `json:"to"`
}

func (c APIPort) Kind() Kind     { return KindAPIPort }
func (c APIPort) Object() string { return "cluster/" + c.Name }
func (c APIPort) Needs() Need    { return Need{Effect: Stopped} }
func (c APIPort) String() string {
	return fmt.Sprintf("change the API port from %d to %d", c.From, c.To)
}
func (c APIPort) flag() []string { return []string{"--api-port", strconv.Itoa(c.To)} }

// DNSSearch is what pods get of the search domains of the machine. Nodes read it when they start.
type DNSSearch struct {
	Name string `json:"name"`
	From string `json:"from"`
	To   string `json:"to"`
}

func (c DNSSearch) Kind() Kind     { return KindDNSSearch }
func (c DNSSearch) Object() string { return "cluster/" + c.Name }
func (c DNSSearch) Needs() Need    { return Need{Effect: Stopped} }
func (c DNSSearch) String() string {
	return fmt.Sprintf("change the pods' search domains from %s to %s", c.From, c.To)
}
func (c DNSSearch) flag() []string { return []string{"--dns-search", c.To} }

// AutoPause is after how long without a request of a user the cluster pauses.
type AutoPause struct {
	Name string        `json:"name"`
	From time.Duration `json:"from"`
	To   time.Duration `json:"to"`
}

func (c AutoPause) Kind() Kind     { return KindAutoPause }
func (c AutoPause) Object() string { return "cluster/" + c.Name }
func (c AutoPause) Needs() Need    { return Need{Effect: Live} }
func (c AutoPause) String() string {
	if c.To == 0 {
		return "never pause on its own"
	}
	return "pause after " + cluster.FormatAutoPause(c.To) + " without a request"
}

// UpstreamHooks switches between upstream's bootstrap hooks and bonsai's.
type UpstreamHooks struct {
	Name string `json:"name"`
	On   bool   `json:"on"`
}

func (c UpstreamHooks) Kind() Kind     { return KindUpstreamHooks }
func (c UpstreamHooks) Object() string { return "cluster/" + c.Name }
func (c UpstreamHooks) Needs() Need    { return Need{Effect: Stopped} }
func (c UpstreamHooks) String() string {
	if c.On {
		return "change the bootstrap hooks to upstream's"
	}
	return "change the bootstrap hooks to bonsai's"
}
func (c UpstreamHooks) flag() []string {
	return []string{"--upstream-hooks=" + strconv.FormatBool(c.On)}
}

// ControlPlaneTaint puts the taint on nodes with the control-plane role, or removes it.
type ControlPlaneTaint struct {
	Name string `json:"name"`
	On   bool   `json:"on"`
}

func (c ControlPlaneTaint) Kind() Kind     { return KindTaint }
func (c ControlPlaneTaint) Object() string { return "cluster/" + c.Name }
func (c ControlPlaneTaint) Needs() Need    { return Need{Effect: Live} }
func (c ControlPlaneTaint) String() string {
	if c.On {
		return "taint control-plane nodes"
	}
	return "remove the taint of control-plane nodes"
}

// RemoveNode removes a node: its container, its volume and its Node object.
type RemoveNode struct {
	Node string `json:"node"`
}

func (c RemoveNode) Kind() Kind     { return KindRemoveNode }
func (c RemoveNode) Object() string { return "node/" + c.Node }
func (c RemoveNode) Needs() Need    { return Need{Effect: Live} }
func (c RemoveNode) String() string { return "remove node " + c.Node + " and its data" }

// AddNode is an additional node.
type AddNode struct {
	Node cluster.Node `json:"node"`
}

func (c AddNode) Kind() Kind     { return KindAddNode }
func (c AddNode) Object() string { return "node/" + c.Node.Name }
func (c AddNode) Needs() Need    { return Need{Effect: Live} }
func (c AddNode) String() string {
	return fmt.Sprintf("add node %s (%s)", c.Node.Name, c.Node.IP)
}

// Limits are those of a node's container; 0 means none.
type Limits struct {
	CPUs        float64 `json:"cpus"`
	MemoryBytes int64   `json:"memoryBytes"`
}

func (l Limits) String() string {
	var parts []string
	switch {
	case l.CPUs == 1:
		parts = append(parts, "1 CPU")
	case l.CPUs > 0:
		parts = append(parts, strconv.FormatFloat(l.CPUs, 'g', -1, 64)+" CPUs")
	}
	if l.MemoryBytes > 0 {
		parts = append(parts, fmt.Sprintf("%d MB", l.MemoryBytes>>20))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, " and ")
}

// ResizeNode gives a node other limits.
type ResizeNode struct {
	Node string `json:"node"`
	From Limits `json:"from"`
	To   Limits `json:"to"`
	// Running says that its container is running. Other limits take effect in it; one without a limit replaces it.
	Running bool `json:"running"`
}

func (c ResizeNode) Kind() Kind     { return KindResizeNode }
func (c ResizeNode) Object() string { return "node/" + c.Node }
func (c ResizeNode) Needs() Need {
	// An engine can change a limit of a running container, and cannot remove it.
	removes := c.From.CPUs != 0 && c.To.CPUs == 0 || c.From.MemoryBytes != 0 && c.To.MemoryBytes == 0
	if !c.Running || !removes {
		return Need{Effect: Live}
	}
	return Need{Effect: Recreate, Nodes: []string{c.Node}}
}
func (c ResizeNode) String() string {
	return fmt.Sprintf("change the limits of node %s from %s to %s", c.Node, c.From, c.To)
}

// StopNode stops the container of a node and keeps everything.
type StopNode struct {
	Node string `json:"node"`
}

func (c StopNode) Kind() Kind     { return KindStopNode }
func (c StopNode) Object() string { return "node/" + c.Node }
func (c StopNode) Needs() Need    { return Need{Effect: Live} }
func (c StopNode) String() string { return "stop node " + c.Node }

// StartNode makes sure that the container of a node exists and runs.
type StartNode struct {
	Node string `json:"node"`
}

func (c StartNode) Kind() Kind     { return KindStartNode }
func (c StartNode) Object() string { return "node/" + c.Node }
func (c StartNode) Needs() Need    { return Need{Effect: Live} }
func (c StartNode) String() string { return "start node " + c.Node }

// Registry is a change of the mirrors of one registry; "*" stands for every registry. It contains no passwords.
type Registry struct {
	Registry string           `json:"registry"`
	From     []cluster.Mirror `json:"from,omitempty"`
	To       []cluster.Mirror `json:"to,omitempty"`
}

func (c Registry) Kind() Kind     { return KindRegistry }
func (c Registry) Object() string { return "registry/" + c.Registry }
func (c Registry) Needs() Need    { return Need{Effect: Live} }
func (c Registry) String() string {
	name := "images of " + c.Registry
	if c.Registry == "*" {
		name = "images of every registry"
	}
	if len(c.To) == 0 {
		return "pull " + name + " without a mirror"
	}
	var urls []string
	for _, m := range c.To {
		urls = append(urls, m.URL)
	}
	return "pull " + name + " from " + strings.Join(urls, ", ")
}

// Trust is a change of the authorities that nodes trust, by the names in their certificates.
type Trust struct {
	Name string   `json:"name"`
	From []string `json:"from,omitempty"`
	To   []string `json:"to,omitempty"`
}

func (c Trust) Kind() Kind     { return KindTrust }
func (c Trust) Object() string { return "cluster/" + c.Name }
func (c Trust) Needs() Need    { return Need{Effect: Live} }
func (c Trust) String() string {
	if len(c.To) == 0 {
		return "trust no certificate authorities but the usual ones"
	}
	return "trust the certificate authorities " + strings.Join(c.To, ", ")
}

// authorityNames are those of a spec's authorities.
func authorityNames(s cluster.Spec) (names []string) {
	for _, text := range cluster.SplitAuthorities(s.Registries.Authorities) {
		name := "unknown"
		if block, _ := pem.Decode([]byte(text)); block != nil {
			if c, err := x509.ParseCertificate(block.Bytes); err == nil {
				name = cmp.Or(c.Subject.CommonName, c.Subject.String(), name)
			}
		}
		names = append(names, name)
	}
	return names
}

// Proxy is another way to the registries. It contains no passwords.
type Proxy struct {
	Name string        `json:"name"`
	From cluster.Proxy `json:"from,omitzero"`
	To   cluster.Proxy `json:"to,omitzero"`
}

func (c Proxy) Kind() Kind     { return KindProxy }
func (c Proxy) Object() string { return "cluster/" + c.Name }
func (c Proxy) Needs() Need    { return Need{Effect: Live} }
func (c Proxy) String() string {
	switch {
	case c.To == (cluster.Proxy{}):
		return "pull images without a proxy"
	case c.To.String() == c.From.String():
		return "pull images through the proxy " + c.To.String() + " with other exceptions or another password"
	}
	return "pull images through the proxy " + c.To.String()
}

// Redacted are the registries with asterisks instead of passwords.
func Redacted(r cluster.Registries) cluster.Registries {
	hidden := cluster.Registries{Authorities: r.Authorities}
	for registry, mirrors := range r.Mirrors {
		if hidden.Mirrors == nil {
			hidden.Mirrors = map[string][]cluster.Mirror{}
		}
		hidden.Mirrors[registry] = redact(mirrors)
	}
	return hidden
}

func redact(mirrors []cluster.Mirror) []cluster.Mirror {
	var hidden []cluster.Mirror
	for _, m := range mirrors {
		if m.Password != "" {
			m.Password = "***"
		}
		hidden = append(hidden, m)
	}
	return hidden
}
