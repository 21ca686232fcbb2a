package dockerlayers

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vbatts/tar-split/tar/asm"
	"github.com/vbatts/tar-split/tar/storage"
)

func digestOf(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

// store writes an image into an engine's folder as the engine does, and returns its ID.
func store(t *testing.T, root string, layers ...[]byte) (id string, diffIDs []string) {
	t.Helper()
	chain := ""
	for n, layer := range layers {
		diffID := digestOf(layer)
		diffIDs = append(diffIDs, diffID)
		if chain == "" {
			chain = diffID
		} else {
			chain = digestOf([]byte(chain + " " + diffID))
		}
		cache := fmt.Sprintf("cache-%d", n)
		write(t, filepath.Join(root, "image/overlay2/layerdb/sha256", chain[7:], "cache-id"), []byte(cache))
		var split bytes.Buffer
		z := gzip.NewWriter(&split)
		in, done, err := asm.NewInputTarStreamWithDone(bytes.NewReader(layer), storage.NewJSONPacker(z), storage.NewDiscardFilePutter())
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, in)
		if err := errors.Join(err, <-done); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(root, "image/overlay2/layerdb/sha256", chain[7:], "tar-split.json.gz"), split.Bytes())
		diff := filepath.Join(root, "overlay2", cache, "diff")
		write(t, filepath.Join(diff, ".keep"), nil)
		for r := tar.NewReader(bytes.NewReader(layer)); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			data, readErr := io.ReadAll(r)
			if err = errors.Join(err, readErr); err != nil {
				t.Fatal(err)
			}
			switch h.Typeflag {
			case tar.TypeSymlink:
				if err := os.Symlink(h.Linkname, filepath.Join(diff, h.Name)); err != nil {
					t.Fatal(err)
				}
			case tar.TypeReg:
				write(t, filepath.Join(diff, h.Name), data)
			}
		}
	}
	config := fmt.Appendf(nil, `{"rootfs":{"type":"layers","diff_ids":["%s"]}}`, strings.Join(diffIDs, `","`))
	id = digestOf(config)
	write(t, filepath.Join(root, "image/overlay2/imagedb/content/sha256", id[7:]), config)
	return id, diffIDs
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, data, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// layerOf is a layer with files; a content that begins with "->" is a symbolic link.
func layerOf(t *testing.T, files ...[2]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f[0], Mode: 0o640, Uid: 7, Size: int64(len(f[1])), PAXRecords: map[string]string{"SCHILY.xattr.user.a": "b"}}
		if to, ok := strings.CutPrefix(f[1], "->"); ok {
			h.Typeflag, h.Linkname, h.Size, f[1] = tar.TypeSymlink, to, 0, ""
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(f[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestLayersAreWhatTheyWere(t *testing.T) {
	dir := t.TempDir()
	base, top := layerOf(t, [2]string{"base", strings.Repeat("base", 1000)}), layerOf(t, [2]string{"a/top", "top"}, [2]string{"link", "->a/top"}, [2]string{".wh.base", ""})
	id, diffIDs := store(t, dir, base, top)
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, wanted := range [][]string{diffIDs, diffIDs[1:], nil} {
		var out bytes.Buffer
		if err := Write(&out, root, "overlay2", id, wanted); err != nil {
			t.Fatal(err)
		}
		var got []string
		for r := tar.NewReader(&out); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			data, readErr := io.ReadAll(r)
			if err = errors.Join(err, readErr); err != nil {
				t.Fatal(err)
			}
			if digestOf(data) != h.Name {
				t.Errorf("%s has the digest %s", h.Name, digestOf(data))
			}
			got = append(got, h.Name)
		}
		if want := append([]string{id}, wanted...); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestNothingElseIsRead(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "secret"), []byte("secret"))
	// The file is a link now, to one outside of the layer.
	id, diffIDs := store(t, dir, layerOf(t, [2]string{"file", "secret"}))
	file := filepath.Join(dir, "overlay2/cache-0/diff/file")
	if err := errors.Join(os.Remove(file), os.Symlink("../../../secret", file)); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for what, try := range map[string]func() error{
		"a link that leads out":  func() error { return Write(io.Discard, root, "overlay2", id, diffIDs) },
		"another driver":         func() error { return Write(io.Discard, root, "btrfs", id, nil) },
		"a driver that is a way": func() error { return Write(io.Discard, root, path.Join("..", "x"), id, nil) },
		"no digest":              func() error { return Write(io.Discard, root, "overlay2", "sha256:../../x", nil) },
		"another image's layer":  func() error { return Write(io.Discard, root, "overlay2", id, []string{digestOf(nil)}) },
	} {
		if err := try(); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}
