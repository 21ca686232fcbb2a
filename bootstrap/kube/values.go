package kube

// Value is one entry of a Secret or ConfigMap.
type Value struct {
	Key  string `json:"key"`
	Size int    `json:"size"`
	// Hidden says that it is a Secret's, and was not asked for.
	Hidden bool `json:"hidden,omitempty"`
	// Binary says that it is not a text, and is left out.
	Binary bool   `json:"binary,omitempty"`
	Text   string `json:"text,omitempty"`
}

// ContainerEnv is the environment of one container of a pod, in the order in which the kubelet makes it: of a name that is
// there twice the last one counts.
type ContainerEnv struct {
	Container string `json:"container"`
	// Init containers run before the others.
	Init bool     `json:"init,omitempty"`
	Vars []EnvVar `json:"vars,omitempty"`
}

// EnvVar is one variable as a container would get it if it started now.
type EnvVar struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
	// From is where the value comes from; zero if it is given directly.
	From EnvSource `json:"from,omitzero"`
	// Hidden says that the value is a Secret's, and was not asked for.
	Hidden bool `json:"hidden,omitempty"`
	// Missing says that the source or its key does not exist. Unless it is Optional, the container cannot start.
	Missing  bool `json:"missing,omitempty"`
	Optional bool `json:"optional,omitempty"`
	// Unknown says that the value is not known from here: only the kubelet has it, or it could not be read.
	Unknown bool `json:"unknown,omitempty"`
	// Replaced says that a later variable has the same name.
	Replaced bool `json:"replaced,omitempty"`
}

// EnvSource is where the value of a variable comes from.
type EnvSource struct {
	Kind EnvSourceKind `json:"kind"`
	// Name is that of the object, the path of the field, or the resource.
	Name string `json:"name"`
	// Key is the key in the object or file; empty for a whole object and for fields.
	Key string `json:"key,omitempty"`
}

// EnvSourceKind is a kind of source.
type EnvSourceKind string

// The sources of variables.
const (
	EnvConfigMap EnvSourceKind = "ConfigMap"
	EnvSecret    EnvSourceKind = "Secret"
	EnvField     EnvSourceKind = "field"    // of the pod
	EnvResource  EnvSourceKind = "resource" // a request or limit of the container
	EnvFile      EnvSourceKind = "file"     // in a volume
)
