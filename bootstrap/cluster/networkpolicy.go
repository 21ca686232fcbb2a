package cluster

import (
	"net/netip"
	"time"
)

// NetworkPolicyAddon is the name of the addon that enforces NetworkPolicies, which clusters have by default.
const NetworkPolicyAddon = "network-policy"

// NetworkPolicyMap is the ConfigMap in kube-system whose existence makes the agents of nodes enforce NetworkPolicies.
const NetworkPolicyMap = "bonsai-network-policy"

// ClusterPoliciesKey is the key in NetworkPolicyMap that is there while the cluster has ClusterNetworkPolicies: agents follow these only
// then.
const ClusterPoliciesKey = "clusterNetworkPolicies"

// NetworkPolicyHealth is how enforcement is on one node: Running if the rules there are those of all policies.
type NetworkPolicyHealth struct {
	Phase  Phase  `json:"phase"`
	Reason string `json:"reason,omitempty"`
}

// Denied is traffic that policies did not allow, as a node remembers it for some minutes: packets from one address to one
// port of another. Those that are sent again because nothing answers count as well.
type Denied struct {
	// Egress says that it was stopped by the policies of the source, on its node; otherwise by those of the destination.
	Egress bool       `json:"egress,omitempty"`
	Proto  string     `json:"proto"` // TCP, UDP, SCTP
	Source netip.Addr `json:"source"`
	// Dest is what would have been reached, Asked what the source has as its destination, as far as this node translates it.
	Dest  netip.AddrPort `json:"dest"`
	Asked netip.AddrPort `json:"asked"`
	// From and To are the pods with these addresses, "namespace/name", as the node knows them; empty for others.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// DNS says that Dest is cluster DNS.
	DNS bool `json:"dns,omitempty"`
	// Policies are those that stop it: all NetworkPolicies that apply to the pod now, or the ClusterNetworkPolicy that denies it. None
	// means that there is none any more.
	Policies []PolicyWords `json:"policies,omitempty"`
	// Still says that the same packet would be dropped now.
	Still   bool      `json:"still,omitempty"`
	Packets uint64    `json:"packets"`
	Last    time.Time `json:"last"`
}

// PolicyWords is a policy with what it does in one direction: a NetworkPolicy allows "ingress from pods app=api at port 80/TCP", and a
// ClusterNetworkPolicy, which has no namespace, denies such by one of its rules.
type PolicyWords struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	Allows    string `json:"allows,omitempty"`
	Denies    string `json:"denies,omitempty"`
	// Rule is the name of the rule that denies, or "#2" for the second one of a direction.
	Rule string `json:"rule,omitempty"`
}

// String is "namespace/name", and the name of a ClusterNetworkPolicy.
func (p PolicyWords) String() string {
	if p.Namespace == "" {
		return p.Name
	}
	return p.Namespace + "/" + p.Name
}

// Kind is that of the policy.
func (p PolicyWords) Kind() string {
	if p.Namespace == "" {
		return "ClusterNetworkPolicy"
	}
	return "NetworkPolicy"
}

// Says is "db-only-api allows ingress from pods app=api".
func (p PolicyWords) Says() string {
	switch {
	case p.Denies != "":
		return p.Name + " denies " + p.Denies + " (rule " + p.Rule + ")"
	case p.Allows != "":
		return p.Name + " allows " + p.Allows
	}
	return p.Name + " allows something else"
}

// PolicyQuestion asks a node what its rules say about the first packet of a connection, with the address and port that are reached
// in the end.
type PolicyQuestion struct {
	Source netip.Addr     `json:"source"`
	Dest   netip.AddrPort `json:"dest"`
	Proto  string         `json:"proto"`
}

// PolicyAnswer is what the rules of a node say.
type PolicyAnswer struct {
	// Phase is whether policies are enforced there: Stopped means that nothing is.
	Phase  Phase  `json:"phase"`
	Reason string `json:"reason,omitempty"`
	// Egress is about the policies of the source, Ingress about those of the destination; nil if none applies, or if that pod is
	// not on the node.
	Egress  *PolicyJudgement `json:"egress,omitempty"`
	Ingress *PolicyJudgement `json:"ingress,omitempty"`
}

// PolicyJudgement is about one direction.
type PolicyJudgement struct {
	// Policies are those that apply to the pod; of what a ClusterNetworkPolicy denies, only that one.
	Policies []PolicyWords `json:"policies"`
	Allowed  bool          `json:"allowed"`
	// By is the policy that allows it, "namespace/name" or the name of a ClusterNetworkPolicy, and Rule the rule of the latter. Without it
	// nothing decides.
	By   string `json:"by,omitempty"`
	Rule string `json:"rule,omitempty"`
}
