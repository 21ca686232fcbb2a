package checkpoint

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"bonsai/bootstrap/cluster"
)

// Save writes a checkpoint. write is called once, and writes the copy of etcd's data; then volumes are written, one after the
// other. Older automatic checkpoints that are too many are removed. Errors are ErrExists, ErrFull, that of write or of a volume,
// and those of the file system; nothing of the new one is left then.
func (f Folder) Save(c cluster.Checkpoint, spec cluster.Spec, write func(io.Writer) (cluster.StoreCopy, error), volumes ...Volume) (cluster.Checkpoint, error) {
	if err := cluster.ValidateCheckpointName(c.Name); err != nil {
		return c, err
	}
	err := f.create(c, func(dir string, left int64) (description, error) {
		sum, err := compress(filepath.Join(dir, storeFile), func(w io.Writer) (err error) {
			c.StoreCopy, err = write(w)
			return err
		})
		if err != nil {
			return description{}, err
		}
		if c.Volumes, err = f.saveVolumes(dir, volumes, left); err != nil {
			return description{}, err
		}
		plan, err := json.Marshal(spec)
		return description{Format: formatOf(c), Checkpoint: c, Spec: plan, SHA256: sum}, err
	})
	if err != nil {
		return c, err
	}
	c.FileBytes = sizeOf(filepath.Join(f.Path, c.Name))
	return c, f.prune()
}

// create makes a checkpoint if there is room for c. fill writes its files into dir, of which those of claims may take left bytes,
// and returns its description. If anything fails, nothing of it is left.
func (f Folder) create(c cluster.Checkpoint, fill func(dir string, left int64) (description, error)) (err error) {
	left, err := f.room(c)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.Path, 0o700); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(f.Path, partial) // with mode 0700
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dir)
		}
	}()
	d, err := fill(dir, left)
	if err != nil {
		return err
	}
	return f.finish(dir, d)
}

func formatOf(c cluster.Checkpoint) int {
	if c.WithVolumes {
		return formatVolumes
	}
	return formatStore
}

// compress writes a new private file, and returns its checksum.
func compress(path string, write func(io.Writer) error) (string, error) {
	sum := sha256.New()
	err := writeFile(path, func(w io.Writer) error {
		zw, err := zstd.NewWriter(io.MultiWriter(w, sum), zstd.WithEncoderLevel(zstd.SpeedFastest))
		if err != nil {
			return err
		}
		return errors.Join(write(zw), zw.Close())
	})
	return hex.EncodeToString(sum.Sum(nil)), err
}

// Import copies a checkpoint of another cluster's folder, which may be restored into this one, and calls it as. The data is not
// copied but linked where that is possible: it never changes. Errors are those of Get and Save.
func (f Folder) Import(from Folder, name, as string) error {
	d, err := from.describe(name)
	if err != nil {
		return err
	}
	d.Name, d.Imported = as, true
	return f.create(d.Checkpoint, func(dir string, _ int64) (description, error) {
		for _, part := range append(volumeFiles(d.Checkpoint), storeFile) {
			source, target := filepath.Join(from.Path, name, part), filepath.Join(dir, part)
			if os.Link(source, target) != nil {
				if err := copyFile(target, source); err != nil {
					return d, err
				}
			}
		}
		return d, nil
	})
}

func copyFile(to, from string) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	return writeFile(to, func(w io.Writer) error {
		_, err := io.Copy(w, r)
		return err
	})
}

// finish writes the description of a checkpoint into dir, and gives dir its name.
func (f Folder) finish(dir string, d description) error {
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, descriptionFile), func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	}); err != nil {
		return err
	}
	return errors.Join(syncDir(dir), os.Rename(dir, filepath.Join(f.Path, d.Name)), syncDir(f.Path))
}

// room removes what interrupted commands have left, and returns how many bytes of claims c may have, or an error if there is
// no room for c.
func (f Folder) room(c cluster.Checkpoint) (volumeBytes int64, err error) {
	entries, err := os.ReadDir(f.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), partial) {
			if err := os.RemoveAll(filepath.Join(f.Path, e.Name())); err != nil {
				return 0, err
			}
		}
	}
	list, err := f.List()
	if err != nil {
		return 0, err
	}
	users, bytes, left := 0, int64(0), f.Limits.VolumeBytes
	for _, have := range list {
		if have.Name == c.Name {
			return 0, ErrExists
		}
		if !have.Automatic() {
			users++
		}
		bytes += have.FileBytes
		for _, v := range have.Volumes {
			bytes, left = bytes-v.FileBytes, left-v.FileBytes
		}
	}
	switch {
	case !c.Automatic() && users >= f.Limits.Count:
		return 0, fmt.Errorf("%w: there are %d, and at most %d may be", ErrFull, users, f.Limits.Count)
	case bytes >= f.Limits.Bytes:
		return 0, fmt.Errorf("%w: they take %d MB, and at most %d may be taken", ErrFull, bytes>>20, f.Limits.Bytes>>20)
	case c.WithVolumes && left <= 0:
		return 0, f.noRoomForVolumes()
	}
	return left, nil
}

// prune removes the oldest automatic checkpoints that are too many. Of those with the data of claims only the newest stays.
func (f Folder) prune() error {
	list, err := f.List()
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(c cluster.Checkpoint) bool { return !c.Automatic() || c.Name == f.Spare })
	volumes := 0
	for i, c := range list {
		if c.WithVolumes {
			volumes++
		}
		if i < f.Limits.Automatic && !(c.WithVolumes && volumes > 1) {
			continue
		}
		if err := f.Delete(c.Name); err != nil {
			return err
		}
	}
	return nil
}

// writeFile writes a new private file and flushes it to the disk.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncDir makes names in a folder durable. A file system that cannot do that for folders is not an error.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	_ = d.Sync()
	return d.Close()
}
