// Package cgroupinfo reads the resource limits of a container from the cgroup files that it sees at its own root (a
// private cgroup namespace is assumed, as all node containers have one).
//
// It knows cgroup v1 and v2, imports the standard library only and never fails: a file that is missing or says
// "no limit" yields no limit.
package cgroupinfo

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Root is where every node mounts its cgroups.
const Root = "/sys/fs/cgroup"

// Limits of a container; zero means that there is none.
type Limits struct {
	// CPUs is the CPU time per second of wall time, or the number of CPUs it is pinned to if that is less.
	CPUs        float64
	MemoryBytes uint64
}

// V2 reports whether the hierarchy below root is the unified one.
func V2(root string) bool {
	_, err := os.Stat(filepath.Join(root, "cgroup.controllers"))
	return err == nil
}

// Read returns the limits of the container whose cgroups are mounted at root.
func Read(root string) Limits {
	var l Limits
	var pinned string
	if V2(root) {
		// "QUOTA PERIOD", with QUOTA "max" for none.
		if f := strings.Fields(read(root, "cpu.max")); len(f) == 2 {
			l.CPUs = ratio(f[0], f[1])
		}
		l.MemoryBytes = number(read(root, "memory.max"))
		pinned = read(root, "cpuset.cpus.effective")
	} else {
		l.CPUs = ratio(read(root, "cpu/cpu.cfs_quota_us"), read(root, "cpu/cpu.cfs_period_us"))
		l.MemoryBytes = number(read(root, "memory/memory.limit_in_bytes"))
		// v1 has no "max": no limit reads as the largest multiple of the page size that fits 63 bits.
		if l.MemoryBytes >= 1<<62 {
			l.MemoryBytes = 0
		}
		pinned = read(root, "cpuset/cpuset.cpus")
	}
	if n := float64(countCPUs(pinned)); n > 0 && (l.CPUs == 0 || n < l.CPUs) {
		l.CPUs = n
	}
	return l
}

func read(elem ...string) string {
	b, _ := os.ReadFile(filepath.Join(elem...))
	return strings.TrimSpace(string(b))
}

// number parses an unsigned number; "max", "-1" and "" are 0.
func number(s string) uint64 {
	n, _ := strconv.ParseUint(s, 10, 64)
	return n
}

func ratio(quota, period string) float64 {
	q, p := number(quota), number(period)
	if q == 0 || p == 0 {
		return 0
	}
	return float64(q) / float64(p)
}

// countCPUs counts a kernel list such as "0-3,8"; anything malformed counts as no pinning.
func countCPUs(list string) int {
	if list == "" {
		return 0
	}
	total := 0
	for r := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(r, "-")
		if !isRange {
			last = first
		}
		a, err := strconv.Atoi(first)
		if err != nil {
			return 0
		}
		b, err := strconv.Atoi(last)
		if err != nil || b < a {
			return 0
		}
		total += b - a + 1
	}
	return total
}
