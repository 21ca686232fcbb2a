package docker_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
)

// A writer that was killed leaves its container and a half-full volume.
func TestKilledWriterIsIgnoredAndPruned(t *testing.T) {
	f := newFixture(t, 1)
	ctx := t.Context()
	must(t, f.d.EnsurePayload(ctx, f.p.Payload, nil)) // for the image
	f.age(t)
	must(t, f.d.PrunePayloads(ctx, "none"))
	must(t, f.d.EnsurePayload(ctx, f.p.Payload, nil))

	name := "bonsai-payload-" + f.p.Hash[:12] + "-killed"
	labels := map[string]string{node.LabelPayload: f.p.Hash, "io.bonsai.payload.data": name}
	_, err := f.raw.ContainerCreate(ctx, &container.Config{Image: f.p.ImageRef, Labels: labels},
		&container.HostConfig{Mounts: []mount.Mount{{
			Type: mount.TypeVolume, Source: name, Target: cluster.PayloadDir,
			VolumeOptions: &mount.VolumeOptions{NoCopy: true, Labels: labels},
		}}}, nil, nil, name)
	must(t, err)

	fresh := f.driver(t) // a new process
	defer fresh.Close()
	must(t, fresh.EnsureNode(ctx, f.node(1)))
	must(t, fresh.PrunePayloads(ctx, f.p.Hash))
	if _, err := f.raw.VolumeInspect(ctx, name); err == nil {
		t.Error("the half-written volume is still there")
	}
	if _, err := f.raw.ContainerInspect(ctx, name); err == nil {
		t.Error("the writer's container is still there")
	}
	code, err := fresh.Exec(ctx, f.container(1), node.Exec{Cmd: []string{"/opt/bonsai/bin/init", "cat", "/opt/bonsai/ballast"}})
	if err != nil || code != 0 {
		t.Errorf("got code %d, %v; want the node's payload to be whole", code, err)
	}
}

// Somebody removed the filled volume, and perhaps an engine made an empty one of its name.
func TestLostPayloadVolumeIsFilledAgain(t *testing.T) {
	for _, empty := range []bool{false, true} {
		f := newFixture(t, 1)
		ctx := t.Context()
		must(t, f.d.EnsurePayload(ctx, f.p.Payload, nil))
		pointer, err := f.raw.VolumeInspect(ctx, "bonsai-payload-"+f.p.Hash[:12])
		must(t, err)
		data := pointer.Labels["io.bonsai.payload.data"]
		must(t, f.raw.VolumeRemove(ctx, data, false))
		if empty {
			_, err := f.raw.VolumeCreate(ctx, volume.CreateOptions{Name: data})
			must(t, err)
			t.Cleanup(func() { _ = f.raw.VolumeRemove(context.Background(), data, false) })
		} else if err := f.d.EnsureNode(ctx, f.node(1)); fault.KindOf(err) != fault.Engine {
			t.Errorf("got %v, want the driver to see that the volume it remembers is gone", err)
		}
		fresh := f.driver(t)
		must(t, fresh.EnsurePayload(ctx, f.p.Payload, nil))
		must(t, fresh.EnsureNode(ctx, f.node(1)))
		must(t, fresh.Close())
		if got := f.p.Opened.Load(); got != 2 {
			t.Errorf("empty %v: the payload was read %d times, want 2", empty, got)
		}
	}
}

// Another bonsai prunes between the image and its volume, and while a payload is new.
func TestPruneLeavesNewImagesAlone(t *testing.T) {
	f := newFixture(t, 0)
	ctx := t.Context()
	broken := f.p.Payload
	broken.Volume = func() (io.ReadCloser, error) { return nil, errors.New("no volume yet") }
	if err := f.d.EnsurePayload(ctx, broken, nil); err == nil {
		t.Fatal("want the stream's error")
	}
	must(t, f.d.PrunePayloads(ctx, "none"))
	if _, err := f.raw.ImageInspect(ctx, f.p.ImageRef); err != nil {
		t.Errorf("the image is gone: %v", err)
	}
	f.age(t)
	must(t, f.d.PrunePayloads(ctx, "none"))
	if _, err := f.raw.ImageInspect(ctx, f.p.ImageRef); err == nil {
		t.Error("the image stays for ever")
	}
}
