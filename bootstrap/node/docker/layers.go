package docker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/pkg/stdcopy"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
)

// layerDrivers are the storage drivers whose folders bonsai-agent can read.
var layerDrivers = []string{"overlay2", "fuse-overlayfs"}

// engineDir is where the engine's data folder is in the container that reads it.
const engineDir = "/engine"

// ReadLayers runs bonsai-agent in a container that has the software of the node, and the engine's data folder to read.
func (d *Driver) ReadLayers(ctx context.Context, name, id string, layers []string, w io.Writer) (err error) {
	const op = "read layers of an image from the Docker engine"
	defer func() { err = d.failure(ctx, op, err) }()
	making, cancel, err := d.whole(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	info, err := d.api.Info(making)
	if err != nil {
		return err
	}
	inContainerd := slices.ContainsFunc(info.DriverStatus, func(s [2]string) bool { return strings.HasPrefix(s[1], "io.containerd.") })
	if !slices.Contains(layerDrivers, info.Driver) || inContainerd {
		return fault.Newf(fault.Engine, "%s: its storage driver %s is not known", op, info.Driver)
	}
	of, err := d.api.ContainerInspect(making, name)
	if err != nil {
		return err
	}
	payload := ""
	for _, m := range of.Mounts {
		if m.Destination == cluster.PayloadDir {
			payload = m.Name
		}
	}
	c, err := d.api.ContainerCreate(making, &container.Config{
		Image: of.Config.Image, Entrypoint: []string{cluster.PayloadDir + "/bin/bonsai-agent"},
		Cmd: append([]string{"layers", engineDir, info.Driver, id}, layers...),
		// With this label alone, it is removed as a leftover if this process is killed.
		Labels: ours(map[string]string{node.LabelPayload: of.Config.Labels[node.LabelPayload]}),
	}, layerHost(payload, info.DockerRootDir), nil, nil, "")
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
	if _, err := stdcopy.StdCopy(w, &stderr, conn.Reader); err != nil {
		return err
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

// layerHost are the settings of the container that reads the engine's data folder, each with its reason.
func layerHost(payload, dataRoot string) *container.HostConfig {
	return &container.HostConfig{
		NetworkMode:    "none", // it speaks to nobody, and starts faster
		ReadonlyRootfs: true,
		LogConfig:      container.LogConfig{Type: "none"}, // or the engine would write the layers into a log
		CapDrop:        []string{"ALL"},
		CapAdd:         []string{"DAC_OVERRIDE"}, // files in layers belong to anybody; with nothing mounted to write to, it is for reading
		// SELinux: the engine's folder has a label that containers may not read.
		SecurityOpt: []string{"label=disable", "no-new-privileges"},
		UsernsMode:  "host", // a mapped root could not read them
		Mounts: []mount.Mount{
			{Type: mount.TypeVolume, Source: payload, Target: cluster.PayloadDir, ReadOnly: true, VolumeOptions: &mount.VolumeOptions{NoCopy: true}},
			{ // without what is mounted in it, which belongs to containers; the engine demands "rslave" for its own folder
				Type: mount.TypeBind, Source: dataRoot, Target: engineDir, ReadOnly: true,
				BindOptions: &mount.BindOptions{NonRecursive: true, Propagation: mount.PropagationRSlave},
			},
		},
	}
}
