package nodeimages

import (
	"context"
	"crypto/rand"
	"path"
	"slices"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/imagestore"
)

// stageFrom is how many bytes of layers nodes must lack, all together, for a container that unpacks them to be worth its start: it
// takes about as long as sending that much.
const stageFrom = 48 << 20

// staging says which layers wait unpacked in which nodes.
type staging struct {
	// folder is the name of the delivery's own folder in cluster.NodeLayers; empty if nothing was staged, not even in part.
	folder string
	chains map[string][]string // by the node's container
}

func (s staging) has(container, chain string) bool {
	return slices.Contains(s.chains[container], chain)
}

func (s staging) any(container string) bool { return len(s.chains[container]) > 0 }

// stage has large layers unpacked once for all nodes that lack them. After an error, what it returns has only the folder, in
// which something may be left.
func stage(ctx context.Context, d Driver, store imagestore.Store, nodes []recipient, images []Image) (staging, error) {
	layers, bytes := stageable(nodes, images)
	if bytes < stageFrom {
		return staging{}, nil
	}
	s := staging{folder: strings.ToLower(rand.Text()), chains: map[string][]string{}}
	for _, l := range layers {
		for _, container := range l.Volumes {
			s.chains[container] = append(s.chains[container], l.Chain)
		}
	}
	err := d.StageLayers(ctx, cluster.LayerStaging{Blobs: store.Blobs(), Folder: path.Join(cluster.NodeLayers, s.folder), Layers: layers})
	if err != nil {
		s.chains = nil
	}
	return s, err
}

// stageable are the layers that can be unpacked beside the nodes, each after the one below it, and their bytes, counted for each
// node: those that nodes lack together with all layers below, which are needed to unpack them.
func stageable(nodes []recipient, images []Image) (layers []cluster.StagedLayer, bytes int64) {
	seen := map[string][]string{} // the containers that get it, by the chain
	for _, i := range images {
		for _, l := range i.Layers {
			if _, ok := seen[l.Chain]; ok {
				continue
			}
			var to []string
			for _, n := range nodes {
				if !slices.Contains(n.held, l.Chain) && (l.Parent == "" || slices.Contains(seen[l.Parent], n.Name)) {
					to = append(to, n.Name)
					bytes += l.Content.Size
				}
			}
			seen[l.Chain] = to
			if len(to) > 0 {
				layers = append(layers, cluster.StagedLayer{
					DeliveredLayer: delivered(l), Blob: l.Content.Digest, Volumes: to,
				})
			}
		}
	}
	return layers, bytes
}

func delivered(l imagestore.Layer) cluster.DeliveredLayer {
	return cluster.DeliveredLayer{Chain: l.Chain, Parent: l.Parent, DiffID: l.DiffID, MediaType: l.Content.MediaType}
}
