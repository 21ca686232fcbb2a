package imagestore

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Archived is an image of an archive.
type Archived struct {
	Target string
	// Tags are its names in the archive, as they are there. Without any, nobody can refer to it but by digest.
	Tags []string
}

// unnamed is the repository of images for which an archive has only a tag.
const unnamed = "docker.io/library/imported"

// Annotations with the name of an image in an index.
const (
	annotationName = "io.containerd.image.name"
	annotationRef  = "org.opencontainers.image.ref.name"
)

// ReadArchive stores the images of an archive of "docker save" or in OCI form, compressed with gzip or zstd or not, and
// returns them. What the store has already may be missing in the archive. r is read to its end. Call Use first.
func (s Store) ReadArchive(r io.Reader) ([]Archived, error) {
	plain, err := decompress(r)
	if err != nil {
		return nil, fmt.Errorf("read the archive: %w", err)
	}
	defer plain.Close()
	a := archive{store: s, blobs: map[string]Blob{}, links: map[string]string{}, firsts: map[string][]byte{}}
	for t := tar.NewReader(plain); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = a.add(h, t)
		}
		if err != nil {
			return nil, fmt.Errorf("read the archive: %w", err)
		}
	}
	if _, err := io.Copy(io.Discard, plain); err != nil { // what comes after the end of the archive
		return nil, fmt.Errorf("read the archive: %w", err)
	}
	if a.layout {
		return a.fromLayout()
	}
	return a.fromDocker()
}

// ReadBlobs stores the files of a tar archive, which are named by their digests. Call Use first.
func (s Store) ReadBlobs(r io.Reader) error {
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			_, err := io.Copy(io.Discard, r) // what comes after the end of the archive
			return err
		}
		if err == nil && s.path(h.Name) == "" {
			err = fmt.Errorf("%q is not a digest of sha256", h.Name)
		}
		if err == nil {
			_, err = s.Put(t, h.Name)
		}
		if err != nil {
			return err
		}
	}
}

// decompress detects how an archive is compressed.
func decompress(r io.Reader) (io.ReadCloser, error) {
	b := bufio.NewReaderSize(r, copySize)
	head, _ := b.Peek(6) // a shorter one is not an archive, which tar says
	switch {
	case bytes.HasPrefix(head, gzipMagic):
		return gzip.NewReader(b)
	case bytes.HasPrefix(head, zstdMagic):
		z, err := zstd.NewReader(b)
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	case bytes.HasPrefix(head, []byte("BZh")), bytes.HasPrefix(head, []byte("\xfd7zXZ")):
		return nil, errors.New("it is compressed with bzip2 or xz; unpack it first")
	}
	return io.NopCloser(b), nil
}

var gzipMagic, zstdMagic = []byte("\x1f\x8b"), []byte("\x28\xb5\x2f\xfd")

// archive is what was read so far.
type archive struct {
	store Store
	// blobs and links are the files and symbolic links, by path; firsts are the first bytes of files.
	blobs  map[string]Blob
	links  map[string]string
	firsts map[string][]byte
	// layout says that it is in OCI form; list is the manifest.json of "docker save", which may be there, too.
	layout bool
	list   []savedImage
}

// savedImage is an entry of manifest.json.
type savedImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

const blobFolder = "blobs/sha256/"

func (a *archive) add(h *tar.Header, content io.Reader) error {
	name := path.Clean(h.Name)
	switch {
	case h.Typeflag == tar.TypeSymlink:
		a.links[name] = path.Join(path.Dir(name), h.Linkname)
	case h.Typeflag != tar.TypeReg:
	case name == "oci-layout":
		a.layout = true
	case name == "manifest.json":
		if err := json.NewDecoder(io.LimitReader(content, maxDocument)).Decode(&a.list); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	default:
		want := ""
		if hex, ok := strings.CutPrefix(name, blobFolder); ok {
			want = "sha256:" + hex
		}
		head := make([]byte, 4)
		n, err := io.ReadFull(content, head)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
			return err
		}
		a.firsts[name] = head[:n]
		b, err := a.store.Put(io.MultiReader(bytes.NewReader(head[:n]), content), want)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		a.blobs[name] = b
	}
	return nil
}

// fromLayout returns the images of the index of an archive in OCI form.
func (a *archive) fromLayout() ([]Archived, error) {
	top, ok := a.blobs["index.json"]
	if !ok {
		return nil, errors.New("read the archive: it has no index.json")
	}
	var i index
	if _, err := a.store.readJSON(top.Digest, &i); err != nil {
		return nil, fmt.Errorf("read the archive: index.json: %w", err)
	}
	var images list
	for _, m := range i.Manifests {
		if !a.store.Has(m.Digest) {
			continue // another platform's
		}
		name := m.Annotations[annotationName]
		if ref := m.Annotations[annotationRef]; name == "" && strings.ContainsAny(ref, "/:@") {
			name = ref
		} else if name == "" && ref != "" {
			name = unnamed + ":" + ref
		}
		images.add(m.Digest, name)
	}
	if len(images) == 0 {
		return nil, ErrPlatform
	}
	return images, nil
}

type list []Archived

func (l *list) add(target, tag string) {
	for i := range *l {
		if a := &(*l)[i]; a.Target == target {
			if tag != "" {
				a.Tags = append(a.Tags, tag)
			}
			return
		}
	}
	a := Archived{Target: target}
	if tag != "" {
		a.Tags = []string{tag}
	}
	*l = append(*l, a)
}

// fromDocker makes the manifests that an archive of "docker save" does not have.
func (a *archive) fromDocker() ([]Archived, error) {
	if a.list == nil {
		return nil, errors.New("read the archive: it is neither an archive of docker save nor in OCI form")
	}
	var images list
	for _, saved := range a.list {
		config, err := a.file(saved.Config)
		if err != nil {
			return nil, err
		}
		m := manifest{SchemaVersion: 2, MediaType: dockerManifest, Config: Descriptor{MediaType: dockerConfig, Digest: config.Digest, Size: config.Size}}
		for _, name := range saved.Layers {
			layer, err := a.file(name)
			if err != nil {
				return nil, err
			}
			d := Descriptor{MediaType: dockerLayer, Digest: layer.Digest, Size: layer.Size}
			if first := a.firsts[a.follow(name)]; bytes.HasPrefix(first, gzipMagic) || bytes.HasPrefix(first, zstdMagic) {
				d.MediaType += ".gzip" // its reader finds out which of the two it is
			}
			m.Layers = append(m.Layers, d)
		}
		target, err := a.store.PutManifest(m.Config, m.Layers)
		if err != nil {
			return nil, err
		}
		images.add(target.Digest, "")
		for _, tag := range saved.RepoTags {
			images.add(target.Digest, tag)
		}
	}
	return images, nil
}

// PutManifest stores the manifest of an image that has none, as containerd makes it for an archive of "docker save".
func (s Store) PutManifest(config Descriptor, layers []Descriptor) (Descriptor, error) {
	data, err := json.Marshal(manifest{SchemaVersion: 2, MediaType: dockerManifest, Config: config, Layers: layers})
	if err != nil {
		return Descriptor{}, err
	}
	b, err := s.Put(bytes.NewReader(data), "")
	return Descriptor{MediaType: dockerManifest, Digest: b.Digest, Size: b.Size}, err
}

// follow returns the file that a symbolic link leads to.
func (a *archive) follow(name string) string {
	name = path.Clean(name)
	if to, ok := a.links[name]; ok {
		return to
	}
	return name
}

func (a *archive) file(name string) (Blob, error) {
	b, ok := a.blobs[a.follow(name)]
	if !ok {
		return b, fmt.Errorf("read the archive: it lacks %s", name)
	}
	return b, nil
}

// WriteArchive writes images into an archive in OCI form that older versions of "docker load" read, too. names are the names
// of each, in the order in which they were asked for.
func (s Store) WriteArchive(w io.Writer, images []Image, names [][]string) error {
	out := tar.NewWriter(w)
	written := map[string]bool{}
	put := func(d Descriptor) error {
		if written[d.Digest] {
			return nil
		}
		written[d.Digest] = true
		f, err := s.Open(d.Digest)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		return writeEntry(out, blobFolder+strings.TrimPrefix(d.Digest, "sha256:"), d.Size, f)
	}
	top := index{SchemaVersion: 2, MediaType: ociIndex}
	var docker []savedImage
	for n, i := range images {
		saved := savedImage{Config: blobFolder + strings.TrimPrefix(i.Config.Digest, "sha256:")}
		for _, d := range i.Documents() {
			if err := put(d); err != nil {
				return err
			}
		}
		for _, l := range i.Layers {
			saved.Layers = append(saved.Layers, blobFolder+strings.TrimPrefix(l.Content.Digest, "sha256:"))
			if err := put(l.Content); err != nil {
				return err
			}
		}
		for _, name := range names[n] {
			d := i.Target
			d.Annotations = map[string]string{annotationName: name}
			if tag, ok := strings.CutPrefix(name, Repository(name)+":"); ok {
				d.Annotations[annotationRef] = tag
				saved.RepoTags = append(saved.RepoTags, name)
			}
			top.Manifests = append(top.Manifests, d)
		}
		docker = append(docker, saved)
	}
	for _, file := range []struct {
		name string
		v    any
	}{{"index.json", top}, {"manifest.json", docker}, {"oci-layout", map[string]string{"imageLayoutVersion": "1.0.0"}}} {
		data, err := json.Marshal(file.v)
		if err == nil {
			err = writeEntry(out, file.name, int64(len(data)), bytes.NewReader(data))
		}
		if err != nil {
			return err
		}
	}
	return out.Close()
}

func writeEntry(w *tar.Writer, name string, size int64, content io.Reader) error {
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size, ModTime: time.Unix(0, 0)}); err != nil {
		return err
	}
	_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{content}, make([]byte, copySize))
	return err
}
