package kubeconfig

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// lockLimit is how long to wait for a lock that another program holds. kubectl and bonsai hold it for milliseconds.
const lockLimit = 5 * time.Second

// lock takes the lock that kubectl uses: a file beside the kubeconfig, created by the holder.
func lock(path string) (unlock func() error, err error) {
	name := path + ".lock"
	for deadline := time.Now().Add(lockLimit); ; {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			return func() error { return os.Remove(name) }, f.Close()
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, broken(path, err)
		}
		if time.Now().After(deadline) {
			return nil, fault.Newf(fault.Kubeconfig, "the kubeconfig %s has been locked for %s", path, lockLimit).
				Advise("if no kubectl and no bonsai is using it, a crash left the lock behind", cluster.Program("rm").On(name).Change())
		}
		time.Sleep(10 * time.Millisecond) //nolint:forbidigo // kubectl's lock is a file without an owner; its going is no event
	}
}

// resolve follows links, also to a file that does not exist yet, so that a link stays a link.
func resolve(path string) (string, error) {
	for range 32 {
		target, err := os.Readlink(path)
		if errors.Is(err, syscall.EINVAL) || errors.Is(err, fs.ErrNotExist) { // not a link, or missing
			return path, nil
		}
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return "", fmt.Errorf("%s: %w", path, syscall.ELOOP)
}
