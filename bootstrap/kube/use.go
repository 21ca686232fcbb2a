package kube

// PodResources is what a pod requests, and its limits, all containers together as the scheduler counts them. 0 is none.
type PodResources struct {
	UID       string `json:"uid"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Node      string `json:"node,omitempty"`
	Requests  Amount `json:"requests"`
	Limits    Amount `json:"limits"`
}

// NodeResources is what a node has for pods.
type NodeResources struct {
	Name        string `json:"name"`
	Allocatable Amount `json:"allocatable"`
}

// Amount is of processors in cores, and of memory in bytes.
type Amount struct {
	CPU    float64 `json:"cpu"`
	Memory uint64  `json:"memory"`
}

// ClusterResources are those of all pods that have not ended, and of all nodes.
type ClusterResources struct {
	Pods  []PodResources  `json:"pods"`
	Nodes []NodeResources `json:"nodes"`
}
