package docker

import (
	"context"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// PauseNode freezes a container by its cgroup, and with it everything in the cgroups below: all pods of the node.
func (d *Driver) PauseNode(ctx context.Context, name string) error {
	return d.freeze(ctx, "pause node "+name, name, d.api.ContainerPause, func(s *container.State) bool {
		return s.Running && !s.Paused && !s.Restarting
	})
}

// UnpauseNode lets a container continue.
func (d *Driver) UnpauseNode(ctx context.Context, name string) error {
	return d.freeze(ctx, "unpause node "+name, name, d.api.ContainerUnpause, func(s *container.State) bool { return s.Paused })
}

// freeze calls change if the container is in a state in which it has an effect. The engine's own errors for the other states
// differ between versions.
func (d *Driver) freeze(ctx context.Context, op, name string, change func(context.Context, string) error, due func(*container.State) bool) error {
	ctx, cancel := d.within(ctx, callLimit)
	defer cancel()
	c, err := d.api.ContainerInspect(ctx, name)
	if err == nil && due(c.State) {
		err = change(ctx, c.ID)
	}
	if errdefs.IsNotFound(err) {
		return fault.New(fault.NodeNotFound, op, err).Advise("see its nodes", cluster.Bonsai("node", "list"))
	}
	return d.failure(ctx, op, err)
}
