package hostprep

import (
	"fmt"
	"log/slog"
	"syscall"
)

// openFiles limits the open files of each process in a node: containerd, the kubelet, and every container, which
// inherits containerd's. Engines give anything from 1024 to a billion. With few, servers fail; with a billion, programs
// that close or count every possible descriptor (older JVMs, MySQL, package managers) hang and fill the memory. A million
// is what containerd has as a service on most machines, and the kernel's own ceiling (fs.nr_open).
const openFiles = 1 << 20

// limitOpenFiles sets the limit for this process and all that it starts. Lowering is always permitted, raising only with
// SYS_RESOURCE, which not every engine has; therefore this is not a setting of the container, whose start would fail.
func limitOpenFiles(log *slog.Logger) error {
	want := syscall.Rlimit{Cur: openFiles, Max: openFiles}
	err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want)
	if err == nil {
		return nil
	}
	var have syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &have); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	// Explicitly, even if it is the value already: Go gives children the limit that it found at its own start otherwise,
	// which may be lower.
	have.Cur = have.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &have); err != nil {
		return fmt.Errorf("set the limit of open files to %d: %w", have.Max, err)
	}
	log.Warn("pods may open fewer files than usual: the engine's limit cannot be raised", "limit", have.Max, "usual", openFiles, "cause", err)
	return nil
}
