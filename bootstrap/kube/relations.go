package kube

// RelationKind is how one object uses another.
type RelationKind string

// The kinds of relations, seen from the object that is above in a tree of what it uses.
const (
	RelationOwns      RelationKind = "owns"      // it has made it: a Deployment its ReplicaSet
	RelationContains  RelationKind = "contains"  // a pod its containers
	RelationSelects   RelationKind = "selects"   // by labels: a Service its pods
	RelationEndpoints RelationKind = "endpoints" // where a Service leads
	RelationEnv       RelationKind = "env"       // in variables of a container
	RelationVolume    RelationKind = "volume"    // in its file system
	RelationAccount   RelationKind = "account"   // it acts as it
	RelationPull      RelationKind = "pull"      // to pull images
	RelationRoutes    RelationKind = "routes to" // an Ingress to a Service
	RelationTLS       RelationKind = "TLS"       // its certificate
	RelationBound     RelationKind = "bound"     // a claim to its volume
	RelationScales    RelationKind = "scales"    // an autoscaler its target
	RelationProtects  RelationKind = "protects"  // a disruption budget its pods
	RelationMounts    RelationKind = "may mount" // a ServiceAccount its Secrets
)

// Relation is an object in a tree of what uses what.
type Relation struct {
	// Ref is empty but for its name for what is not an object: a container, an address.
	Ref Ref `json:"ref"`
	// Kinds are how the object above uses it.
	Kinds []RelationKind `json:"kinds,omitempty"`
	// State is how it does, in the API's words ("Running", "CrashLoopBackOff", "2/3"); empty where that says nothing.
	State string `json:"state,omitempty"`
	// Bad says that it is not as it should be, Missing that it does not exist; Optional that it need not.
	Bad      bool       `json:"bad,omitempty"`
	Missing  bool       `json:"missing,omitempty"`
	Optional bool       `json:"optional,omitempty"`
	Children []Relation `json:"children,omitempty"`
}

// Relations are what an object uses, as a tree that begins with it, and what uses it.
type Relations struct {
	Uses   Relation   `json:"uses"`
	UsedBy []Relation `json:"usedBy,omitempty"`
}
