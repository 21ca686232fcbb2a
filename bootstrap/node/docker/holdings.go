package docker

import (
	"context"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"bonsai/bootstrap/node"
)

// Holdings lists what the engine has of every cluster.
func (d *Driver) Holdings(ctx context.Context) (list []node.Holding, err error) {
	ctx, cancel := d.within(ctx, callLimit)
	defer cancel()
	defer func() { err = d.failure(ctx, "list clusters", err) }()
	var containers []container.Summary
	var networks []network.Summary
	var volumes volume.ListResponse
	err = each(3, func(i int) (err error) {
		switch f := labelled(""); i {
		case 0:
			containers, err = d.api.ContainerList(ctx, container.ListOptions{All: true, Filters: f})
		case 1:
			networks, err = d.api.NetworkList(ctx, network.ListOptions{Filters: f})
		default:
			volumes, err = d.api.VolumeList(ctx, volume.ListOptions{Filters: f})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	found := node.Inventory{}
	of := func(labels map[string]string) *node.Holding {
		return found.Of(labels[node.LabelID], labels[node.LabelCluster])
	}
	for _, c := range containers {
		h := of(c.Labels)
		h.Containers = append(h.Containers, strings.TrimPrefix(append(c.Names, c.ID)[0], "/"))
	}
	for _, v := range volumes.Volumes {
		h := of(v.Labels)
		h.Volumes = append(h.Volumes, v.Name)
	}
	for _, n := range networks {
		h := of(n.Labels)
		h.Networks = append(h.Networks, n.Name)
	}
	return found.List(), nil
}
