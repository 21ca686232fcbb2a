// Package clusterarchive writes a whole cluster into one file, and reads it: a checkpoint with the plan of the cluster, the
// content of images, and the data of claims.
//
// The file is a tar archive, compressed with zstd, whose first entry describes the others:
//
//	cluster.json                 Description
//	checkpoint/checkpoint.json   the checkpoint, as bootstrap/checkpoint stores it
//	checkpoint/store.zst
//	checkpoint/volumes-N.zst     data of claims that the checkpoint has itself
//	blobs/sha256/HEX             content of images
//	volumes/N.tar                data of the claims on the node in place N, as tar of the node's root folder
//
// Everything in it is verified while it is read: the compressed stream and the store by checksums, images by their digests.
// It holds the Secrets of the cluster and is as private as that. Begin reading at Write and Read.
package clusterarchive

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/imagestore"
	"bonsai/bootstrap/wait"
)

// formatVersion is the newest that can be read. An archive has the oldest that has everything in it.
const (
	formatVersion = formatVolumes
	formatPlain   = 1
	// formatVolumes has a checkpoint with the data of claims.
	formatVolumes = 2
)

// Names of entries.
const (
	descriptionEntry = "cluster.json"
	checkpointDir    = "checkpoint/"
	blobsDir         = "blobs/sha256/"
	volumesDir       = "volumes/"
	volumesSuffix    = ".tar"
)

const (
	maxDescription = 8 << 20
	// maxCheckpoint bounds what is taken for a part of a checkpoint: etcd's data never grows beyond eight GB.
	maxCheckpoint = 8 << 30
	maxNodes      = cluster.MaxNodes
	// maxWindow bounds the memory that reading takes.
	maxWindow = 64 << 20
)

// Why an archive cannot be used.
var (
	ErrDamaged = errors.New("it is damaged, or not a file of bonsai checkpoint export")
	ErrNewer   = errors.New("it was written by a newer bonsai")
)

// Description is what an archive says about its content.
type Description struct {
	Format  int       `json:"format"`
	Created time.Time `json:"created"`
	// Bonsai is the version that wrote it.
	Bonsai string `json:"bonsai"`
	// Checkpoint is the one in it.
	Checkpoint cluster.Checkpoint `json:"checkpoint"`
	// Images are the names in the nodes, with what they lead to.
	Images map[string]string `json:"images,omitempty"`
	Blobs  []string          `json:"blobs,omitempty"`
	// Volumes are the places of the nodes whose claims have data here, from 0.
	Volumes []int `json:"volumes,omitempty"`
}

// Source is where the parts of a new archive come from.
type Source struct {
	// Checkpoint is the folder of the checkpoint.
	Checkpoint string
	// Store has the blobs. The caller keeps them from being collected.
	Store imagestore.Store
	// Volumes is the folder with the data of claims; see VolumeFile.
	Volumes string
}

// Write writes an archive. It ends early with ctx.
func Write(ctx context.Context, w io.Writer, d Description, from Source) (err error) {
	d.Format = formatPlain
	if d.Checkpoint.WithVolumes {
		d.Format = formatVolumes
	}
	// Layers are mostly uncompressed, and a level that takes longer saves little.
	zw, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = zw.Close()
		}
	}()
	a := &writer{ctx: ctx, tar: tar.NewWriter(zw)}
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	if err := a.add(descriptionEntry, int64(len(text)), strings.NewReader(string(text))); err != nil {
		return err
	}
	parts, err := os.ReadDir(from.Checkpoint)
	if err != nil {
		return err
	}
	for _, p := range parts {
		f, err := os.Open(filepath.Join(from.Checkpoint, p.Name()))
		if err := a.file(checkpointDir+p.Name(), f, err); err != nil {
			return err
		}
	}
	for _, digest := range d.Blobs {
		name, ok := strings.CutPrefix(digest, "sha256:")
		if !ok {
			return fmt.Errorf("%q is not a digest of sha256", digest)
		}
		f, err := from.Store.Open(digest)
		if err := a.file(blobsDir+name, f, err); err != nil {
			return err
		}
	}
	for _, place := range d.Volumes {
		f, err := os.Open(VolumeFile(from.Volumes, place))
		if err := a.file(volumeEntry(place), f, err); err != nil {
			return err
		}
	}
	return errors.Join(a.tar.Close(), zw.Close())
}

func checkpointVolume(place int) string {
	return checkpointDir + "volumes-" + strconv.Itoa(place) + ".zst"
}

func volumeEntry(place int) string { return volumesDir + strconv.Itoa(place) + volumesSuffix }

type writer struct {
	ctx context.Context //nolint:containedctx // it bounds one Write
	tar *tar.Writer
}

// file adds a file that was opened, or could not be, and closes it.
func (a *writer) file(name string, f *os.File, err error) error {
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		err = a.add(name, info.Size(), f)
	}
	return errors.Join(err, f.Close())
}

func (a *writer) add(name string, size int64, r io.Reader) error {
	if err := a.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: size}); err != nil {
		return err
	}
	if _, err := io.Copy(a.tar, wait.Reader(a.ctx, r)); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// Target is where the parts of an archive go.
type Target struct {
	// Dir is an empty folder. It gets the checkpoint, in a folder of its name, and the data of claims; see VolumeFile.
	Dir string
	// Store gets the blobs. The caller keeps them from being collected.
	Store imagestore.Store
}

// VolumeFile is where Read puts the data of the claims on the node in a place.
func VolumeFile(dir string, place int) string {
	return filepath.Join(dir, "volumes-"+strconv.Itoa(place)+volumesSuffix)
}

// Read reads a whole archive. An error that wraps ErrDamaged or ErrNewer is about the archive, others are about the target or
// the reader. What was written by then is left to the caller.
func Read(ctx context.Context, r io.Reader, to Target) (Description, error) {
	source := &failing{r: wait.Reader(ctx, r)}
	zr, err := zstd.NewReader(source, zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return Description{}, err
	}
	defer zr.Close()
	a := &reader{tar: tar.NewReader(zr), to: to, left: map[string]bool{}}
	err = a.read()
	if err == nil {
		_, err = io.Copy(io.Discard, zr) // to the checksum of the stream
	}
	switch {
	case source.err != nil:
		err = source.err
	case err != nil && a.ours == nil:
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	case a.ours != nil:
		err = a.ours
	case len(a.left) > 0:
		err = fmt.Errorf("%w: %d of its parts are missing", ErrDamaged, len(a.left))
	}
	return a.d, err
}

// failing remembers errors of a file, which are none of its content.
type failing struct {
	r   io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

type reader struct {
	tar *tar.Reader
	to  Target
	d   Description
	// left are the entries that are to come.
	left map[string]bool
	// ours is an error that is not one of the archive.
	ours error
}

func (a *reader) read() error {
	h, err := a.tar.Next()
	if err != nil {
		return err
	}
	if h.Name != descriptionEntry || h.Size > maxDescription {
		return fmt.Errorf("its first part is %q", h.Name)
	}
	if err := a.describe(); err != nil {
		return err
	}
	for {
		h, err := a.tar.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !a.left[h.Name] || h.Typeflag != tar.TypeReg {
			return fmt.Errorf("it has an unexpected part %q", h.Name)
		}
		delete(a.left, h.Name)
		if err := a.part(h); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
}

// describe reads the description, and notes what is to come.
func (a *reader) describe() error {
	data, err := io.ReadAll(a.tar)
	if err != nil {
		return err
	}
	var head struct{ Format int }
	if err := json.Unmarshal(data, &head); err != nil {
		return err
	}
	if head.Format > formatVersion {
		a.ours = fmt.Errorf("%w (format %d, this one reads up to %d)", ErrNewer, head.Format, formatVersion)
		return a.ours
	}
	if err := json.Unmarshal(data, &a.d); err != nil {
		return err
	}
	if err := cluster.ValidateCheckpointName(a.d.Checkpoint.Name); err != nil || a.d.Format < 1 {
		return errors.New("its description is incomplete")
	}
	a.left[checkpointDir+"checkpoint.json"], a.left[checkpointDir+"store.zst"] = true, true
	for _, v := range a.d.Checkpoint.Volumes {
		if v.Place < 0 || v.Place >= maxNodes {
			return fmt.Errorf("its checkpoint has data of node %d", v.Place)
		}
		a.left[checkpointVolume(v.Place)] = true
	}
	for _, digest := range a.d.Blobs {
		a.left[blobsDir+strings.TrimPrefix(digest, "sha256:")] = true
	}
	for name, target := range a.d.Images {
		if !slices.Contains(a.d.Blobs, target) {
			return fmt.Errorf("image %s is not in it", name)
		}
	}
	for _, place := range a.d.Volumes {
		if place < 0 || place >= maxNodes {
			return fmt.Errorf("it has data of node %d", place)
		}
		a.left[volumeEntry(place)] = true
	}
	return nil
}

func (a *reader) part(h *tar.Header) error {
	if name, ok := strings.CutPrefix(h.Name, blobsDir); ok {
		before := &failing{r: a.tar}
		if _, err := a.to.Store.Put(before, "sha256:"+name); err != nil {
			if before.err == nil && isOurs(err) {
				a.ours = err
			}
			return err
		}
		return nil
	}
	if h.Size > maxCheckpoint && h.Name == checkpointDir+"store.zst" {
		return errors.New("it is too large")
	}
	path := filepath.Join(a.to.Dir, a.d.Checkpoint.Name, strings.TrimPrefix(h.Name, checkpointDir))
	if name, ok := strings.CutPrefix(h.Name, volumesDir); ok {
		place, err := strconv.Atoi(strings.TrimSuffix(name, volumesSuffix))
		if err != nil {
			return err
		}
		path = VolumeFile(a.to.Dir, place)
	}
	before := &failing{r: a.tar}
	err := writeFile(path, before)
	if err != nil && before.err == nil {
		a.ours = err
	}
	return err
}

// isOurs reports whether an error of the store is one of the file system, and not of the content.
func isOurs(err error) bool {
	_, ok := errors.AsType[*fs.PathError](err)
	_, link := errors.AsType[*os.LinkError](err)
	return ok || link
}

// writeFile writes a new private file.
func writeFile(path string, r io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(struct{ io.Writer }{f}, r)
	return errors.Join(err, f.Close())
}
