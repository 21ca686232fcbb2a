// Package nodeimages brings images into the nodes of a cluster without a registry, and knows which node has which. The
// work in a node is done by bonsai-agent, which knows containerd; this side moves archives between the engine, files and
// nodes.
//
// Begin reading at Load; fill.go gives nodes what others have.
package nodeimages

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
)

// Driver is the part of a node.Driver that is needed here.
type Driver interface {
	Exec(ctx context.Context, container string, e node.Exec) (int, error)
	FindImages(ctx context.Context, refs []string) ([]node.Image, error)
	SaveImages(ctx context.Context, refs []string) (io.ReadCloser, error)
}

// FromEngine loads images of the Docker engine into nodes. Pods find them under the names of refs, and under the digests
// by which the engine knows them.
func FromEngine(ctx context.Context, d Driver, nodes []node.Container, refs []string) ([]cluster.LoadedImage, error) {
	found, err := d.FindImages(ctx, refs)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, i := range found {
		for _, digest := range i.Digests {
			if name := i.ID + "=" + digest; !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	if slices.ContainsFunc(refs, func(ref string) bool { return strings.Contains(ref, "@") }) {
		names = append(names, "-a") // it has no tag in the archive
	}
	var layers []string
	for _, i := range found {
		layers = append(layers, i.Layers...)
	}
	if held := heldByAll(ctx, d, nodes, layers); len(held) > 0 {
		if loaded, err := loadMissing(ctx, d, nodes, refs, names, held); err == nil || ctx.Err() != nil {
			return loaded, err
		}
		// Whatever is special about this archive, or has changed in a node: all of it can be loaded.
	}
	source, err := d.SaveImages(ctx, refs)
	if err != nil {
		return nil, err
	}
	defer func() { _ = source.Close() }()
	return Load(ctx, d, nodes, source, names)
}

// loadMissing is FromEngine without the layers that all nodes have.
func loadMissing(ctx context.Context, d Driver, nodes []node.Container, refs, names []string, held map[string]bool) ([]cluster.LoadedImage, error) {
	source, err := d.SaveImages(ctx, refs)
	if err != nil {
		return nil, err
	}
	defer func() { _ = source.Close() }()
	r, w := io.Pipe()
	rewritten := make(chan error, 1)
	go func() {
		err := withoutLayers(w, source, held)
		_ = w.CloseWithError(err) // nil reads as the end
		rewritten <- err
	}()
	loaded, err := Load(ctx, d, nodes, r, names)
	_ = r.CloseWithError(errImportEnded)
	return loaded, errors.Join(<-rewritten, err)
}

// heldByAll returns those layers that every node has; none if that cannot be found out.
func heldByAll(ctx context.Context, d Driver, nodes []node.Container, layers []string) map[string]bool {
	if len(layers) == 0 {
		return nil
	}
	lists := make([][]string, len(nodes))
	each(nodes, func(i int, n node.Container) {
		out, err := run(ctx, d, n, nil, slices.Concat([]string{"held"}, layers)...)
		if err != nil || json.Unmarshal(out, &lists[i]) != nil {
			lists[i] = nil
		}
	})
	held := map[string]bool{}
	for _, layer := range layers {
		if !slices.ContainsFunc(lists, func(list []string) bool { return !slices.Contains(list, layer) }) {
			held[layer] = true
		}
	}
	return held
}

// Load streams one archive into nodes in parallel and returns its images. names are further names for them,
// ID=NAME@DIGEST; -a among them stands for images without any other. A node that fails does not affect the others.
func Load(ctx context.Context, d Driver, nodes []node.Container, source io.Reader, names []string) ([]cluster.LoadedImage, error) {
	var wg sync.WaitGroup
	writers := make([]*io.PipeWriter, len(nodes))
	outputs, errs := make([]bytes.Buffer, len(nodes)), make([]error, len(nodes))
	for i, n := range nodes {
		r, w := io.Pipe()
		writers[i] = w
		wg.Go(func() {
			var stderr bytes.Buffer
			code, err := d.Exec(ctx, n.Name, node.Exec{
				Cmd: append([]string{"bonsai-agent", "images", "import", "-o", "json", "-"}, names...), Stdin: r, Stdout: &outputs[i], Stderr: &stderr,
			})
			_ = r.CloseWithError(errImportEnded)
			if err == nil && code != 0 {
				err = fault.New(fault.Image, "load images into "+n.Node, errors.New(lastLine(stderr.String()))).
					Advise("check that it is an archive of docker save or OCI, for this machine's architecture")
			}
			errs[i] = err
		})
	}
	err := fanOut(writers, source)
	wg.Wait()
	if joined := errors.Join(errs...); joined != nil {
		return nil, joined
	}
	if err != nil {
		return nil, fault.New(fault.Image, "read the archive", err)
	}
	var loaded []cluster.LoadedImage
	for i := range min(1, len(nodes)) { // all nodes have got the same
		if err := json.Unmarshal(outputs[i].Bytes(), &loaded); err != nil {
			return nil, fault.New(fault.Node, "load images into "+nodes[i].Node, fmt.Errorf("read the answer: %w", err))
		}
	}
	return loaded, nil
}

// errImportEnded is what the writing side gets from a node that accepts no more.
var errImportEnded = errors.New("the import has ended")

// fanOut copies source to all writers and closes them. A writer that fails is skipped from then on.
func fanOut(writers []*io.PipeWriter, source io.Reader) error {
	buf := make([]byte, 256<<10)
	live := slices.Clone(writers)
	for len(live) > 0 {
		n, err := source.Read(buf)
		live = slices.DeleteFunc(live, func(w *io.PipeWriter) bool {
			_, err := w.Write(buf[:n])
			return err != nil
		})
		if err == nil {
			continue
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		for _, w := range live {
			_ = w.CloseWithError(err) // nil reads as the end
		}
		return err
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
