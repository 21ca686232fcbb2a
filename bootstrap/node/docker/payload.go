package docker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
)

// A payload is stored in a volume with a random name that is filled once, through a container that never runs, and then
// published: an empty volume named after the hash points to it with a label. The engine creates a volume of a given
// name only once and never changes its labels, so that publishing is atomic without any lock. Nodes mount what was
// published; a volume that was not, because its writer died or is still writing, is never mounted. If two writers run
// at once, both finish, one is published, and the other removes its own. Checking whether a payload exists costs two
// inspections.
const (
	// labelData, on the empty volume, names the filled one. On the filled one it holds its own name, which
	// distinguishes it from one that Docker created because a missing name was mounted.
	labelData = "io.bonsai.payload.data"
	// abandoned is the age at which an unpublished volume and its container are no longer considered work in progress.
	abandoned = 10 * time.Minute
)

func publishedName(hash string) string { return "bonsai-payload-" + hash[:min(12, len(hash))] }

// EnsurePayload loads the image and fills and publishes the volume, if they are missing.
func (d *Driver) EnsurePayload(ctx context.Context, p node.Payload, progress func(done, total int64)) error {
	const op = "load the node payload"
	if err := d.ensureImage(ctx, p); err != nil {
		return d.failure(ctx, op, err)
	}
	switch _, err := d.payloadVolume(ctx, p.Hash); {
	case err == nil:
		return nil
	case !errors.Is(err, errNoPayload):
		return err
	}
	return d.fillPayload(ctx, op, p, progress)
}

// errNoPayload means that no complete volume of that hash is published.
var errNoPayload = errors.New("the payload is not in the engine")

// checkPayload checks whether the volume that a container was created with is the published one. If it was removed
// since it was looked up, the engine has created an empty one of the same name.
func (d *Driver) checkPayload(ctx context.Context, name string) error {
	v, err := d.api.VolumeInspect(ctx, name)
	if absent(err) != nil {
		return err
	}
	if v.Labels[labelData] == name && err == nil {
		return nil
	}
	d.mu.Lock()
	clear(d.volumes)
	d.mu.Unlock()
	return errNoPayload
}

// payloadVolume returns the published volume of a payload.
func (d *Driver) payloadVolume(ctx context.Context, hash string) (string, error) {
	d.mu.Lock()
	name := d.volumes[hash]
	d.mu.Unlock()
	if name != "" {
		return name, nil
	}
	op := "find payload " + hash
	ctx, cancel := d.within(ctx, callLimit)
	defer cancel()
	pointer, err := d.api.VolumeInspect(ctx, publishedName(hash))
	if err == nil {
		var data volume.Volume
		if data, err = d.api.VolumeInspect(ctx, pointer.Labels[labelData]); err == nil {
			if pointer.Labels[node.LabelPayload] == hash && data.Labels[labelData] == data.Name {
				d.remember(hash, data.Name)
				return data.Name, nil
			}
		}
	}
	if absent(err) != nil {
		return "", d.failure(ctx, op, err)
	}
	return "", fault.New(fault.Engine, op, errNoPayload)
}

func (d *Driver) remember(hash, name string) {
	d.mu.Lock()
	d.volumes[hash] = name
	d.mu.Unlock()
}

// fillPayload writes the payload into a new volume and publishes it.
func (d *Driver) fillPayload(ctx context.Context, op string, p node.Payload, progress func(done, total int64)) (err error) {
	ctx, cancel := d.within(ctx, copyLimit)
	defer cancel()
	defer func() { err = d.failure(ctx, op, err) }()

	name := publishedName(p.Hash) + "-" + strings.ToLower(rand.Text()[:8])
	labels := ours(map[string]string{node.LabelPayload: p.Hash, labelData: name})
	// The volume is created with the container, so that it is in use from the start and cannot be pruned.
	helper, err := d.api.ContainerCreate(ctx, &container.Config{Image: p.ImageRef, Labels: labels},
		&container.HostConfig{NetworkMode: "none", Mounts: []mount.Mount{{
			Type: mount.TypeVolume, Source: name, Target: cluster.PayloadDir,
			VolumeOptions: &mount.VolumeOptions{NoCopy: true, Labels: labels},
		}}}, nil, nil, name)
	if err != nil {
		return err
	}
	published := ""
	defer func() {
		d.discard(ctx, helper.ID)
		if published != name {
			d.discardVolume(ctx, name)
		}
	}()
	stream, err := p.Volume()
	if err != nil {
		return err
	}
	defer stream.Close()
	counted := &counter{r: stream, total: p.Size, report: progress}
	if err := d.api.CopyToContainer(ctx, helper.ID, cluster.PayloadDir, counted, container.CopyToContainerOptions{}); err != nil {
		return fmt.Errorf("after %d MiB: %w", counted.done>>20, err)
	}
	published, err = d.publish(ctx, p.Hash, name)
	if err == nil {
		d.remember(p.Hash, published)
	}
	return err
}

// publish points the hash to the filled volume, unless it already points to another complete one, and returns the name
// that it finally points to.
func (d *Driver) publish(ctx context.Context, hash, name string) (string, error) {
	for range 3 {
		pointer, err := d.api.VolumeCreate(ctx, volume.CreateOptions{
			Name: publishedName(hash), Labels: ours(map[string]string{node.LabelPayload: hash, labelData: name}),
		})
		if err != nil || pointer.Labels[labelData] == name {
			return name, err
		}
		if other, err := d.payloadVolume(ctx, hash); err == nil {
			return other, nil
		}
		// It points to a volume that is gone, and nothing mounts an empty volume.
		if err := d.api.VolumeRemove(ctx, publishedName(hash), false); absent(err) != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("volume %s keeps changing", publishedName(hash))
}

// counter counts what is read through it.
type counter struct {
	r           io.Reader
	done, total int64
	report      func(done, total int64)
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.done += int64(n)
	if c.report != nil {
		c.report(c.done, max(c.total, c.done))
	}
	return n, err
}

// ensureImage loads the node image if its tag does not exist or belongs to another payload.
func (d *Driver) ensureImage(ctx context.Context, p node.Payload) error {
	ctx, cancel := d.within(ctx, copyLimit)
	defer cancel()
	found, err := d.api.ImageInspect(ctx, p.ImageRef)
	if err == nil && found.Config != nil && found.Config.Labels[node.LabelPayload] == p.Hash {
		return nil
	}
	if absent(err) != nil {
		return d.failure(ctx, "inspect image "+p.ImageRef, err)
	}
	archive, err := p.Image()
	if err != nil {
		return err
	}
	defer archive.Close()
	resp, err := d.api.ImageLoad(ctx, archive, client.ImageLoadWithQuiet(true))
	if err != nil {
		return d.failure(ctx, "load image "+p.ImageRef, err)
	}
	// The answer is a stream that may contain an error; what counts is whether there is an image to tag afterwards.
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return d.failure(ctx, "load image "+p.ImageRef, err)
	}
	// Tagging also records the time, unlike loading, and PrunePayloads recognises a new image by it.
	if err := d.api.ImageTag(ctx, p.ImageRef, p.ImageRef); err != nil {
		return d.failure(ctx, "load image "+p.ImageRef, fmt.Errorf("%w (%s)", err, strings.TrimSpace(string(answer))))
	}
	return nil
}

// PrunePayloads removes the payloads that no container uses, except keep, and what interrupted writers left. Objects
// younger than abandoned stay: they may be about to be used.
func (d *Driver) PrunePayloads(ctx context.Context, keep string) (err error) {
	ctx, cancel := d.within(ctx, goneLimit)
	defer cancel()
	defer func() { err = d.failure(ctx, "prune payloads", err) }()

	spare, err := d.unneeded(ctx, keep)
	if err != nil {
		return err
	}
	for _, id := range spare.containers {
		if err := d.removeContainer(ctx, id); err != nil {
			return err
		}
	}
	for _, name := range spare.volumes {
		if err := unlessUsed(d.api.VolumeRemove(ctx, name, false)); err != nil {
			return err
		}
	}
	d.mu.Lock()
	clear(d.volumes) // found again at the next look
	d.mu.Unlock()
	for _, id := range spare.images {
		_, err := d.api.ImageRemove(ctx, id, image.RemoveOptions{PruneChildren: true})
		if err := unlessUsed(err); err != nil {
			return err
		}
	}
	return nil
}

// unneeded is what PrunePayloads removes.
type unneeded struct{ containers, volumes, images []string }

func (d *Driver) unneeded(ctx context.Context, keep string) (spare unneeded, err error) {
	ours := filters.NewArgs(filters.Arg("label", node.LabelPayload))
	old := time.Now().Add(-d.scale.Of(abandoned))
	containers, err := d.api.ContainerList(ctx, container.ListOptions{All: true, Filters: ours})
	if err != nil {
		return spare, err
	}
	used := map[string]bool{keep: true}
	for _, c := range containers {
		switch {
		case c.Labels[node.LabelCluster] != "", time.Unix(c.Created, 0).After(old):
			used[c.Labels[node.LabelPayload]] = true
		default: // a writer's container whose writer died
			spare.containers = append(spare.containers, c.ID)
		}
	}
	volumes, err := d.api.VolumeList(ctx, volume.ListOptions{Filters: ours})
	if err != nil {
		return spare, err
	}
	published := map[string]bool{}
	for _, v := range volumes.Volumes {
		if v.Labels[labelData] != v.Name {
			published[v.Name], published[v.Labels[labelData]] = true, true
		}
	}
	for _, v := range volumes.Volumes {
		hash := v.Labels[node.LabelPayload]
		if made, err := time.Parse(time.RFC3339, v.CreatedAt); err != nil || made.After(old) {
			used[hash] = true
		} else if !used[hash] || !published[v.Name] {
			spare.volumes = append(spare.volumes, v.Name)
		}
	}
	images, err := d.api.ImageList(ctx, image.ListOptions{Filters: ours})
	if err != nil {
		return spare, err
	}
	for _, i := range images {
		if used[i.Labels[node.LabelPayload]] {
			continue
		}
		// An image is loaded before its volume is created.
		found, err := d.api.ImageInspect(ctx, i.ID)
		switch {
		case err != nil:
			if err := unlessUsed(err); err != nil {
				return spare, err
			}
		case !found.Metadata.LastTagTime.After(old):
			spare.images = append(spare.images, i.ID)
		}
	}
	return spare, nil
}

// unlessUsed drops the errors of a removal that say that the object is gone or in use.
func unlessUsed(err error) error {
	if errdefs.IsNotFound(err) || errdefs.IsConflict(err) {
		return nil
	}
	return err
}
