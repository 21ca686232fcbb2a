package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/distribution/reference"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
)

// labelLoaded marks images that "bonsai image load" brought. Only these are copied to nodes that come later.
const labelLoaded = "io.bonsai.loaded"

// labelManaged is on the images that CRI knows. It gets to know them by events, within milliseconds.
const (
	labelManaged = "io.cri-containerd.image"
	managedLimit = 2 * time.Second
)

func (c *Client) images() imagesapi.ImagesClient { return imagesapi.NewImagesClient(c.conn) }

// Images lists the image names in the store, sorted. It leaves out the names that CRI gives to the content of images.
func (c *Client) Images(ctx context.Context) ([]cluster.NodeImage, error) {
	resp, err := c.images().List(inNamespace(ctx), &imagesapi.ListImagesRequest{})
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	list := make([]cluster.NodeImage, 0, len(resp.Images))
	for _, i := range resp.Images {
		if strings.HasPrefix(i.Name, "sha256:") {
			continue
		}
		list = append(list, cluster.NodeImage{
			Name: i.Name, Target: i.Target.GetDigest(), Loaded: i.Labels[labelLoaded] != "", Updated: i.UpdatedAt.AsTime(),
		})
	}
	slices.SortFunc(list, func(a, b cluster.NodeImage) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// Load imports the images of an archive, as Import does, marks them as loaded, and returns their names. Those of an archive in
// OCI form get their names by digest, too, as after a pull: pods that name an image by digest find it only under this name.
func (c *Client) Load(ctx context.Context, r io.Reader) ([]string, error) {
	names, err := c.importArchive(ctx, r, map[string]string{labelLoaded: "true"})
	if err != nil {
		return nil, err
	}
	ctx = inNamespace(ctx)
	for _, name := range names {
		digest, err := c.nameByDigest(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("import images: %w", err)
		}
		if digest != "" {
			names = append(names, digest)
		}
	}
	return names, nil
}

// nameByDigest gives an image its name by digest and returns that; "" if no registry can have the image.
func (c *Client) nameByDigest(ctx context.Context, name string) (string, error) {
	found, err := c.images().Get(ctx, &imagesapi.GetImageRequest{Name: name})
	if err != nil {
		return "", fmt.Errorf("look up %s: %w", name, err)
	}
	m, err := c.manifest(ctx, found.Image.Target)
	if err != nil {
		return "", err
	}
	named, err := reference.ParseNamed(name)
	if err != nil || m.converted() {
		return "", nil // no pod can ask for it
	}
	found.Image.Name = reference.TrimNamed(named).String() + "@" + found.Image.Target.Digest
	return found.Image.Name, c.store(ctx, found.Image)
}

// Import stores the images of a docker or OCI archive, compressed or not, unpacks them so that pods start at once, and
// returns their names. Of an index it imports only this machine's platform; the others may be absent, as in the output
// of "docker save" after a pull. The reader is read to its end or to the first error.
func (c *Client) Import(ctx context.Context, r io.Reader) ([]string, error) {
	return c.importArchive(ctx, r, nil)
}

// normalize renames an image that an OCI archive calls "app:dev" to "docker.io/library/app:dev", which is what
// kubelet asks for, and returns the name that it has then.
func (c *Client) normalize(ctx context.Context, name string) (string, error) {
	full, err := reference.ParseDockerRef(name)
	if err != nil || full.String() == name {
		return name, nil // no pod can ask for this name, so it is harmless
	}
	old, err := c.images().Get(ctx, &imagesapi.GetImageRequest{Name: name})
	if err != nil {
		return "", fmt.Errorf("look up %s: %w", name, err)
	}
	named := old.Image
	named.Name = full.String()
	if err := c.store(ctx, named); err != nil {
		return "", err
	}
	return named.Name, c.forget(ctx, name)
}

// store creates or replaces a name.
func (c *Client) store(ctx context.Context, i *imagesapi.Image) error {
	_, err := c.images().Create(ctx, &imagesapi.CreateImageRequest{Image: i})
	if status.Code(err) == codes.AlreadyExists {
		_, err = c.images().Update(ctx, &imagesapi.UpdateImageRequest{Image: i})
	}
	if err != nil {
		return fmt.Errorf("name %s: %w", i.Name, err)
	}
	return nil
}

// forget removes a name that was just stored. CRI has to have seen it before, or it would make it again while it takes the
// image over, which it marks with a label.
func (c *Client) forget(ctx context.Context, name string) error {
	limited, cancel := context.WithTimeout(ctx, managedLimit)
	defer cancel()
	for {
		found, err := c.images().Get(limited, &imagesapi.GetImageRequest{Name: name})
		if err != nil || found.Image.Labels[labelManaged] != "" || wait.Pause(limited, 10*time.Millisecond) != nil {
			break
		}
	}
	_, err := c.images().Delete(ctx, &imagesapi.DeleteImageRequest{Name: name})
	if err != nil && status.Code(err) != codes.NotFound {
		return fmt.Errorf("remove name %s: %w", name, err)
	}
	return nil
}

// EnsureImage imports the archive file unless an image of that name exists.
func (c *Client) EnsureImage(ctx context.Context, name, file string) error {
	_, err := c.images().Get(inNamespace(ctx), &imagesapi.GetImageRequest{Name: name})
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

// labelBuiltin is on images of the payload. Its value is the archive's digest: another version of bonsai may have another image.
const labelBuiltin = "io.bonsai.builtin"

// EnsureBuiltin imports an image of the payload: the archive file, which has this digest. It does nothing if the image of that name is
// that of the archive, or is not of a payload: then somebody has loaded it.
func (c *Client) EnsureBuiltin(ctx context.Context, name, file, digest string) error {
	found, err := c.images().Get(inNamespace(ctx), &imagesapi.GetImageRequest{Name: name})
	if err != nil && status.Code(err) != codes.NotFound {
		return fmt.Errorf("look up %s: %w", name, err)
	}
	if err == nil {
		if was, ours := found.Image.Labels[labelBuiltin]; !ours || was == digest {
			return nil
		}
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = c.importArchive(ctx, f, map[string]string{labelBuiltin: digest})
	return err
}

// Why an archive was readable but cannot be used.
var (
	// ErrNoName: nobody could refer to its images.
	ErrNoName = errors.New("the archive holds no image with a name and tag")
	// ErrPlatform: nothing in it runs on this machine.
	ErrPlatform = errors.New("the archive holds no image for this machine's platform")
)

// unnamed prefixes images for which an archive has only a tag, or nothing.
const unnamed = "docker.io/library/imported"

// lateProgress is how much longer than the import itself its report may take.
const lateProgress = 5 * time.Second
