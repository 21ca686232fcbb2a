package main

import (
	"archive/tar"
	"bytes"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func TestTheArchiveHasTheFilesAndTheSettings(t *testing.T) {
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	for name, mode := range map[string]int64{"./bin/plain": 0o755, "./bin/set-uid": 0o6755} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: 1}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "box.tar")
	args := []string{path, "registry.k8s.io/box:1", "ENV PATH=/bin", "USER 1234", "EXPOSE 80", `CMD ["a", "b c"]`, `ENTRYPOINT ["/e"]`}
	if err := run(args, &files); err != nil {
		t.Fatal(err)
	}

	image, err := tarball.ImageFromPath(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c := file.Config
	if !slices.Equal(c.Cmd, []string{"a", "b c"}) || !slices.Equal(c.Entrypoint, []string{"/e"}) || c.User != "1234" ||
		!slices.Equal(c.Env, []string{"PATH=/bin"}) || len(c.ExposedPorts) != 1 || file.OS != "linux" {
		t.Errorf("settings: %+v", file)
	}
	contents := mutate.Extract(image)
	defer contents.Close()
	modes := map[string]int64{}
	for r := tar.NewReader(contents); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		modes[strings.TrimPrefix(h.Name, "./")] = h.Mode
	}
	if modes["bin/plain"] != 0o755 || modes["bin/set-uid"] != 0o6755 {
		t.Errorf("files: %v", modes)
	}
}

func TestInstructionsThatAreNot(t *testing.T) {
	for _, line := range []string{"RUN make", "CMD a b", ""} {
		if err := run([]string{filepath.Join(t.TempDir(), "x.tar"), "box:1", line}, strings.NewReader("")); err == nil {
			t.Errorf("%q is accepted", line)
		}
	}
}
