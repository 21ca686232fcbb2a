package kube

// Subject is somebody who makes requests of the API server, as RBAC names them.
type Subject struct {
	// Kind is "User", "Group" or "ServiceAccount".
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// AccessQuery is something that somebody may do or not.
type AccessQuery struct {
	// Who is zero for the one who asks.
	Who Subject `json:"who,omitzero"`
	// Verb is that of RBAC: "get", "list", "create".
	Verb string       `json:"verb"`
	Type ResourceType `json:"type"`
	// Subresource is "log" of "pods/log"; empty for the objects themselves.
	Subresource string `json:"subresource,omitempty"`
	// Namespace and Name are empty for all.
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
}

// Access is the answer to an AccessQuery.
type Access struct {
	// Allowed is what the API server says, for every authorizer that it has; Reason why.
	Allowed bool   `json:"allowed"`
	Reason  string `json:"reason,omitempty"`
	// Grants are all that RBAC allows it to, whoever was asked about.
	Grants []Grant `json:"grants,omitempty"`
}

// Grant is a binding that allows something to somebody.
type Grant struct {
	Who     Subject `json:"who"`
	Binding Ref     `json:"binding"`
	Role    Ref     `json:"role"`
}

// Right is one rule of a role that somebody has, and where it comes from.
type Right struct {
	Verbs []string `json:"verbs"`
	// Resources are with their groups ("deployments.apps"), or paths of the API server.
	Resources []string `json:"resources"`
	// Names are the only objects that it is about; none for all.
	Names []string `json:"names,omitempty"`
	// Namespace is where it counts; empty for everywhere.
	Namespace string `json:"namespace,omitempty"`
	Role      Ref    `json:"role"`
	Binding   Ref    `json:"binding"`
}
