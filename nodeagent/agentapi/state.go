package agentapi

import (
	"bonsai/bootstrap/cluster"
	"bonsai/nodeagent/podnet"
)

// State is what an agent knows of its node.
type State struct {
	Node string `json:"node"`
	// Components are containerd, kubelet, kube-proxy and the agent.
	Components []cluster.Component `json:"components"`
	// Containerd is its version; empty while it does not answer.
	Containerd string       `json:"containerd,omitempty"`
	PodNetwork podnet.State `json:"podNetwork"`
	// APIServer says why the node does not reach the API server; empty if it does.
	APIServer string `json:"apiServerError,omitempty"`
}
