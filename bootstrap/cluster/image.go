package cluster

import "time"

// NodeImage is one name of an image in a node's store.
type NodeImage struct {
	// Name is complete, with registry and tag or digest ("docker.io/library/app:dev"). Images without one are not listed.
	Name string `json:"name"`
	// Target is the digest of the manifest, or of the index of manifests, that the name leads to.
	Target string `json:"target"`
	// Loaded says that "bonsai image load" brought it; otherwise it was pulled, or is the node's own.
	Loaded bool `json:"loaded,omitempty"`
	// Updated is when the name was last given to an image.
	Updated time.Time `json:"updated,omitzero"`
}

// LoadedImage is one image that was imported into a node.
type LoadedImage struct {
	Name string `json:"name"`
	// Digests are further names of it, with digests ("docker.io/library/app@sha256:…").
	Digests []string `json:"digests,omitempty"`
}
