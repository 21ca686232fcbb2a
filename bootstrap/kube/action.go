package kube

// Verb is what an Action does.
type Verb string

// The verbs of actions.
const (
	VerbDelete   Verb = "delete"
	VerbScale    Verb = "scale"    // to Replicas
	VerbRestart  Verb = "restart"  // of a workload's pods, as "kubectl rollout restart"
	VerbCordon   Verb = "cordon"   // a node
	VerbUncordon Verb = "uncordon" // a node
	VerbDrain    Verb = "drain"    // a node
)

// Action is one change to one object.
type Action struct {
	Verb     Verb `json:"verb"`
	Ref      Ref  `json:"ref"`
	Replicas int  `json:"replicas,omitempty"`
	// Grace is the deletion's grace period in seconds; negative is the object's own.
	Grace int64 `json:"graceSeconds,omitempty"`
}
