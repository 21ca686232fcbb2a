// Package usage measures how much CPU, memory and disk a node and each of its pods use.
//
// The node tells counters (Reading), read from its cgroups when somebody asks and at no other time; whoever asks
// makes figures of two of them (Between). So the node remembers nothing, and any number of askers with paces of their
// own get right answers. Begin reading at Read; pods.go knows where the kubelet puts pods.
package usage

import (
	"time"

	"bonsai/bootstrap/cluster"
)

// Reading is what a node's counters say at one moment.
type Reading struct {
	// Time is the node's clock, for people.
	Time time.Time `json:"time"`
	// Clock is the machine's monotonic clock, which nobody sets: two readings of it are the span between them.
	Clock time.Duration `json:"clockNanos"`
	// CPU is what the container used since it began.
	CPU time.Duration `json:"cpuNanos"`
	// CPUs is how many the container may use; see cluster.NodeUsage for this and what follows.
	CPUs        float64 `json:"cpus"`
	Memory      uint64  `json:"memory"`
	MemoryLimit uint64  `json:"memoryLimit"`
	DiskUsed    uint64  `json:"diskUsed"`
	DiskSize    uint64  `json:"diskSize"`
	Pods        []Pod   `json:"pods"` // by UID
}

// Pod is what the containers of one pod use together, the one that holds its network included.
type Pod struct {
	UID    string        `json:"uid"`
	CPU    time.Duration `json:"cpuNanos"`
	Memory uint64        `json:"memory"`
}

// Between makes figures of two readings of one node. A pod that the first one does not know has come since, and all
// that it used it used in between. Counters that went back began anew, as those of a node that was started again.
func Between(before, after Reading) cluster.NodeUsage {
	span := after.Clock - before.Clock
	known := make(map[string]time.Duration, len(before.Pods))
	for _, p := range before.Pods {
		known[p.UID] = p.CPU
	}
	u := cluster.NodeUsage{
		Time: after.Time, CPU: cores(before.CPU, after.CPU, span), CPUs: after.CPUs,
		Memory: after.Memory, MemoryLimit: after.MemoryLimit, DiskUsed: after.DiskUsed, DiskSize: after.DiskSize,
		Pods: make([]cluster.PodUsage, 0, len(after.Pods)),
	}
	for _, p := range after.Pods {
		u.Pods = append(u.Pods, cluster.PodUsage{UID: p.UID, CPU: cores(known[p.UID], p.CPU, span), Memory: p.Memory})
	}
	return u
}

// cores is how many CPUs were busy on average; nobody knows if the machine was started in between (span is negative).
func cores(before, after, span time.Duration) float64 {
	if after < before {
		before = 0
	}
	if span <= 0 {
		return 0
	}
	return float64(after-before) / float64(span)
}
