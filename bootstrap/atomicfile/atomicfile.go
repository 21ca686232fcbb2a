// Package atomicfile replaces files as a whole: a reader sees the old content or the new one, never a part.
//
// Libraries for this exist (google/renameio, natefinch/atomic); none of them keeps the owner of a file that root
// replaces, or makes the rename durable.
package atomicfile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Options define how a file is written. The zero value is fast; the mode of a new file is the caller's.
type Options struct {
	// Durable guarantees the old content or the new one after a power failure. Without it the file may be empty then,
	// which is good enough for files that are checked or rewritten at each start.
	Durable bool
	// Keep gives the new file the mode and, if this user may do that, the owner of the one that it replaces: a user's
	// file must not become root's because bonsai was run with sudo.
	Keep bool
}

// Write replaces path by data; a new file gets mode. The folder must exist, and path must not be a link, which would be
// replaced. The temporary file beside it ends in ".tmp".
func Write(path string, data []byte, mode fs.FileMode, o Options) (err error) {
	tmp := fmt.Sprintf("%s.%s.tmp", path, rand.Text()[:8])
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp)
		}
	}()
	if err = errors.Join(fill(f, path, data, mode, o), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(tmp, path); err != nil || !o.Durable {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func fill(f *os.File, path string, data []byte, mode fs.FileMode, o Options) error {
	if info, err := os.Stat(path); err == nil && o.Keep {
		mode = info.Mode().Perm()
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			_ = f.Chown(int(st.Uid), int(st.Gid)) // only root may change owners; for others it is theirs already
		}
	}
	if err := f.Chmod(mode); err != nil { // exactly this mode, whatever the umask
		return err
	}
	if _, err := f.Write(data); err != nil || !o.Durable {
		return err
	}
	return f.Sync()
}

// syncDir makes a rename durable. A file system that cannot sync folders answers EINVAL.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err = d.Sync(); errors.Is(err, syscall.EINVAL) {
		err = nil
	}
	return errors.Join(err, d.Close())
}
