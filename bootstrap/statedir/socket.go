package statedir

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode"

	"bonsai/bootstrap/fault"
)

// maxSocketPath stays below the 104 bytes that macOS gives a unix socket's address (Linux: 108).
const maxSocketPath = 90

// The sockets of a cluster.
const (
	APISocketName  = "api.sock"
	EtcdSocketName = "etcd.sock"
)

// APISocket returns the path of the daemon's local API, whether it listens or not.
func (c Cluster) APISocket() string { return c.socket(APISocketName) }

// EtcdSocket returns the path of etcd's socket, whether it listens or not.
func (c Cluster) EtcdSocket() string { return c.socket(EtcdSocketName) }

func (c Cluster) socket(name string) string {
	// If the path is too long, "run" is a link: a process with another TMPDIR finds the sockets as well.
	if target, err := os.Readlink(c.runDir()); err == nil && c.isFallback(target) {
		return filepath.Join(target, name)
	}
	return filepath.Join(c.runDir(), name)
}

func (c Cluster) runDir() string { return c.path("run") }

// CreateSocketDir creates the folder of the cluster's sockets, private to this user: run in the cluster's folder, or a
// folder below the temporary one if sockets cannot have that path. It is safe to repeat.
func (c Cluster) CreateSocketDir() error {
	if err := MkdirPrivate(c.dir); err != nil {
		return err
	}
	run := c.runDir()
	if len(filepath.Join(run, EtcdSocketName)) <= maxSocketPath && plainURL(run) {
		return MkdirPrivate(run)
	}
	dir, err := os.Readlink(run)
	if err != nil || !c.isFallback(dir) {
		dir = filepath.Join(os.TempDir(), c.fallbackName())
	}
	if n := len(filepath.Join(dir, EtcdSocketName)); n > maxSocketPath {
		return fault.Newf(fault.State, "socket folder %s: the path is too long (%d bytes with its sockets)", dir, n).
			Advise("set " + EnvHome + " to a folder with a shorter path")
	}
	if !plainURL(dir) {
		return fault.Newf(fault.State, "socket folder %s: no URL can have this path", dir).Advise("unset TMPDIR")
	}
	if err := privateInTemp(dir); err != nil {
		return err
	}
	if target, _ := os.Readlink(run); target == dir {
		return nil
	}
	if err := os.RemoveAll(run); err != nil {
		return wrap("link the socket folder", c.dir, err)
	}
	if err := os.Symlink(dir, run); err != nil {
		return wrap("link the socket folder", c.dir, err)
	}
	return nil
}

// plainURL reports whether "unix://" and path are a URL that leads to path. etcd and the API server take their socket as a
// URL in a list that commas separate, and do not agree on how to escape what has a meaning in either.
func plainURL(path string) bool {
	return !strings.ContainsFunc(path, func(r rune) bool { return strings.ContainsRune(`,%?#"`, r) || unicode.IsControl(r) })
}

func (c Cluster) fallbackName() string {
	sum := sha256.Sum256([]byte(c.dir))
	return fmt.Sprintf("bonsai-%d-%s", os.Getuid(), hex.EncodeToString(sum[:5]))
}

func (c Cluster) isFallback(dir string) bool {
	return filepath.IsAbs(dir) && strings.EqualFold(filepath.Base(dir), c.fallbackName())
}

// privateInTemp creates dir in a folder where others may write too. An existing one is accepted only if it is a folder
// of ours that nobody else can enter: somebody could have created it first.
func privateInTemp(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return wrap("create "+dir, dir, err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return wrap("check "+dir, dir, err)
	}
	owner := -1
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		owner = int(st.Uid)
	}
	if !info.IsDir() || info.Mode().Perm() != 0o700 || owner != os.Getuid() {
		return fault.Newf(fault.State, "socket folder %s: it is %s of user %d, not a folder that only you can enter", dir, info.Mode(), owner).
			Advise("remove it, or set " + EnvHome + " to a folder with a shorter path")
	}
	return nil
}
