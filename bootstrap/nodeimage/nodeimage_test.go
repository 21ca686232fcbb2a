package nodeimage

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"path"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"bonsai/bootstrap/node"
)

const hash = "0123456789abcdef0123456789abcdef"

func TestArchiveIsTheSameEachTime(t *testing.T) {
	first, err := Archive(hash)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Archive(hash)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("two archives of one hash differ")
	}
	if len(first) > 32<<10 {
		t.Errorf("archive has %d bytes, want a few kilobytes", len(first))
	}
	other, err := Archive("f" + hash)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(first, other) {
		t.Error("archives of two hashes are the same")
	}
}

func TestArchiveIsADockerArchive(t *testing.T) {
	archive, err := Archive(hash)
	if err != nil {
		t.Fatal(err)
	}
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil }
	tag, err := name.NewTag("bonsai-node:0123456789ab")
	if err != nil {
		t.Fatal(err)
	}
	image, err := tarball.Image(opener, &tag)
	if err != nil {
		t.Fatal(err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if got := file.Config.Labels[node.LabelPayload]; got != hash {
		t.Errorf("label %s is %q, want %q", node.LabelPayload, got, hash)
	}
	if got := strings.Join(file.Config.Entrypoint, " "); got != "/opt/bonsai/bin/bonsai-init" {
		t.Errorf("entry point is %q", got)
	}
	// Engines older than OCI layouts go by this file alone.
	manifest, err := tarball.LoadManifest(opener)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := json.Marshal(manifest[0].RepoTags); string(got) != `["bonsai-node:0123456789ab"]` {
		t.Errorf("tags in manifest.json are %s", got)
	}
}

func TestLayerHasParentsBeforeChildrenAndNothingTwice(t *testing.T) {
	layer, err := layerTar()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{".": true}
	for r := tar.NewReader(bytes.NewReader(layer)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		clean := path.Clean(h.Name)
		if !seen[path.Dir(clean)] {
			t.Errorf("%s comes before its folder", h.Name)
		}
		if seen[clean] {
			t.Errorf("%s is there twice", h.Name)
		}
		seen[clean] = true
	}
	for _, want := range []string{"bin", "lib", "lib64", "usr/sbin", "opt/bonsai", "etc/protocols", "etc/localtime", "etc/timezone", "usr/share/zoneinfo", "usr/src"} {
		if !seen[want] {
			t.Errorf("the layer has no %s", want)
		}
	}
}
