package cluster

import (
	"errors"
	"time"
)

// EventKind is what an Event reports.
type EventKind string

// The kinds of events that a start, stop or delete produces, in the order of a step's life.
const (
	StepStarted  EventKind = "started"
	StepProgress EventKind = "progress"
	StepDone     EventKind = "done"
	StepFailed   EventKind = "failed"
	StepWarning  EventKind = "warning"
)

// Event is one thing that happened to one step of a running operation. The same events drive the plain output, the JSON
// stream and the terminal UI's waterfall.
type Event struct {
	Kind EventKind `json:"kind"`
	// Step is a stable identifier ("apiserver", "node/bonsai-1"); Title is its text for people.
	Step  string `json:"step"`
	Title string `json:"title,omitempty"`
	// Detail is what a running step waits for, or what a finished one found.
	Detail string    `json:"detail,omitempty"`
	Time   time.Time `json:"time"`
	// Elapsed is the step's own time so far.
	Elapsed time.Duration `json:"elapsedNanos,omitempty"`
	// Problem is set on a failed step and on a warning.
	Problem *Problem `json:"problem,omitempty"`
	// Cluster is how to use what a start has started; it is set on the start's own event.
	Cluster *Access `json:"cluster,omitempty"`
}

// Access is how a program uses a cluster that runs. Its JSON form is documented and stable.
type Access struct {
	Name string `json:"name"`
	// Server is the URL of the API server.
	Server string `json:"server"`
	// Kubeconfig is the file with the cluster's own one, whose user may do everything.
	Kubeconfig string `json:"kubeconfig"`
	// Context is kubectl's current context if it leads to the cluster, empty if none does.
	Context string `json:"context,omitempty"`
	// KubernetesVersion is that of the plan ("1.37").
	KubernetesVersion string `json:"kubernetesVersion"`
	// Nodes are those of the plan, by name.
	Nodes []string `json:"nodes"`
	// Off are the components of the control plane that do not run because the user left them out.
	Off []string `json:"off,omitempty"`
	// Timeline is the record of the start.
	Timeline *Timeline `json:"timeline"`
}

// ErrDetach is the cause with which the context of an operation ends if the operation should continue without its
// observer. Every other cause interrupts the operation.
var ErrDetach = errors.New("left running")

// Timeline is the record of one finished operation: each step once, with start and end relative to the start of the
// operation.
type Timeline struct {
	Operation string         `json:"operation"`
	Started   time.Time      `json:"started"`
	Total     time.Duration  `json:"totalNanos"`
	Steps     []TimelineStep `json:"steps"`
	// Context is kubectl's current context if it leads to the cluster after a start; empty if there is none, for example
	// because the kubeconfig could not be changed.
	Context string `json:"context,omitempty"`
}

// TimelineStep is one bar of the waterfall.
type TimelineStep struct {
	Step  string        `json:"step"`
	Title string        `json:"title"`
	Begin time.Duration `json:"beginNanos"`
	End   time.Duration `json:"endNanos"`
}
