package cluster

import (
	"cmp"
	"net/netip"
	"time"
)

// FlowInterval is the pause between two samples of traffic in a stream of Flows, and on a node unless it has so many connections
// that reading them takes long.
const FlowInterval = time.Second

// NodeFlow is traffic as the kernel of one node counts it: all connections from one address to one port of another, with
// the endpoint to which NAT leads them. Opened, Failed and bytes are those since the sample before.
type NodeFlow struct {
	Proto  string         `json:"proto"` // TCP, UDP, SCTP
	Source netip.Addr     `json:"source"`
	Dest   netip.AddrPort `json:"dest"`     // as the source has it
	Via    netip.AddrPort `json:"endpoint"` // who answers; Dest unless NAT changes it
	// Open connections are those that are not about to close, of UDP those that the kernel remembers.
	Open   int `json:"open,omitempty"`
	Opened int `json:"opened,omitempty"`
	// Refused connections got a reset; Unanswered ones got nothing for a second.
	Refused    int    `json:"refused,omitempty"`
	Unanswered int    `json:"unanswered,omitempty"`
	Sent       uint64 `json:"sent,omitempty"` // bytes from the source, with all headers
	Received   uint64 `json:"received,omitempty"`
}

// NodeFlows is one sample of a node. The first of a stream has what exists; its other figures are zero.
type NodeFlows struct {
	Time time.Time `json:"time"`
	// Over is the time since the sample before; zero in the first.
	Over  time.Duration `json:"overNanos,omitempty"`
	Flows []NodeFlow    `json:"flows,omitempty"`
	// Denied is what NetworkPolicies have stopped on the node in the last minutes; DeniedError why that cannot be read.
	Denied      []Denied `json:"denied,omitempty"`
	DeniedError string   `json:"deniedError,omitempty"`
	// Lost means that the kernel reported ended connections faster than they were read, so that some are missing.
	Lost bool `json:"lost,omitempty"`
	// Uncounted means that the kernel counts no bytes (net.netfilter.nf_conntrack_acct is off).
	Uncounted bool `json:"uncounted,omitempty"`
}

// Flows is who talks to whom in a cluster, at one moment. It is measured only while a client watches.
type Flows struct {
	Time time.Time `json:"time"`
	// Since is when measuring began; before that, connections were not counted and names that were asked are not known.
	Since time.Time `json:"since"`
	Flows []Flow    `json:"flows"` // the busiest first
	// Omitted is how many more there are.
	Omitted int `json:"omitted,omitempty"`
	// Nodes says which nodes could not be measured, and why.
	Nodes map[string]string `json:"unmeasured,omitempty"`
}

// Flow is the traffic from one source to one destination.
type Flow struct {
	From FlowEnd `json:"from"`
	To   FlowEnd `json:"to"` // who answers
	// Node is the one that measures it: where the source is, or where the traffic enters the cluster.
	Node  string `json:"node"`
	Proto string `json:"proto"`
	// Port is that which the source has; EndpointPort is that of To, where it differs.
	Port         uint16 `json:"port"`
	EndpointPort uint16 `json:"endpointPort,omitempty"`
	// Service is "namespace/name" of the Service that leads from Address to To; Address is what the source has.
	Service string     `json:"service,omitempty"`
	Address netip.Addr `json:"address"`
	// Asked is the name for which DNS gave the source this address, as far as that was seen.
	Asked string `json:"asked,omitempty"`
	Open  int    `json:"open"`
	// Per second, averaged over the last few samples.
	Sent       float64 `json:"sentPerSecond"`
	Received   float64 `json:"receivedPerSecond"`
	New        float64 `json:"newPerSecond"`
	Failed     float64 `json:"failedPerSecond"`
	Opened     int     `json:"opened"` // since Flows.Since
	Refused    int     `json:"refused,omitempty"`
	Unanswered int     `json:"unanswered,omitempty"`
	// Denied is how many packets NetworkPolicies have stopped in the last minutes. Nodes remember them also while nobody watches.
	Denied int     `json:"denied,omitempty"`
	Denial *Denial `json:"denial,omitempty"`
	// State is the worst of what is known.
	State FlowState `json:"state"`
	// Last is when something last happened.
	Last time.Time `json:"last"`
}

// Denial is why packets of a Flow were stopped.
type Denial struct {
	// Egress says that the policies of the source stopped them, otherwise those of the destination.
	Egress bool `json:"egress,omitempty"`
	// Policies are those that apply to that pod now, Still that they would stop the same packet again.
	Policies []PolicyWords `json:"policies,omitempty"`
	Still    bool          `json:"still,omitempty"`
}

// FlowState says whether connections of a Flow come to something.
type FlowState string

// The states.
const (
	FlowDenied     FlowState = "denied"     // by NetworkPolicies
	FlowRefused    FlowState = "refused"    // with a reset: nothing listens
	FlowUnanswered FlowState = "unanswered" // nothing came back
	FlowWorks      FlowState = "works"
)

// state is the worst of what is known.
func (f Flow) state() FlowState {
	switch {
	case f.Denied > 0:
		return FlowDenied
	case f.Refused > 0:
		return FlowRefused
	case f.Unanswered > 0:
		return FlowUnanswered
	}
	return FlowWorks
}

// Judged returns the flow with its State.
func (f Flow) Judged() Flow {
	f.State = f.state()
	return f
}

// FlowKind is what one end of a Flow is.
type FlowKind string

// The kinds.
const (
	FlowPod     FlowKind = "pod"
	FlowNode    FlowKind = "node"    // or a pod on its network
	FlowMachine FlowKind = "machine" // the one that runs the cluster, with the control plane
	FlowService FlowKind = "service" // that has led the traffic to no endpoint
	FlowOutside FlowKind = "outside"
)

// FlowEnd is one end of a Flow.
type FlowEnd struct {
	Kind      FlowKind   `json:"kind"`
	Namespace string     `json:"namespace,omitempty"`
	Name      string     `json:"name,omitempty"`     // of the pod, node or Service
	Workload  string     `json:"workload,omitempty"` // that controls the pod: "deployment/web"
	Node      string     `json:"node,omitempty"`
	Address   netip.Addr `json:"address"`
}

// String is how people name it: "shop/web-1", "node/dev-1", "192.0.2.1".
func (e FlowEnd) String() string {
	switch e.Kind {
	case FlowPod:
		return e.Namespace + "/" + e.Name
	case FlowService:
		return "service/" + e.Namespace + "/" + e.Name
	case FlowNode:
		return "node/" + e.Name
	case FlowMachine:
		return "this machine"
	}
	return e.Address.String()
}

// WithPod reports whether a pod or a Service takes part; the rest is traffic of nodes and of the machine.
func (f Flow) WithPod() bool {
	return f.From.Kind == FlowPod || f.To.Kind == FlowPod || f.To.Kind == FlowService || f.Service != "" && f.From.Kind == FlowOutside
}

// CompareFlows sorts the busiest first.
func CompareFlows(a, b Flow) int {
	return cmp.Or(-cmp.Compare(a.Failed, b.Failed), -cmp.Compare(a.Sent+a.Received, b.Sent+b.Received), -cmp.Compare(a.New, b.New),
		-cmp.Compare(a.Open, b.Open), cmp.Compare(a.From.String(), b.From.String()), cmp.Compare(a.To.String(), b.To.String()), cmp.Compare(a.Port, b.Port),
		cmp.Compare(a.Proto, b.Proto), a.Address.Compare(b.Address))
}
