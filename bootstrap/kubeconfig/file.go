package kubeconfig

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

const (
	// lockLimit is how long to wait for a lock that another program holds. kubectl and bonsai hold it for milliseconds.
	lockLimit = 5 * time.Second
	// lockStale is the age at which a lock is taken for one that a crash left behind, for which waiting is pointless.
	lockStale = time.Minute
)

// lock takes the lock that kubectl uses: a file beside the kubeconfig, created by the holder. It does not say who that
// is, so one that was left behind is not removed here; the fault says how.
func lock(path string) (unlock func() error, err error) {
	name := path + ".lock"
	for began := time.Now(); ; {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			return func() error { return os.Remove(name) }, f.Close()
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		since := time.Since(began)
		if info, err := os.Stat(name); err == nil && time.Since(info.ModTime()) > lockStale {
			since = time.Since(info.ModTime())
		}
		if since > lockLimit {
			return nil, fault.Newf(fault.Kubeconfig, "the kubeconfig %s has been locked by %s for %s", path, name, since.Round(time.Second)).
				Advise("if no kubectl and no bonsai is using it, a crash left the lock behind", cluster.Program("rm").On(name).Change())
		}
		time.Sleep(10 * time.Millisecond) //nolint:forbidigo // kubectl's lock is a file; its removal cannot be watched
	}
}

// file is one file of the list.
type file struct {
	path   string // as the user named it
	real   string // where links lead to
	exists bool
	locked error // why it cannot be changed; nil if it can
	doc    *document
	before string // doc's text before any change
}

// open reads a file; one that does not exist is empty. The error means that kubectl cannot read it either.
func open(path string) (*file, error) {
	real, err := resolve(path)
	if err != nil {
		return nil, err
	}
	f := &file{path: path, real: real, doc: newDocument()}
	info, err := os.Stat(real)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().IsRegular():
		f.exists = true
		data, err := os.ReadFile(real)
		if err != nil {
			return nil, err
		}
		if f.doc, err = parse(data); err != nil {
			return nil, err
		}
	case info.IsDir():
		return nil, syscall.EISDIR
	default: // such as /dev/null; reading a pipe would take its content away from kubectl
		f.locked = errors.New("not a regular file")
	}
	if f.locked == nil {
		f.locked = writable(real, f.exists)
	}
	f.before = string(f.doc.bytes())
	return f, nil
}

func (f *file) changed() bool { return string(f.doc.bytes()) != f.before }

// writable reports what would prevent a file from being replaced: it needs a folder for its lock and its new content. A
// file whose mode forbids writing is not replaced, although its folder may allow that.
func writable(path string, exists bool) error {
	if exists {
		if err := unix.Access(path, unix.W_OK); err != nil {
			return &fs.PathError{Op: "write", Path: path, Err: err}
		}
	}
	dir := filepath.Dir(path)
	for !exists { // the folder will be made in the nearest one that there is
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return &fs.PathError{Op: "write to the folder", Path: dir, Err: err}
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return &fs.PathError{Op: "write to the folder", Path: dir, Err: syscall.ENOTDIR}
	}
	return nil
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
