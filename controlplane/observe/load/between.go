package load

import (
	"time"

	"bonsai/bootstrap/cluster"
)

// between computes figures from two readings of one node. A pod that the first one does not have is new, and all that
// it used it used in between. Counters that decreased were reset, as when a node was restarted.
func between(before, after cluster.NodeCounters) cluster.NodeUsage {
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
