package kube

import "time"

// ServiceLine is a Service and where it is reachable.
type ServiceLine struct {
	UID       string `json:"uid"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Kind is the type of the Service: ClusterIP, NodePort…
	Kind      string   `json:"kind"`
	ClusterIP string   `json:"clusterIP,omitempty"`
	Ports     []string `json:"ports,omitempty"` // "80→8080/TCP"
	// Ready and Total count its endpoints.
	Ready int `json:"ready"`
	Total int `json:"total"`
	// Reachable are addresses: inside the cluster, at nodes, on this machine.
	Reachable []string  `json:"reachable,omitempty"`
	Created   time.Time `json:"created,omitzero"`
}

// ForwardSpec is a port to forward.
type ForwardSpec struct {
	Namespace string `json:"namespace"`
	Target    string `json:"target"` // "pod/web-0", "service/web", "deployment/web"
	// Local is the port of this machine; 0 is one that is free.
	Local int `json:"local"`
	// Remote is the port of the target.
	Remote int `json:"remote"`
}

// ForwardState is how a forwarded port does.
type ForwardState struct {
	Local int `json:"local"`
	// Pod is the one connected to; empty while there is none.
	Pod string `json:"pod,omitempty"`
	// Connections are those open now; Bytes went through since the beginning, both ways.
	Connections int   `json:"connections"`
	Bytes       int64 `json:"bytes"`
	// Reason says why it is not connected.
	Reason string `json:"reason,omitempty"`
}
