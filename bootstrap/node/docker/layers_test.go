package docker_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"bonsai/bootstrap/node"
)

// withAgent adds bonsai-agent, which reads the engine's folders, to the payload of a test.
func withAgent(t *testing.T, p node.Payload) node.Payload {
	t.Helper()
	program := filepath.Join(t.TempDir(), "bonsai-agent")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "bonsai/cmd/bonsai-agent")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-trimpath -buildvcs=false")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build bonsai-agent: %v\n%s", err, out)
	}
	agent, err := os.ReadFile(program)
	must(t, err)
	var content bytes.Buffer
	w := tar.NewWriter(&content)
	must(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "bin/bonsai-agent", Mode: 0o755, Size: int64(len(agent))}))
	_, err = w.Write(agent)
	must(t, err)
	must(t, w.Flush()) // without the mark at the end: more follows
	volume := p.Volume
	p.Volume = func() (io.ReadCloser, error) {
		rest, err := volume()
		if err != nil {
			return nil, err
		}
		return struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(content.Bytes()), rest), rest}, nil
	}
	return p
}

// Of an image, the engine's folders give exactly the layers that are asked for, and nothing is left in the engine.
func TestReadLayers(t *testing.T) {
	f := newFixture(t, 1)
	ctx := t.Context()
	info, err := f.raw.Info(ctx)
	must(t, err)
	if !slices.Contains([]string{"overlay2", "fuse-overlayfs"}, info.Driver) {
		t.Skipf("the storage driver is %s", info.Driver)
	}
	p := withAgent(t, f.p.Payload)
	must(t, f.d.EnsurePayload(ctx, p, nil))
	must(t, f.d.EnsureNode(ctx, f.node(1)))
	// The image of the nodes, which the engine loaded from an archive, with a layer on top that it made itself.
	c, err := f.raw.ContainerCreate(ctx, &container.Config{Image: p.ImageRef, Labels: map[string]string{node.LabelPayload: p.Hash}}, nil, nil, nil, "")
	must(t, err)
	var change bytes.Buffer
	w := tar.NewWriter(&change)
	must(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "added", Mode: 0o600, Uid: 7, Size: 5}))
	_, err = w.Write([]byte("added"))
	must(t, errors.Join(err, w.Close()))
	must(t, f.raw.CopyToContainer(ctx, c.ID, "/", &change, container.CopyToContainerOptions{}))
	made, err := f.raw.ContainerCommit(ctx, c.ID, container.CommitOptions{Reference: "bonsai-layers:" + f.spec.Suffix})
	must(t, err)
	must(t, f.raw.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true}))
	t.Cleanup(func() { _, _ = exec.Command("docker", "rmi", "-f", made.ID).CombinedOutput() })

	found, err := f.d.FindImages(ctx, []string{made.ID})
	must(t, err)
	layers := found[0].Layers
	if len(layers) < 2 {
		t.Fatalf("the image has the layers %q", layers)
	}
	before := f.helpers(t)
	for _, wanted := range [][]string{layers, layers[len(layers)-1:], nil} {
		var out bytes.Buffer
		must(t, f.d.ReadLayers(ctx, f.container(1), made.ID, wanted, &out))
		var got []string
		for r := tar.NewReader(&out); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			must(t, err)
			data, err := io.ReadAll(r)
			must(t, err)
			if digest := fmt.Sprintf("sha256:%x", sha256.Sum256(data)); digest != h.Name {
				t.Errorf("%s has the digest %s", h.Name, digest)
			}
			got = append(got, h.Name)
		}
		if want := append([]string{made.ID}, wanted...); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if err := f.d.ReadLayers(ctx, f.container(1), "sha256:"+strings.Repeat("0", 64), nil, io.Discard); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("an image that does not exist: %v", err)
	}
	if after := f.helpers(t); !slices.Equal(after, before) {
		t.Errorf("containers are %q, and were %q", after, before)
	}
}

// helpers are the containers that have the payload of the test.
func (f fixture) helpers(t *testing.T) (ids []string) {
	t.Helper()
	list, err := f.raw.ContainerList(t.Context(), container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", node.LabelPayload+"="+f.p.Hash))})
	must(t, err)
	for _, c := range list {
		ids = append(ids, c.ID)
	}
	slices.Sort(ids)
	return ids
}
