package statedir

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gofrs/flock"

	"bonsai/bootstrap/fault"
)

// ImageSource says where "image load" got an image from.
type ImageSource struct {
	// Engine says that the container engine had it under the same name; otherwise it came from File, or from standard
	// input if that is empty.
	Engine bool   `json:"engine,omitempty"`
	File   string `json:"file,omitempty"`
	// Target is what the name leads to in the image store; empty if an older version of bonsai loaded it.
	Target string `json:"target,omitempty"`
	// Removed is when "image rm" removed it while some nodes did not run: they lose it when they do. Zero if it is there.
	Removed time.Time `json:"removed,omitzero"`
}

// recordLimit bounds the wait for other commands that record images, each of which takes milliseconds.
const recordLimit = 5 * time.Second

// RecordImages remembers images that were loaded, by their names in nodes. Nodes that are recreated get them again.
func (c Cluster) RecordImages(ctx context.Context, images map[string]ImageSource) error {
	return c.changeImages(ctx, func(all map[string]ImageSource) { maps.Copy(all, images) })
}

// ForgetImages remembers that images were removed: nodes do not get them again. With later, some nodes still have them.
func (c Cluster) ForgetImages(ctx context.Context, names []string, later bool) error {
	now := time.Now()
	return c.changeImages(ctx, func(all map[string]ImageSource) {
		for _, name := range names {
			delete(all, name)
			if later {
				all[name] = ImageSource{Removed: now}
			}
		}
	})
}

func (c Cluster) changeImages(ctx context.Context, change func(all map[string]ImageSource)) error {
	ctx, cancel := context.WithTimeout(ctx, recordLimit)
	defer cancel()
	lock := flock.New(c.path("images.lock"), flock.SetPermissions(0o600))
	if _, err := lock.TryLockContext(ctx, 10*time.Millisecond); err != nil {
		return wrap("record the loaded images", c.dir, err)
	}
	defer func() { _ = lock.Unlock() }()
	all := c.recordedImages()
	change(all)
	return c.saveJSON(c.imagesFile(), all)
}

// recordedImages are those of the file; none if it cannot be read.
func (c Cluster) recordedImages() map[string]ImageSource {
	all := map[string]ImageSource{}
	if !c.loadJSON(c.imagesFile(), &all) || all == nil {
		return map[string]ImageSource{}
	}
	return all
}

// ImageStore is the folder of the image store that all clusters share.
func (d Dir) ImageStore() string { return filepath.Join(d.Root, "images") }

// ImageTargets are the images in the image store that clusters may need. An error means that some may be missing.
func (d Dir) ImageTargets() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(d.Root, "clusters"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, wrap("list clusters", d.Root, err)
	}
	var targets []string
	for _, e := range entries {
		c := d.Cluster(e.Name())
		if _, err := os.Stat(c.imagesFile()); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		all := map[string]ImageSource{}
		if !c.loadJSON(c.imagesFile(), &all) {
			return nil, fault.Newf(fault.State, "%s cannot be read", c.imagesFile())
		}
		for _, s := range all {
			if s.Target != "" && s.Removed.IsZero() {
				targets = append(targets, s.Target)
			}
		}
	}
	slices.Sort(targets)
	return slices.Compact(targets), nil
}

func (c Cluster) imagesFile() string { return c.path("images.json") }

// LoadedImages are the images that were loaded and not removed, by their names in nodes; none if that cannot be read.
func (c Cluster) LoadedImages() map[string]ImageSource {
	all := c.recordedImages()
	maps.DeleteFunc(all, func(_ string, s ImageSource) bool { return !s.Removed.IsZero() })
	return all
}

// RemovedImages are those that nodes may still have, with when they were removed.
func (c Cluster) RemovedImages() map[string]time.Time {
	removed := map[string]time.Time{}
	for name, s := range c.recordedImages() {
		if !s.Removed.IsZero() {
			removed[name] = s.Removed
		}
	}
	return removed
}
