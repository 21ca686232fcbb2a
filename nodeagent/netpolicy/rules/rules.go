// Package rules computes what one node has to do for the policies of a cluster, as a value: the rules of an nftables table. It is pure;
// package netpolicy brings in the objects, and the rules into the kernel.
//
// Each NetworkPolicy has a chain per direction, with a rule for each of the peers and ports that it allows. Each tier of
// ClusterNetworkPolicies has one for those that apply to the same pods (tiers.go). Pods that the same policies apply to share a profile,
// a chain that calls the others in order and ends with a drop if a NetworkPolicy isolates the pods. Two maps lead from the address of a
// pod of this node to its profile, so a pod without policies costs one lookup. What is allowed in both directions gives its
// connection a mark, and packets with the mark of the present rules are not judged again, however many policies there are. What
// pods come and go is elements of maps and sets; chains change only with policies.
//
// The meaning of a policy is that of the types networking.k8s.io/v1.NetworkPolicy and policy.networking.k8s.io/v1beta1's
// ClusterNetworkPolicy, and where they leave a choice, what upstream's tests expect. Begin reading at State and Compile.
package rules

import (
	"maps"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/labels"
)

// Key is the name of a namespaced object.
type Key struct{ Namespace, Name string }

// String is "namespace/name", and the name for an object that has no namespace.
func (k Key) String() string {
	if k.Namespace == "" {
		return k.Name
	}
	return k.Namespace + "/" + k.Name
}

// Protocol is a protocol with ports as nftables names it: "tcp", "udp" or "sctp".
type Protocol string

// protocols are all that have ports.
var protocols = []Protocol{"tcp", "udp", "sctp"}

// Pod is what rules need of a pod.
type Pod struct {
	Key
	Labels labels.Set
	// IP is its IPv4 address, not valid until it has one, or any longer.
	IP   netip.Addr
	Node string
	// HostNetwork pods are the node itself: no policy applies to them, and no selector finds them.
	HostNetwork bool
	// Ending pods give way to others with the same address.
	Ending bool
	// Ports are those that have names.
	Ports []NamedPort
}

// Equal reports whether rules are the same for both.
func (p Pod) Equal(o Pod) bool {
	return p.Key == o.Key && p.IP == o.IP && p.Node == o.Node && p.HostNetwork == o.HostNetwork && p.Ending == o.Ending &&
		maps.Equal(p.Labels, o.Labels) && slices.Equal(p.Ports, o.Ports)
}

// NamedPort is a port of a pod's container with a name.
type NamedPort struct {
	Name     string
	Protocol Protocol
	Number   uint16
}

// Policy is a NetworkPolicy.
type Policy struct {
	Key
	// Pods selects those of its namespace to which it applies.
	Pods labels.Selector
	// Ingress and Egress are nil if it says nothing about that direction. A direction without rules allows nothing.
	Ingress, Egress *Direction
}

// Direction is what a policy allows in one direction: what any of its rules does.
type Direction struct{ Rules []Rule }

// Rule allows the traffic that matches one of Peers and one of Ports. None means any of them.
type Rule struct {
	Peers []Peer
	Ports []Port
}

// Peer is a block of addresses, nodes or pods that are selected.
type Peer struct {
	Block  netip.Prefix
	Except []netip.Prefix
	// Nodes is not nil for nodes.
	Nodes labels.Selector
	// Namespaces is nil for the namespace of the policy; Pods is nil for what is no pods.
	Namespaces, Pods labels.Selector
}

// Port is a range of ports, a named one, or all of a protocol if Name is empty and First zero.
type Port struct {
	Protocol    Protocol
	Name        string
	First, Last uint16
}

// State is everything that the rules of a node depend on.
type State struct {
	// Node is the node's name and NodeIP its address.
	Node   string
	NodeIP netip.Addr
	DNS    DNS
	// Namespaces are the labels of each.
	Namespaces map[string]labels.Set
	Pods       map[Key]Pod
	// Sandboxes are the addresses of pods of this node as its container runtime knows them, which is before the API server does.
	Sandboxes map[Key]netip.Addr
	Policies  map[Key]Policy
	// ClusterPolicies are by name, and so are Nodes, which are there only if one of these selects nodes.
	ClusterPolicies map[string]ClusterPolicy
	Nodes           map[string]Node
}

// DNS is where the DNS server of the node answers. No pod has these addresses; for policies they belong to a pod in kube-system
// with the label k8s-app=kube-dns, as which everybody knows cluster DNS, at the ports that its Service has.
type DNS struct {
	// Service is the address of the Service; not valid if that does not lead to the servers of nodes.
	Service netip.Addr
	// Resolver is the address inside the node at which it answers as the machine's own resolver would.
	Resolver netip.Addr
	// Port is where the Service leads to at the addresses of nodes.
	Port uint16
}

// addresses are those that stand for the DNS server.
func (d DNS) addresses() (list []netip.Addr) {
	for _, a := range []netip.Addr{d.Service, d.Resolver} {
		if a.Is4() {
			list = append(list, a)
		}
	}
	return list
}

// Serves reports whether a DNS server answers at a port of an address; node is that of the node.
func (d DNS) Serves(a netip.Addr, port uint16, node netip.Addr) bool {
	return slices.Contains(d.addresses(), a) || a == node && d.Port > 0 && port == d.Port
}

// dnsPod is the pod that everybody knows.
var dnsPod = Pod{
	Key: Key{"kube-system", "kube-dns"}, Labels: labels.Set{"k8s-app": "kube-dns"},
	Ports: []NamedPort{{"dns", "udp", 53}, {"dns-tcp", "tcp", 53}, {"metrics", "tcp", 9153}},
}
