package statedir

import (
	"context"
	"maps"
	"time"

	"github.com/gofrs/flock"
)

// ImageSource says where "image load" got an image from.
type ImageSource struct {
	// Engine says that the container engine had it under the same name; otherwise it came from File, or from standard
	// input if that is empty.
	Engine bool   `json:"engine,omitempty"`
	File   string `json:"file,omitempty"`
}

// recordLimit bounds the wait for other commands that record images, each of which takes milliseconds.
const recordLimit = 5 * time.Second

// RecordImages remembers images that were loaded, by their names in nodes. Nodes that are recreated get them again.
func (c Cluster) RecordImages(ctx context.Context, images map[string]ImageSource) error {
	ctx, cancel := context.WithTimeout(ctx, recordLimit)
	defer cancel()
	lock := flock.New(c.path("images.lock"), flock.SetPermissions(0o600))
	if _, err := lock.TryLockContext(ctx, 10*time.Millisecond); err != nil {
		return wrap("record the loaded images", c.dir, err)
	}
	defer func() { _ = lock.Unlock() }()
	all := c.LoadedImages()
	if all == nil {
		all = map[string]ImageSource{}
	}
	maps.Copy(all, images)
	return c.saveJSON(c.path("images.json"), all)
}

// LoadedImages are the images that were ever loaded, by their names in nodes; none if that cannot be read.
func (c Cluster) LoadedImages() map[string]ImageSource {
	var all map[string]ImageSource
	c.loadJSON(c.path("images.json"), &all)
	return all
}
