package e2e

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/test/e2e/harness"
)

// bundleFiles are the files of a bundle without their first folder.
func bundleFiles(t *testing.T, file string) map[string]string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zip, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for archive := tar.NewReader(zip); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(h.Name, "/")
		files[name] = string(text)
	}
}

// TestWhatOthersSeeOfACluster: doctor, df and bundles of a cluster with a node; and the bundle is opened without the cluster.
func TestWhatOthersSeeOfACluster(t *testing.T) {
	c := harness.New(t)
	c.Start(t, "--nodes", "1")
	c.LoadImages(t)
	n := keptNamespace(t, c, "shop")
	claim(t, n, "data", "")
	n.Create(t, withClaim(n, "writer", "data"))
	n.Exec(t, "writer", "sh", "-c", "dd if=/dev/zero of=/data/big bs=1M count=5 && sync")
	volume := bound(t, n, "data").Name
	const secret = "hunter2hunter2"
	c.Kubectl(t, "-n", "shop", "create", "secret", "generic", "db", "--from-literal=password="+secret)
	c.Kubectl(t, "-n", "shop", "create", "configmap", "plain", "--from-literal=a=visible")

	t.Run("doctor", func(t *testing.T) {
		r := c.Bonsai(t, "doctor", "-o", "json")
		var checks []cluster.Check
		if err := json.Unmarshal([]byte(r.Stdout), &checks); err != nil || r.Code != 0 {
			t.Fatalf("%v: %s", err, r)
		}
		for _, check := range checks {
			if check.State == cluster.CheckError {
				t.Errorf("%s: %+v", check.ID, check.Problems)
			}
			if check.ID == "firewall" && !strings.Contains(check.Detail, "1 of 1 cluster") {
				t.Errorf("of the path from nodes it says %q", check.Detail)
			}
		}
	})

	t.Run("df", func(t *testing.T) {
		var use cluster.DiskUse
		if err := json.Unmarshal([]byte(c.Must(t, "df", "-o", "json")), &use); err != nil || len(use.Unseen) > 0 {
			t.Fatalf("%v, unseen %q", err, use.Unseen)
		}
		find := func(kind, name string) (found cluster.DiskItem) {
			for _, i := range use.Items {
				if i.Cluster == c.Name && i.Kind == kind && (name == "" || i.Name == name) {
					found = i
				}
			}
			return found
		}
		if i := find(cluster.DiskClaim, volume); i.Bytes < 5<<20 || !i.Part || i.Node == "" {
			t.Errorf("the claim is %+v", i)
		}
		volumeItem, images := find(cluster.DiskVolume, ""), find(cluster.DiskImages, "")
		if images.Bytes <= 0 || volumeItem.Bytes < images.Bytes+5<<20 {
			t.Errorf("the node's disk is %+v, the images in it %+v", volumeItem, images)
		}
		if i := find(cluster.DiskImage, harness.Busybox); i.Bytes <= 0 || i.Offered {
			t.Errorf("a loaded image is %+v", i)
		}
		if find(cluster.DiskEtcd, "").Bytes <= 0 || use.Total < volumeItem.Bytes {
			t.Errorf("in total %d", use.Total)
		}
		// What was loaded stays.
		c.Must(t, "prune", "--images", "--yes")
		if left := c.Must(t, "image", "ls"); !strings.Contains(left, harness.Busybox) {
			t.Errorf("left is\n%s", left)
		}
	})

	file := filepath.Join(t.TempDir(), "b.tar.gz")
	c.Must(t, "bundle", "-o", file)
	wantCode(t, c.Bonsai(t, "bundle", "-o", file), code(fault.Conflict))
	files := bundleFiles(t, file)
	node := c.Nodes(t)[0]
	for _, name := range []string{
		"bundle.json", "cluster.yaml", "doctor.json", "status.json", "starts.json", "logs/kube-apiserver.log", "kubectl/pods.txt",
		"nodes/" + node + "/kubelet.log", "nodes/" + node + "/crictl-ps.txt", "objects.db",
	} {
		if files[name] == "" {
			t.Errorf("%s is missing; there are %q", name, slices.Sorted(maps.Keys(files)))
		}
	}
	for name, text := range files {
		if strings.Contains(text, secret) {
			t.Errorf("%s has the value of a Secret", name)
		}
	}
	c.Must(t, "stop")
	stopped := filepath.Join(t.TempDir(), "stopped.tar.gz")
	c.Must(t, "bundle", "-o", stopped)
	c.Must(t, "delete")

	// The cluster is gone; its objects can be looked at, and not changed.
	for name, file := range map[string]string{"of a running one": file, "of a stopped one": stopped} {
		t.Run(name, func(t *testing.T) {
			open := func(args ...string) harness.Result {
				t.Helper()
				return c.Run(t, append([]string{"bundle", "open", file, "--", "kubectl", "-n", "shop"}, args...)...)
			}
			if r := open("get", "pod", "writer", "-o", "jsonpath={.metadata.uid} {.spec.nodeName}"); r.Code != 0 || !strings.HasSuffix(r.Stdout, node) {
				t.Errorf("the pod: %s", r)
			}
			if r := open("get", "secret,configmap", "-o", "jsonpath={.items[*].data}"); r.Code != 0 || !strings.Contains(r.Stdout, "visible") || strings.Contains(r.Stdout, "aHVudGVy") {
				t.Errorf("the data: %s", r)
			}
			for _, args := range [][]string{{"delete", "configmap", "plain"}, {"create", "configmap", "new"}, {"label", "pod", "writer", "a=b"}, {"exec", "writer", "--", "true"}} {
				if r := open(args...); r.Code == 0 || !strings.Contains(r.Stderr, "bundle") {
					t.Errorf("%q: %s", args, r)
				}
			}
		})
	}
	t.Run("until Ctrl-C", func(t *testing.T) {
		cmd := c.Command(t.Context(), "bundle", "open", file)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var said bytes.Buffer
		cmd.Stderr = &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kubeconfig := ""
		for lines := bufio.NewScanner(out); kubeconfig == "" && lines.Scan(); {
			_, kubeconfig, _ = strings.Cut(lines.Text(), "export KUBECONFIG=")
		}
		if r := c.Run(t, "kubectl", "--kubeconfig", kubeconfig, "--", "get", "pods", "-n", "shop"); r.Code != 0 || !strings.Contains(r.Stdout, "writer") {
			t.Errorf("kubectl: %s", r)
		}
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, out); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("it ended with %v: %s", err, said.String())
		}
		if _, err := os.Stat(filepath.Dir(kubeconfig)); kubeconfig == "" || !errors.Is(err, os.ErrNotExist) {
			t.Errorf("its folder is still there: %v", err)
		}
	})
}
