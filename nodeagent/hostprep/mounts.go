package hostprep

import (
	"fmt"
	"log/slog"
	"strings"

	"golang.org/x/sys/unix"
)

// shareMounts is "mount --make-rshared /": volumes that kubelet mounts have to appear in containers with mount
// propagation, and the engine gives containers private mounts.
func shareMounts() error {
	if err := unix.Mount("", "/", "", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("make mounts shared (the container lacks CAP_SYS_ADMIN?): %w", err)
	}
	return nil
}

// openSysfs makes /sys writable where the engine grants no privileges, as it is with them: a privileged pod with its own
// users gets a writable /sys, which the kernel refuses while the node's is read-only. The file system itself is read-only,
// and not only its mount point. Few pods need it.
func openSysfs(log *slog.Logger) {
	var st unix.Statfs_t
	if unix.Statfs("/sys", &st) != nil || st.Type != unix.SYSFS_MAGIC || st.Flags&unix.ST_RDONLY == 0 {
		return
	}
	if err := unix.Mount("", "/sys", "", unix.MS_REMOUNT|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RELATIME, ""); err != nil {
		log.Info("/sys stays read-only", "cause", err)
	}
}

// kernelFiles are file systems that a machine mounts at its start and that agents of observation and networking mount
// from their node. They cover nothing: the kernel keeps these folders empty for them, and so does not refuse a pod with
// a user namespace its own /sys.
var kernelFiles = []struct{ fsType, path string }{
	{"bpf", "/sys/fs/bpf"},
	{"debugfs", "/sys/kernel/debug"},
	{"tracefs", "/sys/kernel/tracing"},
}

// mountKernelFiles mounts what the kernel has and the engine permits; few pods need it.
func mountKernelFiles(log *slog.Logger) {
	for _, k := range kernelFiles {
		var st unix.Statfs_t
		if unix.Statfs(k.path, &st) != nil || st.Type != unix.SYSFS_MAGIC {
			continue // the kernel lacks it, or it is mounted
		}
		if err := unix.Mount(k.fsType, k.path, k.fsType, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
			log.Info("pods cannot use a file system of the kernel", "path", k.path, "cause", err)
		}
	}
}

// mountPoint is one line of /proc/self/mountinfo, as far as needed here.
type mountPoint struct {
	path, fsType string
	readOnly     bool
	flags        uintptr
}

// keptFlags must be repeated when a mount point is made writable: the kernel locks them where the mount came from
// another user namespace, and refuses to drop them.
var keptFlags = map[string]uintptr{
	"nosuid": unix.MS_NOSUID, "nodev": unix.MS_NODEV, "noexec": unix.MS_NOEXEC,
	"relatime": unix.MS_RELATIME, "noatime": unix.MS_NOATIME, "nodiratime": unix.MS_NODIRATIME,
}

// parseMountInfo reads "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue".
func parseMountInfo(mountinfo string) []mountPoint {
	var mounts []mountPoint
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if !ok || len(fields) < 6 {
			continue
		}
		fsType, _, _ := strings.Cut(after, " ")
		m := mountPoint{path: unescape(fields[4]), fsType: fsType}
		for opt := range strings.SplitSeq(fields[5], ",") {
			m.flags |= keptFlags[opt]
			m.readOnly = m.readOnly || opt == "ro"
		}
		mounts = append(mounts, m)
	}
	return mounts
}

// unescape undoes the octal escapes of mountinfo for the characters that paths of cgroups can have.
func unescape(path string) string { return strings.NewReplacer(`\040`, " ", `\134`, `\`).Replace(path) }

// makeWritable remounts a read-only mount point. With MS_BIND only the mount point's own flag changes; without it the
// kernel would change the whole filesystem, which it refuses for cgroups.
func (m mountPoint) makeWritable() error {
	if !m.readOnly {
		return nil
	}
	if err := unix.Mount("", m.path, "", unix.MS_REMOUNT|unix.MS_BIND|m.flags, ""); err != nil {
		return fmt.Errorf("make %s writable: %w", m.path, err)
	}
	return nil
}
