package usage

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/nodeagent/cgroupinfo"
)

// pods measures each pod's group. The kubelet has two ways to name groups, of which the first is used here
// (cm.cgroupManagerImpl.Name in Kubernetes): as paths with the driver cgroupfs,
//
//	/kubelet/kubepods/burstable/pod3b0c1f6e-0d0a-4a40-9d8a-6b8a2f7c5d11
//
// and with the driver systemd as slices, each of which repeats the names of its parents:
//
//	/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/
//		kubelet-kubepods-burstable-pod3b0c1f6e_0d0a_4a40_9d8a_6b8a2f7c5d11.slice
//
// Guaranteed pods lie directly below kubepods.
func (h hierarchy) pods(kubelet string) ([]cluster.PodCounters, error) {
	pods := []cluster.PodCounters{}
	for _, c := range classes(kubelet) {
		found, err := h.podsIn(c.dir, c.prefix)
		if err != nil {
			return nil, err
		}
		pods = append(pods, found...)
	}
	slices.SortFunc(pods, func(a, b cluster.PodCounters) int { return cmp.Compare(a.UID, b.UID) })
	return pods, nil
}

// class is where the pods of one class may be: in the groups of dir whose name is prefix and a UID.
type class struct{ dir, prefix string }

// classes are all of them, in both ways to name groups.
func classes(kubelet string) (list []class) {
	for _, names := range [][]string{{"kubepods"}, {"kubepods", "burstable"}, {"kubepods", "besteffort"}} {
		parts := append([]string{strings.Trim(kubelet, "/")}, names...)
		list = append(list,
			class{"/" + filepath.Join(parts...), "pod"},
			class{slicePath(parts), strings.Join(parts, "-") + "-pod"})
	}
	return list
}

// Processes returns processes of a pod, at least one of each of its running containers; none if the pod is not on this
// node. It reads a few small files.
func Processes(p Places, uid string) (pids []int, err error) {
	controller := "cpuacct"
	if cgroupinfo.V2(p.Cgroups) {
		controller = ""
	}
	for _, c := range classes(p.Kubelet) {
		name := c.prefix + uid
		if strings.HasSuffix(c.dir, ".slice") {
			name = c.prefix + strings.ReplaceAll(uid, "-", "_") + ".slice"
		}
		pod := filepath.Join(p.Cgroups, controller, c.dir, name)
		containers, err := os.ReadDir(pod)
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list the containers of pod %s: %w", uid, err)
		}
		for _, e := range containers {
			if !e.IsDir() {
				continue
			}
			data, err := os.ReadFile(filepath.Join(pod, e.Name(), "cgroup.procs"))
			if err != nil {
				continue // it is just ending, or its group holds threads
			}
			for line := range strings.Lines(string(data)) {
				if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil && pid > 0 {
					pids = append(pids, pid)
				}
			}
		}
	}
	return pids, nil
}

// slicePath is where systemd puts the slice with these nested names.
func slicePath(parts []string) string {
	path := "/"
	for i := range parts {
		path = filepath.Join(path, strings.Join(parts[:i+1], "-")+".slice")
	}
	return path
}

// podsIn measures the groups below dir whose name is prefix and a UID.
func (h hierarchy) podsIn(dir, prefix string) (pods []cluster.PodCounters, err error) {
	controller := "cpuacct"
	if h.v2 {
		controller = ""
	}
	// There is none before the first pod, or with the other way of naming.
	entries, err := os.ReadDir(filepath.Join(h.root, controller, dir))
	if err != nil && !gone(err) {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	for _, e := range entries {
		uid, ok := strings.CutPrefix(e.Name(), prefix)
		if !ok || !e.IsDir() {
			continue
		}
		p := cluster.PodCounters{UID: strings.ReplaceAll(strings.TrimSuffix(uid, ".slice"), "_", "-")}
		p.CPU, p.Memory, err = h.read(filepath.Join(dir, e.Name()))
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("measure pod %s: %w", p.UID, err)
		}
		pods = append(pods, p)
	}
	return pods, nil
}
