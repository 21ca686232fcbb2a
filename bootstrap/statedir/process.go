package statedir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Process names a process for longer than it runs. A number alone does not: the kernel gives it to another process later,
// also after a restart of the machine, and it means another process in a container. What /proc does not tell on this
// system is empty, and then only the number counts.
type Process struct {
	PID int `json:"pid"`
	// Ticks is when it started, in the kernel's clock since the boot Boot.
	Ticks string `json:"ticks,omitempty"`
	Boot  string `json:"boot,omitempty"`
	// Namespace is where PID is valid.
	Namespace string `json:"namespace,omitempty"`
	// Cgroup is the folder of its control group. It is gone when the unit, session or container of that name is.
	Cgroup string `json:"cgroup,omitempty"`
}

// thisProcess names the calling process.
func thisProcess() Process {
	return Process{PID: os.Getpid(), Ticks: ticksOf("self"), Boot: bootID(), Namespace: pidNamespace(), Cgroup: cgroupOf("self")}
}

// ProcessOf names a process that runs now, by its number.
func ProcessOf(pid int) (Process, error) {
	p := Process{PID: pid, Ticks: ticksOf(strconv.Itoa(pid)), Boot: bootID(), Namespace: pidNamespace()}
	if pid < 1 || p.Fate() != Running {
		return Process{}, fmt.Errorf("there is no process %d", pid)
	}
	return p, nil
}

// Fate is what became of a process.
type Fate string

// The fates.
const (
	Running Fate = "running"
	// Elsewhere means that its number is not valid here: it is or was in another pid namespace.
	Elsewhere Fate = "elsewhere"
	// Rebooted means that it ended with an earlier run of this machine.
	Rebooted Fate = "rebooted"
	// Cleared means that it has ended, and its control group with all processes of it.
	Cleared Fate = "cleared"
	Ended   Fate = "ended"
)

// Fate finds out what became of the process, as far as this one can see.
func (p Process) Fate() Fate {
	switch {
	case differ(p.Boot, bootID()):
		return Rebooted
	case differ(p.Namespace, pidNamespace()):
		return Elsewhere
	case errors.Is(syscall.Kill(p.PID, 0), syscall.ESRCH), differ(p.Ticks, ticksOf(strconv.Itoa(p.PID))):
		if p.Cgroup != "" && cgroupOf("self") != "" && !exists(p.Cgroup) {
			return Cleared
		}
		return Ended
	}
	return Running
}

// differ compares what is known.
func differ(a, b string) bool { return a != "" && b != "" && a != b }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// ticksOf reads the start time from /proc/PID/stat; the second field, a name in brackets, may contain anything.
func ticksOf(pid string) string {
	const startTime = 22 - 3 // counted after the name
	text, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) <= startTime {
		return ""
	}
	return fields[startTime]
}

func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

func pidNamespace() string {
	ns, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return ns
}

// cgroupOf returns the folder of a process's control group in the hierarchy that systemd manages; "" if there is none
// that can be seen from here.
func cgroupOf(pid string) string {
	text, err := os.ReadFile(filepath.Join("/proc", pid, "cgroup"))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		for _, root := range map[string][]string{"": {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}, "name=systemd": {"/sys/fs/cgroup/systemd"}}[fields[1]] {
			if dir := filepath.Join(root, fields[2]); fields[2] != "/" && exists(dir) {
				return dir
			}
		}
	}
	return ""
}
