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

// ImageDelivery is what a node needs to know of images that it gets. "bonsai-agent images receive" reads a tar archive: first
// this, in a file of the name DeliveryFile; then the documents of the images, named by their digests, and the layers, named by
// their chains, each after the one below it. What the node has may be missing. A layer that is a hard link in the archive, and not
// a file, waits in the node already; see NodeLayers.
type ImageDelivery struct {
	Images []DeliveredImage `json:"images"`
	Layers []DeliveredLayer `json:"layers"`
	// Staged is the folder in NodeLayers that is of this delivery, whether it is used or not; empty if there is none.
	Staged string `json:"staged,omitempty"`
	// Last says that the node has all images then that it waits for; see NodeImagesArrived.
	Last bool `json:"last,omitempty"`
}

// DeliveryFile is the first file of a delivery.
const DeliveryFile = "delivery.json"

// DeliveredImage is an image with the names that it gets in a node.
type DeliveredImage struct {
	Names []string `json:"names"`
	// Documents are, from what the names lead to, any indexes, the manifest and the configuration; each leads to the next.
	Documents []ImageDocument `json:"documents"`
	// Chain is the uppermost layer; empty if the image has none.
	Chain string `json:"chain,omitempty"`
}

// ImageDocument refers to a document of an image.
type ImageDocument struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

// DeliveredLayer is one layer on top of others.
type DeliveredLayer struct {
	// Chain is the digest of this layer on those below it, Parent that of the layers below; empty for the lowest.
	Chain  string `json:"chain"`
	Parent string `json:"parent,omitempty"`
	// DiffID is the digest of the layer's uncompressed content, MediaType says how it is compressed.
	DiffID    string `json:"diffID"`
	MediaType string `json:"mediaType"`
}

// LayerStaging are layers to be unpacked into the volumes of nodes, where they wait for a delivery. "bonsai-agent stage" does that,
// beside the nodes.
type LayerStaging struct {
	// Blobs is the folder that has the layers as they are stored, in files named by the hex of their digests.
	Blobs string `json:"blobs"`
	// Folder is where they wait: that of the delivery in NodeLayers.
	Folder string `json:"folder"`
	// Layers come each after the one below it, if that is staged, too.
	Layers []StagedLayer `json:"layers"`
}

// StagedLayer is one of them.
type StagedLayer struct {
	DeliveredLayer
	// Blob is the digest of the layer as it is stored.
	Blob string `json:"blob"`
	// Volumes are what gets it: to a node.Driver the containers of nodes, to bonsai-agent the folders of their volumes. Each of
	// them also gets the layers below, or the layer is the lowest; the first is that of the layers below.
	Volumes []string `json:"volumes"`
}
