package hostprep

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// AddedCNIDir is where DaemonSets install CNI plugins on every distribution (Multus, Istio's, Cilium's).
const AddedCNIDir = "/opt/cni/bin"

// addedPlugins is what is in AddedCNIDir. It is on the node's volume, and outlives the container as it would outlive a
// restart of a machine: plugins whose configuration stays but whose programs are gone keep all pods of the node from
// starting, often including those that install them.
const addedPlugins = "/var/lib/bonsai/cni-plugins"

// mountOnce mounts the folder from on the folder to unless an earlier run has done it. Both are made if missing.
func mountOnce(from, to string) error {
	for _, dir := range []string{from, to} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
	}
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("read mounts: %w", err)
	}
	for _, m := range parseMountInfo(string(mountinfo)) {
		if m.path == to {
			return nil
		}
	}
	if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s on %s: %w", from, to, err)
	}
	return nil
}

// CopyPlugins copies the CNI plugins in from to the folder to, unless it has a file of that name: an installer may have
// replaced it. Plugins that delegate to those of the node's own configuration, as Multus does, look for them in
// AddedCNIDir only, and through a mount of it, in which links would lead nowhere.
func CopyPlugins(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return fmt.Errorf("list CNI plugins: %w", err)
	}
	for _, e := range entries {
		if err := copyNew(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return fmt.Errorf("copy CNI plugin: %w", err)
		}
	}
	return nil
}

// copyNew copies a program unless something of that name is there.
func copyNew(from, to string) (err error) {
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	part := to + ".part" // an interrupted copy must not count as one
	out, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	return os.Rename(part, to)
}
