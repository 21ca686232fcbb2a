package main

import (
	"os"
	"path/filepath"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/nodeagent/containerd"
	"bonsai/nodeagent/volumes"
)

func TestNodeDisk(t *testing.T) {
	root := t.TempDir()
	if d, err := nodeDisk(t.Context(), root); err != nil || d.ImageBytes != 0 || d.LogBytes != 0 || len(d.Volumes) != 0 {
		t.Errorf("of a node with nothing: %+v, %v", d, err)
	}
	for _, file := range []string{
		containerd.RootDir + "/io.containerd.content/blob", cluster.NodeLogDir + "/kubelet.log", "/var/log/pods/a/b/0.log",
		volumes.Dir + "/pvc-1/data", volumes.Dir + "/pvc-2/data",
	} {
		path := filepath.Join(root, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, err := nodeDisk(t.Context(), root)
	about := func(what string, got, mebibytes int64) {
		t.Helper()
		if got < mebibytes<<20 || got > mebibytes<<20+128<<10 {
			t.Errorf("%s take %d bytes, want about %d MiB", what, got, mebibytes)
		}
	}
	if err != nil || len(d.Volumes) != 2 {
		t.Fatalf("got %+v, %v", d, err)
	}
	about("images", d.ImageBytes, 1)
	about("logs", d.LogBytes, 2)
	about("a volume", d.Volumes["pvc-1"], 1)
}
