package cluster

import "time"

// DrainRequest asks for nodes to be emptied: no new pods are placed on them, and their pods move elsewhere.
type DrainRequest struct {
	Nodes []string `json:"nodes"`
	// Down are those of Nodes whose containers do not run. Their pods cannot end in order, so that is not waited for.
	Down []string `json:"down,omitempty"`
	// Force also deletes pods that nobody would create again, that have local data, or that a budget protects, and gives up
	// waiting without an error.
	Force bool `json:"force,omitempty"`
	// Limit bounds the wait for pods to end.
	Limit time.Duration `json:"limitNanos"`
}

// ServingPod is a pod that was Ready before its node was restarted.
type ServingPod struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
}

// DrainProgress is one line about a drain, or about the pods of a node that was restarted, while that is under way.
type DrainProgress struct {
	Node   string `json:"node"`
	Detail string `json:"detail"`
}
