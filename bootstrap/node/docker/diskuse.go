package docker

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/docker/docker/api/types"

	"bonsai/bootstrap/node"
)

// DiskUse lists what is bonsai's.
func (d *Driver) DiskUse(ctx context.Context, keep string) (list []node.Use, err error) {
	ctx, cancel := d.within(ctx, copyLimit) // the engine reads all files of all volumes
	defer cancel()
	defer func() { err = d.failure(ctx, "measure what the engine stores", err) }()
	spare, err := d.unneeded(ctx, keep)
	if err != nil {
		return nil, err
	}
	used, err := d.api.DiskUsage(ctx, types.DiskUsageOptions{
		Types: []types.DiskUsageObject{types.ContainerObject, types.VolumeObject, types.ImageObject},
	})
	if err != nil {
		return nil, err
	}
	add := func(kind, name string, labels map[string]string, bytes int64, prunable bool) {
		if labels[node.LabelID] == "" && labels[node.LabelPayload] == "" {
			return // not bonsai's
		}
		list = append(list, node.Use{
			Kind: kind, Name: name, Cluster: labels[node.LabelCluster], ClusterID: labels[node.LabelID], Node: labels[node.LabelNode],
			Payload: labels[node.LabelPayload], Bytes: bytes, Prunable: prunable,
		})
	}
	for _, c := range used.Containers {
		add(node.UseContainer, strings.TrimPrefix(append(c.Names, c.ID)[0], "/"), c.Labels, c.SizeRw, slices.Contains(spare.containers, c.ID))
	}
	for _, v := range used.Volumes {
		bytes := int64(-1)
		if v.UsageData != nil {
			bytes = v.UsageData.Size
		}
		add(node.UseVolume, v.Name, v.Labels, bytes, slices.Contains(spare.volumes, v.Name))
	}
	for _, i := range used.Images {
		add(node.UseImage, append(i.RepoTags, i.ID)[0], i.Labels, i.Size, slices.Contains(spare.images, i.ID))
	}
	slices.SortFunc(list, func(a, b node.Use) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name)) })
	return list, nil
}
