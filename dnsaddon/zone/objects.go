package zone

// The objects that a Store takes: what DNS needs of those of the API, in the API's terms. The Store copies what it
// keeps.

// Service is a Service.
type Service struct {
	Namespace, Name string
	// Type only matters if it is "ExternalName".
	Type         string
	ExternalName string
	// ClusterIPs is spec.clusterIPs, or spec.clusterIP if that is empty; "None" is a headless service.
	ClusterIPs []string
	Ports      []Port
}

// Port is a port of a Service or an EndpointSlice.
type Port struct {
	Name     string
	Protocol string // "TCP", "UDP", "SCTP", or empty if the object gives none
	Number   int32  // 0 if the object gives none
}

// Slice is an EndpointSlice.
type Slice struct {
	Namespace, Name string
	// Service is the label kubernetes.io/service-name. A slice without it has no names.
	Service   string
	Endpoints []Endpoint
	Ports     []Port
}

// Endpoint is an endpoint of an EndpointSlice.
type Endpoint struct {
	Addresses []string
	Hostname  string
	// Pod is the name of targetRef, whatever its kind; it is used only with Options.EndpointPodNames.
	Pod string
	// Ready is conditions.ready, the only condition that counts: the slice's controller has already considered
	// publishNotReadyAddresses and pods that terminate. Nil means ready.
	Ready *bool
}

// Pod is a pod that has addresses. Pass only those that are neither Succeeded nor Failed.
type Pod struct {
	Namespace, Name string
	IPs             []string
}
