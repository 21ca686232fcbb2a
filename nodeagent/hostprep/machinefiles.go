package hostprep

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"bonsai/bootstrap/atomicfile"
)

// machineFiles are the files of /etc that pods mount one by one from their node.
var machineFiles = []string{"localtime", "timezone", "machine-id", "os-release"}

// moveToVolume replaces files of etc by links to copies in kept, which is on the node's volume. The kernel cannot map the
// owners of files on the container's own root, which is an overlay: without this a pod with its own users that mounts one
// of them would not start. A file of that name in given, which the driver writes, takes the place of the one of etc.
func moveToVolume(etc, given, kept string, names []string, log *slog.Logger) error {
	if err := os.MkdirAll(kept, 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	for _, name := range names {
		path, copied := filepath.Join(etc, name), filepath.Join(kept, name)
		to, _ := os.Readlink(path)
		data, err := os.ReadFile(filepath.Join(given, name))
		if errors.Is(err, fs.ErrNotExist) {
			if to == copied {
				continue
			}
			data, err = os.ReadFile(path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = writeChanged(copied, data)
		}
		if err == nil && to != copied {
			err = replaceByLink(path, copied)
		}
		if err != nil {
			log.Warn("pods with their own users cannot mount a file of the node", "file", path, "cause", err)
		}
	}
	return nil
}

// writeChanged leaves a file with the right content alone, which running pods may have mounted.
func writeChanged(path string, data []byte) error {
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, data) {
		return nil
	}
	return atomicfile.Write(path, data, 0o444, atomicfile.Options{})
}

// replaceByLink never leaves a moment without the file.
func replaceByLink(path, to string) error {
	tmp := path + ".link"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(to, tmp); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
