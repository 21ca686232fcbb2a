package e2e

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/imagestore/imagetest"
	"bonsai/test/e2e/harness"
)

// What was loaded reaches nodes that come later also when the engine, the archive and every node that had it are gone, and is
// removed from this machine when no cluster needs it.
func TestImagesOutliveTheirNodes(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	c.Start(t, "--nodes", "1")
	first := c.Nodes(t)[0]
	tag, digest := engineImage(t, "outlives")
	archive, ociDigest := ociArchive(t, "oci.bonsai.test/outlives:1")
	c.Must(t, "image", "load", tag)
	c.Must(t, "image", "load", archive)
	harness.Docker(t, "rmi", "-f", tag)
	if err := os.Remove(archive); err != nil {
		t.Fatal(err)
	}

	n := c.NewNamespace(t)
	names := []string{tag, digest, "oci.bonsai.test/outlives:1", "oci.bonsai.test/outlives@" + ociDigest}
	run := func(node, prefix string) {
		t.Helper()
		var pods []*corev1.Pod
		for i, image := range names {
			p := harness.On(node, n.Pod(prefix+string(rune('a'+i)), image, "-c", "sleep 1000"))
			p.Spec.Containers[0].ImagePullPolicy = corev1.PullNever
			pods = append(pods, p)
		}
		n.Create(t, pods...)
	}
	c.Must(t, "node", "add")
	second := slices.DeleteFunc(c.Nodes(t), func(name string) bool { return name == first })[0]
	run(second, "late-")

	// Every node is lost with its volume. The containers' images are in no node any more.
	for _, node := range []string{first, second} {
		harness.Docker(t, "rm", "-f", "-v", harness.Container(t, node))
		for volume := range strings.FieldsSeq(harness.Docker(t, "volume", "ls", "-q", "--filter", "label="+harness.NodeLabel+"="+node)) {
			harness.Docker(t, "volume", "rm", volume)
		}
	}
	c.Start(t)
	run(first, "again-")

	// containerd knows images without their layers after a restart, too.
	harness.InNode(t, first, "sh", "-c", `kill $(pidof containerd)`)
	harness.Until(t, 30*time.Second, "containerd to list the image again", func() error {
		out, err := harness.TryDocker("exec", harness.Container(t, first), "crictl", "images")
		if err == nil && !strings.Contains(out, "oci.bonsai.test/outlives") {
			err = errors.New(out)
		}
		return err
	})
	run(first, "restarted-")

	// A node saves what it has without layers.
	file := filepath.Join(t.TempDir(), "saved.tar")
	c.Must(t, "image", "save", "oci.bonsai.test/outlives:1", "-o", file)
	c.Must(t, "image", "load", file)

	blobs := func() (names []string) {
		entries, err := os.ReadDir(filepath.Join(c.Dir, "images", "blobs", "sha256"))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	c.Must(t, "image", "rm", tag, digest)
	if left := blobs(); !slices.Contains(left, strings.TrimPrefix(ociDigest, "sha256:")) {
		t.Errorf("after the removal of one image, %q are left", left)
	}
	c.Must(t, "image", "rm", "oci.bonsai.test/outlives:1")
	if left := blobs(); len(left) > 0 {
		t.Errorf("after the removal of all images, %q are left", left)
	}
}

// A load that is interrupted, or whose content is not what it says, leaves nothing in a node and on this machine.
func TestAnInterruptedLoadLeavesNothing(t *testing.T) {
	c := harness.New(t)
	c.Start(t, "--nodes", "1")
	node := c.Nodes(t)[0]
	container := harness.Container(t, node)

	// What a node gets when the command is killed: the stream ends.
	layer := string(imagetest.Tar([2]string{"file", strings.Repeat(c.Name, 100_000)}))
	config := imagetest.Config(layer)
	deliver := func(content string, cut int) (output string, err error) {
		t.Helper()
		d := cluster.ImageDelivery{
			Images: []cluster.DeliveredImage{{
				Names: []string{"half.bonsai.test/app:1"}, Chain: imagetest.Digest(layer),
				Documents: []cluster.ImageDocument{{MediaType: "application/vnd.oci.image.config.v1+json", Digest: imagetest.Digest(config), Size: int64(len(config))}},
			}},
			Layers: []cluster.DeliveredLayer{{Chain: imagetest.Digest(layer), DiffID: imagetest.Digest(layer), MediaType: "application/vnd.oci.image.layer.v1.tar"}},
		}
		first, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var stream bytes.Buffer
		w := tar.NewWriter(&stream)
		for _, f := range [][2]string{{cluster.DeliveryFile, string(first)}, {imagetest.Digest(config), config}, {imagetest.Digest(layer), content}} {
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f[0], Size: int64(len(f[1]))}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte(f[1])); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "docker", "exec", "-i", container, "bonsai-agent", "images", "receive")
		cmd.Stdin = bytes.NewReader(stream.Bytes()[:stream.Len()-cut])
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	snapshots := func() string {
		return harness.InNode(t, node, "ls", "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots")
	}
	var before string
	harness.Until(t, 20*time.Second, "the image of sandboxes, which a node brings along, to be unpacked", func() error {
		if before = snapshots(); before == "" {
			return errors.New("there is no snapshot")
		}
		return nil
	})
	for what, try := range map[string]func() (string, error){
		"half of a layer":        func() (string, error) { return deliver(layer, len(layer)/2) },
		"a layer of other bytes": func() (string, error) { return deliver(strings.Replace(layer, c.Name, strings.ToUpper(c.Name), 1), 0) },
	} {
		if out, err := try(); err == nil {
			t.Errorf("%s was accepted: %s", what, out)
		}
		if out := c.Must(t, "image", "ls"); strings.Contains(out, "half.bonsai.test") {
			t.Errorf("%s: image ls says\n%s", what, out)
		}
		if out := harness.InNode(t, node, "bonsai-agent", "images", "unpacked", imagetest.Digest(layer)); strings.TrimSpace(out) != "[]" {
			t.Errorf("%s: the node keeps the layer: %s", what, out)
		}
	}
	harness.Until(t, 30*time.Second, "the snapshots of interrupted loads to be removed", func() error {
		if after := snapshots(); after != before {
			return errors.New(after)
		}
		return nil
	})
	if out, err := deliver(layer, 0); err != nil {
		t.Errorf("all of it is refused: %v: %s", err, out)
	}

	// The command is killed while it reads an archive: the next one removes what it left.
	archive, err := os.ReadFile(harness.Archive(t))
	if err != nil {
		t.Fatal(err)
	}
	cmd := c.Command(t.Context(), "image", "load", "-p", c.Name, "-")
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := input.Write(archive[:len(archive)/2]); err != nil {
		t.Fatal(err)
	}
	partial := filepath.Join(c.Dir, "images", "partial")
	harness.Until(t, 30*time.Second, "the archive to be read", func() error {
		entries, err := os.ReadDir(partial)
		if err == nil && len(entries) == 0 {
			err = errors.New("nothing is being written")
		}
		return err
	})
	if err := errors.Join(cmd.Process.Kill(), input.Close()); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	c.LoadImages(t)
	if entries, err := os.ReadDir(partial); err != nil || len(entries) > 0 {
		t.Errorf("left %v, %v", entries, err)
	}
}
