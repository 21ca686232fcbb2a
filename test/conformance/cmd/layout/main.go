// Command layout writes the image of an archive of "docker save" into the folder that agnhost's fake-registry-server serves,
// as upstream's prepare_registry.sh (test/images/agnhost/fakeregistryserver) does with images that it downloads.
//
//	layout FOLDER ARCHIVE NAME TAG
//
// The image has one platform, that of this program, in a manifest list.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "layout:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 4 {
		return errors.New("usage: layout FOLDER ARCHIVE NAME TAG")
	}
	image, err := tarball.ImageFromPath(args[1], nil)
	if err != nil {
		return fmt.Errorf("%s: %w", args[1], err)
	}
	return write(filepath.Join(args[0], args[2]), args[3], image)
}

// write makes manifests/TAG, which has a digest, and manifests and blobs by their digest.
func write(folder, tag string, image v1.Image) error {
	list := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{
		Add:        image,
		Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: runtime.GOARCH}},
	})
	manifests, blobs := filepath.Join(folder, "manifests"), filepath.Join(folder, "blobs")
	listDigest, listed, err := described(list)
	if err != nil {
		return err
	}
	imageDigest, manifest, err := described(image)
	if err != nil {
		return err
	}
	configDigest, err := image.ConfigName()
	if err != nil {
		return err
	}
	config, err := image.RawConfigFile()
	if err != nil {
		return err
	}
	errs := []error{put(manifests, listDigest, listed), put(manifests, imageDigest, manifest), put(blobs, configDigest, config)}
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	for _, layer := range layers {
		errs = append(errs, putLayer(blobs, layer))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(manifests, tag), []byte(listDigest.String()+"\n"), 0o644) //nolint:gosec // it is part of an image
}

// described is what a manifest of an image or of a list has.
func described(m interface {
	Digest() (v1.Hash, error)
	RawManifest() ([]byte, error)
},
) (v1.Hash, []byte, error) {
	digest, err := m.Digest()
	if err != nil {
		return v1.Hash{}, nil, err
	}
	raw, err := m.RawManifest()
	return digest, raw, err
}

func putLayer(blobs string, layer v1.Layer) error {
	digest, err := layer.Digest()
	if err != nil {
		return err
	}
	content, err := layer.Compressed()
	if err != nil {
		return err
	}
	data, err := io.ReadAll(content)
	if err := errors.Join(err, content.Close()); err != nil {
		return err
	}
	return put(blobs, digest, data)
}

// put writes ALGORITHM/AB/HASH/data, where AB is how the hash begins.
func put(folder string, digest v1.Hash, data []byte) error {
	dir := filepath.Join(folder, digest.Algorithm, digest.Hex[:2], digest.Hex)
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // it is part of an image
		return err
	}
	return os.WriteFile(filepath.Join(dir, "data"), data, 0o644) //nolint:gosec // it is part of an image
}
