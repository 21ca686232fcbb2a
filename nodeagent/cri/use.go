package cri

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"bonsai/bootstrap/cluster"
)

// Use lists the images with their sizes, the largest first, and whether containers are of them, running or not. Kept are those
// that the runtime does not remove on its own, and those that keep names.
func (l *Lister) Use(ctx context.Context, keep map[string]bool) ([]cluster.NodeDiskImage, error) {
	images, err := l.images.ListImages(ctx, &runtimeapi.ListImagesRequest{})
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	containers, err := l.runtime.ListContainers(ctx, &runtimeapi.ListContainersRequest{})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	used := map[string]bool{}
	for _, c := range containers.Containers {
		used[c.GetImage().GetImage()], used[c.GetImageRef()], used[c.GetImageId()] = true, true, true
	}
	list := make([]cluster.NodeDiskImage, 0, len(images.Images))
	for _, i := range images.Images {
		u := cluster.NodeDiskImage{Names: slices.Concat(i.RepoTags, i.RepoDigests), Bytes: int64(i.Size), Used: used[i.Id], Kept: i.Pinned}
		for _, name := range u.Names {
			u.Used, u.Kept = u.Used || used[name], u.Kept || keep[name]
		}
		list = append(list, u)
	}
	slices.SortFunc(list, func(a, b cluster.NodeDiskImage) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), slices.Compare(a.Names, b.Names))
	})
	return list, nil
}
