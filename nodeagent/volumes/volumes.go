// Package volumes stores the data of persistent volumes on this node: one folder each, on the node's own disk, which
// outlives the node's container.
//
// A volume is only a folder. The control plane's provisioner has folders created and removed over the agent's API and
// records them in the cluster's objects; the kubelet mounts them into pods. Only Remove ever deletes data; otherwise it
// is deleted with the cluster.
//
// Begin reading at Store.
package volumes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

const (
	// Dir is where a node stores its volumes; its /var is a volume of the container engine.
	Dir = "/var/lib/bonsai/volumes"
	// Floor is how much free space a new volume needs. Volumes have no size of their own, so it only detects a full
	// disk before a pod runs into it.
	Floor = 16 << 20
)

// Why a volume cannot be created or removed, besides errors of the file system.
var (
	ErrName     = errors.New("not the name of a volume")
	ErrFull     = errors.New("the disk is full")
	ErrReadOnly = errors.New("the disk is read-only")
	// ErrMounted protects what is not the volume's: a pod that mounts something in its volume can have that appear here.
	ErrMounted = errors.New("another file system is mounted in it; unmount that first")
)

// Store is the volumes of one node. Its methods may be called at the same time.
type Store struct {
	dir    string
	floor  uint64
	making sync.Mutex // one volume is created at a time, which is fast
}

// New returns a store in dir, which is created with the first volume. New volumes are refused if fewer than floor bytes
// are free.
func New(dir string, floor uint64) *Store { return &Store{dir: dir, floor: floor} }

// Report is what a store holds.
type Report struct {
	// Volumes are the names, sorted.
	Volumes []string `json:"volumes"`
	// FreeBytes and TotalBytes are those of the file system, which volumes share with everything else on it.
	FreeBytes  uint64 `json:"freeBytes"`
	TotalBytes uint64 `json:"totalBytes"`
	ReadOnly   bool   `json:"readOnly,omitempty"`
}

// Ensure creates an empty volume that every user may write to, and returns its path. An existing one is left as it is.
// Errors are ErrName, ErrFull, ErrReadOnly, and those of the file system.
func (s *Store) Ensure(name string) (path string, err error) {
	if err := check(name); err != nil {
		return "", err
	}
	s.making.Lock()
	defer s.making.Unlock()
	// Pods access volumes through mounts of the kubelet; only root has to reach this folder.
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return "", s.explain("make the folder of volumes", err)
	}
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return "", s.explain("open the folder of volumes", err)
	}
	defer root.Close()
	path = filepath.Join(s.dir, name)
	switch info, err := root.Lstat(name); {
	case err == nil && info.IsDir():
		return path, nil
	case err == nil: // a link is not followed, wherever it leads
		return "", fmt.Errorf("make volume %s: something that is not a folder is in the way (%s)", name, info.Mode())
	case !errors.Is(err, fs.ErrNotExist):
		return "", s.explain("look for volume "+name, err)
	}
	if err := s.room(); err != nil {
		return "", err
	}
	return path, s.explain("make volume "+name, build(root, name))
}

// build creates a folder under a name that is not a volume's and renames it when it is complete, so that an agent that
// is killed leaves no partial volume.
func build(root *os.Root, name string) error {
	half := unfinished(name)
	if err := root.Mkdir(half, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// A container may run as any user, so everybody may write, as with other local provisioners. Mkdir alone would
	// respect the umask.
	if err := root.Chmod(half, 0o777); err != nil {
		return err
	}
	if err := root.Rename(half, name); err != nil {
		return err
	}
	return flush(root)
}

// Remove deletes a volume with everything in it; a missing one is not an error. It returns when everything is gone,
// which takes a while for many files, or at the first file that cannot be removed. It may be repeated. A file system that
// is mounted in the volume is never emptied: that is ErrMounted.
func (s *Store) Remove(name string) error {
	if err := check(name); err != nil {
		return err
	}
	root, err := os.OpenRoot(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return s.explain("open the folder of volumes", err)
	}
	defer root.Close()
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(filepath.Join(s.dir, name)))
	if err != nil {
		return fmt.Errorf("remove volume %s: look for mounts in it: %w", name, err)
	}
	if len(mounts) > 0 {
		return fmt.Errorf("remove volume %s: %w (%s)", name, ErrMounted, mounts[0].Mountpoint)
	}
	if err := errors.Join(root.RemoveAll(name), root.RemoveAll(unfinished(name))); err != nil {
		return s.explain("remove volume "+name, err)
	}
	return s.explain("remove volume "+name, flush(root))
}

// List returns the volumes. Everything that is not a volume is skipped.
func (s *Store) List() (Report, error) {
	r := Report{Volumes: []string{}}
	entries, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r, fmt.Errorf("list volumes: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() && check(e.Name()) == nil {
			r.Volumes = append(r.Volumes, e.Name())
		}
	}
	slices.Sort(r.Volumes)
	disk, err := s.disk()
	if err != nil {
		return r, err
	}
	r.FreeBytes, r.TotalBytes, r.ReadOnly = free(disk), disk.Blocks*uint64(disk.Bsize), disk.Flags&unix.ST_RDONLY != 0
	return r, nil
}

// nameRule is that of Kubernetes objects: one component of a path, and never a hidden one.
const nameRule = `^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`

func check(name string) error {
	if ok, _ := regexp.MatchString(nameRule, name); !ok {
		return fmt.Errorf("%w: %q", ErrName, name)
	}
	return nil
}

// unfinished is where a volume is created; check refuses it as a name.
func unfinished(name string) string { return "." + name }

// room returns why there is no space for another volume.
func (s *Store) room() error {
	disk, err := s.disk()
	if err != nil {
		return err
	}
	switch {
	case disk.Flags&unix.ST_RDONLY != 0:
		return ErrReadOnly
	case free(disk) < s.floor:
		return fmt.Errorf("%w: %d MiB are free, and a volume needs %d MiB", ErrFull, free(disk)>>20, s.floor>>20)
	case disk.Files > 0 && disk.Ffree == 0: // some file systems do not limit files and report 0 of 0
		return fmt.Errorf("%w: it cannot hold another file", ErrFull)
	}
	return nil
}

// disk returns the file system of the volumes, or of the folder that will hold them.
func (s *Store) disk() (disk unix.Statfs_t, err error) {
	for dir := s.dir; ; dir = filepath.Dir(dir) {
		err = unix.Statfs(dir, &disk)
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			break
		}
	}
	if err != nil {
		return disk, fmt.Errorf("check the disk of %s: %w", s.dir, err)
	}
	return disk, nil
}

func free(disk unix.Statfs_t) uint64 { return disk.Bavail * uint64(disk.Bsize) }

// explain says what was tried, and replaces the kernel's wording by ours where that is clearer. It returns nil for nil.
func (s *Store) explain(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EROFS):
		err = ErrReadOnly
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		err = ErrFull
	}
	return fmt.Errorf("%s: %w", what, err)
}

// flush writes the folder of volumes to disk: the cluster still knows a volume after a power cut, and so must the node.
func flush(root *os.Root) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
