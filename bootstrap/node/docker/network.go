package docker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/network"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
)

// networkOptions are the settings of a cluster's network, each with its reason.
func networkOptions(spec *cluster.Spec) network.CreateOptions {
	o := network.CreateOptions{
		Driver: "bridge", // the host is the gateway, nodes are neighbours: pod routes need a shared link
		// Fixed: node addresses are in certificates and must survive restarts.
		IPAM: &network.IPAM{Config: []network.IPAMConfig{{
			Subnet: spec.Subnet.String(), Gateway: spec.Gateway.String(),
			// A container that somebody attaches must get neither the address of a node that is stopped nor one of load balancers.
			IPRange: spec.EngineRange().String(),
		}}},
		Labels: map[string]string{node.LabelCluster: spec.Name, node.LabelID: spec.ID},
		Options: map[string]string{
			// Nodes talk to each other, also where the engine's default bridge forbids it.
			"com.docker.network.bridge.enable_icc": "true",
			// Image pulls and pods' traffic leave through the host.
			"com.docker.network.bridge.enable_ip_masquerade": "true",
		},
	}
	if spec.MTU > 0 {
		// Docker gives its own networks 1500, even if the default bridge has less for a reason (VPN, cloud).
		o.Options[mtuOption] = strconv.Itoa(spec.MTU)
	}
	return o
}

// EnsureNetwork makes sure that the cluster's network exists with exactly the planned settings. A network of this
// cluster with other settings is recreated unless something is attached to it.
func (d *Driver) EnsureNetwork(ctx context.Context, spec *cluster.Spec) (err error) {
	name := node.NetworkName(spec)
	op := "create network " + name
	ctx, cancel := d.within(ctx, callLimit)
	defer cancel()
	defer func() { err = d.failure(ctx, op, err) }()

	want := networkOptions(spec)
	found, err := d.api.NetworkInspect(ctx, name, network.InspectOptions{})
	switch {
	case errdefs.IsNotFound(err):
	case err != nil:
		return err
	case found.Labels[node.LabelID] != spec.ID:
		return foreign(op, "network "+name, found.Labels)
	case sameNetwork(found, want) && (samePort(found, spec) || len(found.Containers) > 0):
		return nil
	case len(found.Containers) > 0:
		return fault.New(fault.Conflict, op, errors.New("it exists with other settings and is in use")).
			Advise("start it again", cluster.Bonsai("stop").Of(spec.Name).Change(), cluster.Bonsai("start").Of(spec.Name).Change())
	default:
		if err := absent(d.api.NetworkRemove(ctx, found.ID)); err != nil {
			return err
		}
	}
	making, cancelMaking, err := d.whole(ctx)
	if err != nil {
		return err
	}
	defer cancelMaking()
	ours(want.Labels)[node.LabelAPIPort] = strconv.Itoa(spec.APIPort)
	_, err = d.api.NetworkCreate(making, name, want)
	switch {
	case err == nil:
		return nil
	case errdefs.IsConflict(err):
		return fault.New(fault.Conflict, op, err).Advise("another bonsai command is working on this cluster; try again")
	case strings.Contains(err.Error(), "overlap"), strings.Contains(err.Error(), "conflicts with"):
		return fault.New(fault.Conflict, op, fmt.Errorf("subnet %s is %w: %w", spec.Subnet, node.ErrTaken, err)).
			Advise("see the other networks", cluster.Program("docker", "network", "ls")).
			Advise("a cluster that is created again chooses a free subnet")
	}
	return err
}

// sameNetwork reports whether a network is as wanted. Engines add options of their own.
func sameNetwork(found network.Inspect, want network.CreateOptions) bool {
	if found.Driver != want.Driver || len(found.IPAM.Config) == 0 ||
		found.IPAM.Config[0].Subnet != want.IPAM.Config[0].Subnet ||
		found.IPAM.Config[0].Gateway != want.IPAM.Config[0].Gateway {
		return false
	}
	for option, value := range want.Options {
		if found.Options[option] != value {
			return false
		}
	}
	return true
}

// samePort reports whether a network's label names the API server's port, which may be changed while a cluster is stopped.
// It is not among the settings: others have to know it, while to the cluster's own nodes it makes no difference. One that
// was made before there was such a label stays without.
func samePort(found network.Inspect, spec *cluster.Spec) bool {
	port, labelled := found.Labels[node.LabelAPIPort]
	return !labelled || port == strconv.Itoa(spec.APIPort)
}

// foreign is the fault for something whose name is used by an object that does not belong to this cluster.
func foreign(op, what string, labels map[string]string) error {
	another := cluster.Bonsai("start").Of("NAME").Fill("NAME").Change()
	owner := labels[node.LabelCluster]
	if owner == "" {
		return fault.New(fault.Conflict, op, fmt.Errorf("the name of %s is %w, not by bonsai", what, node.ErrTaken)).
			Advise("remove it with docker").Advise("or choose another name for the cluster", another)
	}
	return fault.New(fault.Conflict, op, fmt.Errorf("the name of %s is %w: it belongs to another cluster, %s (id %s)", what, node.ErrTaken, owner, labels[node.LabelID])).
		Advise("choose another name for the cluster", another)
}

// removeNetwork removes a network. Endpoints of removed containers take a moment to detach; those of containers that
// are not ours are detached.
func (d *Driver) removeNetwork(ctx context.Context, id string) error {
	return until(ctx, func() (bool, error) {
		err := absent(d.api.NetworkRemove(ctx, id))
		if err == nil || !strings.Contains(err.Error(), "active endpoints") {
			return true, err
		}
		found, err := d.api.NetworkInspect(ctx, id, network.InspectOptions{})
		if err != nil {
			return false, absent(err)
		}
		for endpoint := range found.Containers {
			if err := d.api.NetworkDisconnect(ctx, id, endpoint, true); err != nil {
				d.log.Debug("disconnect", "network", found.Name, "container", endpoint, "error", err)
			}
		}
		return false, nil
	})
}
