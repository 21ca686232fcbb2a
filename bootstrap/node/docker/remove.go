package docker

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
)

// labelled selects the objects of a cluster, of all clusters if id is "".
func labelled(id string) filters.Args {
	label := node.LabelID
	if id != "" {
		label += "=" + id
	}
	return filters.NewArgs(filters.Arg("label", label))
}

// List returns the node containers of a cluster, or of all.
func (d *Driver) List(ctx context.Context, id string) ([]node.Container, error) {
	const op = "list nodes"
	ctx, cancel := d.within(ctx, callLimit)
	defer cancel()
	all, err := d.api.ContainerList(ctx, container.ListOptions{All: true, Filters: labelled(id)})
	if err != nil {
		return nil, d.failure(ctx, op, err)
	}
	found := make([]*node.Container, len(all))
	err = each(len(all), func(i int) error {
		c, err := d.api.ContainerInspect(ctx, all[i].ID)
		if err != nil {
			return absent(err) // removed since
		}
		observed := observe(c)
		found[i] = &observed
		return nil
	})
	if err != nil {
		return nil, d.failure(ctx, op, err)
	}
	list := make([]node.Container, 0, len(found))
	for _, c := range found {
		if c != nil {
			list = append(list, *c)
		}
	}
	node.SortContainers(list)
	return list, nil
}

func observe(c container.InspectResponse) node.Container {
	labels := c.Config.Labels
	o := node.Container{
		Cluster: labels[node.LabelCluster], ClusterID: labels[node.LabelID], Node: labels[node.LabelNode],
		Payload: labels[node.LabelPayload], Name: strings.TrimPrefix(c.Name, "/"), ID: c.ID,
		State: c.State.Status, Running: c.State.Running && !c.State.Restarting && !c.State.Paused,
		Restarts: c.RestartCount, ExitCode: c.State.ExitCode, Privileged: c.HostConfig.Privileged,
	}
	if o.Running {
		o.Started, _ = time.Parse(time.RFC3339Nano, c.State.StartedAt) // the engine's own format; zero means unknown
	}
	for _, e := range c.NetworkSettings.Networks {
		planned := ""
		if e.IPAMConfig != nil {
			planned = e.IPAMConfig.IPv4Address
		}
		if ip, err := netip.ParseAddr(cmp.Or(e.IPAddress, planned)); err == nil {
			o.IP = ip
		}
	}
	return o
}

// StopNode stops a container and keeps everything.
func (d *Driver) StopNode(ctx context.Context, name string, grace time.Duration) error {
	op := "stop node " + name
	ctx, cancel := d.within(ctx, grace+goneLimit)
	defer cancel()
	seconds := int(math.Ceil(grace.Seconds()))
	err := d.api.ContainerStop(ctx, name, container.StopOptions{Timeout: &seconds})
	if errdefs.IsNotFound(err) {
		return fault.New(fault.NodeNotFound, op, err).Advise("see its nodes", cluster.Bonsai("node", "list"))
	}
	return d.failure(ctx, op, err)
}

// errNoID guards removals: no ID selects the objects of all clusters.
var errNoID = errors.New("the cluster has no ID")

// RemoveNode removes a node's container and volume.
func (d *Driver) RemoveNode(ctx context.Context, id, nodeName string) (err error) {
	op := "remove node " + nodeName
	if id == "" {
		return fault.New(fault.Internal, op, errNoID)
	}
	ctx, cancel := d.within(ctx, goneLimit)
	defer cancel()
	defer func() { err = d.failure(ctx, op, err) }()
	f := labelled(id)
	f.Add("label", node.LabelNode+"="+nodeName)
	if err := d.removeContainers(ctx, f); err != nil {
		return err
	}
	return d.removeVolumes(ctx, f)
}

// RemoveCluster removes everything that carries the cluster's ID.
func (d *Driver) RemoveCluster(ctx context.Context, id string) (err error) {
	op := "remove cluster " + id
	if id == "" {
		return fault.New(fault.Internal, op, errNoID)
	}
	ctx, cancel := d.within(ctx, goneLimit)
	defer cancel()
	defer func() { err = d.failure(ctx, op, err) }()
	f := labelled(id)
	if err := d.removeContainers(ctx, f); err != nil {
		return err
	}
	networks, err := d.api.NetworkList(ctx, network.ListOptions{Filters: f})
	if err != nil {
		return err
	}
	var volumesErr error
	var wg sync.WaitGroup
	wg.Go(func() { volumesErr = d.removeVolumes(ctx, f) })
	err = each(len(networks), func(i int) error { return d.removeNetwork(ctx, networks[i].ID) })
	wg.Wait()
	return errors.Join(err, volumesErr)
}

func (d *Driver) removeContainers(ctx context.Context, f filters.Args) error {
	all, err := d.api.ContainerList(ctx, container.ListOptions{All: true, Filters: f})
	if err != nil {
		return err
	}
	return each(len(all), func(i int) error { return d.removeNodeContainer(ctx, all[i].ID) })
}

func (d *Driver) removeVolumes(ctx context.Context, f filters.Args) error {
	all, err := d.api.VolumeList(ctx, volume.ListOptions{Filters: f})
	if err != nil {
		return err
	}
	return each(len(all.Volumes), func(i int) error {
		// A container that was just removed may keep its volume in use for a moment.
		return until(ctx, func() (bool, error) {
			err := absent(d.api.VolumeRemove(ctx, all.Volumes[i].Name, false))
			if errdefs.IsConflict(err) {
				return false, nil
			}
			return true, err
		})
	})
}

// removeNodeContainer removes a node's container, and first what it would leave on the engine's machine.
func (d *Driver) removeNodeContainer(ctx context.Context, id string) error {
	if d.mayHaveLoops() {
		releasing, cancel := d.scale.Limit(ctx, releaseLimit, "the node to detach its loop devices")
		defer cancel()
		// A node that does not run, or is of an older bonsai, cannot do it; it is removed all the same.
		if code, err := d.Exec(releasing, id, node.Exec{Cmd: []string{cluster.PayloadDir + "/bin/bonsai-agent", "release"}}); err != nil || code != 0 {
			d.log.Debug("loop devices were not detached", "container", id, "exit code", code, "error", err)
		}
	}
	return d.removeContainer(ctx, id)
}

// mayHaveLoops reports whether any loop device of the engine's machine is in use. Most machines have none, and running a
// command in a node takes a tenth of a second.
func (d *Driver) mayHaveLoops() bool {
	if d.enginePID() == 0 {
		return true // another machine
	}
	used, err := filepath.Glob("/sys/block/loop*/loop")
	return err != nil || len(used) > 0
}

// removeContainer kills and removes a container and waits until it is gone, also if another process removes it.
func (d *Driver) removeContainer(ctx context.Context, id string) error {
	return until(ctx, func() (bool, error) {
		err := absent(d.api.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true}))
		if errdefs.IsConflict(err) && strings.Contains(err.Error(), "already in progress") {
			return false, nil
		}
		return true, err
	})
}

// discard removes our own container that went wrong, also after ctx has ended.
func (d *Driver) discard(ctx context.Context, id string) {
	ctx, cancel := d.cleanup(ctx)
	defer cancel()
	if err := d.removeContainer(ctx, id); err != nil {
		d.log.Warn("a container was left behind", "container", id, "error", err)
	}
}

// discardVolume is discard for volumes.
func (d *Driver) discardVolume(ctx context.Context, name string) {
	ctx, cancel := d.cleanup(ctx)
	defer cancel()
	if err := absent(d.api.VolumeRemove(ctx, name, false)); err != nil {
		d.log.Warn("a volume was left behind", "volume", name, "error", err)
	}
}

// each runs f for 0 to n-1 at once and joins the errors.
func each(n int, f func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
