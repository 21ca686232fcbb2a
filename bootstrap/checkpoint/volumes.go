package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
)

// Volume is the data of the claims on one node, for a new checkpoint.
type Volume struct {
	// Place is that of the node in the plan, from 0, and Node its name.
	Place int
	Node  string
	// Write writes the data.
	Write func(io.Writer) error
}

// volumeFile has the data of the claims on the node in a place.
func volumeFile(place int) string { return "volumes-" + strconv.Itoa(place) + ".zst" }

func volumeFiles(c cluster.Checkpoint) (names []string) {
	for _, v := range c.Volumes {
		names = append(names, volumeFile(v.Place))
	}
	return names
}

// saveVolumes writes the data of claims into dir, where it may take so many bytes.
func (f Folder) saveVolumes(dir string, volumes []Volume, left int64) (saved []cluster.VolumeCopy, err error) {
	for _, v := range volumes {
		path := filepath.Join(dir, volumeFile(v.Place))
		var data int64
		sum, err := compress(path, func(w io.Writer) error {
			return v.Write(counted{w, func(n int) error {
				data += int64(n)
				return f.checkRoom(path, left)
			}})
		})
		if err == nil {
			err = f.checkRoom(path, left)
		}
		if err != nil {
			return nil, fmt.Errorf("the data of claims on node %s: %w", v.Node, err)
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		left -= info.Size()
		saved = append(saved, cluster.VolumeCopy{Place: v.Place, Node: v.Node, Bytes: data, FileBytes: info.Size(), SHA256: sum})
	}
	return saved, nil
}

// checkRoom compares a file that grows with what it may take.
func (f Folder) checkRoom(path string, left int64) error {
	info, err := os.Stat(path)
	if err == nil && info.Size() > left {
		err = f.noRoomForVolumes()
	}
	return err
}

func (f Folder) noRoomForVolumes() error {
	return fmt.Errorf("%w: the data of claims in all of them may take %d MB, compressed", ErrFull, f.Limits.VolumeBytes>>20)
}

// counted calls wrote with the size of each write.
type counted struct {
	w     io.Writer
	wrote func(n int) error
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	return n, errors.Join(err, c.wrote(n))
}

// OpenVolume returns the data of the claims on the node in a place of the checkpoint's plan, as Volume.Write has written it. Its
// end is io.EOF only if the checksum was right. The caller closes it.
func (f Folder) OpenVolume(name string, place int) (io.ReadCloser, error) {
	d, err := f.describe(name)
	if err != nil {
		return nil, err
	}
	for _, v := range d.Volumes {
		if v.Place == place {
			return f.open(name, volumeFile(place), v.SHA256, math.MaxInt64)
		}
	}
	return nil, fmt.Errorf("%w: it has no data of claims on the node in place %d", ErrNotFound, place)
}

// verifyVolumes reads all data of claims.
func (f Folder) verifyVolumes(ctx context.Context, c cluster.Checkpoint) error {
	for _, v := range c.Volumes {
		r, err := f.OpenVolume(c.Name, v.Place)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, wait.Reader(ctx, r))
		if err := errors.Join(err, r.Close()); err != nil {
			return err
		}
	}
	return nil
}
