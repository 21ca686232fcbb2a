package cluster

import "time"

// Phase is the state of a cluster, a node or a component in one word.
type Phase string

// The phases, from nothing to healthy and back.
const (
	PhaseAbsent   Phase = "Absent"
	PhaseStopped  Phase = "Stopped"
	PhaseStarting Phase = "Starting"
	PhaseRunning  Phase = "Running"
	PhaseDegraded Phase = "Degraded"
	PhasePaused   Phase = "Paused"
	// PhaseOff is that of a component which the user does not want.
	PhaseOff      Phase = "Off"
	PhaseStopping Phase = "Stopping"
	PhaseFailed   Phase = "Failed"
	PhaseUnknown  Phase = "Unknown"
)

// Snapshot is everything that was observed of one cluster at one moment. It is a value: it must not be changed after it
// was published.
type Snapshot struct {
	Name  string    `json:"name"`
	Phase Phase     `json:"phase"`
	Time  time.Time `json:"time"`
	// KubernetesVersion as the API server reports it ("v1.37.2"); Emulated is the minor it emulates, if any.
	KubernetesVersion string `json:"kubernetesVersion,omitempty"`
	Emulated          string `json:"emulatedVersion,omitempty"`
	// APIServer is the state of the only entry point of the cluster, Server its address.
	APIServer Phase  `json:"apiserver"`
	Server    string `json:"server,omitempty"`
	// Kubeconfig is "Configured", "Misconfigured" (the context points elsewhere), "Missing", or "Own" (as it was wished). Contexts are those of the
	// user that lead to the cluster, whatever their names, the current one first.
	Kubeconfig string   `json:"kubeconfig"`
	Contexts   []string `json:"contexts,omitempty"`
	// Components are those of the control plane's process.
	Components []Component  `json:"components,omitempty"`
	Nodes      []NodeStatus `json:"nodes"`
	// Addons are the enabled ones, and others that are not removed yet.
	Addons   []AddonStatus `json:"addons,omitempty"`
	Problems []Problem     `json:"problems,omitempty"`
	// Paused says since when the cluster is paused; nil if it is not.
	Paused *Pause `json:"paused,omitempty"`
	// Names is where Services have names on this machine; nil of a cluster that does not run.
	Names *Names `json:"names,omitempty"`
	// Store is how full etcd is; nil while that is unknown.
	Store *Store `json:"store,omitempty"`
	// Restarts is what the guardian recorded of the control plane's process; nil if that never exited unexpectedly.
	Restarts *Restarts `json:"restarts,omitempty"`
	// LastStart is the timeline of the newest start.
	LastStart *Timeline `json:"lastStart,omitempty"`
}

// Info is one line of a list of clusters.
type Info struct {
	Name  string `json:"name"`
	Phase Phase  `json:"phase"`
	Nodes int    `json:"nodes"`
	// KubernetesVersion is that of its plan ("v1.37.2"); empty if the plan cannot be read.
	KubernetesVersion string `json:"kubernetesVersion,omitempty"`
}

// NodeStatus is what was observed of one node.
type NodeStatus struct {
	Name string `json:"name"`
	IP   string `json:"ip"`
	// Role is that of the plan: one of the constants Role….
	Role string `json:"role"`
	// Stopped says that the user has stopped the node: that it does not run is not a problem.
	Stopped bool `json:"stopped,omitempty"`
	// Cordoned says that no new pods are placed on it; Version is its kubelet's.
	Cordoned bool   `json:"cordoned,omitempty"`
	Version  string `json:"version,omitempty"`
	// Host is the container's phase, Kubelet the Node object's Ready condition as a phase.
	Host    Phase `json:"host"`
	Kubelet Phase `json:"kubelet"`
	Ready   bool  `json:"ready"`
	// DNS is the phase of the node's DNS server as the control plane sees it; empty if the addon dns is disabled.
	DNS Phase `json:"dns,omitempty"`
	// Heartbeat is when the kubelet last reported that, to the second: a Ready from before its container started does
	// not count.
	Heartbeat  time.Time   `json:"heartbeat,omitzero"`
	Components []Component `json:"components,omitempty"`
}

// Component is one supervised part: etcd, kube-apiserver, containerd, kubelet…
type Component struct {
	Name  string `json:"name"`
	Phase Phase  `json:"phase"`
	// Restarts counts how often the supervisor restarted it since its host started; for components of the control plane,
	// since the cluster was created.
	Restarts int `json:"restarts"`
	// Since is when it entered Phase; zero if unknown.
	Since time.Time `json:"since,omitzero"`
	// Started is when its present run began: before the first line that this run writes to its log. Zero if it does not run,
	// or that is unknown.
	Started time.Time `json:"started,omitzero"`
	// Ended is when the run before that one ended; zero if there was none, or its end was not observed.
	Ended time.Time `json:"ended,omitzero"`
	// PID of its process, 0 if unknown; components of one process share it.
	PID int `json:"pid,omitempty"`
	// Reason explains any phase but Running.
	Reason string `json:"reason,omitempty"`
}
