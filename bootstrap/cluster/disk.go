package cluster

// The kinds of DiskItem. They are stable.
const (
	DiskEtcd       = "etcd"       // etcd's data
	DiskLogs       = "logs"       // logs: of the control plane, or of a node
	DiskCheckpoint = "checkpoint" // one checkpoint
	DiskHistory    = "history"    // the recorded changes of objects
	DiskState      = "state"      // the rest of a cluster's folder
	DiskVolume     = "volume"     // the /var of a node
	DiskContainer  = "container"  // what a node's container has written outside of its volume
	DiskImages     = "images"     // all images and containers in a node
	DiskImage      = "image"      // one image, in a node or in the image store
	DiskClaim      = "claim"      // the folder of a PersistentVolume on a node
	DiskStore      = "image-store"
	DiskSoftware   = "software"   // what all nodes of one version of bonsai share
	DiskNodeImage  = "node-image" // the engine's image of nodes of one version
	DiskUnfinished = "unfinished" // what nothing needs in the image store
)

// DiskItem is one thing that takes room on this machine or in the container engine.
type DiskItem struct {
	// Cluster is whose it is, "" for what all clusters share. Node is the node that it is on, "" on this machine.
	Cluster string `json:"cluster,omitempty"`
	Node    string `json:"node,omitempty"`
	Kind    string `json:"kind"`
	Name    string `json:"name,omitempty"`
	Bytes   int64  `json:"bytes"`
	// Part says that it is inside another item, and is not to be added to that.
	Part bool `json:"part,omitempty"`
	// Prunable says that "bonsai prune" removes it; Offered that it does so when the cluster is named and the kind asked for.
	Prunable bool `json:"prunable,omitempty"`
	Offered  bool `json:"offered,omitempty"`
	// Foreign says that the cluster is of another state folder.
	Foreign bool `json:"foreign,omitempty"`
	// Note says what is known of it besides.
	Note string `json:"note,omitempty"`
}

// DiskUse is what takes room, in an order for people: cluster by cluster, then what they share.
type DiskUse struct {
	Items []DiskItem `json:"items"`
	// Total is the sum of all items that are not parts; Prunable is what "bonsai prune" frees of it.
	Total    int64 `json:"total"`
	Prunable int64 `json:"prunable"`
	// Unseen says what could not be measured, and why.
	Unseen []string `json:"unseen,omitempty"`
}

// Sum adds up the items.
func (u *DiskUse) Sum() {
	u.Total, u.Prunable = 0, 0
	for _, i := range u.Items {
		if i.Part {
			if i.Prunable {
				u.Prunable += i.Bytes
			}
			continue
		}
		u.Total += i.Bytes
		if i.Prunable {
			u.Prunable += i.Bytes
		}
	}
}

// NodeDisk is what takes room in the /var of a node, as its agent measures it.
type NodeDisk struct {
	// Images are those of the node's store, the largest first. ImageBytes is what containerd takes altogether: images, unpacked
	// and packed, and what containers have written.
	Images     []NodeDiskImage `json:"images,omitempty"`
	ImageBytes int64           `json:"imageBytes"`
	// Volumes are the folders of PersistentVolumes, by name.
	Volumes map[string]int64 `json:"volumes,omitempty"`
	// LogBytes are logs of the node's components and of pods.
	LogBytes int64 `json:"logBytes"`
}

// NodeDiskImage is one image of a node's store.
type NodeDiskImage struct {
	Names []string `json:"names"`
	// Bytes are those of its content as it was pulled or loaded; layers that images share count for each.
	Bytes int64 `json:"bytes"`
	// Used says that a container is of it, running or not; Kept that it was loaded, or is the node's own.
	Used bool `json:"used,omitempty"`
	Kept bool `json:"kept,omitempty"`
}
