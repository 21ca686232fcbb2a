package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/test/e2e/harness"
)

// otherVersion links the executable under test again, as another version of it.
func otherVersion(t *testing.T, version string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bonsai")
	cmd := exec.CommandContext(t.Context(), "sh", "-c",
		`go build -ldflags "$(tools/ldflags.sh) -X bonsai/bootstrap/buildinfo.Version=$1" -o "$2" ./cmd/bonsai`, "sh", version, path)
	cmd.Dir = harness.Root()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-trimpath -buildvcs=false") // as the Makefile has them, so that nothing is compiled
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("link another version: %v\n%s", err, out)
	}
	return path
}

// TestUpgrade: another version of bonsai takes a running cluster over with all that is in it, and the first one takes it back.
func TestUpgrade(t *testing.T) {
	const version = "v99.0.0-test"
	c := harness.New(t)
	other := otherVersion(t, version)
	t.Cleanup(func() { c.Binary = "" }) // the other one is gone when the cluster is deleted
	c.Start(t, "--nodes", "2")
	c.LoadImages(t)
	n := keptNamespace(t, c, "kept")
	deployment(t, n, "web", 2)
	claim(t, n, "data", "")
	keeper := n.Create(t, withClaim(n, "keeper", "data"))[0]
	write(t, n, "keeper", "of-before")

	payload := func() string {
		t.Helper()
		images := map[string]bool{}
		for _, node := range c.Nodes(t) {
			images[harness.Docker(t, "inspect", harness.Container(t, node), "--format", "{{.Config.Image}}")] = true
		}
		if len(images) != 1 {
			t.Fatalf("nodes are of %v", images)
		}
		for image := range images {
			return image
		}
		panic("unreachable")
	}
	first, _ := state(c).Daemon()
	images := []string{payload()}
	for i, binary := range []string{other, ""} {
		before := daemonPID(t, c)
		c.Binary = binary
		r := c.Start(t)
		if !strings.Contains(r.Stdout+r.Stderr, "this version of bonsai") {
			t.Errorf("the start does not say that it restarts the control plane: %s", r)
		}
		d, _ := state(c).Daemon()
		if want := []string{version, first.Bonsai}[i]; d.PID == before || d.Bonsai != want {
			t.Errorf("the daemon is %+v, want one of %s", d, want)
		}
		if images = append(images, payload()); images[i] == images[i+1] {
			t.Errorf("the nodes are still of %s", images[i])
		}
		readyNodes(t, c, 2)
		available(t, n, "web", 2)
		harness.Until(t, time.Minute, "the claim's data in its pod", func() error {
			pod, err := n.Client.CoreV1().Pods(n.Namespace).Get(t.Context(), "keeper", metav1.GetOptions{})
			if err != nil {
				return err
			}
			if pod.UID != keeper.UID {
				t.Fatalf("the pod is another one: %s, was %s", pod.UID, keeper.UID)
			}
			r := c.Bonsai(t, "kubectl", "--", "-n", n.Namespace, "exec", "keeper", "--", "cat", "/data/file")
			if strings.TrimSpace(r.Stdout) != "of-before" {
				return fmt.Errorf("it has %q: %s", r.Stdout, r.Stderr)
			}
			return nil
		})
		harness.Until(t, time.Minute, "status to find nothing wrong", func() error {
			if s, code := c.Status(t); code != 0 {
				return fmt.Errorf("it exits with %d: %+v", code, s.Problems)
			}
			return nil
		})
	}
	if images[0] != images[2] {
		t.Errorf("back again the nodes are of %s, they were of %s", images[2], images[0])
	}
}
