package cgroupinfo

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRead(t *testing.T) {
	for name, tc := range map[string]struct {
		files map[string]string
		want  Limits
	}{
		"v2 with limits": {
			map[string]string{"cgroup.controllers": "cpu memory", "cpu.max": "150000 100000\n", "memory.max": "536870912\n"},
			Limits{CPUs: 1.5, MemoryBytes: 512 << 20},
		},
		"v2 without limits": {
			map[string]string{"cgroup.controllers": "cpu memory", "cpu.max": "max 100000\n", "memory.max": "max\n"},
			Limits{},
		},
		"v2 pinned to fewer CPUs than the quota": {
			map[string]string{"cgroup.controllers": "", "cpu.max": "400000 100000", "cpuset.cpus.effective": "0,2-3\n"},
			Limits{CPUs: 3},
		},
		"v1 with limits": {
			map[string]string{
				"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n",
				"memory/memory.limit_in_bytes": "1073741824\n", "cpuset/cpuset.cpus": "0-7\n",
			},
			Limits{CPUs: 2, MemoryBytes: 1 << 30},
		},
		"v1 without limits": {
			map[string]string{
				"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n",
				"memory/memory.limit_in_bytes": "9223372036854771712\n",
			},
			Limits{},
		},
		"nothing mounted":   {nil, Limits{}},
		"malformed pinning": {map[string]string{"cgroup.controllers": "", "cpuset.cpus.effective": "3-1"}, Limits{}},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for f, data := range tc.files {
				path := filepath.Join(root, f)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got := Read(root); got != tc.want {
				t.Errorf("Read() = %+v, want %+v", got, tc.want)
			}
		})
	}
}
