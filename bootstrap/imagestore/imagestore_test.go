package imagestore_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"bonsai/bootstrap/imagestore"
	"bonsai/bootstrap/imagestore/imagetest"
)

const arch = "amd64"

func open(t *testing.T) imagestore.Store {
	t.Helper()
	s := imagestore.New(filepath.Join(t.TempDir(), "images"))
	use(t, s)
	return s
}

func use(t *testing.T, s imagestore.Store) (release func()) {
	t.Helper()
	release, err := s.Use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return release
}

func read(t *testing.T, s imagestore.Store, archive []byte) []imagestore.Archived {
	t.Helper()
	images, err := s.ReadArchive(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	return images
}

func content(t *testing.T, s imagestore.Store, digest string) string {
	t.Helper()
	f, err := s.Open(digest)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// An image of the engine gets the manifest that containerd makes of such an archive, and names its layers by their content.
func TestAnArchiveOfDockerSave(t *testing.T) {
	s := open(t)
	config := imagetest.ConfigFor(arch, "base", "top", "top")
	archive := imagetest.Tar([2]string{"aa/VERSION", "1.0"}, [2]string{"aa/layer.tar", "base"}, [2]string{"bb/layer.tar", "top"}, [2]string{"cc/layer.tar", "->../bb/layer.tar"},
		[2]string{"c.json", config}, [2]string{"repositories", "{}"},
		[2]string{"manifest.json", `[{"Config":"c.json","RepoTags":["app:1","registry.test/app:2"],"Layers":["aa/layer.tar","bb/layer.tar","cc/layer.tar"]}]`})
	images := read(t, s, archive)
	if len(images) != 1 || !slices.Equal(images[0].Tags, []string{"app:1", "registry.test/app:2"}) {
		t.Fatalf("read %v", images)
	}
	want := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",`+
		`"config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"%s","size":%d},"layers":[`+
		`{"mediaType":"application/vnd.docker.image.rootfs.diff.tar","digest":"%s","size":4},`+
		`{"mediaType":"application/vnd.docker.image.rootfs.diff.tar","digest":"%[4]s","size":3},`+
		`{"mediaType":"application/vnd.docker.image.rootfs.diff.tar","digest":"%[4]s","size":3}]}`,
		imagetest.Digest(config), len(config), imagetest.Digest("base"), imagetest.Digest("top"))
	if got := content(t, s, images[0].Target); got != want {
		t.Errorf("the manifest is %s\nwant %s", got, want)
	}
	i, err := s.Resolve(images[0].Target, arch)
	if err != nil {
		t.Fatal(err)
	}
	chains := []string{imagetest.Digest("base")}
	for range 2 {
		chains = append(chains, imagetest.Digest(chains[len(chains)-1]+" "+imagetest.Digest("top")))
	}
	for n, l := range i.Layers {
		if l.Chain != chains[n] || n > 0 && l.Parent != chains[n-1] {
			t.Errorf("layer %d has the chain %s on %s, want %s", n, l.Chain, l.Parent, chains[n])
		}
	}
	digest := "docker.io/library/app@" + imagetest.Digest("of the registry")
	names := i.Names(images[0].Tags, map[string][]string{i.Config.Digest: {digest}})
	if want := []string{"docker.io/library/app:1", "registry.test/app:2", digest}; !slices.Equal(names, want) {
		t.Errorf("names are %q, want %q", names, want)
	}
	// Of an image whose content is there, the manifest needs no archive.
	if target, err := s.Assemble(i.Config.Digest, []string{imagetest.Digest("base"), imagetest.Digest("top"), imagetest.Digest("top")}); err != nil || target != i.Target.Digest {
		t.Errorf("assembled %s, %v; want %s", target, err, i.Target.Digest)
	}
	if _, err := s.Assemble(i.Config.Digest, []string{imagetest.Digest("nobody has this")}); !errors.Is(err, imagestore.ErrMissing) {
		t.Errorf("assembled without a layer: %v", err)
	}
}

func TestAnArchiveInOCIForm(t *testing.T) {
	s := open(t)
	archive, digest := imagetest.OCI("docker.io/library/app:1", "base", "top")
	var gz, zst bytes.Buffer
	w := gzip.NewWriter(&gz)
	z, err := zstd.NewWriter(&zst)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []io.WriteCloser{w, z} {
		if _, err := c.Write(archive); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for what, data := range map[string][]byte{"plain": archive, "gzip": gz.Bytes(), "zstd": zst.Bytes()} {
		images := read(t, s, data)
		if len(images) != 1 || images[0].Target != digest || !slices.Equal(images[0].Tags, []string{"docker.io/library/app:1"}) {
			t.Errorf("%s: read %v, want %s", what, images, digest)
		}
	}
	i, err := s.Resolve(digest, arch)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := i.Names([]string{"app:1"}, nil), []string{"docker.io/library/app:1", "docker.io/library/app@" + digest}; !slices.Equal(got, want) {
		t.Errorf("names are %q, want %q", got, want)
	}

	// What is written is read again, also by a store that has nothing.
	var out bytes.Buffer
	if err := s.WriteArchive(&out, []imagestore.Image{i}, [][]string{{"docker.io/library/app:1", "docker.io/library/app@" + digest}}); err != nil {
		t.Fatal(err)
	}
	other := open(t)
	if got := read(t, other, out.Bytes()); len(got) != 1 || got[0].Target != digest || len(got[0].Tags) != 2 {
		t.Errorf("read again: %v", got)
	}
	if again, err := other.Resolve(digest, arch); err != nil || len(again.Layers) != 2 || !other.Has(again.Layers[1].Content.Digest) {
		t.Errorf("read again: %v, %v", again, err)
	}
}

// Of an index, the store needs what this machine runs.
func TestAnIndex(t *testing.T) {
	s := open(t)
	put := func(text string) string {
		t.Helper()
		b, err := s.Put(strings.NewReader(text), "")
		if err != nil {
			t.Fatal(err)
		}
		return b.Digest
	}
	config := imagetest.ConfigFor(arch, "base")
	manifest := put(fmt.Sprintf(`{"config":{"digest":%q},"layers":[{"digest":%q}]}`, put(config), put("base")))
	entry := `{"digest":%q,"platform":{"os":%q,"architecture":%q}}`
	index := func(arch string) string {
		return put(`{"manifests":[` + fmt.Sprintf(entry, manifest, "unknown", "unknown") + "," + fmt.Sprintf(entry, imagetest.Digest("absent"), "linux", "s390x") + "," +
			fmt.Sprintf(entry, manifest, "linux", arch) + "]}")
	}
	i, err := s.Resolve(index(arch), arch)
	if err != nil || i.Manifest.Digest != manifest || len(i.Documents()) != 3 || i.Target.Digest != i.Documents()[0].Digest {
		t.Errorf("resolved %+v, %v", i, err)
	}
	for what, target := range map[string]string{"another architecture": index("riscv64"), "an absent manifest": put(`{"manifests":[` + fmt.Sprintf(entry, imagetest.Digest("absent"), "linux", arch) + "]}")} {
		if _, err := s.Resolve(target, arch); !errors.Is(err, imagestore.ErrPlatform) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := s.Resolve(manifest, "riscv64"); !errors.Is(err, imagestore.ErrPlatform) {
		t.Errorf("an image for another architecture: %v", err)
	}
	for what, text := range map[string]string{
		"no manifest": "{}", "a digest that is a path": `{"config":{"digest":"sha256:../../lock"}}`, "more layers than the configuration": fmt.Sprintf(`{"config":{"digest":%q},"layers":[]}`, put(config)),
	} {
		if _, err := s.Resolve(put(text), arch); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

func TestArchivesThatCannotBeRead(t *testing.T) {
	wrong := imagetest.Blob("content")
	wrong[1] = "another"
	for what, archive := range map[string][]byte{
		"text":                  []byte(strings.Repeat("text", 300)),
		"nothing of an image":   imagetest.Tar([2]string{"aa/layer.tar", "base"}),
		"a missing layer":       imagetest.Tar([2]string{"c.json", "{}"}, [2]string{"manifest.json", `[{"Config":"c.json","Layers":["aa/layer.tar"]}]`}),
		"a file of other bytes": imagetest.Tar(wrong, [2]string{"oci-layout", "{}"}, [2]string{"index.json", "{}"}),
		"an index of nothing":   imagetest.Tar([2]string{"oci-layout", "{}"}, [2]string{"index.json", "{}"}),
		"its first half":        imagetest.Docker([]string{"app:1"}, strings.Repeat("layer", 1000))[:2048],
		"bzip2":                 []byte("BZh91AY&SY"),
	} {
		s := open(t)
		if images, err := s.ReadArchive(bytes.NewReader(archive)); err == nil {
			t.Errorf("%s: read %v", what, images)
		}
		if left, err := os.ReadDir(filepath.Join(s.Dir(), "partial")); err != nil || len(left) > 0 {
			t.Errorf("%s: left %v, %v", what, left, err)
		}
	}
}

func TestCollectRemovesWhatNobodyNeeds(t *testing.T) {
	s := imagestore.New(filepath.Join(t.TempDir(), "images"))
	none := func() ([]string, error) { return nil, nil }
	if freed, err := s.Collect(t.Context(), none); freed != 0 || err != nil {
		t.Errorf("a store that does not exist: freed %d, %v", freed, err)
	}
	release := use(t, s)
	stays := read(t, s, imagetest.DockerFor(arch, []string{"stays:1"}, "base", "own"))[0].Target
	goes := read(t, s, imagetest.DockerFor(arch, []string{"goes:1"}, "base", "its own layer"))[0].Target
	// What an interrupted writer leaves.
	if err := os.WriteFile(filepath.Join(s.Dir(), "partial", "blob-1"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	total, each, err := s.Size([]string{stays, goes})
	if err != nil || each[stays]+each[goes] != total+int64(len("base")-len("half")) {
		t.Errorf("sizes are %d, %v, %v", total, each, err)
	}

	// Somebody uses it: nothing is removed.
	short, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if freed, err := s.Collect(short, none); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while it is in use: freed %d, %v", freed, err)
	}
	release()
	unknown := errors.New("a cluster cannot be read")
	if _, err := s.Collect(t.Context(), func() ([]string, error) { return nil, unknown }); !errors.Is(err, unknown) || !s.Has(goes) {
		t.Errorf("without knowing what is needed: %v", err)
	}
	unneeded, err := s.Unneeded([]string{stays})
	if err != nil || unneeded == 0 || unneeded >= total || !s.Has(goes) {
		t.Errorf("%d bytes of %d are unneeded, %v", unneeded, total, err)
	}
	if freed, err := s.Collect(t.Context(), func() ([]string, error) { return []string{stays}, nil }); err != nil || freed != unneeded {
		t.Errorf("freed %d, %v, want %d", freed, err, unneeded)
	}
	if i, err := s.Resolve(stays, arch); err != nil || !s.Has(i.Layers[0].Content.Digest) || !s.Has(i.Layers[1].Content.Digest) {
		t.Errorf("what is needed is gone: %v", err)
	}
	if s.Has(goes) || s.Has(imagetest.Digest("its own layer")) {
		t.Error("what nobody needs is still there")
	}
	if left, err := os.ReadDir(filepath.Join(s.Dir(), "partial")); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestDamagedContentIsRemoved(t *testing.T) {
	s := open(t)
	b, err := s.Put(strings.NewReader("content"), imagetest.Digest("content"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(strings.NewReader("another"), b.Digest); err == nil {
		t.Error("content of another digest was stored")
	}
	if damaged := s.Verify([]string{b.Digest}); damaged != nil {
		t.Errorf("%v are damaged", damaged)
	}
	file := filepath.Join(s.Dir(), "blobs", "sha256", strings.TrimPrefix(b.Digest, "sha256:"))
	if err := os.WriteFile(file, []byte("conte"), 0o600); err != nil {
		t.Fatal(err)
	}
	if damaged := s.Verify([]string{b.Digest}); !slices.Equal(damaged, []string{b.Digest}) || s.Has(b.Digest) {
		t.Errorf("%v are damaged", damaged)
	}
}

func TestFilesArePrivate(t *testing.T) {
	s := open(t)
	read(t, s, imagetest.DockerFor(arch, []string{"app:1"}, "base"))
	if err := filepath.WalkDir(s.Dir(), func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %v", path, info.Mode())
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
