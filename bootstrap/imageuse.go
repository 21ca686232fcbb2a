package bootstrap

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"bonsai/bootstrap/imagestore"
	"bonsai/bootstrap/statedir"
)

// ImageUse is what an image takes in the image store, which all clusters of a state folder share.
type ImageUse struct {
	// Target is the digest of its manifest or index.
	Target string
	// Names are those that clusters have for it, sorted; Clusters are these clusters.
	Names    []string
	Clusters []string
	// Bytes includes layers that other images share.
	Bytes int64
}

// ImageUsage returns what the image store takes on disk, all together and by image, largest first.
func ImageUsage(dir statedir.Dir) (total int64, images []ImageUse, err error) {
	names, err := dir.Clusters()
	if err != nil {
		return 0, nil, err
	}
	for _, c := range names {
		for name, s := range dir.Cluster(c).LoadedImages() {
			if s.Target == "" {
				continue
			}
			n := slices.IndexFunc(images, func(i ImageUse) bool { return i.Target == s.Target })
			if n < 0 {
				n = len(images)
				images = append(images, ImageUse{Target: s.Target})
			}
			images[n].Names = append(images[n].Names, name)
			images[n].Clusters = append(images[n].Clusters, c)
		}
	}
	var targets []string
	for n := range images {
		targets = append(targets, images[n].Target)
		slices.Sort(images[n].Names)
		images[n].Names = slices.Compact(images[n].Names)
		slices.Sort(images[n].Clusters)
		images[n].Clusters = slices.Compact(images[n].Clusters)
	}
	total, each, err := imagestore.New(dir.ImageStore()).Size(targets)
	for n := range images {
		images[n].Bytes = each[images[n].Target]
	}
	slices.SortFunc(images, func(a, b ImageUse) int { return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Target, b.Target)) })
	return total, images, err
}

// collectLimit bounds the wait for others who use the image store, such as a load into another cluster. What is left then goes
// with the next collection.
const collectLimit = 2 * time.Second

// CollectImages removes from the image store what no cluster needs, and returns how many bytes that freed.
func CollectImages(ctx context.Context, dir statedir.Dir) (freed int64, err error) {
	limited, cancel := context.WithTimeout(ctx, collectLimit)
	defer cancel()
	freed, err = imagestore.New(dir.ImageStore()).Collect(limited, dir.ImageTargets)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = nil
	}
	return freed, err
}
