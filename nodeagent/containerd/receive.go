package containerd

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/v2/core/content"
	contentproxy "github.com/containerd/containerd/v2/core/content/proxy"
	"github.com/containerd/containerd/v2/core/diff/apply"
	"github.com/containerd/containerd/v2/core/leases"
	leasesproxy "github.com/containerd/containerd/v2/core/leases/proxy"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	snapshotsproxy "github.com/containerd/containerd/v2/core/snapshots/proxy"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/timestamppb"

	"bonsai/bootstrap/cluster"
)

// receiveLease is how long containerd keeps what an interrupted delivery left, if the agent could not remove it.
const receiveLease = time.Hour

// removeLimit bounds the removal of what an interrupted delivery left.
const removeLimit = 10 * time.Second

// Receive reads a delivery of images (cluster.ImageDelivery), and gives them their names when they are complete. The names are
// marked as loaded.
//
// Layers are unpacked as they arrive, and not kept otherwise: the machine's image store has them. Of what a pull does, this
// saves writing and syncing every layer once more in every node. Those that package staging has unpacked already are only taken.
func (c *Client) Receive(ctx context.Context, r io.Reader) (err error) {
	in := tar.NewReader(r)
	h, err := in.Next()
	if err == nil && h.Name != cluster.DeliveryFile {
		err = fmt.Errorf("it begins with %q", h.Name)
	}
	var d cluster.ImageDelivery
	if err == nil {
		err = json.NewDecoder(in).Decode(&d)
	}
	if err != nil {
		return fmt.Errorf("receive images: %w", err)
	}
	ctx = inNamespace(ctx)
	manager := leasesproxy.NewLeaseManager(leasesapi.NewLeasesClient(c.conn))
	lease, err := manager.Create(ctx, leases.WithRandomID(), leases.WithExpiration(receiveLease))
	if err != nil {
		return fmt.Errorf("receive images: %w", err)
	}
	defer func() { // with the lease goes what has no name
		done, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeLimit)
		defer cancel()
		if e := manager.Delete(done, lease); e != nil && err == nil {
			err = fmt.Errorf("receive images: %w", e)
		}
	}()
	ctx = leases.WithLease(ctx, lease.ID)
	t := &receiver{
		Client: c, lease: lease, manager: manager, delivery: d,
		content: contentproxy.NewContentStore(c.conn), snapshots: snapshotsproxy.NewSnapshotter(snapshotsapi.NewSnapshotsClient(c.conn), c.snapshotter),
	}
	defer t.discardStaged()
	if err := t.read(ctx, in); err != nil {
		return fmt.Errorf("receive images: %w", err)
	}
	if err := t.name(ctx); err != nil {
		return fmt.Errorf("receive images: %w", err)
	}
	if !d.Last {
		return nil
	}
	if err := writeFile(cluster.NodeImagesArrived, nil, 0o600); err != nil {
		return fmt.Errorf("receive images: %w", err)
	}
	return nil
}

type receiver struct {
	*Client
	lease     leases.Lease
	manager   leases.Manager
	delivery  cluster.ImageDelivery
	content   content.Store
	snapshots snapshots.Snapshotter
}

// read stores what follows the delivery's first file.
func (t *receiver) read(ctx context.Context, in *tar.Reader) error {
	documents, layers := map[string]cluster.ImageDocument{}, map[string]cluster.DeliveredLayer{}
	for _, i := range t.delivery.Images {
		for _, d := range i.Documents {
			documents[d.Digest] = d
		}
	}
	for _, l := range t.delivery.Layers {
		layers[l.Chain] = l
	}
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if d, ok := documents[h.Name]; ok {
			err = t.document(ctx, d, in)
		} else if l, ok := layers[h.Name]; ok && h.Typeflag == tar.TypeLink {
			err = t.layer(ctx, l, t.staged)
		} else if ok {
			err = t.layer(ctx, l, func(ctx context.Context, l cluster.DeliveredLayer, mounts []mount.Mount) error {
				return unpack(ctx, l, mounts, in)
			})
		} else {
			err = errors.New("the delivery does not announce it")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
}

// document stores a document.
func (t *receiver) document(ctx context.Context, d cluster.ImageDocument, r io.Reader) error {
	if d.Size > maxManifest {
		return fmt.Errorf("it has %d bytes", d.Size)
	}
	data, err := io.ReadAll(io.LimitReader(r, d.Size+1))
	if err != nil {
		return err
	}
	desc := ocispec.Descriptor{MediaType: d.MediaType, Digest: digest.Digest(d.Digest), Size: d.Size}
	return content.WriteBlob(ctx, t.content, "bonsai-"+t.lease.ID+"-"+d.Digest, bytes.NewReader(data), desc)
}

// layer makes a snapshot of a layer, which fill unpacks where the mounts are, unless the node has it.
func (t *receiver) layer(ctx context.Context, l cluster.DeliveredLayer, fill func(context.Context, cluster.DeliveredLayer, []mount.Mount) error) error {
	if held, err := t.hold(ctx, l.Chain); held || err != nil {
		return err
	}
	key := fmt.Sprintf(snapshots.UnpackKeyFormat, t.lease.ID, l.Chain)
	// The labels that containerd's own unpacker gives.
	labels := snapshots.WithLabels(map[string]string{snapshots.LabelSnapshotRef: l.Chain, snapshots.LabelSnapshotDiffID: l.DiffID})
	mounts, err := t.snapshots.Prepare(ctx, key, l.Parent, labels)
	if err != nil {
		if errdefs.IsAlreadyExists(err) { // another delivery or a pull was faster
			return nil
		}
		return fmt.Errorf("prepare a snapshot on %q: %w", l.Parent, err)
	}
	discard := func() {
		done, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeLimit)
		defer cancel()
		_ = t.snapshots.Remove(done, key) // or the end of the lease does it
	}
	if err := fill(ctx, l, mounts); err != nil {
		discard()
		return fmt.Errorf("unpack it: %w", err)
	}
	if err := t.snapshots.Commit(ctx, l.Chain, key, labels); err != nil {
		discard()
		if !errdefs.IsAlreadyExists(err) {
			return fmt.Errorf("commit it: %w", err)
		}
	}
	return nil
}

// unpack unpacks the content of a layer, and compares it with its digest.
func unpack(ctx context.Context, l cluster.DeliveredLayer, mounts []mount.Mount, r io.Reader) error {
	applied, err := apply.NewFileSystemApplier(oneStream{r}).Apply(ctx, ocispec.Descriptor{MediaType: l.MediaType}, mounts)
	if err == nil && applied.Digest.String() != l.DiffID {
		err = fmt.Errorf("its content has the digest %s and not %s", applied.Digest, l.DiffID)
	}
	return err
}

// staged takes what is unpacked already, and was compared with its digest, as the snapshot's own folder.
func (t *receiver) staged(_ context.Context, l cluster.DeliveredLayer, mounts []mount.Mount) error {
	if t.snapshotter != "overlayfs" { // others copy what is below into the folder
		return fmt.Errorf("it was unpacked for overlayfs, and the node has the snapshotter %s", t.snapshotter)
	}
	folder, err := t.stagedFolder()
	if err != nil {
		return err
	}
	chain, err := digest.Parse(l.Chain)
	if err != nil {
		return err
	}
	return takeFolder(filepath.Join(folder, chain.Encoded()), mounts)
}

// takeFolder makes a folder that of the snapshot with these mounts.
func takeFolder(from string, mounts []mount.Mount) error {
	own, err := ownFolder(mounts)
	if err != nil {
		return err
	}
	if err := unix.Rename(from, own); err != nil { // os.Rename does not replace an empty folder
		return &os.LinkError{Op: "rename", Old: from, New: own, Err: err}
	}
	return nil
}

// stagedFolder is where the layers of this delivery wait.
func (t *receiver) stagedFolder() (string, error) {
	if name := t.delivery.Staged; name != "" && name == filepath.Base(name) && !strings.HasPrefix(name, ".") {
		return filepath.Join(cluster.NodeLayers, name), nil
	}
	return "", fmt.Errorf("%q is not the name of a delivery", t.delivery.Staged)
}

// ownFolder is the one in which a snapshot of overlayfs keeps what it has itself. It is empty at first.
func ownFolder(mounts []mount.Mount) (string, error) {
	if len(mounts) == 1 && mounts[0].Type == "bind" { // it has nothing below it
		return mounts[0].Source, nil
	}
	if len(mounts) == 1 && mounts[0].Type == "overlay" {
		for _, option := range mounts[0].Options {
			if folder, ok := strings.CutPrefix(option, "upperdir="); ok {
				return folder, nil
			}
		}
	}
	return "", errors.New("its snapshot has no folder of its own")
}

// discardStaged removes what was unpacked for this delivery and not taken, and what others have left.
func (t *receiver) discardStaged() {
	if folder, err := t.stagedFolder(); err == nil {
		_ = os.RemoveAll(folder)
	}
	entries, err := os.ReadDir(cluster.NodeLayers)
	if err != nil {
		return
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > receiveLease {
			_ = os.RemoveAll(filepath.Join(cluster.NodeLayers, e.Name()))
		}
	}
}

// hold keeps a snapshot until the names are given, if the node has it.
func (t *receiver) hold(ctx context.Context, chain string) (bool, error) {
	if _, err := t.snapshots.Stat(ctx, chain); err != nil {
		if errdefs.IsNotFound(err) {
			return false, nil
		}
		return false, fmt.Errorf("look up snapshot %s: %w", chain, err)
	}
	err := t.manager.AddResource(ctx, t.lease, leases.Resource{ID: chain, Type: "snapshots/" + t.snapshotter})
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// name checks that the images are complete, connects their parts for containerd's garbage collection, and gives them their
// names.
func (t *receiver) name(ctx context.Context) error {
	for _, i := range t.delivery.Images {
		if i.Chain != "" {
			if held, err := t.hold(ctx, i.Chain); !held || err != nil {
				return errors.Join(err, fmt.Errorf("%s lacks layer %s", strings.Join(i.Names, ", "), i.Chain))
			}
		}
		for n, d := range i.Documents {
			label, to := "containerd.io/gc.ref.snapshot."+t.snapshotter, i.Chain // of the configuration
			switch n {
			case len(i.Documents) - 1:
			case len(i.Documents) - 2:
				label, to = "containerd.io/gc.ref.content.config", i.Documents[n+1].Digest
			default:
				label, to = "containerd.io/gc.ref.content.m.0", i.Documents[n+1].Digest
			}
			if to == "" {
				continue
			}
			if _, err := t.content.Update(ctx, content.Info{Digest: digest.Digest(d.Digest), Labels: map[string]string{label: to}}, "labels."+label); err != nil {
				return fmt.Errorf("%s: %w", d.Digest, err)
			}
		}
	}
	for _, i := range t.delivery.Images {
		target := &types.Descriptor{MediaType: i.Documents[0].MediaType, Digest: i.Documents[0].Digest, Size: i.Documents[0].Size}
		for _, name := range i.Names {
			named := &imagesapi.Image{Name: name, Target: target, Labels: map[string]string{labelLoaded: "true"}, UpdatedAt: timestamppb.Now()}
			if err := t.store(ctx, named); err != nil {
				return err
			}
		}
	}
	return nil
}

// oneStream is what an applier reads from, once.
type oneStream struct{ io.Reader }

func (s oneStream) ReaderAt(context.Context, ocispec.Descriptor) (content.ReaderAt, error) {
	return &streamAt{r: s.Reader}, nil
}

// streamAt is a stream in the place of content that can be read anywhere.
type streamAt struct{ r io.Reader }

// Reader is what containerd's applier reads from.
func (s *streamAt) Reader() io.Reader { return s.r }

func (*streamAt) ReadAt([]byte, int64) (int, error) {
	return 0, errors.New("a layer is read as a stream")
}
func (*streamAt) Size() int64  { return -1 }
func (*streamAt) Close() error { return nil }

// Unpacked returns those chains of layers that the store has as snapshots.
func (c *Client) Unpacked(ctx context.Context, chains []string) ([]string, error) {
	s := snapshotsproxy.NewSnapshotter(snapshotsapi.NewSnapshotsClient(c.conn), c.snapshotter)
	held := []string{}
	for _, chain := range chains {
		switch _, err := s.Stat(inNamespace(ctx), chain); {
		case errdefs.IsNotFound(err):
		case err != nil:
			return nil, fmt.Errorf("look up snapshot %s: %w", chain, err)
		default:
			held = append(held, chain)
		}
	}
	return held, nil
}
