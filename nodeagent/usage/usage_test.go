package usage

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
)

const (
	guaranteed = "0a3f9c52-8f0e-4b5a-bb4e-5f1d6a7e0001"
	burstable  = "1a3f9c52-8f0e-4b5a-bb4e-5f1d6a7e0002"
	bestEffort = "2a3f9c52-8f0e-4b5a-bb4e-5f1d6a7e0003"
)

// group is what a cgroup has used. In v1 its files are in the folders of two controllers.
type group struct {
	path             string
	cpu              time.Duration
	used, inactive   int
	withoutStatistic bool // as while it is removed
}

func v1(groups ...group) map[string]string {
	files := map[string]string{}
	for _, g := range groups {
		files[filepath.Join("cpuacct", g.path, "cpuacct.usage")] = fmt.Sprintln(int64(g.cpu))
		files[filepath.Join("memory", g.path, "memory.usage_in_bytes")] = fmt.Sprintln(g.used)
		if !g.withoutStatistic {
			// The first of the two is the group's own, without those below.
			files[filepath.Join("memory", g.path, "memory.stat")] = fmt.Sprintf("cache 1\ninactive_file 7\ntotal_cache 1\ntotal_inactive_file %d\n", g.inactive)
		}
	}
	return files
}

func v2(groups ...group) map[string]string {
	files := map[string]string{"cgroup.controllers": "cpu memory\n"}
	for _, g := range groups {
		files[filepath.Join(g.path, "cpu.stat")] = fmt.Sprintf("usage_usec %d\nuser_usec 1\n", g.cpu.Microseconds())
		files[filepath.Join(g.path, "memory.current")] = fmt.Sprintln(g.used)
		if !g.withoutStatistic {
			files[filepath.Join(g.path, "memory.stat")] = fmt.Sprintf("anon 5\ninactive_anon 9\ninactive_file %d\n", g.inactive)
		}
	}
	return files
}

// node writes files and returns where they are.
func node(t testing.TB, trees ...map[string]string) Places {
	t.Helper()
	root := t.TempDir()
	p := Places{Cgroups: filepath.Join(root, "cgroup"), Kubelet: "/kubelet", Meminfo: filepath.Join(root, "meminfo"), Disk: root}
	files := map[string]string{p.Meminfo: "MemTotal:       16384 kB\nMemFree:         1024 kB\n"}
	for _, tree := range trees {
		for name, text := range tree {
			files[filepath.Join(p.Cgroups, name)] = text
		}
	}
	for path, text := range files {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

var (
	root = group{path: "/", cpu: 9 * time.Second, used: 4 << 20, inactive: 1 << 20}
	// What the kubelet makes with either driver, beside groups that are no pods.
	cgroupfs = []group{
		root, {path: "init"}, {path: "kubelet/kubepods"}, {path: "kubelet/kubepods/burstable"}, {path: "kubelet/kubepods/besteffort"},
		{path: "kubelet/kubepods/pod" + guaranteed, cpu: time.Second, used: 100, inactive: 30},
		{path: "kubelet/kubepods/pod" + guaranteed + "/0123abcd", cpu: time.Second, used: 90},
		{path: "kubelet/kubepods/burstable/pod" + burstable, cpu: 2 * time.Second, used: 10, inactive: 30},
		{path: "kubelet/kubepods/besteffort/pod" + bestEffort, cpu: 3 * time.Second, used: 50},
		{path: "kubelet/kubepods/besteffort/podgone", withoutStatistic: true},
	}
	systemd = []group{
		root, {path: "kubelet.slice/kubelet-kubepods.slice"},
		{path: "kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" + slice(guaranteed), cpu: time.Second, used: 100, inactive: 30},
		{path: "kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" + slice(guaranteed) + "/cri-containerd-0123abcd.scope", cpu: time.Second},
		{path: "kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod" + slice(burstable), cpu: 2 * time.Second, used: 10, inactive: 30},
		{path: "kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod" + slice(bestEffort), cpu: 3 * time.Second, used: 50},
	}
	pods = []cluster.PodCounters{{UID: guaranteed, CPU: time.Second, Memory: 70}, {UID: burstable, CPU: 2 * time.Second, Memory: 0}, {UID: bestEffort, CPU: 3 * time.Second, Memory: 50}}
)

func slice(uid string) string { return strings.ReplaceAll(uid, "-", "_") + ".slice" }

func TestRead(t *testing.T) {
	cpus := float64(runtime.NumCPU())
	for name, c := range map[string]struct {
		files []map[string]string
		want  cluster.NodeCounters
	}{
		"v1":              {[]map[string]string{v1(cgroupfs...)}, cluster.NodeCounters{CPUs: cpus, MemoryLimit: 16 << 20, Pods: pods}},
		"v2":              {[]map[string]string{v2(cgroupfs...)}, cluster.NodeCounters{CPUs: cpus, MemoryLimit: 16 << 20, Pods: pods}},
		"v1 with systemd": {[]map[string]string{v1(systemd...)}, cluster.NodeCounters{CPUs: cpus, MemoryLimit: 16 << 20, Pods: pods}},
		"v2 with systemd": {[]map[string]string{v2(systemd...)}, cluster.NodeCounters{CPUs: cpus, MemoryLimit: 16 << 20, Pods: pods}},
		"v1 with limits, before the kubelet": {
			[]map[string]string{v1(root), {
				"cpu/cpu.cfs_quota_us": "150000\n", "cpu/cpu.cfs_period_us": "100000\n", "memory/memory.limit_in_bytes": "8388608\n",
			}},
			cluster.NodeCounters{CPUs: 1.5, MemoryLimit: 8 << 20, Pods: []cluster.PodCounters{}},
		},
		"v2 with limits, before the kubelet": {
			[]map[string]string{v2(root), {"cpu.max": "150000 100000\n", "memory.max": "8388608\n"}},
			cluster.NodeCounters{CPUs: 1.5, MemoryLimit: 8 << 20, Pods: []cluster.PodCounters{}},
		},
		"a limit above what there is": {
			[]map[string]string{v2(root), {"memory.max": "838860800\n"}}, cluster.NodeCounters{CPUs: cpus, MemoryLimit: 16 << 20, Pods: []cluster.PodCounters{}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Read(node(t, c.files...))
			if err != nil {
				t.Fatal(err)
			}
			if time.Since(got.Time).Abs() > time.Minute || got.Clock <= 0 || got.DiskSize == 0 || got.DiskUsed > got.DiskSize {
				t.Errorf("got %+v", got)
			}
			want := c.want
			want.CPU, want.Memory = 9*time.Second, 3<<20
			want.Time, want.Clock, want.DiskUsed, want.DiskSize = got.Time, got.Clock, got.DiskUsed, got.DiskSize
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestReadWhatIsNotThere(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"no cgroups":   {nil, "cpuacct.usage"},
		"no memory":    {map[string]string{"cgroup.controllers": "cpu", "cpu.stat": "usage_usec 1\n"}, "memory.current"},
		"no number":    {merged(v1(root), map[string]string{"cpuacct/cpuacct.usage": "many\n"}), "cpuacct.usage"},
		"another file": {merged(v2(root), map[string]string{filepath.Join(root.path, "memory.stat"): "anon 1\n"}), `no line "inactive_file"`},
		"no pod's number": {
			merged(v1(root, group{path: "kubelet/kubepods/podx"}), map[string]string{"cpuacct/kubelet/kubepods/podx/cpuacct.usage": "\n"}), "measure pod x",
		},
	} {
		if _, err := Read(node(t, c.files)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func merged(trees ...map[string]string) map[string]string {
	all := map[string]string{}
	for _, tree := range trees {
		maps.Copy(all, tree)
	}
	return all
}

// BenchmarkRead is a node with a hundred pods.
func BenchmarkRead(b *testing.B) {
	groups := []group{root}
	for i := range 100 {
		groups = append(groups, group{path: fmt.Sprintf("kubelet/kubepods/burstable/pod%08d-8f0e-4b5a-bb4e-5f1d6a7e0001", i), cpu: time.Second, used: 10})
	}
	p := node(b, v1(groups...))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(p); err != nil {
			b.Fatal(err)
		}
	}
}

func TestProcesses(t *testing.T) {
	files := func(controller, pod string) map[string]string {
		return map[string]string{
			filepath.Join(controller, pod, "0123", "cgroup.procs"): "41\n42\n", filepath.Join(controller, pod, "4567", "cgroup.procs"): "43\n",
			filepath.Join(controller, pod, "cgroup.procs"): "",
		}
	}
	for name, p := range map[string]Places{
		"v1": node(t, v1(cgroupfs...), files("cpuacct", "kubelet/kubepods/burstable/pod"+burstable)),
		"v2": node(t, v2(cgroupfs...), files("", "kubelet/kubepods/burstable/pod"+burstable)),
		"v2 with systemd": node(t, v2(systemd...),
			files("", "kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod"+slice(burstable))),
	} {
		if got, err := Processes(p, burstable); err != nil || !reflect.DeepEqual(got, []int{41, 42, 43}) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
		if got, err := Processes(p, "2a3f9c52-8f0e-4b5a-bb4e-5f1d6a7e0009"); err != nil || len(got) != 0 {
			t.Errorf("%s: of a pod of another node: got %v, %v", name, got, err)
		}
	}
}
