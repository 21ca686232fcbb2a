package imagestore

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Descriptor refers to content. Its fields, and those of the types below, have the order in which containerd writes them: the
// manifest that is made for an image without one is the same whichever way the image was loaded.
type Descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Platform    *Platform         `json:"platform,omitempty"`
}

// Platform is what an image runs on.
type Platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

// runsOn reports whether a node of that architecture runs it. An image that does not say for what it is made is tried.
func (p *Platform) runsOn(arch string) bool {
	return p == nil || (p.OS == "" || p.OS == "linux") && (p.Architecture == "" || p.Architecture == arch)
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        Descriptor   `json:"config"`
	Layers        []Descriptor `json:"layers"`
}

type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []Descriptor `json:"manifests"`
}

// document is an index, if it has Manifests, or else a manifest.
type document struct {
	MediaType string       `json:"mediaType"`
	Manifests []Descriptor `json:"manifests"`
	Config    *Descriptor  `json:"config"`
	Layers    []Descriptor `json:"layers"`
}

// What kinds of content are called.
const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerConfig   = "application/vnd.docker.container.image.v1+json"
	dockerLayer    = "application/vnd.docker.image.rootfs.diff.tar"
	ociManifest    = "application/vnd.oci.image.manifest.v1+json"
	ociIndex       = "application/vnd.oci.image.index.v1+json"
)

// Image is an image for one architecture.
type Image struct {
	// Target is what names lead to: Manifest, or an index that has it. Documents are the indexes between the two, if any.
	Target, Manifest, Config Descriptor
	Indexes                  []Descriptor
	Layers                   []Layer
}

// Layer is one layer of an image.
type Layer struct {
	// Content is the layer as it is stored; DiffID is the digest of its uncompressed content.
	Content Descriptor
	DiffID  string
	// Chain is the digest of this layer on those below it, Parent that of the layers below; empty for the lowest.
	Chain, Parent string
}

// Documents are the contents of an image that are not layers, from Target down to its configuration.
func (i Image) Documents() []Descriptor {
	return append(slices.Clone(i.Indexes), i.Manifest, i.Config)
}

// converted reports whether the manifest was made by a reader of an archive that has none. No registry has it: layers there
// are compressed.
func (i Image) converted() bool {
	return i.Manifest.MediaType == dockerManifest &&
		slices.ContainsFunc(i.Layers, func(l Layer) bool { return !strings.HasSuffix(l.Content.MediaType, "gzip") })
}

// ErrPlatform means that nothing in an archive runs on this machine.
var ErrPlatform = errors.New("the archive holds no image for this machine's platform")

// Resolve finds the image of an architecture (as in Go: "amd64") that a target leads to. It checks that the store has all of
// its documents, and returns its layers even if the store lacks some.
func (s Store) Resolve(target, arch string) (i Image, err error) {
	for d := (Descriptor{Digest: target}); ; {
		var doc document
		size, err := s.readJSON(d.Digest, &doc)
		if err != nil {
			return i, err
		}
		d.Size = size
		switch {
		case len(doc.Manifests) > 0:
			d.MediaType = orElse(doc.MediaType, d.MediaType, ociIndex)
			i.Indexes = append(i.Indexes, Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size})
			if d, err = s.choose(doc.Manifests, arch); err != nil {
				return i, err
			}
			if len(i.Indexes) > maxIndexes {
				return i, fmt.Errorf("%s leads to too many indexes", target)
			}
		case doc.Config == nil:
			return i, fmt.Errorf("%s is not the manifest of an image", d.Digest)
		default:
			i.Manifest = Descriptor{MediaType: orElse(doc.MediaType, d.MediaType, ociManifest), Digest: d.Digest, Size: d.Size}
			i.Target = append(slices.Clone(i.Indexes), i.Manifest)[0]
			i.Config = Descriptor{MediaType: doc.Config.MediaType, Digest: doc.Config.Digest, Size: doc.Config.Size}
			return i, s.layers(&i, doc.Layers, arch)
		}
	}
}

// maxIndexes is how deep indexes may be nested.
const maxIndexes = 4

func orElse(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// choose picks the first of several manifests that a node can run. One that the store lacks is of another platform, whose
// content "docker save" leaves out.
func (s Store) choose(manifests []Descriptor, arch string) (d Descriptor, err error) {
	err = ErrPlatform
	for _, m := range manifests {
		if !m.Platform.runsOn(arch) {
			continue
		}
		if s.Has(m.Digest) {
			return m, nil
		}
		err = fmt.Errorf("%w: %s: %w", ErrPlatform, m.Digest, ErrMissing)
	}
	return d, err
}

// layers adds an image's layers.
func (s Store) layers(i *Image, layers []Descriptor, arch string) error {
	var config struct {
		Platform
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if _, err := s.readJSON(i.Config.Digest, &config); err != nil {
		return err
	}
	if !config.runsOn(arch) {
		return fmt.Errorf("%w, but one for %s/%s", ErrPlatform, config.OS, config.Architecture)
	}
	if len(config.RootFS.DiffIDs) != len(layers) {
		return fmt.Errorf("%s has %d layers, and its configuration %d", i.Manifest.Digest, len(layers), len(config.RootFS.DiffIDs))
	}
	chain := ""
	for n, l := range layers {
		if s.path(l.Digest) == "" || s.path(config.RootFS.DiffIDs[n]) == "" {
			return fmt.Errorf("%s has a layer without a digest of sha256", i.Manifest.Digest)
		}
		layer := Layer{Content: Descriptor{MediaType: l.MediaType, Digest: l.Digest, Size: l.Size}, DiffID: config.RootFS.DiffIDs[n], Parent: chain}
		chain = Chain(chain, layer.DiffID)
		layer.Chain = chain
		i.Layers = append(i.Layers, layer)
	}
	return nil
}

// Chain is the digest by which the OCI's image specification calls a layer on top of others: parent is theirs, empty if there
// are none.
func Chain(parent, diffID string) string {
	if parent == "" {
		return diffID
	}
	sum := sha256.Sum256([]byte(parent + " " + diffID))
	return digestOf(sum[:])
}

// Reachable are the digests of all content that a target leads to, as far as the store has it.
func (s Store) Reachable(target string) (all []string) {
	seen := map[string]bool{}
	for next := []string{target}; len(next) > 0; next = next[1:] {
		d := next[0]
		if seen[d] || !s.Has(d) {
			continue
		}
		seen[d] = true
		all = append(all, d)
		var doc document
		if _, err := s.readJSON(d, &doc); err != nil {
			continue // a layer, or damaged
		}
		for _, m := range doc.Manifests {
			next = append(next, m.Digest)
		}
		if doc.Config == nil {
			continue
		}
		// Neither a configuration nor a layer leads anywhere, and layers are large.
		for _, leaf := range append(doc.Layers, *doc.Config) {
			if !seen[leaf.Digest] && s.Has(leaf.Digest) {
				seen[leaf.Digest] = true
				all = append(all, leaf.Digest)
			}
		}
	}
	return all
}

// maxDocument is what containerd accepts of a manifest, an index or a configuration.
const maxDocument = 8 << 20

// readJSON reads a document.
func (s Store) readJSON(digest string, v any) (size int64, err error) {
	f, err := s.Open(digest)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	if err == nil && len(data) > maxDocument {
		err = fmt.Errorf("it is larger than %d bytes", maxDocument)
	}
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", digest, err)
	}
	return int64(len(data)), nil
}

// Assemble returns the manifest of an image whose configuration and uncompressed layers the store has; otherwise the error is
// ErrMissing.
func (s Store) Assemble(config string, diffIDs []string) (target string, err error) {
	describe := func(mediaType, digest string) (Descriptor, error) {
		f, err := s.Open(digest)
		if err != nil {
			return Descriptor{}, err
		}
		defer func() { _ = f.Close() }()
		info, err := f.Stat()
		if err != nil {
			return Descriptor{}, err
		}
		return Descriptor{MediaType: mediaType, Digest: digest, Size: info.Size()}, nil
	}
	c, err := describe(dockerConfig, config)
	if err != nil {
		return "", err
	}
	var layers []Descriptor
	for _, d := range diffIDs {
		l, err := describe(dockerLayer, d)
		if err != nil {
			return "", err
		}
		layers = append(layers, l)
	}
	m, err := s.PutManifest(c, layers)
	return m.Digest, err
}
