package docker_test

import (
	"context"
	"slices"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bonsai/bootstrap/node"
)

// lens is what a driver sees of the engine.
type lens struct {
	client.APIClient
	e *engine
}

func (l lens) ContainerCreate(ctx context.Context, c *container.Config, h *container.HostConfig, n *network.NetworkingConfig, p *ocispec.Platform, name string) (container.CreateResponse, error) {
	l.e.mu.Lock()
	l.e.hashes[c.Labels[node.LabelPayload]] = true
	l.e.mu.Unlock()
	return l.APIClient.ContainerCreate(ctx, c, h, n, p, name)
}

func (l lens) ContainerList(ctx context.Context, o container.ListOptions) ([]container.Summary, error) {
	all, err := l.APIClient.ContainerList(ctx, o)
	all = slices.DeleteFunc(all, func(c container.Summary) bool { return l.e.foreign(c.Labels) })
	l.e.mu.Lock()
	defer l.e.mu.Unlock()
	for i := range all {
		if l.e.aged {
			all[i].Created -= 7 * 24 * 3600
		}
	}
	return all, err
}

func (l lens) VolumeList(ctx context.Context, o volume.ListOptions) (volume.ListResponse, error) {
	all, err := l.APIClient.VolumeList(ctx, o)
	all.Volumes = slices.DeleteFunc(all.Volumes, func(v *volume.Volume) bool { return l.e.foreign(v.Labels) })
	l.e.mu.Lock()
	defer l.e.mu.Unlock()
	for _, v := range all.Volumes {
		if l.e.aged {
			v.CreatedAt = "2020-01-01T00:00:00Z"
		}
	}
	return all, err
}

func (l lens) ImageList(ctx context.Context, o image.ListOptions) ([]image.Summary, error) {
	all, err := l.APIClient.ImageList(ctx, o)
	return slices.DeleteFunc(all, func(i image.Summary) bool { return l.e.foreign(i.Labels) }), err
}

func (l lens) ImageInspect(ctx context.Context, ref string, o ...client.ImageInspectOption) (image.InspectResponse, error) {
	found, err := l.APIClient.ImageInspect(ctx, ref, o...)
	l.e.mu.Lock()
	defer l.e.mu.Unlock()
	if l.e.aged {
		found.Metadata.LastTagTime = found.Metadata.LastTagTime.AddDate(0, 0, -7)
	}
	return found, err
}
