package cluster

import (
	"net/netip"
	"time"
)

// NetworkPolicyAddon is the name of the addon that enforces NetworkPolicies, which clusters have by default.
const NetworkPolicyAddon = "network-policy"

// NetworkPolicyMap is the ConfigMap in kube-system whose existence makes the agents of nodes enforce NetworkPolicies.
const NetworkPolicyMap = "bonsai-network-policy"

// NetworkPolicyHealth is how enforcement is on one node: Running if the rules there are those of all policies.
type NetworkPolicyHealth struct {
	Phase  Phase  `json:"phase"`
	Reason string `json:"reason,omitempty"`
}

// Denied is traffic that NetworkPolicies did not allow, as a node remembers it for some minutes: packets from one address to one
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
	// Policies are those that apply to the pod now. None means that it has none any more.
	Policies []PolicyWords `json:"policies,omitempty"`
	// Still says that the same packet would be dropped now.
	Still   bool      `json:"still,omitempty"`
	Packets uint64    `json:"packets"`
	Last    time.Time `json:"last"`
}

// PolicyWords is a NetworkPolicy with what it allows in one direction: "ingress from pods app=api at port 80/TCP".
type PolicyWords struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Allows    string `json:"allows,omitempty"`
}

// String is "namespace/name".
func (p PolicyWords) String() string { return p.Namespace + "/" + p.Name }

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
	Policies []PolicyWords `json:"policies"`
	Allowed  bool          `json:"allowed"`
	// By is the policy that allows it, "namespace/name".
	By string `json:"by,omitempty"`
}
