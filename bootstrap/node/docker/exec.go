package docker

import (
	"cmp"
	"context"
	"io"
	"slices"
	"strconv"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/pkg/stdcopy"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
)

// Exec runs a command and returns its exit code. It ends with the command or with ctx; in the latter case the command
// itself keeps running, because Docker cannot end it. A reader that blocks in Stdin is left behind.
func (d *Driver) Exec(ctx context.Context, name string, e node.Exec) (code int, err error) {
	op := "run " + cmp.Or(append(e.Cmd, "")[0], "nothing") + " in " + name
	defer func() { err = d.failure(ctx, op, err) }()

	limited, cancel := d.within(ctx, callLimit)
	defer cancel()
	made, err := d.api.ContainerExecCreate(limited, name, container.ExecOptions{
		Cmd: e.Cmd, Env: e.Env, Tty: e.TTY,
		AttachStdin: e.Stdin != nil, AttachStdout: true, AttachStderr: true,
	})
	switch {
	case errdefs.IsNotFound(err):
		return 0, fault.New(fault.NodeNotFound, op, err).Advise("see its nodes", cluster.Bonsai("node", "list"))
	case errdefs.IsConflict(err):
		return 0, fault.New(fault.NotRunning, op, err).Advise("start it", cluster.Bonsai("start").Cure())
	case err != nil:
		return 0, d.failure(limited, op, err)
	}
	conn, err := d.api.ContainerExecAttach(limited, made.ID, container.ExecAttachOptions{Tty: e.TTY})
	if err != nil {
		return 0, d.failure(limited, op, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, conn.Close) // ends the copying below
	defer stop()

	ended, end := context.WithCancel(ctx)
	defer end()
	if e.TTY && e.Resize != nil {
		go d.resize(ended, made.ID, e.Resize)
	}
	if e.Stdin != nil {
		go func() {
			_, _ = io.Copy(conn.Conn, e.Stdin) // a command may end without reading its input
			_ = conn.CloseWrite()
		}()
	}
	if err := copyOutput(conn, e); err != nil {
		return 0, cmp.Or(ctx.Err(), err)
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	return d.exitCode(ctx, made.ID)
}

func copyOutput(conn types.HijackedResponse, e node.Exec) (err error) {
	stdout, stderr := e.Stdout, e.Stderr
	if stdout == nil {
		stdout = io.Discard
	}
	if stderr == nil {
		stderr = io.Discard
	}
	if e.TTY {
		_, err = io.Copy(stdout, conn.Reader)
	} else {
		_, err = stdcopy.StdCopy(stdout, stderr, conn.Reader)
	}
	return err
}

// resize passes terminal sizes on until the command has ended or no more arrive.
func (d *Driver) resize(ctx context.Context, exec string, sizes <-chan node.Size) {
	for {
		select {
		case <-ctx.Done():
			return
		case s, ok := <-sizes:
			if !ok {
				return
			}
			// The first size may arrive before the command has started.
			limited, cancel := d.within(ctx, callLimit)
			err := until(limited, func() (bool, error) {
				err := d.api.ContainerExecResize(limited, exec, container.ResizeOptions{Width: s.Width, Height: s.Height})
				if err == nil {
					return true, nil
				}
				found, inspectErr := d.api.ContainerExecInspect(limited, exec)
				return inspectErr != nil || found.Running || found.ExitCode != 0, err
			})
			cancel()
			if err != nil {
				d.log.Debug("resize", "error", err)
			}
		}
	}
}

// exitCode waits until the engine has noticed the end of a command whose output has ended.
func (d *Driver) exitCode(ctx context.Context, exec string) (code int, err error) {
	ctx, cancel := d.within(ctx, callLimit)
	defer cancel()
	err = until(ctx, func() (bool, error) {
		found, err := d.api.ContainerExecInspect(ctx, exec)
		code = found.ExitCode
		return !found.Running, err
	})
	return code, d.failure(ctx, "wait for the command's end", err)
}

// Logs copies what the container's own processes wrote.
func (d *Driver) Logs(ctx context.Context, name string, tail int, follow bool, w io.Writer) error {
	op := "read logs of " + name
	o := container.LogsOptions{ShowStdout: true, ShowStderr: true, Follow: follow, Tail: "all"}
	if tail > 0 {
		o.Tail = strconv.Itoa(tail)
	}
	stream, err := d.api.ContainerLogs(ctx, name, o)
	if errdefs.IsNotFound(err) {
		return fault.New(fault.NodeNotFound, op, err).Advise("see its nodes", cluster.Bonsai("node", "list"))
	}
	if err != nil {
		return d.failure(ctx, op, err)
	}
	defer stream.Close()
	_, err = stdcopy.StdCopy(w, w, stream)
	return d.failure(ctx, op, err)
}

// FindImages looks images up by names, digests or IDs.
func (d *Driver) FindImages(ctx context.Context, refs []string) (found []node.Image, err error) {
	for _, ref := range refs {
		limited, cancel := d.within(ctx, callLimit)
		i, err := d.api.ImageInspect(limited, ref)
		cancel()
		if errdefs.IsNotFound(err) || errdefs.IsInvalidArgument(err) { // or it cannot be the name of an image
			continue
		}
		if err != nil {
			return nil, d.failure(ctx, "find image "+ref, err)
		}
		found = append(found, node.Image{Ref: ref, ID: i.ID, Digests: i.RepoDigests, Layers: i.RootFS.Layers, Size: i.Size})
	}
	return found, nil
}

// ImageNames lists the images that have a name.
func (d *Driver) ImageNames(ctx context.Context) ([]string, error) {
	ctx, cancel := d.within(ctx, callLimit)
	defer cancel()
	list, err := d.api.ImageList(ctx, image.ListOptions{})
	if err != nil {
		return nil, d.failure(ctx, "list the images of the Docker engine", err)
	}
	var names []string
	for _, i := range list {
		if i.Labels[node.LabelPayload] != "" {
			continue
		}
		for _, name := range i.RepoTags {
			if name != "<none>:<none>" {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// SaveImages streams images as a docker archive.
func (d *Driver) SaveImages(ctx context.Context, refs []string) (io.ReadCloser, error) {
	// The engine starts the stream before it has checked.
	found, err := d.FindImages(ctx, refs)
	if err != nil {
		return nil, err
	}
	for _, ref := range refs {
		if !slices.ContainsFunc(found, func(i node.Image) bool { return i.Ref == ref }) {
			return nil, fault.Newf(fault.Image, "the Docker engine has no image %s", ref).
				Advise("see what it has", cluster.Program("docker", "images")).
				Advise("pull it", cluster.Program("docker", "pull").On(ref).Change())
		}
	}
	stream, err := d.api.ImageSave(ctx, refs)
	return stream, d.failure(ctx, "read images from the Docker engine", err)
}
