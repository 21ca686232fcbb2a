package e2e

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	corev1 "k8s.io/api/core/v1"

	"bonsai/test/e2e/harness"
)

// A large image is unpacked once for all nodes: each of them has all of it, they share its files, and one that goes takes nothing
// from the others.
func TestLargeImagesAreUnpackedOnce(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	c.Start(t, "--nodes", "2")
	nodes := c.Nodes(t)
	const tag = "large.bonsai.test/app:1"
	c.Must(t, "image", "load", largeArchive(t, tag))

	n := c.NewNamespace(t)
	check := func(node, name string) {
		t.Helper()
		p := harness.On(node, n.Pod(name, tag, "-c",
			`test $(wc -c </data/big) = 60000000 && ! test -e /data/removed && test "$(ls /replaced)" = new && test "$(stat -c %a:%u /data)" = 750:7 && sleep 1000`))
		p.Spec.Containers[0].ImagePullPolicy = corev1.PullNever
		n.Create(t, p)
	}
	for i, node := range nodes {
		check(node, "app-"+string(rune('a'+i)))
		if names := namesOnDisk(t, node); names != "2" {
			t.Errorf("the file has %q names on %s, want one for each node", names, node)
		}
		if left := harness.InNode(t, node, "ls", "/var/lib/bonsai/layers"); strings.TrimSpace(left) != "" {
			t.Errorf("node %s keeps %s", node, left)
		}
	}

	c.Must(t, "node", "delete", nodes[1], "--force")
	if names := namesOnDisk(t, nodes[0]); names != "1" {
		t.Errorf("the file has %q names after the other node was deleted", names)
	}
	check(nodes[0], "again")
	c.Must(t, "node", "add")
	check(slices.DeleteFunc(c.Nodes(t), func(name string) bool { return name == nodes[0] })[0], "late")
	c.Must(t, "image", "rm", tag)
}

// namesOnDisk is how many names the large file has on the disk of a node.
func namesOnDisk(t *testing.T, node string) string {
	t.Helper()
	const snapshots = "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots"
	return strings.TrimSpace(harness.InNode(t, node, "sh", "-c", "stat -c %h "+snapshots+"/*/fs/data/big"))
}

// largeArchive is an image whose upper layer removes and replaces what is in the one below.
func largeArchive(t *testing.T, tag string) string {
	t.Helper()
	content := make([]byte, 60_000_000)
	_, _ = rand.Read(content) // never fails
	dir := tar.Header{Typeflag: tar.TypeDir, Name: "data", Mode: 0o750, Uid: 7}
	img, err := mutate.AppendLayers(harness.Image(t, harness.Busybox),
		layerOf(t, []tar.Header{dir, {Name: "data/big"}, {Name: "data/removed"}, {Name: "replaced/old"}}, content),
		layerOf(t, []tar.Header{{Name: "data/.wh.removed"}, {Name: "replaced/.wh..wh..opq"}, {Name: "replaced/new"}}, nil))
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.NewTag(tag)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "large.tar")
	if err := tarball.WriteToFile(file, ref, img); err != nil {
		t.Fatal(err)
	}
	return file
}

// layerOf is a layer of files, all of the same content, and folders.
func layerOf(t *testing.T, headers []tar.Header, content []byte) v1.Layer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Typeflag == 0 {
			h.Typeflag, h.Mode, h.Size = tar.TypeReg, 0o644, int64(len(content))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	return l
}
