package cluster

import (
	"strings"
	"time"
)

// AutomaticCheckpoint begins the names of checkpoints that bonsai takes itself, before it changes what cannot be changed
// back.
const AutomaticCheckpoint = "auto-"

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
	// FileBytes is what the checkpoint takes on the disk.
	FileBytes int64 `json:"fileBytes"`
	// Problem says why it cannot be used; empty if nothing is known to be wrong with it.
	Problem string `json:"problem,omitempty"`
}

// Automatic reports whether bonsai took the checkpoint itself.
func (c Checkpoint) Automatic() bool { return strings.HasPrefix(c.Name, AutomaticCheckpoint) }

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
