package cluster

import "time"

// Birth is how one pod came to be, from the API call to ready: each step with its time and who did it. Steps are sorted
// by their start, and complete ones have an end.
type Birth struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
	// Started is the moment to which Begin and End of the steps are relative: the API call that created the pod.
	Started time.Time   `json:"started"`
	Steps   []BirthStep `json:"steps"`
	// Scheduling is the scheduler's newest decision; nil if it has not handled the pod, or was not observed.
	Scheduling *Decision `json:"scheduling,omitempty"`
	// Ready says that all steps are complete.
	Ready bool `json:"ready"`
	// Note says what is not known and why ("the control plane was restarted after this pod was created").
	Note string `json:"note,omitempty"`
}

// BirthStep is one bar of the waterfall.
type BirthStep struct {
	// Step is stable: "api", "admission", "etcd", "queue", "schedule", "bind", "kubelet", "volumes", "sandbox",
	// "image/NAME", "create/NAME", "start/NAME", "init/NAME", "ready".
	Step string `json:"step"`
	// Who did it: "kubectl", "kube-apiserver", "etcd", "kube-scheduler", "kubelet on dev-2", "containerd on dev-2"…
	Who    string        `json:"who"`
	Begin  time.Duration `json:"beginNanos"`
	End    time.Duration `json:"endNanos"` // 0 while it lasts
	Detail string        `json:"detail,omitempty"`
	// Exact is false where the source has whole seconds only.
	Exact bool `json:"exact"`
	// Failed says that the step failed; Detail says how.
	Failed bool `json:"failed,omitempty"`
}

// Decision is the scheduler's decision on one pod.
type Decision struct {
	Time time.Time `json:"time"`
	// Node is the node of the pod; empty if there is none.
	Node     string         `json:"node,omitempty"`
	Verdicts []NodeVerdict  `json:"verdicts"`
	Took     time.Duration  `json:"tookNanos"`
	Weights  map[string]int `json:"weights,omitempty"` // of the scoring plugins
	// Attempts counts the decisions on this pod, this one included.
	Attempts int `json:"attempts"`
	// Note says why possible nodes have no scores, or why there are fewer verdicts than nodes.
	Note string `json:"note,omitempty"`
}

// NodeVerdict is one node in a Decision.
type NodeVerdict struct {
	Node string `json:"node"`
	// Rejected has the reasons of the filter plugin Plugin; empty for nodes that were possible.
	Rejected []string `json:"rejected,omitempty"`
	Plugin   string   `json:"plugin,omitempty"`
	// Scores are weighted, by plugin; Total is their sum, which decides. If only one node was possible there are none.
	Scores map[string]int64 `json:"scores,omitempty"`
	Total  int64            `json:"total"`
}

// PodOnNode holds the times at which the parts of one pod were created on its node, read afterwards from kubelet's
// folders and the container runtime. Times that are not known (any more) are zero.
type PodOnNode struct {
	// Begun is when kubelet created the pod's folder, Filled when the last of its volumes was ready.
	Begun   time.Time      `json:"begun,omitzero"`
	Filled  time.Time      `json:"filled,omitzero"`
	Volumes int            `json:"volumes,omitempty"`
	Sandbox *SandboxOnNode `json:"sandbox,omitempty"`
	// Containers are the oldest existing ones of each name.
	Containers []ContainerOnNode `json:"containers,omitempty"`
}

// SandboxOnNode is a pod's sandbox: its network and the container that holds its namespaces.
type SandboxOnNode struct {
	// Attempt is above 0 if earlier sandboxes failed or were stopped, for example with the node.
	Attempt uint32    `json:"attempt,omitempty"`
	Begun   time.Time `json:"begun,omitzero"`
	Done    time.Time `json:"done,omitzero"`
}

// ContainerOnNode is one container of a pod.
type ContainerOnNode struct {
	Name string `json:"name"`
	// Attempt is above 0 for a restarted container whose predecessors are gone.
	Attempt uint32 `json:"attempt,omitempty"`
	// Prepared is when kubelet had the image and started working on the container itself.
	Prepared time.Time `json:"prepared,omitzero"`
	Created  time.Time `json:"created,omitzero"`
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
	ExitCode int32     `json:"exitCode,omitempty"`
	Reason   string    `json:"reason,omitempty"`
}
