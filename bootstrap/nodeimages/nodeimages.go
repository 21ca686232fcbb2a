// Package nodeimages brings images into the nodes of a cluster without a registry, and knows which node has which. Images come
// from the engine or an archive into this machine's image store, and from there into all nodes that lack them. The work in a
// node is done by bonsai-agent, which knows containerd.
//
// Begin reading at FromEngine and FromArchive, which fill the store, and Deliver; stage.go has large layers unpacked once for all
// nodes, and fill.go plans what nodes lack that come later.
package nodeimages

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/imagestore"
	"bonsai/bootstrap/node"
)

// Driver is the part of a node.Driver that is needed here.
type Driver interface {
	Exec(ctx context.Context, container string, e node.Exec) (int, error)
	FindImages(ctx context.Context, refs []string) ([]node.Image, error)
	SaveImages(ctx context.Context, refs []string) (io.ReadCloser, error)
	ReadLayers(ctx context.Context, container, id string, layers []string, w io.Writer) error
	StageLayers(ctx context.Context, s cluster.LayerStaging) error
}

// Image is an image of the store, with the names that it has in nodes: complete, the ones by digest last.
type Image struct {
	imagestore.Image
	Names []string
}

// arch is that of all nodes: they run this executable.
const arch = runtime.GOARCH

// Why an archive was readable but cannot be used.
var errNoName = errors.New("it holds no image with a name and tag")

// FromArchive stores the images of an archive of "docker save" or in OCI form, and returns those that have names. Call the
// store's Use first.
func FromArchive(store imagestore.Store, r io.Reader) ([]Image, error) {
	archived, err := store.ReadArchive(r)
	if err != nil {
		return nil, archiveFault(err)
	}
	var images []Image
	var skipped error
	for _, a := range archived {
		i, err := complete(store, a.Target)
		if errors.Is(err, imagestore.ErrPlatform) {
			skipped = err
			continue
		}
		if err != nil {
			return nil, archiveFault(err)
		}
		if names := i.Names(a.Tags, nil); len(names) > 0 && len(a.Tags) > 0 {
			images = append(images, Image{i, names})
		}
	}
	if len(images) == 0 && skipped != nil {
		return nil, archiveFault(skipped)
	}
	if len(images) == 0 {
		return nil, archiveFault(errNoName)
	}
	return images, nil
}

func archiveFault(err error) error {
	return explain(fault.Image, "read the archive", err, cluster.Advise("check that it is an archive of docker save or OCI, for this machine's architecture"))
}

// complete finds an image of which the store has everything.
func complete(store imagestore.Store, target string) (imagestore.Image, error) {
	i, err := store.Resolve(target, arch)
	if err != nil {
		return i, err
	}
	for _, l := range i.Layers {
		if !store.Has(l.Content.Digest) {
			return i, fmt.Errorf("layer %s is %w", l.Content.Digest, imagestore.ErrMissing)
		}
	}
	return i, nil
}

// FromEngine stores images of the Docker engine, reading from it only what the store lacks, if the engine can do that with the
// software of one of the nodes. Pods find them under the names of refs, and under the digests by which the engine knows them. log
// says why an image was read as a whole although the store has parts of it. Call the store's Use first.
func FromEngine(ctx context.Context, d Driver, store imagestore.Store, nodes []node.Container, refs []string, log *slog.Logger) ([]Image, error) {
	found, err := d.FindImages(ctx, refs)
	if err != nil {
		return nil, err
	}
	targets := map[string]string{} // by the engine's ID
	var absent []string
	for _, ref := range refs {
		i := slices.IndexFunc(found, func(i node.Image) bool { return i.Ref == ref })
		if i < 0 {
			absent = append(absent, ref) // the engine says what it does not have
			continue
		}
		target, _ := stored(store, found[i]) // what it lacks is read next
		if target == "" && len(nodes) > 0 && found[i].Size >= smallImage && slices.ContainsFunc(found[i].Layers, store.Has) {
			if target, err = readLayers(ctx, d, store, nodes[0], found[i]); err != nil {
				log.Debug("layers cannot be read separately, reading the whole image", "image", ref, "err", err)
			}
		}
		if target != "" {
			targets[found[i].ID] = target
		} else {
			absent = append(absent, ref)
		}
	}
	if len(absent) > 0 {
		if err := save(ctx, d, store, absent, targets); err != nil {
			return nil, err
		}
	}
	var images []Image
	for _, f := range found {
		target, ok := targets[f.ID]
		if !ok {
			return nil, archiveFault(fmt.Errorf("the engine's archive lacks %s", f.Ref))
		}
		i, err := complete(store, target)
		if err != nil {
			return nil, archiveFault(err)
		}
		var tags []string
		digests := map[string][]string{target: f.Digests}
		switch {
		case strings.Contains(f.Ref, "@"):
			digests[target] = append(digests[target], f.Ref)
		case !strings.HasPrefix(f.Ref, "sha256:") && !strings.HasPrefix(strings.TrimPrefix(f.ID, "sha256:"), f.Ref):
			tags = append(tags, f.Ref)
		}
		names := i.Names(tags, digests)
		if len(names) == 0 {
			return nil, archiveFault(errNoName)
		}
		if n := slices.IndexFunc(images, func(i Image) bool { return i.Target.Digest == target }); n >= 0 {
			images[n].Names = append(images[n].Names, names...)
			continue
		}
		images = append(images, Image{i, names})
	}
	return images, nil
}

// stored returns what names of an engine's image lead to in the store; the error says what of it that lacks.
func stored(store imagestore.Store, i node.Image) (string, error) {
	// With containerd's image store, the ID is that of a manifest or an index.
	if _, err := complete(store, i.ID); err == nil {
		return i.ID, nil
	}
	// Otherwise it is that of the configuration, and layers are not compressed.
	target, err := store.Assemble(i.ID, i.Layers)
	if err != nil {
		return "", err
	}
	return target, nil
}

// smallImage is the size in bytes from which it takes less time to start a container that reads layers than to have the engine
// save all of them. If the store has none of the layers, saving takes half the time: a container's output goes a longer way.
const smallImage = 16 << 20

// readLayers stores what the store lacks of an image, and returns what its names lead to. After an error, the
// image can still be read as a whole: the engine may be one that cannot do this.
func readLayers(ctx context.Context, d Driver, store imagestore.Store, software node.Container, i node.Image) (string, error) {
	var missing []string
	for _, l := range i.Layers {
		if !store.Has(l) && !slices.Contains(missing, l) {
			missing = append(missing, l)
		}
	}
	r, w := io.Pipe()
	read := make(chan error, 1)
	go func() {
		err := d.ReadLayers(ctx, software.Name, i.ID, missing, w)
		_ = w.CloseWithError(err) // nil reads as the end
		read <- err
	}()
	err := store.ReadBlobs(r)
	_ = r.CloseWithError(errImportEnded)
	if err := errors.Join(err, <-read); err != nil {
		return "", err
	}
	return stored(store, i)
}

// save reads images as an archive, with everything that belongs to them, and adds them to targets.
func save(ctx context.Context, d Driver, store imagestore.Store, refs []string, targets map[string]string) error {
	source, err := d.SaveImages(ctx, refs)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	archived, err := store.ReadArchive(source)
	if err != nil {
		return explain(fault.Engine, "read images from the Docker engine", err)
	}
	for _, a := range archived {
		i, err := store.Resolve(a.Target, arch)
		if err != nil {
			return archiveFault(err)
		}
		for _, id := range []string{i.Target.Digest, i.Manifest.Digest, i.Config.Digest} {
			targets[id] = a.Target
		}
	}
	return nil
}

// List returns the images of each node, by the node's name.
func List(ctx context.Context, d Driver, nodes []node.Container) (map[string][]cluster.NodeImage, error) {
	lists, errs := make([][]cluster.NodeImage, len(nodes)), make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() {
			var stdout, stderr bytes.Buffer
			code, err := d.Exec(ctx, n.Name, node.Exec{Cmd: []string{"bonsai-agent", "images", "ls", "-o", "json"}, Stdout: &stdout, Stderr: &stderr})
			if err == nil && code != 0 {
				err = errors.New(lastLine(stderr.String()))
			}
			if err == nil {
				err = json.Unmarshal(stdout.Bytes(), &lists[i])
			}
			if _, ok := errors.AsType[*fault.Fault](err); err != nil && !ok {
				err = fault.New(fault.Node, "list the images of "+n.Node, err)
			}
			errs[i] = err
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	byNode := map[string][]cluster.NodeImage{}
	for i, n := range nodes {
		byNode[n.Node] = lists[i]
	}
	return byNode, nil
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
