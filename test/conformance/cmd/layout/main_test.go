package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// What the registry serves by digest has that digest, from the tag to the layers.
func TestAnImageIsFoundByItsTag(t *testing.T) {
	image, err := random.Image(100, 2)
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag("registry.k8s.io/pause:3")
	if err != nil {
		t.Fatal(err)
	}
	archive, folder := filepath.Join(t.TempDir(), "pause.tar"), t.TempDir()
	if err := tarball.WriteToFile(archive, tag, image); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{folder, archive, "pause", "testing"}); err != nil {
		t.Fatal(err)
	}

	named, err := os.ReadFile(filepath.Join(folder, "pause", "manifests", "testing"))
	if err != nil {
		t.Fatal(err)
	}
	var list v1.IndexManifest
	read(t, folder, "manifests", strings.TrimSpace(string(named)), &list)
	if len(list.Manifests) != 1 || list.Manifests[0].Platform.OS != "linux" || list.Manifests[0].Platform.Architecture == "" {
		t.Fatalf("the list is %+v", list)
	}
	var manifest v1.Manifest
	read(t, folder, "manifests", list.Manifests[0].Digest.String(), &manifest)
	if len(manifest.Layers) != 2 {
		t.Errorf("the manifest is %+v", manifest)
	}
	var config v1.ConfigFile
	read(t, folder, "blobs", manifest.Config.Digest.String(), &config)
	for _, layer := range manifest.Layers {
		read(t, folder, "blobs", layer.Digest.String(), nil)
	}
}

func read(t *testing.T, folder, kind, digest string, content any) {
	t.Helper()
	_, hash, _ := strings.Cut(digest, ":")
	data, err := os.ReadFile(filepath.Join(folder, "pause", kind, "sha256", hash[:2], hash, "data"))
	if err != nil {
		t.Fatal(err)
	}
	if is, _, err := v1.SHA256(strings.NewReader(string(data))); err != nil || is.String() != digest {
		t.Errorf("%s is stored as %s, %v", is, digest, err)
	}
	if content != nil {
		if err := json.Unmarshal(data, content); err != nil {
			t.Errorf("%s: %v", digest, err)
		}
	}
}

func TestWrongUse(t *testing.T) {
	for _, args := range [][]string{nil, {t.TempDir(), filepath.Join(t.TempDir(), "missing.tar"), "pause", "testing"}} {
		if err := run(args); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}
