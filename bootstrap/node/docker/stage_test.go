package docker_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/node"
)

// A layer is unpacked into the volumes of two nodes, whose files are the same, and no container is left in the engine.
func TestStageLayers(t *testing.T) {
	f := newFixture(t, 2)
	ctx := t.Context()
	p := withAgent(t, f.p.Payload)
	must(t, f.d.EnsurePayload(ctx, p, nil))
	must(t, f.d.EnsureNode(ctx, f.node(1)))
	must(t, f.d.EnsureNode(ctx, f.node(2)))
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	must(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "dir/file", Mode: 0o640, Uid: 7, Size: 5}))
	_, err := w.Write([]byte("hello"))
	must(t, errors.Join(err, w.Close()))
	sum := sha256.Sum256(layer.Bytes())
	digest, blobs := "sha256:"+hex.EncodeToString(sum[:]), t.TempDir()
	must(t, os.WriteFile(filepath.Join(blobs, hex.EncodeToString(sum[:])), layer.Bytes(), 0o600))

	before := f.helpers(t)
	staging := cluster.LayerStaging{Blobs: blobs, Folder: cluster.NodeLayers + "/test", Layers: []cluster.StagedLayer{{
		DeliveredLayer: cluster.DeliveredLayer{Chain: digest, DiffID: digest}, Blob: digest, Volumes: []string{f.container(1), f.container(2)},
	}}}
	must(t, f.d.StageLayers(ctx, staging))
	file := path.Join(staging.Folder, hex.EncodeToString(sum[:]), "dir/file")
	run := func(i int, args ...string) string {
		t.Helper()
		var out bytes.Buffer
		code, err := f.d.Exec(ctx, f.container(i), node.Exec{Cmd: append([]string{cluster.PayloadDir + "/bin/init"}, args...), Stdout: &out, Stderr: &out})
		must(t, err)
		if code != 0 {
			t.Errorf("node %d: %q failed: %s", i, args, &out)
		}
		return out.String()
	}
	for i := range 2 {
		if mode, text := run(i+1, "mode", file), run(i+1, "cat", file); mode != "640" || text != "hello" {
			t.Errorf("the file of node %d has the mode %s and the content %q", i+1, mode, text)
		}
	}
	if run(1, "write", file, "other"); run(2, "cat", file) != "other" {
		t.Error("the nodes have different files")
	}
	bad := staging
	bad.Folder, bad.Layers = cluster.NodeLayers+"/bad", slices.Clone(staging.Layers)
	bad.Layers[0].DiffID = "sha256:" + strings.Repeat("0", 64)
	if err := f.d.StageLayers(ctx, bad); err == nil || !strings.Contains(err.Error(), "its content has the digest") {
		t.Errorf("a layer of other content: %v", err)
	}
	bad = staging
	bad.Folder, bad.Blobs = cluster.NodeLayers+"/nowhere", filepath.Join(blobs, "absent")
	if err := f.d.StageLayers(ctx, bad); err == nil {
		t.Error("a folder that the engine does not have: no error")
	}
	if after := f.helpers(t); !slices.Equal(after, before) {
		t.Errorf("containers are %q, and were %q", after, before)
	}
}
