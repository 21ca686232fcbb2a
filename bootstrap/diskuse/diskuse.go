// Package diskuse measures what folders take on disk, as du does: the blocks of all files, each counted once however many
// names it has. Nothing is followed out of a folder: no symbolic links, and no other file systems.
package diskuse

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// blockSize is the unit of st_blocks, whatever the file system's own blocks are.
const blockSize = 512

// Of returns the bytes that a file or folder takes; 0 if it does not exist. What goes away or cannot be read meanwhile does not
// count. The only error is that ctx ended.
func Of(ctx context.Context, path string) (sum int64, err error) {
	type file struct{ device, inode uint64 }
	seen := map[file]bool{}
	var device uint64
	first := true
	err = filepath.WalkDir(path, func(_ string, e fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			if e != nil && e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return nil
		}
		s, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return nil
		}
		id := file{uint64(s.Dev), s.Ino} //nolint:unconvert // it is smaller elsewhere
		if first {
			first, device = false, id.device
		}
		switch {
		case id.device != device && e.IsDir():
			return fs.SkipDir
		case id.device != device, seen[id]:
			return nil
		case s.Nlink > 1 && !e.IsDir():
			seen[id] = true
		}
		sum += s.Blocks * blockSize
		return nil
	})
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return sum, err
}
