package docker

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/pkg/stdcopy"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
)

// Where the container that unpacks layers has what it needs.
const (
	stageBlobs   = "/blobs"
	stageVolumes = "/volumes"
)

// maxStaging is how many bytes the description of layers may have: the kernel accepts 128 kB in one argument.
const maxStaging = 100 << 10

// StageLayers runs bonsai-agent in a container that has the software of the first node, this machine's blobs to read, and the
// engine's volumes: hard links need one mount for all of them.
func (d *Driver) StageLayers(ctx context.Context, s cluster.LayerStaging) (err error) {
	const op = "unpack layers of images into the volumes of nodes"
	defer func() { err = d.failure(ctx, op, err) }()
	making, cancel, err := d.whole(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	var volumes engineVolumes
	blobs := s.Blobs
	s.Blobs, s.Layers = stageBlobs, slices.Clone(s.Layers)
	for i, l := range s.Layers {
		s.Layers[i].Volumes = nil
		for _, name := range l.Volumes {
			folder, err := volumes.of(name, func() (container.InspectResponse, error) { return d.api.ContainerInspect(making, name) })
			if err != nil {
				return fault.Newf(fault.Engine, "%s: %w", op, err)
			}
			s.Layers[i].Volumes = append(s.Layers[i].Volumes, folder)
		}
	}
	arg, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if len(arg) > maxStaging {
		return fault.Newf(fault.Engine, "%s: there are too many layers: %d", op, len(s.Layers))
	}
	c, err := d.api.ContainerCreate(making, &container.Config{
		Image: volumes.image, Entrypoint: []string{cluster.PayloadDir + "/bin/bonsai-agent"}, Cmd: []string{"stage", string(arg)},
		// With this label alone, it is removed as a leftover if this process is killed.
		Labels: ours(map[string]string{node.LabelPayload: volumes.payload}),
	}, stageHost(volumes.software, blobs, volumes.root), nil, nil, "")
	if err != nil {
		return err
	}
	defer d.discard(ctx, c.ID)
	conn, err := d.api.ContainerAttach(making, c.ID, container.AttachOptions{Stream: true, Stdout: true, Stderr: true})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := d.api.ContainerStart(making, c.ID, container.StartOptions{}); err != nil {
		return err
	}
	// No limit: how long it takes depends on the size of the layers.
	stop := context.AfterFunc(ctx, conn.Close)
	defer stop()
	var stderr bytes.Buffer
	if _, err := stdcopy.StdCopy(io.Discard, &stderr, conn.Reader); err != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	limited, cancelWait := d.within(ctx, callLimit)
	defer cancelWait()
	return until(limited, func() (bool, error) {
		found, err := d.api.ContainerInspect(limited, c.ID)
		switch {
		case err != nil || found.State.Running:
			return false, err
		case found.State.ExitCode != 0:
			return false, errors.New(strings.TrimSpace(stderr.String()))
		}
		return true, nil
	})
}

// engineVolumes is where the volumes of nodes are, and the software of the first node.
type engineVolumes struct {
	// root is the folder of all volumes on the engine's machine.
	root                     string
	image, payload, software string
	known                    map[string]string
}

// of returns where the container that unpacks has the /var of a node. It fails unless that is a volume of the engine's own, in
// one folder with those of the other nodes.
func (v *engineVolumes) of(name string, inspect func() (container.InspectResponse, error)) (string, error) {
	if folder := v.known[name]; folder != "" {
		return folder, nil
	}
	c, err := inspect()
	if err != nil {
		return "", err
	}
	folder := ""
	for _, m := range c.Mounts {
		switch m.Destination {
		case cluster.PayloadDir:
			if v.software == "" {
				v.image, v.payload, v.software = c.Config.Image, c.Config.Labels[node.LabelPayload], m.Name
			}
		case cluster.NodeVar:
			root := strings.TrimSuffix(m.Source, "/"+m.Name+"/_data")
			if m.Type != mount.TypeVolume || m.Driver != "local" || m.Name == "" || root == m.Source || v.root != "" && root != v.root {
				return "", fmt.Errorf("the volume of %s is at %s", name, m.Source)
			}
			v.root, folder = root, path.Join(stageVolumes, m.Name, "_data")
		}
	}
	if folder == "" || v.software == "" {
		return "", fmt.Errorf("%s has no volume, or no software", name)
	}
	if v.known == nil {
		v.known = map[string]string{}
	}
	v.known[name] = folder
	return folder, nil
}

// stageHost are the settings of the container that unpacks layers, each with its reason.
func stageHost(software, blobs, volumes string) *container.HostConfig {
	return &container.HostConfig{
		NetworkMode:    "none", // it speaks to nobody, and starts faster
		ReadonlyRootfs: true,
		LogConfig:      container.LogConfig{Type: "none"}, // what it says is read from its output
		CapDrop:        []string{"ALL"},
		CapAdd: []string{
			"CHOWN", "FOWNER", "FSETID", "SETFCAP", // files in layers belong to anybody, and have any mode
			"DAC_OVERRIDE", // blobs are readable for their owner only
			"MKNOD",        // what a layer removes is a device node to overlayfs,
			"SYS_ADMIN",    // and a folder that it replaces has an attribute of the system
			"SYS_CHROOT",   // content of images is unpacked where nothing but a node's volume is in reach
		},
		// SELinux: the folders have labels that containers may not read.
		SecurityOpt: []string{"label=disable", "no-new-privileges"},
		UsernsMode:  "host", // a mapped root could not read them
		Mounts: []mount.Mount{
			{Type: mount.TypeVolume, Source: software, Target: cluster.PayloadDir, ReadOnly: true, VolumeOptions: &mount.VolumeOptions{NoCopy: true}},
			{Type: mount.TypeBind, Source: blobs, Target: stageBlobs, ReadOnly: true, BindOptions: &mount.BindOptions{NonRecursive: true}},
			// Without what is mounted in it, which is not of the engine's own volumes.
			{Type: mount.TypeBind, Source: volumes, Target: stageVolumes, BindOptions: &mount.BindOptions{NonRecursive: true}},
		},
	}
}
