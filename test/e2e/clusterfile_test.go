package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/test/e2e/harness"
)

// TestAClusterIsWhatAFileSays from its creation to its copy.
func TestAClusterIsWhatAFileSays(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	path := filepath.Join(t.TempDir(), "cluster.yaml")
	write := func(fields string) {
		t.Helper()
		if err := os.WriteFile(path, []byte("apiVersion: bonsai.dev/v1alpha1\nkind: Cluster\n"+fields), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	unchanged := func(file string) {
		t.Helper()
		if out := c.Must(t, "apply", "-f", file); !strings.HasPrefix(out, "Nothing to change: ") {
			t.Errorf("it is applied again: %s", out)
		}
	}
	const first = "nodes:\n- {role: control-plane, memory: 1Gi}\n- labels: {disk: ssd}\n  taints: ['gpu=yes:PreferNoSchedule']\ndns: {search: none}\n"
	write(first)
	c.Must(t, "apply", "-f", path)
	if s, code := c.Status(t); code != 0 || len(s.Nodes) != 2 || s.Phase != cluster.PhaseRunning {
		t.Fatalf("status %d: %+v", code, s)
	}
	unchanged(path)
	c.LoadImages(t)
	ns := &harness.Namespace{Cluster: c, Namespace: "default", Client: c.Client(t)}
	marks := func(node string) (disk string, taints int) {
		t.Helper()
		n, err := ns.Client.CoreV1().Nodes().Get(t.Context(), node, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, taint := range n.Spec.Taints {
			if taint.Key == "gpu" { // upstream's own, of a node that has just become ready, may still be there
				taints++
			}
		}
		return n.Labels["disk"], taints
	}
	one, two, three := c.Name+"-1", c.Name+"-2", c.Name+"-3"
	if disk, taints := marks(two); disk != "ssd" || taints != 1 {
		t.Errorf("the second node has the label %q and %d taints", disk, taints)
	}

	t.Run("nodes change and come", func(t *testing.T) {
		container := harness.Container(t, two)
		write(strings.NewReplacer("disk: ssd", "disk: hdd, zone: a", "dns:", "- {}\ndns:").Replace(first))
		c.Must(t, "plan", "-f", path)
		if disk, _ := marks(two); disk != "ssd" {
			t.Errorf("a plan has changed the label to %q", disk)
		}
		c.Must(t, "apply", "-f", path)
		if disk, taints := marks(two); disk != "hdd" || taints != 1 || harness.Container(t, two) != container {
			t.Errorf("the second node has the label %q and %d taints", disk, taints)
		}
		if got := slices.Sorted(slices.Values(c.Nodes(t))); !slices.Equal(got, []string{one, two, three}) {
			t.Errorf("nodes %v", got)
		}
		unchanged(path)
	})

	t.Run("what is on a node keeps it", func(t *testing.T) {
		ns.Create(t, harness.On(three, ns.Pod("alone", harness.Testpod, "serve")))
		write(strings.Replace(first, "disk: ssd", "disk: hdd, zone: a", 1))
		r := c.Bonsai(t, "apply", "-f", path)
		wantCode(t, r, code(fault.Blocked))
		if !strings.Contains(r.Stderr, "pod default/alone") {
			t.Errorf("%s", r)
		}
		c.Must(t, "apply", "-f", path, "--force")
		if got := slices.Sorted(slices.Values(c.Nodes(t))); !slices.Equal(got, []string{one, two}) {
			t.Errorf("nodes %v", got)
		}
	})

	t.Run("what cannot be is refused", func(t *testing.T) {
		write("kubernetesVersion: 1.36\ndns: {search: all}\nnodes: 5\n")
		r := c.Bonsai(t, "apply", "-f", path)
		wantCode(t, r, code(fault.Usage))
		if len(c.Nodes(t)) != 2 || !strings.Contains(r.Stderr, "cannot change the Kubernetes version") || !strings.Contains(r.Stderr, "search domains") {
			t.Errorf("%s", r)
		}
	})

	t.Run("addons have their values", func(t *testing.T) {
		write(strings.Replace(first, "disk: ssd", "disk: hdd, zone: a", 1) +
			"addons:\n  default-storageclass:\n    values: {name: kept, reclaimPolicy: Retain}\n  dns:\n    values: {hosts: [registry.test=192.0.2.7]}\n")
		c.Must(t, "apply", "-f", path)
		classes := func(want string) {
			t.Helper()
			if got := c.Kubectl(t, "get", "storageclass", "-o", "jsonpath={range .items[*]}{.metadata.name}={.reclaimPolicy} {end}"); strings.TrimSpace(got) != want {
				t.Errorf("the classes are %s, want %s", got, want)
			}
		}
		classes("kept=Retain")
		var asked harness.Result
		for begin := time.Now(); time.Since(begin) < 20*time.Second && !strings.Contains(asked.Stdout, "192.0.2.7"); {
			asked = c.Bonsai(t, "dns", "query", "registry.test")
		}
		if !strings.Contains(asked.Stdout, "192.0.2.7") {
			t.Errorf("pods do not find the name: %s", asked)
		}
		// A class cannot change its policy; it is replaced.
		c.Must(t, "addons", "configure", "default-storageclass", "name=", "reclaimPolicy=")
		classes("standard=Delete")
		c.Must(t, "apply", "-f", path)
		classes("kept=Retain")
		unchanged(path)
	})

	t.Run("its own file makes it again", func(t *testing.T) {
		if err := os.WriteFile(path, []byte(c.Must(t, "config", "view")), 0o600); err != nil {
			t.Fatal(err)
		}
		unchanged(path)
		copied := harness.New(t)
		copied.Must(t, "apply", "-f", path)
		view := strings.ReplaceAll(copied.Must(t, "config", "view"), copied.Name, c.Name)
		if want := c.Must(t, "config", "view"); view != want {
			t.Errorf("the file of the copy is\n%s\nwant\n%s", view, want)
		}
	})
}
