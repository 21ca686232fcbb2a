package kube

import "time"

// PodDetail is what a pod's screens need.
type PodDetail struct {
	Ref  Ref    `json:"ref"`
	Node string `json:"node,omitempty"`
	IP   string `json:"ip,omitempty"`
	// QoS and DNSPolicy are the API's words: "Burstable", "ClusterFirst".
	QoS       string `json:"qos,omitempty"`
	DNSPolicy string `json:"dnsPolicy,omitempty"`
	// Owners are from the direct owner up: ReplicaSet, Deployment.
	Owners     []Object          `json:"owners,omitempty"`
	Containers []ContainerDetail `json:"containers"`
	Conditions []Condition       `json:"conditions,omitempty"`
}

// Condition is one condition of an object, in the API's words.
type Condition struct {
	Type string `json:"type"`
	// Status is "True", "False" or "Unknown".
	Status  string `json:"status"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// Since is when Status changed last.
	Since time.Time `json:"since,omitzero"`
}

// ContainerDetail is one container of a pod.
type ContainerDetail struct {
	Name  string `json:"name"`
	Image string `json:"image"`
	// Init containers run before the others.
	Init     bool           `json:"init,omitempty"`
	State    ContainerState `json:"state"`
	Ready    bool           `json:"ready"`
	Restarts int            `json:"restarts"`
	// LastState is how it ended last time, zero if it never did.
	LastState ContainerState  `json:"lastState,omitzero"`
	Ports     []ContainerPort `json:"ports,omitempty"`
	Mounts    []Mount         `json:"mounts,omitempty"`
	// Requests and Limits are quantities of the API by resource: "cpu" is "100m".
	Requests map[string]string `json:"requests,omitempty"`
	Limits   map[string]string `json:"limits,omitempty"`
}

// ContainerPhase is the state of a container in one word.
type ContainerPhase string

// The phases of a container.
const (
	ContainerWaiting    ContainerPhase = "waiting"
	ContainerRunning    ContainerPhase = "running"
	ContainerTerminated ContainerPhase = "terminated"
)

// ContainerState is the state of a container, or how it ended.
type ContainerState struct {
	Phase ContainerPhase `json:"phase"`
	// Reason is a word of the API ("CrashLoopBackOff", "OOMKilled"), Message its explanation. A running container has
	// neither.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// ExitCode, Signal and Finished are only set for terminated containers. Signal is 0 if none ended it.
	ExitCode int       `json:"exitCode,omitempty"`
	Signal   int       `json:"signal,omitempty"`
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
}

// ContainerPort is a port that a container names.
type ContainerPort struct {
	Name string `json:"name,omitempty"`
	Port int    `json:"port"`
	// Protocol is "TCP", "UDP" or "SCTP".
	Protocol string `json:"protocol"`
	// HostPort is the port of the node that leads to it, 0 if there is none.
	HostPort int `json:"hostPort,omitempty"`
}

// Mount is a volume in a container's file system.
type Mount struct {
	Path    string `json:"path"`
	Volume  string `json:"volume"`
	SubPath string `json:"subPath,omitempty"`
	// ReadOnly mounts cannot be written to.
	ReadOnly bool `json:"readOnly,omitempty"`
}
