package kube

import "time"

// Verb is what an Action does.
type Verb string

// The verbs of actions.
const (
	VerbDelete       Verb = "delete"
	VerbScale        Verb = "scale"         // to Replicas
	VerbRestart      Verb = "restart"       // of a workload's pods, as "kubectl rollout restart"
	VerbCordon       Verb = "cordon"        // a node
	VerbUncordon     Verb = "uncordon"      // a node
	VerbDrain        Verb = "drain"         // a node
	VerbRollback     Verb = "rollback"      // of a workload to Revision, as "kubectl rollout undo"
	VerbSetImage     Verb = "set image"     // of the containers in Images
	VerbSetResources Verb = "set resources" // of the containers in Resources
	VerbSetSelector  Verb = "set selector"  // of a Service, to Selector
	VerbSuspend      Verb = "suspend"       // a CronJob or Job
	VerbResume       Verb = "resume"        // a CronJob or Job
	VerbRun          Verb = "run"           // a Job of a CronJob now, as "kubectl create job --from"; JobName is its name
)

// Action is one change to one object.
type Action struct {
	Verb     Verb `json:"verb"`
	Ref      Ref  `json:"ref"`
	Replicas int  `json:"replicas,omitempty"`
	// Grace is the deletion's grace period in seconds; negative is the object's own.
	Grace int64 `json:"graceSeconds,omitempty"`
	// Revision is that of a rollback; 0 is the one before the newest.
	Revision int64 `json:"revision,omitempty"`
	// Images are by the name of the container.
	Images map[string]string `json:"images,omitempty"`
	// Resources are by the name of the container.
	Resources map[string]Resources `json:"resources,omitempty"`
	// Selector are the labels that the pods of a Service have.
	Selector map[string]string `json:"selector,omitempty"`
	// JobName is that of the Job that a run creates.
	JobName string `json:"jobName,omitempty"`
}

// Resources are what a container requests, and its limits: quantities of the API by resource ("cpu" is "100m"). An empty
// quantity takes away what there was.
type Resources struct {
	Requests map[string]string `json:"requests,omitempty"`
	Limits   map[string]string `json:"limits,omitempty"`
}

// Difference is an object before and after an action, as YAML without managed fields. Before is empty for an object that the
// action creates, After for one that it deletes.
type Difference struct {
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// Revision is one state of a workload's pod template that can be gone back to.
type Revision struct {
	Number int64 `json:"number"`
	// Name is that of the object that holds it: a ReplicaSet or a ControllerRevision.
	Name string `json:"name"`
	// Created is when that object was made: going back to a revision gives it a new number, but not a new date.
	Created time.Time `json:"created,omitzero"`
	// Cause is the annotation kubernetes.io/change-cause.
	Cause string `json:"cause,omitempty"`
	// Current says that the workload is to be like that now.
	Current bool `json:"current,omitempty"`
	// Pods is how many pods of it there are.
	Pods int `json:"pods"`
	// Template is the pod template as YAML.
	Template string `json:"template"`
}
