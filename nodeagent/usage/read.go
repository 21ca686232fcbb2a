package usage

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"bonsai/bootstrap/cluster"
	"bonsai/nodeagent/cgroupinfo"
)

// Places are the sources of a node's figures.
type Places struct {
	// Cgroups is the root of the mounted cgroups, which is the container's own.
	Cgroups string
	// Kubelet is the kubelet's setting cgroupRoot, relative to that ("/kubelet").
	Kubelet string
	// Meminfo contains the memory of the machine (/proc/meminfo).
	Meminfo string
	// Disk is a path on the file system that holds images, logs and volumes.
	Disk string
}

// Read reads all counters: about ten small files, and three for each pod. A pod that ends in the meantime is omitted.
func Read(p Places) (r cluster.NodeCounters, err error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return r, fmt.Errorf("read the clock: %w", err)
	}
	h := hierarchy{root: p.Cgroups, v2: cgroupinfo.V2(p.Cgroups)}
	r.Time, r.Clock = time.Now(), time.Duration(now.Nano())
	if r.CPU, r.Memory, err = h.read("/"); err != nil {
		return r, fmt.Errorf("measure the container: %w", err)
	}
	limits := cgroupinfo.Read(p.Cgroups)
	r.CPUs, r.MemoryLimit = limits.CPUs, limits.MemoryBytes
	if r.CPUs == 0 {
		r.CPUs = float64(runtime.NumCPU())
	}
	total, err := memTotal(p.Meminfo)
	if err != nil {
		return r, err
	}
	if r.MemoryLimit == 0 || r.MemoryLimit > total {
		r.MemoryLimit = total
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(p.Disk, &disk); err != nil {
		return r, fmt.Errorf("measure the disk of %s: %w", p.Disk, err)
	}
	r.DiskSize = disk.Blocks * uint64(disk.Bsize)
	r.DiskUsed = (disk.Blocks - disk.Bfree) * uint64(disk.Bsize)
	r.Pods, err = h.pods(p.Kubelet)
	return r, err
}

// hierarchy is mounted cgroups of either version.
type hierarchy struct {
	root string
	v2   bool
}

// read returns the CPU time that the group at path has used since it was created, and its working set.
func (h hierarchy) read(path string) (cpu time.Duration, memory uint64, err error) {
	if h.v2 {
		usec, err1 := h.field(path, "", "cpu.stat", "usage_usec")
		used, err2 := h.number(path, "", "memory.current")
		idle, err3 := h.field(path, "", "memory.stat", "inactive_file")
		return time.Duration(usec) * time.Microsecond, workingSet(used, idle), errors.Join(err1, err2, err3)
	}
	nanos, err1 := h.number(path, "cpuacct", "cpuacct.usage")
	used, err2 := h.number(path, "memory", "memory.usage_in_bytes")
	// The figure without "total_" excludes the groups below.
	idle, err3 := h.field(path, "memory", "memory.stat", "total_inactive_file")
	return time.Duration(nanos), workingSet(used, idle), errors.Join(err1, err2, err3)
}

// workingSet is the memory that cannot be reclaimed at once, computed as cAdvisor does: the kubelet evicts by it.
func workingSet(used, inactiveFile uint64) uint64 { return used - min(used, inactiveFile) }

// number reads a file that holds one number; controller is empty in v2.
func (h hierarchy) number(path, controller, file string) (uint64, error) {
	name := filepath.Join(h.root, controller, path, file)
	data, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(bytes.TrimSpace(data)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", name, err)
	}
	return n, nil
}

// field reads one line "key number" of a file.
func (h hierarchy) field(path, controller, file, key string) (uint64, error) {
	return field(filepath.Join(h.root, controller, path, file), key+" ")
}

func field(name, key string) (uint64, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(data) {
		if rest, ok := bytes.CutPrefix(line, []byte(key)); ok {
			n, err := strconv.ParseUint(strings.TrimSuffix(string(bytes.TrimSpace(rest)), " kB"), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read %s: %w", name, err)
			}
			return n, nil
		}
	}
	return 0, fmt.Errorf("%s has no line %q", name, strings.TrimSpace(key))
}

func memTotal(meminfo string) (uint64, error) {
	kilobytes, err := field(meminfo, "MemTotal:")
	return kilobytes << 10, err
}

// gone reports that a group was removed while it was read: its files can no longer be opened, or no longer be read.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) }
