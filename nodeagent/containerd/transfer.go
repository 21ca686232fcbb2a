package containerd

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	streamingapi "github.com/containerd/containerd/api/services/streaming/v1"
	transferapi "github.com/containerd/containerd/api/services/transfer/v1"
	"github.com/containerd/containerd/api/types"
	streamproxy "github.com/containerd/containerd/v2/core/streaming/proxy"
	"github.com/containerd/containerd/v2/core/transfer"
	"github.com/containerd/containerd/v2/core/transfer/archive"
	"github.com/containerd/containerd/v2/core/transfer/image"
	transferproxy "github.com/containerd/containerd/v2/core/transfer/proxy"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
)

func (c *Client) transferrer() transfer.Transferrer {
	return transferproxy.NewTransferrer(transferapi.NewTransferClient(c.conn), streamproxy.NewStreamCreator(streamingapi.NewStreamingClient(c.conn)))
}

// importArchive stores what an archive contains, with labels.
func (c *Client) importArchive(ctx context.Context, r io.Reader, labels map[string]string) ([]string, error) {
	platform := platforms.DefaultSpec()
	// No manifest limit: it would count over all images of the archive, and drop all but the first.
	opts := []image.StoreOpt{
		image.WithPlatforms(platform), image.WithUnpack(platform, c.snapshotter), image.WithImageLabels(labels), image.WithNamedPrefix(unnamed, true),
	}
	store := image.NewStore("", opts...)
	// Progress comes over a stream of its own, which may lag behind the answer.
	saved, completed := make(chan string, 16), make(chan struct{})
	ctx, cancel := context.WithCancel(inNamespace(ctx)) // ends the streams' helpers in this process
	defer cancel()
	progress := func(p transfer.Progress) {
		switch p.Event {
		case "saved":
			select {
			case saved <- p.Name:
			case <-ctx.Done():
			}
		case "Completed import":
			close(completed)
		}
	}
	finished := make(chan error, 1)
	go func() {
		finished <- c.transferrer().Transfer(ctx, archive.NewImageImportStream(r, ""), store, transfer.WithProgress(progress))
	}()

	var names []string
	var late <-chan time.Time
	for reported := false; !reported; {
		select {
		case name := <-saved:
			names = append(names, name)
		case err := <-finished:
			if errdefs.IsNotFound(err) {
				err = fmt.Errorf("%w (%s): %w", ErrPlatform, platforms.Format(platform), err)
			}
			if err != nil {
				return nil, fmt.Errorf("import images: %w", err)
			}
			late = time.After(lateProgress)
		case <-completed: // comes after all names
			reported = true
		case <-late:
			reported = true
		}
	}
	for len(saved) > 0 {
		names = append(names, <-saved)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("import images: %w", ErrNoName)
	}
	for i, name := range names {
		var err error
		if names[i], err = c.normalize(ctx, name); err != nil {
			return nil, fmt.Errorf("import images: %w", err)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Export writes images of the store as one archive in OCI form, with the names that they have here. Those that were received
// have no layers to write; the machine's image store has them.
func (c *Client) Export(ctx context.Context, w io.Writer, names []string) error {
	ctx, cancel := context.WithCancel(inNamespace(ctx)) // ends the stream's helpers in this process
	defer cancel()
	var opts []image.StoreOpt
	for _, name := range names {
		opts = append(opts, image.WithExtraReference(name))
	}
	// The answer may overtake the end of the stream, which containerd does not close. The archive itself says where it ends.
	r, copied := io.Pipe()
	var readErr error
	ended := make(chan struct{})
	go func() { defer close(ended); readErr = readArchive(r) }()
	out := archive.NewImageExportStream(nopCloser{io.MultiWriter(w, copied)}, "", archive.WithSkipCompatibilityManifest)
	if err := c.transferrer().Transfer(ctx, image.NewStore("", opts...), out); err != nil {
		_ = copied.CloseWithError(err)
		<-ended
		return fmt.Errorf("export images: %w", err)
	}
	select {
	case <-ended:
		if readErr != nil {
			return fmt.Errorf("export images: %w", readErr)
		}
		return nil
	case <-ctx.Done():
		_ = copied.CloseWithError(ctx.Err())
		<-ended
		return fmt.Errorf("export images: %w", context.Cause(ctx))
	}
}

// readArchive returns when the mark at the end of an archive was read.
func readArchive(r *io.PipeReader) error {
	for t := tar.NewReader(r); ; {
		if _, err := t.Next(); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			_ = r.Close()
			return err
		}
	}
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// manifest is what matters here of an image's manifest, or of an index.
type manifest struct {
	MediaType string
	Layers    []struct{ MediaType string }
}

// converted reports whether containerd made the manifest itself, of an archive without one. No registry has it: layers
// there are compressed.
func (m manifest) converted() bool {
	return m.MediaType == "application/vnd.docker.distribution.manifest.v2+json" &&
		slices.ContainsFunc(m.Layers, func(l struct{ MediaType string }) bool { return !strings.HasSuffix(l.MediaType, "gzip") })
}

// maxManifest is what containerd itself accepts.
const maxManifest = 8 << 20

// manifest reads a manifest from the content store.
func (c *Client) manifest(ctx context.Context, d *types.Descriptor) (m manifest, err error) {
	if d.GetSize() > maxManifest {
		return m, fmt.Errorf("the manifest %s has %d bytes", d.Digest, d.Size)
	}
	stream, err := contentapi.NewContentClient(c.conn).Read(ctx, &contentapi.ReadContentRequest{Digest: d.GetDigest()})
	if err != nil {
		return m, fmt.Errorf("read manifest %s: %w", d.GetDigest(), err)
	}
	var data []byte
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return m, fmt.Errorf("read manifest %s: %w", d.GetDigest(), err)
		}
		data = append(data, part.Data...)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("read manifest %s: %w", d.GetDigest(), err)
	}
	return m, nil
}
