// Package usage measures how much CPU, memory and disk a node and each of its pods use.
//
// The node returns counters (Reading), read from its cgroups on request only; the client computes figures from two of
// them (Between). So the node keeps no state, and any number of clients, each at its own pace, get correct answers.
// Begin reading at Read; pods.go knows where the kubelet puts pods.
package usage

import (
	"time"

	"bonsai/bootstrap/cluster"
)

// Reading holds a node's counters at one moment.
type Reading struct {
	// Time is the node's clock, for people.
	Time time.Time `json:"time"`
	// Clock is the machine's monotonic clock, which is never set: the difference of two readings is the time between
	// them.
	Clock time.Duration `json:"clockNanos"`
	// CPU is what the container has used since its start.
	CPU time.Duration `json:"cpuNanos"`
	// CPUs is how many the container may use; see cluster.NodeUsage for this and what follows.
	CPUs        float64 `json:"cpus"`
	Memory      uint64  `json:"memory"`
	MemoryLimit uint64  `json:"memoryLimit"`
	DiskUsed    uint64  `json:"diskUsed"`
	DiskSize    uint64  `json:"diskSize"`
	Pods        []Pod   `json:"pods"` // by UID
}

// Pod is the total of the containers of one pod, including the one that holds its network.
type Pod struct {
	UID    string        `json:"uid"`
	CPU    time.Duration `json:"cpuNanos"`
	Memory uint64        `json:"memory"`
}

// Between computes figures from two readings of one node. A pod that the first one does not have is new, and all that
// it used it used in between. Counters that decreased were reset, as when a node was restarted.
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

// cores is how many CPUs were busy on average; unknown if the machine was restarted in between (span is negative).
func cores(before, after, span time.Duration) float64 {
	if after < before {
		before = 0
	}
	if span <= 0 {
		return 0
	}
	return float64(after-before) / float64(span)
}
