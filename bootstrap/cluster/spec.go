// Package cluster is the vocabulary that all of bonsai shares: the desired state of a cluster (Spec), what was observed
// of it (Snapshot), the events of an operation (Event) and what is wrong (Problem).
//
// It imports only the standard library and does no input or output, so that everything else may import it. Begin
// reading at Spec.
package cluster

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
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
	// MaxNodeNumber bounds the numbers in names, which are not given twice.
	MaxNodeNumber = 9999
	// SpecVersion is written into each new spec file; a reader refuses a newer one. Version 2 has Suffix, without which
	// an older bonsai would look for containers of other names. Version 3 has the ranges of pods and Services, which an older
	// one would take for the default ones. Version 4 has nodes whose number is not their index, stopped ones, and roles.
	// Version 5 has mounts, and settings of the components, which an older one would take away; version 6 values of addons;
	// version 7 components that do not run, which an older one would run.
	SpecVersion = 7
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
	// LastNumber is the highest number that any node has had, also one that was deleted: names are not given twice. 0: that
	// of Nodes.
	LastNumber int `json:"lastNumber,omitempty"`
	// ControlPlaneTaint keeps pods that do not tolerate it off nodes with that role, as kubeadm does.
	ControlPlaneTaint bool `json:"controlPlaneTaint,omitempty"`
	// Registries defines where the nodes' containerd pulls from.
	Registries Registries `json:"registries,omitzero"`
	// Proxy is what the environment of the last start named, or the user's cluster file; nodes pull images through it.
	Proxy Proxy `json:"proxy,omitzero"`
	// ProxyChosen says that it is the file's: the environment does not change it.
	ProxyChosen bool `json:"proxyChosen,omitempty"`
	// Settings are the user's, of Kubernetes' components.
	Settings Settings `json:"settings,omitzero"`
	// Components are those of the control plane that run, as ParseComponents returns them; none: all of them.
	Components []string `json:"components,omitempty"`
	// Addons is what the user chose, by name; addons that are not in it follow their default.
	Addons map[string]bool `json:"addons,omitempty"`
	// AddonValues are those of settings of addons that the user chose, by addon and setting, as AddonSetting.Canonical returns
	// them; the others have their default. They stay while an addon is disabled.
	AddonValues map[string]map[string]string `json:"addonValues,omitempty"`
	// DNSSearch is which of the machine's search domains pods get: one of the constants DNSSearch…, or empty for DNSSearchAuto.
	DNSSearch string `json:"dnsSearch,omitempty"`
	// Ports are those of this machine that lead into the cluster, while it runs.
	Ports []Port `json:"ports,omitempty"`
	// AutoPause is after how long without a request of a user the cluster pauses; 0: never.
	AutoPause time.Duration `json:"autoPause,omitempty"`
	// Manifests are the files of objects that were applied to the cluster.
	Manifests []Manifest `json:"manifests,omitempty"`
	// Chosen are those of the values that bonsai finds itself otherwise which the user has given: the constants Chosen….
	Chosen []string `json:"chosen,omitempty"`
	// UpstreamHooks runs upstream's two bootstrap hooks (RBAC, priority classes) instead of bonsai's parallel one.
	UpstreamHooks bool `json:"upstreamHooks,omitempty"`
}

// Node is one planned node: its container, its Kubernetes Node object and its share of the pod network.
type Node struct {
	// Name of the Node object and the host name: the cluster's, and the node's number.
	Name string `json:"name"`
	// Index counts from 1 and never changes; address and pod CIDR are derived from it. It is the node's number, unless that is
	// beyond MaxNodes.
	Index   int          `json:"index"`
	IP      netip.Addr   `json:"ip"`
	PodCIDR netip.Prefix `json:"podCIDR"`
	// CPUs and MemoryBytes limit the container; 0 means no limit of its own.
	CPUs        float64 `json:"cpus,omitempty"`
	MemoryBytes int64   `json:"memoryBytes,omitempty"`
	// ControlPlane gives the node the label by which charts and scripts find control-plane nodes. The control plane itself
	// runs on the host.
	ControlPlane bool `json:"controlPlane,omitempty"`
	// Stopped says that the user has stopped the node; it stays so when the cluster starts.
	Stopped bool `json:"stopped,omitempty"`
	// Pending says that the node was added while the cluster did not run, and has not been started yet: the engine has
	// nothing of it.
	Pending bool `json:"pending,omitempty"`
	// Labels and Taints are those that the Node object is created with, in addition to its own.
	Labels map[string]string `json:"labels,omitempty"`
	Taints []Taint           `json:"taints,omitempty"`
	// Mounts are what the container has of the engine's machine, sorted by Path, each Path once.
	Mounts []Mount `json:"mounts,omitempty"`
}

// Same reports whether two plans are of the same node, at the same address. Its limits and other settings may differ.
func (n Node) Same(other Node) bool { return n.Name == other.Name && n.IP == other.IP }

// The roles of nodes, as kubectl shows them.
const (
	RoleControlPlane = "control-plane"
	RoleWorker       = "worker"
)

// Role is one of the constants Role….
func (n Node) Role() string {
	if n.ControlPlane {
		return RoleControlPlane
	}
	return RoleWorker
}

// Number is the last part of the node's name, 0 if that is not a number.
func (n Node) Number() int {
	number, err := strconv.Atoi(n.Name[strings.LastIndexByte(n.Name, '-')+1:])
	if err != nil {
		return 0
	}
	return number
}

// Registries is how containerd finds images.
type Registries struct {
	// Mirrors maps a registry's host name ("docker.io") to the endpoints that are asked before it, in order. "*" stands
	// for every registry.
	Mirrors map[string][]Mirror `json:"mirrors,omitempty"`
	// Authorities are the certificates, in PEM as ParseAuthorities returns it, of authorities that are trusted for every registry
	// and mirror besides the usual ones. Nodes have them for pods, too.
	Authorities string `json:"authorities,omitempty"`
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

// Manifest is a file of objects.
type Manifest struct {
	// Source is its absolute path or URL.
	Source string `json:"source"`
	// Hash is that of what was applied, empty if it has not been.
	Hash string `json:"hash,omitempty"`
}

// The values in Spec.Chosen.
const (
	ChosenVersion       = "kubernetesVersion"
	ChosenAPIPort       = "apiPort"
	ChosenSubnet        = "subnet"
	ChosenPodSubnet     = "podSubnet"
	ChosenServiceSubnet = "serviceSubnet"
)

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

// PlanNode gives the node of an index (from 1) the name of that number, and its addresses. Addresses begin at the tenth of
// the subnet; pod CIDRs at the second /24, so that node and index are easy to recognise in an address.
func (s *Spec) PlanNode(index int) Node {
	n := Node{Name: s.nodeName(index), Index: index}
	s.address(&n)
	return n
}

func (s *Spec) nodeName(number int) string { return fmt.Sprintf("%s-%d", s.Name, number) }

func (s *Spec) address(n *Node) {
	n.IP, n.PodCIDR = addrAt(s.Subnet, 9+n.Index), netip.PrefixFrom(addrAt(s.PodRange(), n.Index<<8), 24)
}

// ActiveNodes are those that the user has not stopped.
func (s *Spec) ActiveNodes() []Node {
	return slices.DeleteFunc(slices.Clone(s.Nodes), func(n Node) bool { return n.Stopped })
}

// NextNode plans the node that would be added next. Its number has never been used. Its index is that number, so that what
// still knows the addresses of deleted nodes meets nobody there; only beyond MaxNodes it is the lowest free one. false
// means that the cluster has MaxNodes.
func (s *Spec) NextNode() (Node, bool) {
	used := map[int]bool{}
	for _, n := range s.Nodes {
		used[n.Index] = true
	}
	number := s.HighestNumber() + 1
	index := number
	if index > MaxNodes {
		for index = 1; used[index]; index++ {
			continue
		}
	}
	if index > MaxNodes || number > MaxNodeNumber {
		return Node{}, false
	}
	n := Node{Name: s.nodeName(number), Index: index}
	s.address(&n)
	return n, true
}

// HighestNumber is the highest number that any node of the cluster has had.
func (s *Spec) HighestNumber() int {
	highest := s.LastNumber
	for _, n := range s.Nodes {
		highest = max(highest, n.Number())
	}
	return highest
}

// Upgrade gives a spec of an older version what it means in this one: its first node has the control-plane role.
func (s *Spec) Upgrade() {
	if s.Version < 4 && len(s.Nodes) > 0 {
		s.Nodes[0].ControlPlane = true
	}
	s.Version = SpecVersion
}

// Replan recomputes every node's name and addresses after Name, Subnet or PodSubnet has changed.
func (s *Spec) Replan() {
	s.Gateway = addrAt(s.Subnet, 1)
	for i := range s.Nodes {
		n := &s.Nodes[i]
		n.Name = s.nodeName(cmp.Or(n.Number(), n.Index))
		s.address(n)
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
