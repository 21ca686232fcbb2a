// Package cluster is the vocabulary that all of bonsai shares: the desired state of a cluster (Spec), what was observed
// of it (Snapshot), the events of an operation (Event) and what is wrong (Problem).
//
// It imports only the standard library and does no input or output, so that everything else may import it. Begin
// reading at Spec.
package cluster

import (
	"fmt"
	"net/netip"
	"slices"
)

// The ranges of pods and Services that a cluster has if nothing of this machine is there. They are kubeadm's and kind's. Their
// addresses exist only inside the node containers' network namespaces, so that several clusters can use the same ones.
var (
	DefaultPodSubnet     = netip.MustParsePrefix("10.244.0.0/16")
	DefaultServiceSubnet = netip.MustParsePrefix("10.96.0.0/16")
)

const (
	// DefaultName is the profile that commands use without -p.
	DefaultName = "bonsai"
	// DefaultNodes is the number of nodes that start creates without --nodes.
	DefaultNodes = 3
	// MaxNodes bounds --nodes: each node has one /24 of the pods' range and is one container on this machine.
	MaxNodes = 100
	// SpecVersion is written into each new spec file; a reader refuses a newer one. Version 2 has Suffix, without which
	// an older bonsai would look for containers of other names. Version 3 has the ranges of pods and Services, which an older
	// one would take for the default ones.
	SpecVersion = 3
	// SuffixLength is the length of a new cluster's Suffix, the beginning of its ID.
	SuffixLength = 4
	// ClusterDomain is the suffix of all service names.
	ClusterDomain = "cluster.local"
)

// Ports on each node's address.
const (
	KubeletPort = 10250
	// AgentPort serves the node agent's API (HTTP CONNECT and state) over mutual TLS.
	AgentPort = 10270
)

// Spec is what the user wants a cluster to be, and the addresses that were planned for it. It is stored as spec.json in
// the cluster's folder. Together with the container labels and the Kubernetes API it is the only source of truth.
type Spec struct {
	Version int    `json:"version"`
	Name    string `json:"name"`
	// ID distinguishes two clusters of the same name (random, created with the spec).
	ID string `json:"id"`
	// Suffix ends the names of the cluster's containers, networks and volumes, so that clusters of the same name can
	// share an engine. Clusters of version 1 have none.
	Suffix string `json:"suffix,omitempty"`
	// KubernetesVersion is "1.37" or an older minor that the embedded components emulate ("1.34").
	KubernetesVersion string `json:"kubernetesVersion"`
	// APIPort is the port of the API server, on 127.0.0.1 and on Gateway.
	APIPort int `json:"apiPort"`
	// Subnet is the container network of the nodes; Gateway, its first address, is the host's.
	Subnet  netip.Prefix `json:"subnet"`
	Gateway netip.Addr   `json:"gateway"`
	// PodSubnet is divided into one /24 per node, ServiceSubnet holds the cluster IPs. They never change. Specs before version
	// 3 have none; use PodRange and ServiceRange.
	PodSubnet     netip.Prefix `json:"podSubnet,omitzero"`
	ServiceSubnet netip.Prefix `json:"serviceSubnet,omitzero"`
	// MTU of the container network, that of the engine's default bridge (0: unknown, the engine decides).
	MTU   int    `json:"mtu,omitempty"`
	Nodes []Node `json:"nodes"`
	// Registries defines where the nodes' containerd pulls from.
	Registries Registries `json:"registries,omitzero"`
	// Proxy is what the environment of the last start named; nodes pull images through it.
	Proxy Proxy `json:"proxy,omitzero"`
	// Addons is what the user chose, by name; addons that are not in it follow their default.
	Addons map[string]bool `json:"addons,omitempty"`
	// DNSSearch is which of the machine's search domains pods get: one of the constants DNSSearch…, or empty for DNSSearchAuto.
	DNSSearch string `json:"dnsSearch,omitempty"`
	// Ports are those of this machine that lead into the cluster, while it runs.
	Ports []Port `json:"ports,omitempty"`
	// UpstreamHooks runs upstream's two bootstrap hooks (RBAC, priority classes) instead of bonsai's parallel one.
	UpstreamHooks bool `json:"upstreamHooks,omitempty"`
}

// Node is one planned node: its container, its Kubernetes Node object and its share of the pod network.
type Node struct {
	// Name of the Node object and the host name.
	Name string `json:"name"`
	// Index counts from 1 and never changes; address and pod CIDR are derived from it.
	Index   int          `json:"index"`
	IP      netip.Addr   `json:"ip"`
	PodCIDR netip.Prefix `json:"podCIDR"`
	// CPUs and MemoryBytes limit the container; 0 means no limit of its own.
	CPUs        float64 `json:"cpus,omitempty"`
	MemoryBytes int64   `json:"memoryBytes,omitempty"`
}

// Registries is how containerd finds images.
type Registries struct {
	// Mirrors maps a registry's host name ("docker.io") to the endpoints that are asked before it, in order. "*" stands
	// for every registry.
	Mirrors map[string][]Mirror `json:"mirrors,omitempty"`
}

// Mirror is an endpoint that serves another registry's images.
type Mirror struct {
	// URL with scheme http or https; credentials are kept apart from it.
	URL      string `json:"url"`
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
	// CA is the PEM of an authority to trust for this endpoint.
	CA string `json:"ca,omitempty"`
	// SkipVerify accepts any certificate of this endpoint.
	SkipVerify bool `json:"skipVerify,omitempty"`
}

// ProviderID marks the Node objects of a cluster; those that others created have a different one.
func ProviderID(clusterName, node string) string { return "bonsai://" + clusterName + "/" + node }

// NodeByName returns the planned node, or false.
func (s *Spec) NodeByName(name string) (Node, bool) {
	i := slices.IndexFunc(s.Nodes, func(n Node) bool { return n.Name == name })
	if i < 0 {
		return Node{}, false
	}
	return s.Nodes[i], true
}

// Wants reports whether the user wants an addon; byDefault is the answer for one that the user has not decided on.
func (s *Spec) Wants(addon string, byDefault bool) bool {
	if chosen, ok := s.Addons[addon]; ok {
		return chosen
	}
	return byDefault
}

// PlanNode gives the node of an index (from 1) its name and addresses. Addresses begin at the tenth of the subnet; pod
// CIDRs at the second /24, so that node and index are easy to recognise in an address.
func (s *Spec) PlanNode(index int) Node {
	return Node{
		Name:    fmt.Sprintf("%s-%d", s.Name, index),
		Index:   index,
		IP:      addrAt(s.Subnet, 9+index),
		PodCIDR: netip.PrefixFrom(addrAt(s.PodRange(), index<<8), 24),
	}
}

// Replan recomputes every node's addresses after Subnet or PodSubnet has changed.
func (s *Spec) Replan() {
	s.Gateway = addrAt(s.Subnet, 1)
	for i, n := range s.Nodes {
		planned := s.PlanNode(n.Index)
		planned.CPUs, planned.MemoryBytes = n.CPUs, n.MemoryBytes
		s.Nodes[i] = planned
	}
}

// PodRange is the range of all pods.
func (s *Spec) PodRange() netip.Prefix {
	if !s.PodSubnet.IsValid() {
		return DefaultPodSubnet
	}
	return s.PodSubnet
}

// ServiceRange is the range of the cluster IPs.
func (s *Spec) ServiceRange() netip.Prefix {
	if !s.ServiceSubnet.IsValid() {
		return DefaultServiceSubnet
	}
	return s.ServiceSubnet
}

// APIServiceIP is the address of the Service default/kubernetes: upstream takes the first one.
func (s *Spec) APIServiceIP() netip.Addr { return addrAt(s.ServiceRange(), 1) }

// DNSServiceIP is the address of the Service kube-system/kube-dns: by convention the tenth.
func (s *Spec) DNSServiceIP() netip.Addr { return addrAt(s.ServiceRange(), 10) }

func addrAt(p netip.Prefix, n int) netip.Addr {
	a := p.Masked().Addr().As4()
	v := uint32(a[0])<<24 | uint32(a[1])<<16 | uint32(a[2])<<8 | uint32(a[3])
	v += uint32(n)
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}
