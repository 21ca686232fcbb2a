package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

const (
	baseLayer = 200_000_000
	topLayer  = 1_000_000
)

// images measures how long an image of the engine takes into three nodes: 200 MB of random bytes, and again after a layer
// of 1 MB has changed.
func (b *bench) images(ctx context.Context) error {
	var first, again []time.Duration
	for i := range b.runs {
		image := fmt.Sprintf("bonsai.test/%s-big:%d", b.name, i)
		base := random(baseLayer)
		for _, took := range []*[]time.Duration{&first, &again} {
			d, err := b.loadFromEngine(ctx, image, map[string][]byte{"a-base": base, "b-top": random(topLayer)})
			if err != nil {
				return err
			}
			*took = append(*took, d)
		}
		if err := b.bonsai(ctx, "image", "rm", "-p", b.name, image); err != nil {
			return err
		}
	}
	report("image load of 200 MB, three nodes", 4*time.Second, result{took: middle(first)})
	report("image load again, 1 MB of it changed", time.Second, result{took: middle(again)})
	return nil
}

// loadFromEngine puts an image into the engine, times its load into the nodes, and removes it from the engine.
func (b *bench) loadFromEngine(ctx context.Context, image string, files map[string][]byte) (took time.Duration, err error) {
	archive := filepath.Join(b.home, "big.tar")
	if err := writeImage(archive, image, files); err != nil {
		return 0, err
	}
	// Not by "docker build", whose cache would keep the layers.
	if err := docker(ctx, "load", "--quiet", "--input", archive); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, docker(context.WithoutCancel(ctx), "image", "rm", image)) }()
	return b.timed(ctx, "image", "load", "-p", b.name, image)
}

func random(size int) []byte {
	data := make([]byte, size)
	_, _ = rand.Read(data) // never fails
	return data
}

// writeImage writes a docker archive of an image with a layer for each file, in the order of their names.
func writeImage(path, image string, files map[string][]byte) error {
	layers := make([]v1.Layer, 0, len(files))
	for _, file := range slices.Sorted(maps.Keys(files)) {
		var layer bytes.Buffer
		w := tar.NewWriter(&layer)
		if err := w.WriteHeader(&tar.Header{Name: file, Mode: 0o755, Size: int64(len(files[file]))}); err != nil {
			return err
		}
		if _, err := w.Write(files[file]); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil })
		if err != nil {
			return err
		}
		layers = append(layers, l)
	}
	img, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		return err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	if img, err = mutate.ConfigFile(img, file); err != nil {
		return err
	}
	tag, err := name.NewTag(image)
	if err != nil {
		return err
	}
	return tarball.WriteToFile(path, tag, img)
}

func docker(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "docker", args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("docker %s: %w\n%s", args[0], err, errs.String())
	}
	return nil
}
