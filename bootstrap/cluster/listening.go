package cluster

// Listening is a port of a pod that a program in it listens on.
type Listening struct {
	// Protocol is "TCP" or "UDP", as in the API.
	Protocol string `json:"protocol"`
	Port     uint16 `json:"port"`
	// Inside says that only the pod itself can connect to it: it listens on a loopback address.
	Inside bool `json:"inside,omitempty"`
}
