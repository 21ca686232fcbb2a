package harness

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/klauspost/compress/zstd"
)

// The images that tests use. No registry has them, so a pod that runs proves that loading works.
const (
	Testpod = "bonsai.test/testpod:1"
	Busybox = "bonsai.test/busybox:1"
	// Glibcpod has the program "resolve", which asks the resolver of Debian's C library.
	Glibcpod = "bonsai.test/glibcpod:1"
)

// built are the images, built once per run of the tests.
type built struct {
	once    sync.Once
	err     error
	dir     string
	images  map[string]v1.Image
	archive string
}

var images built // a process-wide cache; TestMain removes it

func (b *built) remove() {
	if b.dir != "" {
		_ = os.RemoveAll(b.dir)
	}
}

// Archive returns the path of a docker archive with all test images.
func Archive(t *testing.T) string {
	t.Helper()
	images.once.Do(func() { images.err = images.build() })
	if images.err != nil {
		t.Fatal(images.err)
	}
	return images.archive
}

// Image returns one of the test images, to be pushed to a registry.
func Image(t *testing.T, ref string) v1.Image {
	t.Helper()
	Archive(t)
	return images.images[ref]
}

func (b *built) build() (err error) {
	if b.dir, err = os.MkdirTemp("", "bt-images-"); err != nil {
		return err
	}
	testpod := filepath.Join(b.dir, "testpod")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", testpod, "./test/images/testpod")
	cmd.Dir = Root()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build testpod: %w\n%s", err, out)
	}
	busybox := filepath.Join(b.dir, "busybox")
	if err := unpack("bin/busybox", busybox); err != nil {
		return fmt.Errorf("take busybox from the node payload: %w (run make first)", err)
	}
	applets, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		return fmt.Errorf("list busybox's applets: %w", err)
	}
	b.images = map[string]v1.Image{}
	if b.images[Testpod], err = image(testpod, "testpod", nil, []string{"/bin/testpod"}); err != nil {
		return err
	}
	if b.images[Busybox], err = image(busybox, "busybox", strings.Fields(string(applets)), []string{"/bin/sh"}); err != nil {
		return err
	}
	if b.images[Glibcpod], err = b.glibcpod(); err != nil {
		return err
	}
	refs := map[name.Reference]v1.Image{}
	for ref, img := range b.images {
		tag, err := name.NewTag(ref)
		if err != nil {
			return err
		}
		refs[tag] = img
	}
	b.archive = filepath.Join(b.dir, "images.tar")
	return tarball.MultiRefWriteToFile(b.archive, refs)
}

// glibcpod compiles the program and adds the C library of the payload, which is Debian's.
func (b *built) glibcpod() (v1.Image, error) {
	resolve := filepath.Join(b.dir, "resolve")
	source := filepath.Join(Root(), "test/images/glibcpod/resolve.c")
	if out, err := exec.Command("gcc", "-Wall", "-Werror", "-O1", "-o", resolve, source).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compile glibcpod: %w\n%s", err, out)
	}
	files := map[string]string{"bin/resolve": resolve}
	for from, to := range map[string]string{"lib/ld-linux-x86-64.so.2": "lib64/ld-linux-x86-64.so.2", "lib/libc.so.6": "lib/libc.so.6"} {
		path := filepath.Join(b.dir, filepath.Base(from))
		if err := unpack(from, path); err != nil {
			return nil, fmt.Errorf("take the C library from the node payload: %w (run make first)", err)
		}
		files[to] = path
	}
	return imageOf(files, nil, []string{"/bin/resolve"})
}

// unpack copies a file from the payload that the executable was built with.
func unpack(file, to string) error {
	f, err := os.Open(filepath.Join(Root(), "bootstrap/payload/embedded/rootfs.tar.zst"))
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		return err
	}
	defer z.Close()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err != nil {
			return fmt.Errorf("look for %s: %w", file, err)
		}
		if path.Clean(h.Name) != file || h.Typeflag != tar.TypeReg {
			continue
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		return os.WriteFile(to, data, 0o755)
	}
}

// image puts one static executable at /bin/NAME, with links to it.
func image(executable, base string, links, entrypoint []string) (v1.Image, error) {
	names := map[string]string{}
	for _, l := range links {
		if l != base {
			names["bin/"+l] = base
		}
	}
	return imageOf(map[string]string{"bin/" + base: executable}, names, entrypoint)
}

// imageOf puts files, by their path in the image, and symbolic links into one layer.
func imageOf(files, links map[string]string, entrypoint []string) (v1.Image, error) {
	var err error
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	add := func(h tar.Header, content []byte) {
		h.Size = int64(len(content))
		if err == nil {
			err = w.WriteHeader(&h)
		}
		if err == nil {
			_, err = w.Write(content)
		}
	}
	add(tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}, nil)
	made := map[string]bool{}
	for _, to := range slices.Sorted(maps.Keys(files)) {
		if dir := path.Dir(to) + "/"; !made[dir] {
			made[dir] = true
			add(tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755}, nil)
		}
		data, e := os.ReadFile(files[to])
		if e != nil {
			return nil, e
		}
		add(tar.Header{Typeflag: tar.TypeReg, Name: to, Mode: 0o755}, data)
	}
	for _, l := range slices.Sorted(maps.Keys(links)) {
		add(tar.Header{Typeflag: tar.TypeSymlink, Name: l, Linkname: links[l], Mode: 0o777}, nil)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, err
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(layer.Bytes())), nil
	})
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(empty.Image, l)
	if err != nil {
		return nil, err
	}
	return mutate.ConfigFile(img, &v1.ConfigFile{
		OS: "linux", Architecture: runtime.GOARCH,
		RootFS: v1.RootFS{Type: "layers", DiffIDs: must(img.ConfigFile()).RootFS.DiffIDs},
		Config: v1.Config{Entrypoint: entrypoint, Env: []string{"PATH=/bin"}},
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // the image was just created in memory
	}
	return v
}
