package kube

// PodDetail is what a pod's screens need.
type PodDetail struct {
	Ref  Ref    `json:"ref"`
	Node string `json:"node,omitempty"`
	IP   string `json:"ip,omitempty"`
	QoS  string `json:"qos,omitempty"`
	// Owners are from the direct owner up: "ReplicaSet/web-7b8", "Deployment/web".
	Owners     []string          `json:"owners,omitempty"`
	Containers []ContainerDetail `json:"containers"`
	Conditions []string          `json:"conditions,omitempty"` // "Ready False ContainersNotReady …"
	// DNSPolicy is how its containers resolve names.
	DNSPolicy string `json:"dnsPolicy,omitempty"`
}

// ContainerDetail is one container of a pod.
type ContainerDetail struct {
	Name  string `json:"name"`
	Image string `json:"image"`
	// Init containers run before the others.
	Init     bool   `json:"init,omitempty"`
	State    string `json:"state"` // "running since …", "waiting: CrashLoopBackOff", "exited 1 (Error)"
	Ready    bool   `json:"ready"`
	Restarts int    `json:"restarts"`
	// LastState says how it ended before, empty if it never did.
	LastState string   `json:"lastState,omitempty"`
	Env       []EnvVar `json:"env,omitempty"`
	Ports     []string `json:"ports,omitempty"`
	Mounts    []string `json:"mounts,omitempty"`
	Requests  string   `json:"requests,omitempty"`
	Limits    string   `json:"limits,omitempty"`
}

// EnvVar is one variable; From says where the value comes from. Values of Secrets are not fetched.
type EnvVar struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
	From  string `json:"from,omitempty"`
}
