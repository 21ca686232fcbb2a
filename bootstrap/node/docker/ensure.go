package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/volume"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
)

// EnsureNode makes the node's container exist with these settings and run.
func (d *Driver) EnsureNode(ctx context.Context, n node.NodeSpec) (err error) {
	op := "start node " + n.Node.Name
	limit := startLimit
	if n.Data != nil {
		limit += dataLimit
	}
	ctx, cancel := d.within(ctx, limit)
	defer cancel()
	defer func() { err = d.failure(ctx, op, err) }()

	payload, err := d.payloadVolume(ctx, n.Payload)
	if err != nil {
		return err
	}
	name := node.ContainerName(n.Spec, n.Node)
	found, err := d.api.ContainerInspect(ctx, name)
	switch {
	case errdefs.IsNotFound(err):
		return d.createNode(ctx, op, n, payload)
	case err != nil:
		return err
	}
	labels := found.Config.Labels
	if labels[node.LabelID] != n.Spec.ID {
		return foreign(op, "container "+name, labels)
	}
	resized, err := d.setLimits(ctx, found, n.Node)
	if err != nil {
		return err
	}
	switch state := found.State; {
	case labels[node.LabelConfig] != configHash(n, payload), !resized, state.Dead, state.Status == container.StateRemoving:
	case !connected(found, n):
		d.log.Info("a node is not on its network any more, recreating it", "node", n.Node.Name)
	case state.Paused:
		if err := d.api.ContainerUnpause(ctx, found.ID); err != nil {
			return err
		}
		return d.updateFiles(ctx, found.ID, n.Files)
	case state.Running:
		return d.updateFiles(ctx, found.ID, n.Files)
	default:
		err := d.startNode(ctx, found.ID, n.Files)
		if err == nil || ctx.Err() != nil {
			return err
		}
		// Its network may have been pruned while it was stopped, or the engine grants less than before: the container,
		// which only holds settings, can be recreated; the data is on the volume.
		d.log.Info("a stopped node does not start, recreating it", "node", n.Node.Name, "cause", err)
	}
	if err := d.removeNodeContainer(ctx, found.ID); err != nil {
		return err
	}
	return d.createNode(ctx, op, n, payload)
}

// connected reports whether a container, running or not, belongs to the cluster's network. "docker network disconnect" ends
// that; one that is connected again would have another interface than the one that the node has set up.
func connected(c container.InspectResponse, n node.NodeSpec) bool {
	return c.NetworkSettings != nil && c.NetworkSettings.Networks[node.NetworkName(n.Spec)] != nil
}

// setLimits gives a container, running or not, the limits of its node. It reports false if only another container can have
// them: the engine changes limits, and removes none.
func (d *Driver) setLimits(ctx context.Context, found container.InspectResponse, n cluster.Node) (bool, error) {
	have := found.HostConfig.Resources
	switch {
	case have.NanoCPUs == nanoCPUs(n) && have.Memory == n.MemoryBytes:
		return true, nil
	case have.NanoCPUs != 0 && n.CPUs == 0, have.Memory != 0 && n.MemoryBytes == 0:
		return false, nil
	}
	_, err := d.api.ContainerUpdate(ctx, found.ID, container.UpdateConfig{Resources: container.Resources{
		NanoCPUs: nanoCPUs(n), Memory: n.MemoryBytes, MemorySwap: n.MemoryBytes,
	}})
	if err != nil {
		return false, fmt.Errorf("change the limits of node %s: %w", n.Name, err)
	}
	return true, nil
}

// createNode creates the volume and the container and starts it, with what the engine grants.
func (d *Driver) createNode(ctx context.Context, op string, n node.NodeSpec, payload string) error {
	making, cancel, err := d.whole(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	v, err := d.api.VolumeCreate(making, volume.CreateOptions{Name: node.VolumeName(n.Spec, n.Node), Labels: ours(nodeLabels(n))})
	if err != nil {
		return err
	}
	if v.Labels[node.LabelID] != n.Spec.ID {
		return foreign(op, "volume "+v.Name, v.Labels)
	}
	for g := d.grant(ctx); ; {
		err = d.createWith(ctx, op, n, payload, g)
		if err == nil || ctx.Err() != nil || !isRefusal(err) {
			return err
		}
		less, again := d.refused(ctx, g, n.Image, err)
		if !again {
			return err
		}
		g = less
	}
}

// createWith makes and starts the container, or leaves none.
func (d *Driver) createWith(ctx context.Context, op string, n node.NodeSpec, payload string, g grant) error {
	s := containerConfig(n, payload, g)
	ours(s.Config.Labels)[node.LabelConfig] = configHash(n, payload)
	making, cancel, err := d.whole(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	c, err := d.api.ContainerCreate(making, s.Config, s.Host, s.Network, nil, node.ContainerName(n.Spec, n.Node))
	if err != nil {
		if errdefs.IsConflict(err) {
			return fault.New(fault.Conflict, op, err).Advise("another bonsai command is working on this cluster; try again")
		}
		return err
	}
	err = d.checkPayload(ctx, payload)
	if err == nil {
		err = d.fill(ctx, c.ID, n.Data)
	}
	if err == nil {
		err = d.startNode(ctx, c.ID, n.Files)
	}
	if err != nil {
		d.discard(ctx, c.ID)
	}
	if errors.Is(err, errNoPayload) {
		d.discardVolume(ctx, payload)
	}
	return err
}

// FillNode writes data into the container of a node that does not run.
func (d *Driver) FillNode(ctx context.Context, name string, open func() (io.ReadCloser, error)) error {
	op := "fill " + name
	ctx, cancel := d.within(ctx, dataLimit)
	defer cancel()
	err := d.fill(ctx, name, open)
	if errdefs.IsNotFound(err) {
		return fault.New(fault.NodeNotFound, op, err).Advise("see its nodes", cluster.Bonsai("node", "list"))
	}
	return d.failure(ctx, op, err)
}

// fill extracts an archive into a container that was not started yet.
func (d *Driver) fill(ctx context.Context, id string, open func() (io.ReadCloser, error)) error {
	if open == nil {
		return nil
	}
	r, err := open()
	if err != nil {
		return fmt.Errorf("write data: %w", err)
	}
	// Not r itself, which the client of HTTP would close.
	err = d.api.CopyToContainer(ctx, id, "/", struct{ io.Reader }{r}, container.CopyToContainerOptions{})
	if err := errors.Join(err, r.Close()); err != nil {
		return fmt.Errorf("write data: %w", err)
	}
	return nil
}

// startNode always writes the files of a stopped container, and starts it.
func (d *Driver) startNode(ctx context.Context, id string, files []node.File) error {
	if err := d.writeFiles(ctx, id, files, filesHash(files)); err != nil {
		return err
	}
	return d.api.ContainerStart(ctx, id, container.StartOptions{})
}

// hashFile records, in the container, which files were written last.
const hashFile = cluster.NodeConfigDir + "/.hash"

// updateFiles writes the files of a running container if they have changed.
func (d *Driver) updateFiles(ctx context.Context, id string, files []node.File) error {
	want := filesHash(files)
	have, err := d.readFile(ctx, id, hashFile)
	if absent(err) != nil || string(have) == want {
		return err
	}
	return d.writeFiles(ctx, id, files, want)
}

func filesHash(files []node.File) string {
	sorted := slices.SortedFunc(slices.Values(files), func(a, b node.File) int { return strings.Compare(a.Path, b.Path) })
	h := sha256.New()
	for _, f := range sorted {
		fmt.Fprintf(h, "%s %o %x\n", f.Path, f.Mode.Perm(), sha256.Sum256(f.Data))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// writeFiles writes files into a container, the file with their hash last.
func (d *Driver) writeFiles(ctx context.Context, id string, files []node.File, hash string) error {
	archive, err := fileArchive(append(slices.Clone(files), node.File{Path: hashFile, Mode: 0o600, Data: []byte(hash)}))
	if err != nil {
		return err
	}
	if err := d.api.CopyToContainer(ctx, id, "/", archive, container.CopyToContainerOptions{}); err != nil {
		return fmt.Errorf("write files: %w", err)
	}
	return nil
}

// fileArchive creates a tar stream of files with their folders. Folders at the root belong to the image and are left as
// they are; the others are included, because the engine would make them writable for everybody.
func fileArchive(files []node.File) (io.Reader, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	made := map[string]bool{}
	for _, f := range files {
		var parents []string
		for dir := path.Dir(f.Path); strings.Count(dir, "/") > 1 && !made[dir]; dir = path.Dir(dir) {
			parents, made[dir] = append(parents, dir), true
		}
		for _, dir := range slices.Backward(parents) {
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir[1:] + "/", Mode: 0o755}); err != nil {
				return nil, err
			}
		}
		header := &tar.Header{Typeflag: tar.TypeReg, Name: f.Path[1:], Mode: int64(f.Mode.Perm()), Size: int64(len(f.Data))}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.Data); err != nil {
			return nil, err
		}
	}
	return &buf, w.Close()
}

// readFile reads a small file of a container, running or not.
func (d *Driver) readFile(ctx context.Context, id, name string) (data []byte, err error) {
	stream, _, err := d.api.CopyFromContainer(ctx, id, name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stream.Close()) }()
	r := tar.NewReader(stream)
	if _, err := r.Next(); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, 1<<20))
}
