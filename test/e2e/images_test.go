package e2e

import (
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	corev1 "k8s.io/api/core/v1"

	"bonsai/test/e2e/harness"
)

// engineImage puts a test image into the engine under a name, as the engine knows it that pushed it to a registry, and
// returns its name by digest. The registry is gone when it returns.
func engineImage(t *testing.T, repository string) (tag, digest string) {
	t.Helper()
	content := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	tag = strings.TrimPrefix(content.URL, "http://") + "/" + repository + ":1"
	ref, err := name.NewTag(tag)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "image.tar")
	// A label makes the content this test's own: an engine shares what is equal.
	img, err := mutate.Config(harness.Image(t, harness.Busybox), labelled(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(file, ref, img); err != nil {
		t.Fatal(err)
	}
	harness.Docker(t, "load", "-i", file)
	t.Cleanup(func() { _, _ = harness.TryDocker("rmi", "-f", tag) })
	harness.Docker(t, "push", tag)
	content.Close()
	digest = harness.Docker(t, "inspect", "-f", "{{index .RepoDigests 0}}", tag)
	return tag, digest
}

// labelled is a configuration that no other test's image has.
func labelled(t *testing.T) v1.Config {
	return v1.Config{Entrypoint: []string{"/bin/sh"}, Env: []string{"PATH=/bin"}, Labels: map[string]string{"test": t.Name() + time.Now().String()}}
}

// ociArchive writes a test image as an archive in OCI form and returns the archive and the image's digest.
func ociArchive(t *testing.T, name string) (file, digest string) {
	t.Helper()
	img, err := mutate.Config(harness.Image(t, harness.Busybox), labelled(t))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	l, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.AppendImage(img, layout.WithAnnotations(map[string]string{"io.containerd.image.name": name})); err != nil {
		t.Fatal(err)
	}
	h, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "oci.tar")
	if out, err := exec.Command("tar", "-C", dir, "-cf", file, ".").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	return file, h.String()
}

// Pods find loaded images by digest without a registry, and nodes that come later have them.
func TestLoadedImages(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	tag, digest := engineImage(t, "hello")
	_, only, _ := strings.Cut(digest, "@")
	c.Start(t, "--nodes", "1")
	first := c.Nodes(t)[0]

	// Under its digest alone, which is not a tag of the engine.
	if out := c.Must(t, "image", "load", digest); strings.TrimSpace(out) != digest {
		t.Errorf("image load %s printed %q", digest, out)
	}
	if out := c.Must(t, "image", "load", tag); !slices.Contains(strings.Fields(out), tag) || !slices.Contains(strings.Fields(out), digest) {
		t.Errorf("image load %s printed %q, want both names", tag, out)
	}
	archive, ociDigest := ociArchive(t, "oci.bonsai.test/box:1")
	if out := c.Must(t, "image", "load", archive); !strings.Contains(out, "oci.bonsai.test/box@"+ociDigest) {
		t.Errorf("image load of an OCI archive printed %q, want the name by digest", out)
	}
	r := c.Bonsai(t, "image", "load", harness.Archive(t))
	if r.Code != 0 {
		t.Fatal(r)
	}
	names := []string{tag, digest, tag + "@" + only, "oci.bonsai.test/box@" + ociDigest, "oci.bonsai.test/box:1@" + ociDigest, harness.Busybox}
	n := c.NewNamespace(t)
	var pods []*corev1.Pod
	for i, image := range names {
		p := harness.On(first, n.Pod(fmt.Sprintf("p%d", i), image, "-c", "sleep 1000"))
		p.Spec.Containers[0].ImagePullPolicy = corev1.PullIfNotPresent
		pods = append(pods, p)
	}
	n.Create(t, pods...)

	// A second node gets all of it from the first, also for pods that may not pull.
	c.Start(t, "--nodes", "2")
	second := c.Name + "-2"
	pods = nil
	for i, image := range names {
		p := harness.On(second, n.Pod(fmt.Sprintf("q%d", i), image, "-c", "sleep 1000"))
		p.Spec.Containers[0].ImagePullPolicy = corev1.PullNever
		pods = append(pods, p)
	}
	n.Create(t, pods...)
	for line := range strings.Lines(c.Must(t, "image", "ls")) {
		if f := strings.Fields(line); slices.Contains(names, f[0]) && f[1] != "all" {
			t.Errorf("image ls: %s", line)
		}
	}

	// One node alone lacks an image: image ls and status say where it is.
	lonely := "lonely.bonsai.test/box:1"
	lonelyArchive, _ := ociArchive(t, lonely)
	harness.Docker(t, "cp", lonelyArchive, harness.Container(t, first)+":/var/lonely.tar")
	harness.InNode(t, first, "bonsai-agent", "images", "import", "/var/lonely.tar")
	if out := c.Must(t, "image", "ls"); !strings.Contains(strings.Join(strings.Fields(out), " "), lonely+" "+first+" "+second) {
		t.Errorf("image ls does not say that %s is missing on %s:\n%s", lonely, second, out)
	}
	n.Kubectl(t, "-n", n.Namespace, "run", "lonely", "--image", lonely, "--image-pull-policy", "Never",
		"--overrides", fmt.Sprintf(`{"spec":{"nodeName":%q}}`, second), "--", "-c", "sleep 1000")
	harness.Until(t, 30*time.Second, "status to say where the image is", func() error {
		s, _ := c.Status(t)
		for _, p := range s.Problems {
			if strings.Contains(p.Cause, "it is loaded on "+first+" only") && strings.Contains(p.HintText(), "bonsai image load "+lonely) {
				return nil
			}
		}
		return fmt.Errorf("it reports %+v", s.Problems)
	})
	// A start repairs that.
	c.Start(t)
	n.WaitReady(t, "lonely")

	// A node that was removed by hand, with its volume, is made again with its images.
	harness.Docker(t, "rm", "-f", "-v", harness.Container(t, second))
	for volume := range strings.FieldsSeq(harness.Docker(t, "volume", "ls", "-q", "--filter", "label="+harness.NodeLabel+"="+second)) {
		harness.Docker(t, "volume", "rm", volume)
	}
	c.Start(t)
	n.Create(t, func() *corev1.Pod {
		p := harness.On(second, n.Pod("again", digest, "-c", "sleep 1000"))
		p.Spec.Containers[0].ImagePullPolicy = corev1.PullNever
		return p
	}())
}
