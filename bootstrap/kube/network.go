package kube

import "time"

// ServiceLine is a Service and where it is reachable.
type ServiceLine struct {
	UID       string `json:"uid"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Kind is the type of the Service: ClusterIP, NodePort…
	Kind      string        `json:"kind"`
	ClusterIP string        `json:"clusterIP,omitempty"`
	Ports     []ServicePort `json:"ports,omitempty"`
	// Ready and Total count its endpoints.
	Ready     int       `json:"ready"`
	Total     int       `json:"total"`
	Reachable []Address `json:"reachable,omitempty"`
	Created   time.Time `json:"created,omitzero"`
}

// ServicePort is a port of a Service.
type ServicePort struct {
	// Name and AppProtocol are the API's; both may be empty.
	Name        string `json:"name,omitempty"`
	AppProtocol string `json:"appProtocol,omitempty"`
	Port        int    `json:"port"`
	// Target is the port of its pods, by number or name; empty if it is Port.
	Target string `json:"target,omitempty"`
	// Protocol is "TCP", "UDP" or "SCTP".
	Protocol string `json:"protocol"`
}

// Address is where a Service answers.
type Address struct {
	// Address is "host:port", or only a host for a Service that is only a name.
	Address string `json:"address"`
	// From says from where it can be reached.
	From Reach `json:"from"`
	// Alias is the name that the address is an alias of; empty for all but ExternalName.
	Alias string `json:"alias,omitempty"`
}

// Reach is where an address can be reached from.
type Reach string

// Sorted from the nearest: what the user's machine reaches, everything outside, the nodes, only pods.
const (
	ReachHost    Reach = "host"
	ReachOutside Reach = "outside"
	ReachNodes   Reach = "nodes"
	ReachPods    Reach = "pods"
)

// ForwardSpec is a port to forward.
type ForwardSpec struct {
	Namespace string `json:"namespace"`
	// Target is a Pod, Service, Deployment or StatefulSet.
	Target Object `json:"target"`
	// Local is the port of this machine; 0 means a free one.
	Local int `json:"local"`
	// Remote is the port of the target.
	Remote int `json:"remote"`
}

// ForwardState is the state of a forwarded port.
type ForwardState struct {
	Local int `json:"local"`
	// Pod is the one connected to; empty while there is none.
	Pod string `json:"pod,omitempty"`
	// Connections are those open now; Bytes are the total since the start, both ways.
	Connections int   `json:"connections"`
	Bytes       int64 `json:"bytes"`
	// Reason says why it is not connected.
	Reason string `json:"reason,omitempty"`
}
