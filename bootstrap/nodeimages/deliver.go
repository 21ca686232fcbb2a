package nodeimages

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/imagestore"
	"bonsai/bootstrap/node"
)

// Deliver gives nodes images of the store, all nodes at once, and to each only the layers that it lacks. In each node an image
// gets its names when it is complete. A node that fails does not affect the others.
func Deliver(ctx context.Context, d Driver, store imagestore.Store, nodes []node.Container, images []Image, o Options) error {
	errs, held := make([]error, len(nodes)), make([][]string, len(nodes))
	if !o.New {
		each(nodes, func(i int, n node.Container) { held[i], errs[i] = unpacked(ctx, d, n, images) })
	}
	var ready []recipient
	for i, n := range nodes {
		if errs[i] == nil {
			ready = append(ready, recipient{Container: n, held: held[i]})
		}
	}
	staged, err := stage(ctx, d, store, ready, images)
	if err != nil {
		o.Log.Debug("layers are not unpacked once for all nodes, sending them to each", "err", err)
	}
	failed := make([]error, len(ready))
	var wg sync.WaitGroup
	for i, n := range ready {
		wg.Go(func() {
			failed[i] = deliver(ctx, d, store, n, images, staged, o.Last)
			if failed[i] != nil && ctx.Err() == nil && staged.any(n.Name) {
				o.Log.Debug("a node cannot use unpacked layers, sending them", "node", n.Node, "err", failed[i])
				failed[i] = deliver(ctx, d, store, n, images, staging{folder: staged.folder}, o.Last)
			}
		})
	}
	wg.Wait()
	err = errors.Join(append(errs, failed...)...)
	if err == nil || ctx.Err() != nil {
		return err
	}
	// Files of the store that were damaged are removed, so that they are not sent again.
	var layers []string
	for _, i := range images {
		for _, l := range i.Layers {
			layers = append(layers, l.Content.Digest)
		}
	}
	if damaged := store.Verify(layers); len(damaged) > 0 {
		return fault.Newf(fault.State, "%d layers in %s were damaged, and have been removed: %w", len(damaged), store.Dir(), err).
			Advise("load it again", cluster.Bonsai("image", "load", "IMAGE").Fill("IMAGE").Change())
	}
	return err
}

// Options are how images are delivered.
type Options struct {
	// New says that the nodes are new and have no image at all, so that they need not be asked what they have.
	New bool
	// Last says that the nodes wait for nothing else; see cluster.NodeImagesArrived.
	Last bool
	// Log says why large layers were not unpacked once for all nodes.
	Log *slog.Logger
}

// recipient is a node that gets images, with the chains of the layers that it has.
type recipient struct {
	node.Container
	held []string
}

// unpacked returns which layers of images a node has, by their chains.
func unpacked(ctx context.Context, d Driver, n node.Container, images []Image) (held []string, err error) {
	var chains []string
	for _, i := range images {
		for _, l := range i.Layers {
			if !slices.Contains(chains, l.Chain) {
				chains = append(chains, l.Chain)
			}
		}
	}
	if len(chains) == 0 {
		return nil, nil
	}
	out, err := run(ctx, d, n, nil, slices.Concat([]string{"unpacked"}, chains)...)
	if err == nil {
		err = json.Unmarshal(out, &held)
	}
	if err != nil && strings.HasPrefix(err.Error(), "usage: ") {
		return nil, fault.Newf(fault.Node, "load images into %s: its bonsai-agent is of another version", n.Node).
			Advise("have a start replace the nodes' containers", cluster.Bonsai("start").Change())
	}
	return held, explain(fault.Node, "load images into "+n.Node, err)
}

func deliver(ctx context.Context, d Driver, store imagestore.Store, n recipient, images []Image, staged staging, last bool) error {
	p, err := pack(store, images, n, staged, last)
	if err != nil {
		return explain(fault.State, "read the image store", err)
	}
	defer p.close()
	var stderr bytes.Buffer
	code, err := d.Exec(ctx, n.Name, node.Exec{Cmd: []string{"bonsai-agent", "images", "receive"}, Stdin: p.stream(), Stderr: &stderr})
	if err == nil && code != 0 {
		err = errors.New(lastLine(stderr.String()))
	}
	return explain(fault.Image, "load images into "+n.Node, err)
}

// parcel is a delivery as a stream: headers, and files that are open.
type parcel struct {
	parts []io.Reader
	files []*os.File
}

func (p *parcel) stream() io.Reader { return io.MultiReader(p.parts...) }

func (p *parcel) close() {
	for _, f := range p.files {
		_ = f.Close()
	}
}

// pack makes a delivery of what a node lacks.
func pack(store imagestore.Store, images []Image, n recipient, staged staging, last bool) (p *parcel, err error) {
	p = &parcel{}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	delivery := cluster.ImageDelivery{Staged: staged.folder, Last: last}
	sent := map[string]bool{}
	for _, h := range n.held {
		sent[h] = true
	}
	type content struct{ name, digest string }
	var contents []content
	for _, i := range images {
		image := cluster.DeliveredImage{Names: i.Names}
		for _, d := range i.Documents() {
			image.Documents = append(image.Documents, cluster.ImageDocument{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size})
			if !sent[d.Digest] {
				sent[d.Digest] = true
				contents = append(contents, content{d.Digest, d.Digest})
			}
		}
		for _, l := range i.Layers {
			image.Chain = l.Chain
			if sent[l.Chain] {
				continue
			}
			sent[l.Chain] = true
			delivery.Layers = append(delivery.Layers, delivered(l))
			contents = append(contents, content{l.Chain, l.Content.Digest})
		}
		delivery.Images = append(delivery.Images, image)
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	flush := func() {
		p.parts = append(p.parts, bytes.NewReader(bytes.Clone(buf.Bytes())))
		buf.Reset()
	}
	header := func(name string, size int64) error {
		return w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: size, ModTime: time.Unix(0, 0)})
	}
	first, err := json.Marshal(delivery)
	if err != nil {
		return p, err
	}
	if err := header(cluster.DeliveryFile, int64(len(first))); err != nil {
		return p, err
	}
	if _, err := w.Write(first); err != nil {
		return p, err
	}
	for _, c := range contents {
		if staged.has(n.Name, c.name) {
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeLink, Name: c.name, Linkname: staged.folder, ModTime: time.Unix(0, 0)}); err != nil {
				return p, err
			}
			continue
		}
		f, err := store.Open(c.digest)
		if err != nil {
			return p, err
		}
		p.files = append(p.files, f)
		info, err := f.Stat()
		if err != nil {
			return p, err
		}
		if err := header(c.name, info.Size()); err != nil {
			return p, err
		}
		flush()
		p.parts = append(p.parts, io.NewSectionReader(f, 0, info.Size()))
		// The writer does not see the content: it gets a new one that begins after the padding.
		buf.Write(make([]byte, padding(info.Size())))
		w = tar.NewWriter(&buf)
	}
	if err := w.Close(); err != nil {
		return p, fmt.Errorf("end the archive: %w", err)
	}
	flush()
	return p, nil
}

// padding fills the last block of a file in a tar archive.
func padding(size int64) int64 { return -size & 511 }
