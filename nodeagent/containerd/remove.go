package containerd

import (
	"context"
	"fmt"
	"slices"
	"strings"

	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/distribution/reference"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Remove removes a name from the store, completed as in pods ("app" is docker.io/library/app:latest), and returns what it
// removed; nothing, if the store does not have it. With the last tag of a repository for an image, the names by digest of
// that repository go, too; with the last name of all, the content. Containers that run from it go on.
func (c *Client) Remove(ctx context.Context, ref string) (removed []string, err error) {
	named, err := reference.ParseDockerRef(ref)
	if err != nil {
		return nil, fmt.Errorf("remove %s: %w", ref, err)
	}
	ctx = inNamespace(ctx)
	resp, err := c.images().List(ctx, &imagesapi.ListImagesRequest{})
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	target := ""
	for _, i := range resp.Images {
		if i.Name == named.String() {
			target = i.Target.GetDigest()
		}
	}
	if target == "" {
		return nil, nil
	}
	var digests, content []string // further names of the same image
	others, tags := 0, 0          // names that stay: of anybody, and tags of this repository
	repository := reference.TrimNamed(named).String()
	for _, i := range resp.Images {
		switch {
		case i.Target.GetDigest() != target || i.Name == named.String():
		case strings.HasPrefix(i.Name, "sha256:"):
			content = append(content, i.Name)
		case strings.HasPrefix(i.Name, repository+"@"):
			digests = append(digests, i.Name)
		default:
			others++
			if strings.HasPrefix(i.Name, repository+":") {
				tags++
			}
		}
	}
	removed = []string{named.String()}
	if _, byDigest := named.(reference.Digested); tags == 0 && !byDigest {
		removed = append(removed, digests...)
		digests = nil
	}
	all := removed
	if others == 0 && len(digests) == 0 {
		all = append(slices.Clip(all), content...)
	}
	for i, name := range all {
		// With the last one, the content is freed before the answer.
		_, err := c.images().Delete(ctx, &imagesapi.DeleteImageRequest{Name: name, Sync: i == len(all)-1})
		if err != nil && status.Code(err) != codes.NotFound {
			return nil, fmt.Errorf("remove %s: %w", name, err)
		}
	}
	return removed, nil
}
