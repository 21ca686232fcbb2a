package nodeimages

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/imagestore"
	"bonsai/bootstrap/node"
)

// Deliver gives nodes images of the store, all nodes at once, and to each only the layers that it lacks. In each node an image
// gets its names when it is complete. A node that fails does not affect the others.
func Deliver(ctx context.Context, d Driver, store imagestore.Store, nodes []node.Container, images []Image) error {
	errs := make([]error, len(nodes))
	each(nodes, func(i int, n node.Container) { errs[i] = deliver(ctx, d, store, n, images) })
	err := errors.Join(errs...)
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

func deliver(ctx context.Context, d Driver, store imagestore.Store, n node.Container, images []Image) error {
	var chains []string
	for _, i := range images {
		for _, l := range i.Layers {
			if !slices.Contains(chains, l.Chain) {
				chains = append(chains, l.Chain)
			}
		}
	}
	var held []string
	if len(chains) > 0 {
		out, err := run(ctx, d, n, nil, slices.Concat([]string{"unpacked"}, chains)...)
		if err == nil {
			err = json.Unmarshal(out, &held)
		}
		if err != nil && strings.HasPrefix(err.Error(), "usage: ") {
			return fault.Newf(fault.Node, "load images into %s: its bonsai-agent is of another version", n.Node).
				Advise("have a start replace the nodes' containers", cluster.Bonsai("start").Change())
		}
		if err != nil {
			return explain(fault.Node, "load images into "+n.Node, err)
		}
	}
	p, err := pack(store, images, held)
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

// pack makes a delivery of what a node lacks: held are the chains of layers that it has.
func pack(store imagestore.Store, images []Image, held []string) (p *parcel, err error) {
	p = &parcel{}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	var delivery cluster.ImageDelivery
	sent := map[string]bool{}
	for _, h := range held {
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
			delivery.Layers = append(delivery.Layers, cluster.DeliveredLayer{Chain: l.Chain, Parent: l.Parent, DiffID: l.DiffID, MediaType: l.Content.MediaType})
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
