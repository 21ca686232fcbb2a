package nodeimages

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"
)

// withoutLayers copies an archive of "docker save" without the layers that all nodes have; held are the digests of these.
// A layer's digest here is that of its uncompressed content, as in archives of this kind.
//
// Docker since 25 writes an OCI layout, in which files are named by digest and may be absent. Before, layers are in folders
// whose names say nothing, and containerd wants all of them; such an archive becomes an OCI layout.
func withoutLayers(w io.Writer, source io.Reader, held map[string]bool) error {
	c := &converter{out: tar.NewWriter(w), held: held, blobs: map[string]blob{}, links: map[string]string{}}
	in := tar.NewReader(source)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = c.add(h, in)
		}
		if err != nil {
			return err
		}
	}
	if _, err := io.Copy(io.Discard, source); err != nil { // what comes after the end of the archive
		return err
	}
	if err := c.finish(); err != nil {
		return err
	}
	return c.out.Close()
}

// blob is a file by its content.
type blob struct {
	digest string
	size   int64
}

type converter struct {
	out  *tar.Writer
	held map[string]bool
	// layout says that the archive is an OCI layout, which only loses files.
	layout bool
	// blobs and links are the files and symbolic links of an older archive, by path; list is its manifest.json.
	blobs map[string]blob
	links map[string]string
	list  []savedImage
}

// savedImage is an entry of manifest.json.
type savedImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

const blobFolder = "blobs/sha256/"

func (c *converter) add(h *tar.Header, content io.Reader) error {
	name := path.Clean(h.Name)
	if digest, ok := strings.CutPrefix(name, blobFolder); ok {
		c.layout = true
		if c.held["sha256:"+digest] {
			return nil
		}
	}
	switch {
	case c.layout || name == "blobs" || name == "oci-layout" || name == "index.json":
		c.layout = true
		if err := c.out.WriteHeader(h); err != nil {
			return err
		}
		_, err := io.Copy(c.out, content)
		return err
	case h.Typeflag == tar.TypeSymlink:
		c.links[name] = path.Join(path.Dir(name), h.Linkname)
	case h.Typeflag != tar.TypeReg:
	case name == "manifest.json":
		return json.NewDecoder(content).Decode(&c.list)
	case path.Base(name) == "layer.tar" || path.Dir(name) == "." && path.Ext(name) == ".json":
		b, err := c.addBlob(h.Size, content)
		c.blobs[name] = b
		return err
	}
	return nil
}

// inMemory is the size up to which a file waits in memory for its digest, which comes before it in an OCI layout.
const inMemory = 16 << 20

// addBlob copies a file under its digest, unless the nodes have it.
func (c *converter) addBlob(size int64, content io.Reader) (blob, error) {
	hash := sha256.New()
	var memory bytes.Buffer
	var spool io.ReadWriter = &memory
	rewind := func() error { return nil }
	if size > inMemory {
		f, err := os.CreateTemp("", "bonsai-layer-*")
		if err != nil {
			return blob{}, err
		}
		defer func() { _ = errors.Join(f.Close(), os.Remove(f.Name())) }()
		spool, rewind = f, func() error { _, err := f.Seek(0, io.SeekStart); return err }
	}
	to := io.MultiWriter(hash, spool)
	if n, err := io.CopyBuffer(to, struct{ io.Reader }{content}, make([]byte, 1<<20)); err != nil || n != size {
		return blob{}, errors.Join(err, rewind())
	}
	b := blob{"sha256:" + hex.EncodeToString(hash.Sum(nil)), size}
	if c.held[b.digest] {
		return b, nil
	}
	if err := rewind(); err != nil {
		return b, err
	}
	return b, c.write(blobFolder+strings.TrimPrefix(b.digest, "sha256:"), size, spool)
}

func (c *converter) write(name string, size int64, content io.Reader) error {
	if err := c.out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size, ModTime: time.Unix(0, 0)}); err != nil {
		return err
	}
	_, err := io.Copy(c.out, content)
	return err
}

func (c *converter) writeJSON(name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.write(name, int64(len(data)), bytes.NewReader(data))
}

// descriptor and the types below are those of the OCI's image specification, in the order in which containerd writes them: the
// manifest of an image is the same whichever way it was loaded.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type imageManifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

const (
	mediaManifest = "application/vnd.docker.distribution.manifest.v2+json"
	mediaConfig   = "application/vnd.docker.container.image.v1+json"
	mediaLayer    = "application/vnd.docker.image.rootfs.diff.tar"
	mediaIndex    = "application/vnd.oci.image.index.v1+json"
)

// finish writes the manifests and the index of what was an older archive.
func (c *converter) finish() error {
	if c.layout {
		return nil
	}
	if len(c.list) == 0 {
		return errors.New("the archive has no manifest.json")
	}
	var index struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType"`
		Manifests     []descriptor `json:"manifests"`
	}
	index.SchemaVersion, index.MediaType = 2, mediaIndex
	for _, i := range c.list {
		m := imageManifest{SchemaVersion: 2, MediaType: mediaManifest}
		config, err := c.file(i.Config)
		if err != nil {
			return err
		}
		m.Config = descriptor{MediaType: mediaConfig, Digest: config.digest, Size: config.size}
		for _, name := range i.Layers {
			layer, err := c.file(name)
			if err != nil {
				return err
			}
			m.Layers = append(m.Layers, descriptor{MediaType: mediaLayer, Digest: layer.digest, Size: layer.size})
		}
		data, err := json.Marshal(m)
		if err != nil {
			return err
		}
		b, err := c.addBlob(int64(len(data)), bytes.NewReader(data))
		if err != nil {
			return err
		}
		d := descriptor{MediaType: mediaManifest, Digest: b.digest, Size: b.size}
		if len(i.RepoTags) == 0 {
			index.Manifests = append(index.Manifests, d)
		}
		for _, tag := range i.RepoTags {
			d.Annotations = map[string]string{"io.containerd.image.name": FullName(tag)}
			index.Manifests = append(index.Manifests, d)
		}
	}
	return errors.Join(c.writeJSON("index.json", index), c.writeJSON("oci-layout", map[string]string{"imageLayoutVersion": "1.0.0"}))
}

func (c *converter) file(name string) (blob, error) {
	name = path.Clean(name)
	if to, ok := c.links[name]; ok {
		name = to
	}
	b, ok := c.blobs[name]
	if !ok {
		return b, fmt.Errorf("the archive lacks %s", name)
	}
	return b, nil
}
