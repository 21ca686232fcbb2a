package cluster

import (
	"strings"
	"time"
)

// AutomaticCheckpoint begins the names of checkpoints that bonsai takes itself, before it changes what cannot be changed
// back.
const AutomaticCheckpoint = "auto-"

// Names beside and in etcd's folder, by which others see how far a restore has come.
const (
	// ReplacedSuffix is that of the folder with the data that a restore replaces, until the API server serves the new.
	ReplacedSuffix = ".previous"
	// RestoredFile, in etcd's folder, says which restore its data is from.
	RestoredFile = "restored"
)

// maxCheckpointName bounds the names of checkpoints, which are names of folders.
const maxCheckpointName = 63

// Checkpoint is a copy of all objects of a cluster, as they were at one moment.
type Checkpoint struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	// Reason says what bonsai took it before; empty if the user asked for it.
	Reason string `json:"reason,omitempty"`
	// Cluster and ClusterID are those of the cluster at that time.
	Cluster   string `json:"cluster"`
	ClusterID string `json:"clusterID"`
	// KubernetesVersion is the minor of the objects ("1.37"), Bonsai the version that took the checkpoint.
	KubernetesVersion string `json:"kubernetesVersion"`
	Bonsai            string `json:"bonsai,omitempty"`
	StoreCopy
	// Imported says that it was taken of another cluster, and came with a fork.
	Imported bool `json:"imported,omitempty"`
	// WithVolumes says that it has the data of claims, too: that on the nodes in Volumes, and no other had any.
	WithVolumes bool         `json:"withVolumes,omitempty"`
	Volumes     []VolumeCopy `json:"volumes,omitempty"`
	// FileBytes is what the checkpoint takes on the disk.
	FileBytes int64 `json:"fileBytes"`
	// Problem says why it cannot be used; empty if nothing is known to be wrong with it.
	Problem string `json:"problem,omitempty"`
}

// Automatic reports whether bonsai took the checkpoint itself.
func (c Checkpoint) Automatic() bool { return strings.HasPrefix(c.Name, AutomaticCheckpoint) }

// VolumeBytes is how much data of claims the checkpoint has.
func (c Checkpoint) VolumeBytes() (sum int64) {
	for _, v := range c.Volumes {
		sum += v.Bytes
	}
	return sum
}

// VolumeCopy describes a copy of the data of the claims on one node.
type VolumeCopy struct {
	// Place is that of the node in the plan of the checkpoint, from 0, and Node its name then.
	Place int    `json:"place"`
	Node  string `json:"node"`
	// Bytes is the size of the data, FileBytes what its copy takes on the disk.
	Bytes     int64 `json:"bytes"`
	FileBytes int64 `json:"fileBytes"`
	// SHA256 is that of the copy.
	SHA256 string `json:"sha256"`
}

// StoreCopy describes a copy of etcd's data.
type StoreCopy struct {
	// Objects is how many it has.
	Objects int `json:"objects"`
	// Revision is etcd's newest one in it.
	Revision int64 `json:"revision"`
	// StoreBytes is the size of etcd's data file.
	StoreBytes int64 `json:"storeBytes"`
}

// ValidateCheckpointName returns why name cannot be a checkpoint's name, or nil.
func ValidateCheckpointName(name string) error { return validateLabel(name, maxCheckpointName) }

// Newer reports whether the objects of the checkpoint are of a newer minor version of Kubernetes than that of a cluster.
func (c Checkpoint) Newer(version string) bool {
	checkpoint, _, ok1 := splitVersion(c.KubernetesVersion)
	current, _, ok2 := splitVersion(version)
	return ok1 && ok2 && checkpoint > current
}
