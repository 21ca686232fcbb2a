package usage

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bonsai/bootstrap/cluster"
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
	for _, class := range [][]string{{"kubepods"}, {"kubepods", "burstable"}, {"kubepods", "besteffort"}} {
		parts := append([]string{strings.Trim(kubelet, "/")}, class...)
		for dir, prefix := range map[string]string{
			"/" + filepath.Join(parts...): "pod",
			slicePath(parts):              strings.Join(parts, "-") + "-pod",
		} {
			found, err := h.podsIn(dir, prefix)
			if err != nil {
				return nil, err
			}
			pods = append(pods, found...)
		}
	}
	slices.SortFunc(pods, func(a, b cluster.PodCounters) int { return cmp.Compare(a.UID, b.UID) })
	return pods, nil
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
