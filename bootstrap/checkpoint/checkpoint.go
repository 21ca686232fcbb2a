// Package checkpoint stores the checkpoints of one cluster: a folder for each, with a description, a compressed copy of
// etcd's data and, if wanted, of the data of claims on each node, private and with checksums.
//
// A checkpoint is complete or not there: it is written under another name, flushed to the disk, and renamed. What an
// interrupted Save has left is removed by the next one. The caller makes sure that one command at a time changes a
// Folder. Nothing here knows what the data means. Begin reading at Folder.
package checkpoint

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/klauspost/compress/zstd"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
)

// Limits bound what a folder takes.
type Limits struct {
	// Count is how many checkpoints of the user there may be, Automatic how many of bonsai's own are kept.
	Count, Automatic int
	// Bytes is what all of them may take on the disk, without the data of claims, for which VolumeBytes holds.
	Bytes, VolumeBytes int64
}

// DefaultLimits are enough for a checkpoint before each of many experiments. An ordinary one takes one to five MB.
var DefaultLimits = Limits{Count: 50, Automatic: 3, Bytes: 4 << 30, VolumeBytes: 16 << 30}

// Names of files in a checkpoint's folder.
const (
	descriptionFile = "checkpoint.json"
	storeFile       = "store.zst"
)

// partial begins the name of a folder that is being written. No checkpoint can have such a name.
const partial = ".partial-"

// formatVersion is the newest that can be read. A description has the oldest that has everything: an older bonsai must not
// restore a checkpoint without its volumes.
const (
	formatVersion = formatVolumes
	formatStore   = 1
	formatVolumes = 2
)

// maxDescription bounds a description, maxStore what a store is unpacked to: etcd's data never grows beyond eight GB.
const (
	maxDescription = 1 << 20
	maxStore       = 8 << 30
)

// Why a checkpoint cannot be saved or used.
var (
	ErrNotFound = errors.New("no checkpoint has this name")
	ErrExists   = errors.New("there is a checkpoint of that name")
	ErrFull     = errors.New("no more checkpoints are possible")
	ErrDamaged  = errors.New("the checkpoint is damaged")
	ErrNewer    = errors.New("the checkpoint was taken by a newer bonsai")
)

// Folder is where the checkpoints of one cluster are. It need not exist.
type Folder struct {
	Path   string
	Limits Limits
	// Spare is an automatic checkpoint that Save does not remove, however many there are: it is about to be restored.
	Spare string
}

// description is what a checkpoint's folder says about it.
type description struct {
	Format int `json:"format"`
	cluster.Checkpoint
	// Spec is the cluster's plan at that time.
	Spec json.RawMessage `json:"spec,omitempty"`
	// SHA256 is that of the compressed store.
	SHA256 string `json:"sha256"`
}

// List returns all checkpoints, the newest first. One that cannot be used has a Problem.
func (f Folder) List() ([]cluster.Checkpoint, error) {
	entries, err := os.ReadDir(f.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	list := []cluster.Checkpoint{}
	for _, e := range entries {
		if !e.IsDir() || cluster.ValidateCheckpointName(e.Name()) != nil {
			continue
		}
		d, err := f.describe(e.Name())
		c := d.Checkpoint
		if err != nil {
			c = cluster.Checkpoint{Name: e.Name(), Problem: err.Error()}
			if info, err := e.Info(); err == nil {
				c.Created = info.ModTime()
			}
		}
		c.FileBytes = sizeOf(filepath.Join(f.Path, e.Name()))
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b cluster.Checkpoint) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.Name, a.Name))
	})
	return list, nil
}

func sizeOf(dir string) (sum int64) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil
		}
		if info, err := e.Info(); err == nil {
			sum += info.Size()
		}
		return nil
	})
	return sum
}

// describe reads a description. The error is ErrNotFound, ErrNewer or ErrDamaged.
func (f Folder) describe(name string) (d description, err error) {
	if cluster.ValidateCheckpointName(name) != nil {
		return d, ErrNotFound
	}
	file, err := os.Open(filepath.Join(f.Path, name, descriptionFile))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(f.Path, name)); err != nil {
			return d, ErrNotFound
		}
		return d, fmt.Errorf("%w: it has no %s", ErrDamaged, descriptionFile)
	}
	if err != nil {
		return d, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxDescription))
	if err != nil {
		return d, err
	}
	return decode(name, data)
}

// decode reads the description of a checkpoint.
func decode(name string, data []byte) (d description, err error) {
	var head struct{ Format int }
	if err := json.Unmarshal(data, &head); err != nil {
		return d, fmt.Errorf("%w: %s: %w", ErrDamaged, descriptionFile, err)
	}
	if head.Format > formatVersion {
		return d, fmt.Errorf("%w (format %d, this one reads up to %d)", ErrNewer, head.Format, formatVersion)
	}
	if err := json.Unmarshal(data, &d); err != nil {
		return d, fmt.Errorf("%w: %s: %w", ErrDamaged, descriptionFile, err)
	}
	if sum, err := hex.DecodeString(d.SHA256); err != nil || len(sum) != sha256.Size || d.Format < 1 {
		return d, fmt.Errorf("%w: %s is incomplete", ErrDamaged, descriptionFile)
	}
	places := map[int]bool{}
	for _, v := range d.Volumes {
		if v.Place < 0 || v.Place >= cluster.MaxNodes || places[v.Place] {
			return d, fmt.Errorf("%w: %s has volumes of a node in place %d", ErrDamaged, descriptionFile, v.Place)
		}
		places[v.Place] = true
	}
	if d.Name != name {
		return d, fmt.Errorf("%w: its folder was renamed from %q", ErrDamaged, d.Name)
	}
	return d, nil
}

// Get returns a checkpoint, and the plan of its cluster at that time. The error is ErrNotFound, ErrNewer or ErrDamaged.
func (f Folder) Get(name string) (cluster.Checkpoint, cluster.Spec, error) {
	d, err := f.describe(name)
	if err != nil {
		return cluster.Checkpoint{}, cluster.Spec{}, err
	}
	var spec cluster.Spec
	if err := json.Unmarshal(d.Spec, &spec); err != nil {
		return cluster.Checkpoint{}, cluster.Spec{}, fmt.Errorf("%w: the spec in %s: %w", ErrDamaged, descriptionFile, err)
	}
	if spec.Version > cluster.SpecVersion {
		return cluster.Checkpoint{}, cluster.Spec{}, fmt.Errorf("%w (spec version %d)", ErrNewer, spec.Version)
	}
	if err := spec.Validate(); err != nil {
		return cluster.Checkpoint{}, cluster.Spec{}, fmt.Errorf("%w: the spec in %s: %w", ErrDamaged, descriptionFile, err)
	}
	spec.Upgrade()
	return d.Checkpoint, spec, nil
}

// Verify reads a whole checkpoint and compares it with its checksum. It returns what Get returns.
func (f Folder) Verify(ctx context.Context, name string) (cluster.Checkpoint, cluster.Spec, error) {
	c, spec, err := f.Get(name)
	if err != nil {
		return c, spec, err
	}
	r, err := f.Open(name)
	if err != nil {
		return c, spec, err
	}
	_, err = io.Copy(io.Discard, wait.Reader(ctx, r))
	if err := errors.Join(err, r.Close()); err != nil {
		return c, spec, err
	}
	return c, spec, f.verifyVolumes(ctx, c)
}

// Open returns the copy of etcd's data in a checkpoint. Its end is io.EOF only if the checksum was right; the caller must
// not use what it read before that. The caller closes it.
func (f Folder) Open(name string) (io.ReadCloser, error) {
	d, err := f.describe(name)
	if err != nil {
		return nil, err
	}
	return f.open(name, storeFile, d.SHA256, maxStore)
}

// open opens a compressed file of a checkpoint, whose content is unpacked to at most that many bytes.
func (f Folder) open(name, part, sum string, most int64) (io.ReadCloser, error) {
	file, err := os.Open(filepath.Join(f.Path, name, part))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: it has no %s", ErrDamaged, part)
	}
	if err != nil {
		return nil, err
	}
	s := &stored{name: part, file: file, sum: sha256.New(), want: sum, left: most}
	if s.zr, err = zstd.NewReader(io.TeeReader(file, s.sum), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxStore)); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return s, nil
}

// stored reads a compressed file and verifies the checksum at its end.
type stored struct {
	name string
	file *os.File
	zr   *zstd.Decoder
	sum  hash.Hash
	want string
	left int64
}

func (s *stored) Read(p []byte) (int, error) {
	if s.left <= 0 {
		return 0, fmt.Errorf("%w: %s is too large", ErrDamaged, s.name)
	}
	n, err := s.zr.Read(p)
	s.left -= int64(n)
	switch {
	case errors.Is(err, io.EOF):
		if got := hex.EncodeToString(s.sum.Sum(nil)); got != s.want {
			return n, fmt.Errorf("%w: the checksum of %s is wrong", ErrDamaged, s.name)
		}
	case err != nil:
		err = fmt.Errorf("%w: %s: %w", ErrDamaged, s.name, err)
	}
	return n, err
}

func (s *stored) Close() error {
	s.zr.Close()
	return s.file.Close()
}

// Delete removes a checkpoint, damaged or not. The error is ErrNotFound if there is none.
func (f Folder) Delete(name string) error {
	if cluster.ValidateCheckpointName(name) != nil {
		return ErrNotFound
	}
	gone := filepath.Join(f.Path, partial+name)
	err := os.Rename(filepath.Join(f.Path, name), gone) // never a part of one under its name
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotFound
	}
	if err != nil {
		return err
	}
	return os.RemoveAll(gone)
}
