package hostprep

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"bonsai/nodeagent/cgroupinfo"
)

// initCgroup holds every process of the container that is not in a pod (cgroup v2).
const initCgroup = "/init"

// moveRounds limits the attempts to move processes out of the root: children forked during a round show up in the next.
const moveRounds = 50

// prepareCgroups makes the container's own cgroups writable and gives kubelet its root in them.
func prepareCgroups(log *slog.Logger) error {
	self, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return fmt.Errorf("read own cgroups: %w", err)
	}
	if !privateNamespace(string(self)) {
		return errors.New("the container sees the host's cgroups: create it with a private cgroup namespace (--cgroupns=private)")
	}
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("read mounts: %w", err)
	}
	mounts := parseMountInfo(string(mountinfo))
	if cgroupinfo.V2(cgroupRoot) {
		return prepareV2(mounts, log)
	}
	return prepareV1(mounts, log)
}

// privateNamespace reports whether, according to /proc/self/cgroup ("4:memory:/path" per line), the container's cgroups
// are the roots that it sees, or, after an earlier run of prepareV2, one level below them.
func privateNamespace(procSelfCgroup string) bool {
	for line := range strings.Lines(procSelfCgroup) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) == 3 && fields[2] != "/" && fields[2] != initCgroup {
			return false
		}
	}
	return true
}

func prepareV2(mounts []mountPoint, log *slog.Logger) error {
	for _, m := range mounts {
		if m.fsType == "cgroup2" {
			// Read-only where the container is not privileged.
			if err := m.makeWritable(); err != nil {
				return err
			}
		}
	}
	// A cgroup that enables controllers for its children must have no processes of its own.
	if err := moveProcesses(cgroupRoot, cgroupRoot+initCgroup); err != nil {
		return err
	}
	kubelet := cgroupRoot + KubeletCgroup
	if err := os.MkdirAll(kubelet, 0o755); err != nil {
		return fmt.Errorf("make kubelet's cgroup: %w", err)
	}
	for _, dir := range []string{cgroupRoot, kubelet} {
		if err := enableControllers(dir, log); err != nil {
			return err
		}
	}
	return nil
}

func moveProcesses(from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return fmt.Errorf("make cgroup: %w", err)
	}
	last := errors.New("this container cannot see the processes")
	for range moveRounds {
		procs, err := os.ReadFile(filepath.Join(from, "cgroup.procs"))
		if err != nil {
			return fmt.Errorf("list processes: %w", err)
		}
		pids := strings.Fields(string(procs))
		if len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			err := os.WriteFile(filepath.Join(to, "cgroup.procs"), []byte(pid), 0)
			if err != nil && !errors.Is(err, unix.ESRCH) { // it has ended
				last = fmt.Errorf("move process %s to %s: %w", pid, to, err)
			}
		}
	}
	return fmt.Errorf("processes stay in the container's root cgroup: %w", last)
}

// enableControllers enables all controllers of dir for its children, one by one: a controller that cannot be enabled
// (the cpu controller while a realtime process exists) must not prevent the others.
func enableControllers(dir string, log *slog.Logger) error {
	available, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("list cgroup controllers: %w", err)
	}
	for c := range strings.FieldsSeq(string(available)) {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+c), 0); err != nil {
			if c == "cpu" || c == "memory" || c == "pids" { // kubelet does not start without these
				return fmt.Errorf("enable cgroup controller %s: %w", c, err)
			}
			log.Warn("cgroup controller cannot be enabled", "controller", c, "dir", dir, "cause", err)
		}
	}
	return nil
}

func prepareV1(mounts []mountPoint, log *slog.Logger) error {
	found := false
	for _, m := range mounts {
		if m.fsType != "cgroup" {
			continue
		}
		found = true
		if err := m.makeWritable(); err != nil {
			return err
		}
		dir := m.path + KubeletCgroup
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make kubelet's cgroup: %w", err)
		}
		if err := inheritCpuset(m.path, dir); err != nil {
			return err
		}
	}
	if !found {
		return errors.New("no cgroups are mounted in the container")
	}
	log.Warn("cgroup v1: works, but Kubernetes no longer maintains it; prefer a host with cgroup v2")
	return nil
}

// inheritCpuset copies the parent's CPUs and memory nodes: in v1 a new cpuset has none, and nothing can run in it.
func inheritCpuset(parent, child string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		want, err := os.ReadFile(filepath.Join(parent, file))
		if errors.Is(err, os.ErrNotExist) {
			return nil // another controller
		}
		if err != nil {
			return fmt.Errorf("read cpuset: %w", err)
		}
		have, _ := os.ReadFile(filepath.Join(child, file))
		if strings.TrimSpace(string(have)) != "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(child, file), want, 0); err != nil {
			return fmt.Errorf("set kubelet's cpuset: %w", err)
		}
	}
	return nil
}
