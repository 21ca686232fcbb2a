package kubelet

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// shieldKernel keeps the kubelet from changing kernel settings that belong to the user's machine and not to a node: it
// would make the machine reboot after a kernel oops and overcommit memory without a limit. Upstream has no setting to
// leave them alone; so the kubelet is shown the values that it expects, in this process and its children only, and
// writes nothing. Where that is not possible the kubelet behaves as on any machine.
//
// Only here, and not in the whole node: while a part of the node's /proc is covered, the kernel refuses a fresh /proc in
// a child user namespace, and with it every pod that has hostUsers: false ("mount too revealing").
func shieldKernel(runDir string, log *slog.Logger) {
	if err := ownProc(); err != nil {
		log.Warn("the kubelet may change settings of this machine's kernel", "err", err)
		return
	}
	for path, wish := range map[string]string{
		"/proc/sys/kernel/panic":         "10",
		"/proc/sys/kernel/panic_on_oops": "1",
		"/proc/sys/vm/overcommit_memory": "1",
		"/proc/sys/vm/panic_on_oom":      "0",
	} {
		if err := show(runDir, path, wish); err != nil {
			log.Warn("the kubelet may change a setting of this machine's kernel", "path", path, "err", err)
		}
	}
}

// ownProc makes what this process mounts below /proc its own. The agent gives it a mount namespace for that.
func ownProc() error {
	var own, node unix.Stat_t
	parent := fmt.Sprintf("/proc/%d/ns/mnt", os.Getppid()) // the agent
	if err := errors.Join(unix.Stat("/proc/self/ns/mnt", &own), unix.Stat(parent, &node)); err != nil {
		return fmt.Errorf("compare mount namespaces: %w", err)
	}
	if own.Ino == node.Ino {
		return errors.New("the process shares its mounts with the node")
	}
	// The node's mounts are shared; without this a mount here would appear there too.
	if err := unix.Mount("", "/proc", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("make /proc private: %w", err)
	}
	return nil
}

// show makes path read as value. It is safe to repeat: after a restart of this process nothing differs any more.
func show(runDir, path, value string) error {
	now, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if string(bytes.TrimSpace(now)) == value {
		return nil
	}
	name := strings.ReplaceAll(strings.TrimPrefix(path, "/proc/sys/"), "/", ".")
	shown := filepath.Join(runDir, "sysctl", name)
	if err := os.MkdirAll(filepath.Dir(shown), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(shown, []byte(value+"\n"), 0o600); err != nil {
		return err
	}
	if err := unix.Mount(shown, path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind mount: %w", err)
	}
	return nil
}
