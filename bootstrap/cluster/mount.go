package cluster

import (
	"cmp"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Mount is a file or folder of the engine's machine that a node has, too. Pods reach it by a hostPath volume.
type Mount struct {
	// Host is its absolute path on that machine.
	Host string `json:"host"`
	// Path is where the node has it, an absolute one.
	Path     string `json:"path"`
	ReadOnly bool   `json:"readOnly,omitempty"`
}

// String is the form that ParseMount reads.
func (m Mount) String() string {
	if m.ReadOnly {
		return m.Host + ":" + m.Path + ":ro"
	}
	return m.Host + ":" + m.Path
}

// ParseMount parses "HOST:PATH[:ro]". A HOST that is not absolute is below dir.
func ParseMount(text, dir string) (Mount, error) {
	parts := strings.Split(text, ":")
	m := Mount{}
	if len(parts) == 3 && (parts[2] == "ro" || parts[2] == "rw") {
		m.ReadOnly = parts[2] == "ro"
		parts = parts[:2]
	}
	if len(parts) != 2 {
		return m, fmt.Errorf("mount %q is not written as HOST:PATH[:ro]", text)
	}
	if m.Host, m.Path = parts[0], parts[1]; m.Host != "" {
		m.Host = below(dir, m.Host)
	}
	return m, m.Validate()
}

// below is the absolute form of a path of this machine.
func below(dir, name string) string {
	if filepath.IsAbs(name) || dir == "" {
		return filepath.Clean(name)
	}
	return filepath.Join(dir, name)
}

// Paths of a node that are not the user's to replace. What is below a path of reservedTrees is not either: those are
// file systems of the kernel, of bonsai or of the container runtime, or links into a read-only volume.
func reservedPaths() []string {
	return []string{
		"/", "/etc", "/etc/hostname", "/etc/hosts", "/etc/localtime", "/etc/machine-id", "/etc/resolv.conf", "/etc/timezone", "/opt", "/tmp", "/usr",
		"/usr/share", "/var", "/var/lib",
	}
}
func reservedTrees() []string {
	return []string{
		"/bin", "/dev", "/etc/bonsai", "/etc/kubernetes", "/etc/ssl", "/lib", "/lib64", "/opt/bonsai", "/opt/cni", "/proc", "/run", "/sbin", "/sys",
		"/usr/bin", "/usr/lib", "/usr/lib64", "/usr/sbin", "/usr/share/zoneinfo",
		"/var/lib/bonsai", "/var/lib/cni", "/var/lib/containerd", "/var/lib/kubelet", "/var/log", "/var/run",
	}
}

// Validate returns why a node cannot have the mount, or nil. Whether Host exists is not for this function to say.
func (m Mount) Validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("mount %q: %w", m, fmt.Errorf(format, args...))
	}
	switch {
	case m.Host == "":
		return bad("it names no path of this machine; a mount is written as HOST:PATH[:ro]")
	case !filepath.IsAbs(m.Host) || m.Host != filepath.Clean(m.Host):
		return bad("%s is not an absolute path of this machine", m.Host)
	case !path.IsAbs(m.Path) || m.Path != path.Clean(m.Path):
		return bad("%q is not an absolute path in the node, such as /src", m.Path)
	case strings.ContainsAny(m.Host+m.Path, ":\x00\n\r"):
		return bad("a path has a colon or a line break")
	case slices.Contains(reservedPaths(), m.Path):
		return bad("%s of the node cannot be replaced; use a folder of your own, such as %s", m.Path, path.Join("/mnt", path.Base(m.Path)))
	}
	for _, tree := range reservedTrees() {
		if m.Path == tree || strings.HasPrefix(m.Path, tree+"/") {
			return bad("%s of a node is the system's; use a folder of your own, such as %s", tree, path.Join("/mnt", path.Base(m.Path)))
		}
	}
	return nil
}

// MountWith adds mounts to those of a node, or replaces those at the same paths. The result is sorted by path; list is not
// changed.
func MountWith(list []Mount, more ...Mount) []Mount {
	for _, m := range more {
		list = append(MountWithout(list, m.Path), m)
	}
	slices.SortFunc(list, func(a, b Mount) int { return cmp.Compare(a.Path, b.Path) })
	return list
}

// MountWithout is the list without what is mounted at a path.
func MountWithout(list []Mount, at string) []Mount {
	return slices.DeleteFunc(slices.Clone(list), func(m Mount) bool { return m.Path == at })
}
