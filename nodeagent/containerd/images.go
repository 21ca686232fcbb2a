package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	streamingapi "github.com/containerd/containerd/api/services/streaming/v1"
	transferapi "github.com/containerd/containerd/api/services/transfer/v1"
	streamproxy "github.com/containerd/containerd/v2/core/streaming/proxy"
	"github.com/containerd/containerd/v2/core/transfer"
	"github.com/containerd/containerd/v2/core/transfer/archive"
	"github.com/containerd/containerd/v2/core/transfer/image"
	transferproxy "github.com/containerd/containerd/v2/core/transfer/proxy"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Image is one image name in containerd's store.
type Image struct {
	Name    string    `json:"name"`
	Digest  string    `json:"digest"`
	Created time.Time `json:"created"`
}

// Why an archive was readable but cannot be used.
var (
	// ErrNoName: nobody could refer to its images.
	ErrNoName = errors.New("the archive holds no image with a name and tag")
	// ErrPlatform: nothing in it runs on this machine.
	ErrPlatform = errors.New("the archive holds no image for this machine's platform")
)

// Images lists the image names in the store, sorted.
func (c *Client) Images(ctx context.Context) ([]Image, error) {
	resp, err := imagesapi.NewImagesClient(c.conn).List(inNamespace(ctx), &imagesapi.ListImagesRequest{})
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	images := make([]Image, 0, len(resp.Images))
	for _, i := range resp.Images {
		images = append(images, Image{Name: i.Name, Digest: i.Target.GetDigest(), Created: i.CreatedAt.AsTime()})
	}
	slices.SortFunc(images, func(a, b Image) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return images, nil
}

// unnamed prefixes images for which an OCI archive has only a tag.
const unnamed = "docker.io/library/imported"

// lateProgress is how much longer than the import itself its report may take.
const lateProgress = 5 * time.Second

// Import stores the images of a docker or OCI archive, compressed or not, unpacks them so that pods start at once, and
// returns their names. Of an index it imports only this machine's platform; the others may be absent, as in the output
// of "docker save" after a pull. The reader is read to its end or to the first error.
func (c *Client) Import(ctx context.Context, r io.Reader) ([]string, error) {
	platform := platforms.DefaultSpec()
	store := image.NewStore("", image.WithNamedPrefix(unnamed, true),
		// No manifest limit: it would count over all images of the archive, and drop all but the first.
		image.WithPlatforms(platform), image.WithUnpack(platform, c.snapshotter))
	// Progress comes over a stream of its own, which may lag behind the answer.
	saved, completed := make(chan string, 16), make(chan struct{})
	ctx, cancel := context.WithCancel(inNamespace(ctx)) // ends the streams' helpers in this process
	defer cancel()
	progress := func(p transfer.Progress) {
		switch p.Event {
		case "saved":
			select {
			case saved <- p.Name:
			case <-ctx.Done():
			}
		case "Completed import":
			close(completed)
		}
	}
	t := transferproxy.NewTransferrer(transferapi.NewTransferClient(c.conn),
		streamproxy.NewStreamCreator(streamingapi.NewStreamingClient(c.conn)))
	finished := make(chan error, 1)
	go func() {
		finished <- t.Transfer(ctx, archive.NewImageImportStream(r, ""), store, transfer.WithProgress(progress))
	}()

	var names []string
	var late <-chan time.Time
	for reported := false; !reported; {
		select {
		case name := <-saved:
			names = append(names, name)
		case err := <-finished:
			if errdefs.IsNotFound(err) {
				err = fmt.Errorf("%w (%s): %w", ErrPlatform, platforms.Format(platform), err)
			}
			if err != nil {
				return nil, fmt.Errorf("import images: %w", err)
			}
			late = time.After(lateProgress)
		case <-completed: // comes after all names
			reported = true
		case <-late:
			reported = true
		}
	}
	for len(saved) > 0 {
		names = append(names, <-saved)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("import images: %w", ErrNoName)
	}
	for i, name := range names {
		var err error
		if names[i], err = c.normalize(ctx, name); err != nil {
			return nil, fmt.Errorf("import images: %w", err)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// normalize renames an image that an OCI archive calls "app:dev" to "docker.io/library/app:dev", which is what
// kubelet asks for, and returns the name that it has then.
func (c *Client) normalize(ctx context.Context, name string) (string, error) {
	full, err := reference.ParseDockerRef(name)
	if err != nil || full.String() == name {
		return name, nil // no pod can ask for this name, so it is harmless
	}
	api := imagesapi.NewImagesClient(c.conn)
	old, err := api.Get(ctx, &imagesapi.GetImageRequest{Name: name})
	if err != nil {
		return "", fmt.Errorf("look up %s: %w", name, err)
	}
	named := old.Image
	named.Name = full.String()
	_, err = api.Create(ctx, &imagesapi.CreateImageRequest{Image: named})
	if status.Code(err) == codes.AlreadyExists {
		_, err = api.Update(ctx, &imagesapi.UpdateImageRequest{Image: named})
	}
	if err != nil {
		return "", fmt.Errorf("name %s: %w", named.Name, err)
	}
	if _, err := api.Delete(ctx, &imagesapi.DeleteImageRequest{Name: name}); err != nil {
		return "", fmt.Errorf("remove name %s: %w", name, err)
	}
	return named.Name, nil
}

// EnsureImage imports the archive file unless an image of that name exists.
func (c *Client) EnsureImage(ctx context.Context, name, file string) error {
	_, err := imagesapi.NewImagesClient(c.conn).Get(inNamespace(ctx), &imagesapi.GetImageRequest{Name: name})
	if status.Code(err) != codes.NotFound {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = c.Import(ctx, f)
	return err
}
