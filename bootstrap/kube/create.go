package kube

// NewObject is an object that a text would create.
type NewObject struct {
	Ref Ref `json:"ref"`
	// YAML is as the API server would have it, with defaults, without managed fields; as it was given if it is Unchecked.
	YAML string `json:"yaml"`
	// Unchecked says that the API server was not asked: the namespace is created by the same text.
	Unchecked bool `json:"unchecked,omitempty"`
}

// DrainPlan is what a drain of a node would do.
type DrainPlan struct {
	// Evicted pods go, and whatever controls them creates others elsewhere.
	Evicted []DrainedPod `json:"evicted,omitempty"`
	// Staying pods belong to the node.
	Staying []DrainedPod `json:"staying,omitempty"`
	// Refused says why it would be refused, in the words of "kubectl drain"; empty if it would not.
	Refused []string `json:"refused,omitempty"`
}

// DrainedPod is a pod of a node that is to be drained.
type DrainedPod struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Owner     Object `json:"owner,omitzero"`
	// LocalData says that it has an emptyDir volume, whose data is lost.
	LocalData bool `json:"localData,omitempty"`
	// Budget is the name of a disruption budget that allows no pod to go now; empty if there is none.
	Budget string `json:"budget,omitempty"`
}
