package node

import (
	"context"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// lister is the part of a Driver that finds containers.
type lister interface {
	List(ctx context.Context, id string) ([]Container, error)
}

// ByName returns the containers of the cluster with this ID by the names of their nodes.
func ByName(ctx context.Context, d lister, id string) (map[string]Container, error) {
	list, err := d.List(ctx, id)
	if err != nil {
		return nil, err
	}
	containers := make(map[string]Container, len(list))
	for _, c := range list {
		containers[c.Node] = c
	}
	return containers, nil
}

// Find returns the container of one node of a cluster, running or not. Without one the fault is NodeNotFound.
func Find(ctx context.Context, d lister, spec *cluster.Spec, nodeName string) (Container, error) {
	containers, err := ByName(ctx, d, spec.ID)
	if err != nil {
		return Container{}, err
	}
	c, ok := containers[nodeName]
	if !ok {
		return Container{}, Gone(spec, nodeName)
	}
	return c, nil
}

// Gone is the fault for a planned node that has no container.
func Gone(spec *cluster.Spec, nodeName string) error {
	return fault.Newf(fault.NodeNotFound, "the container of node %s is gone", nodeName).
		Advise("recreate it", cluster.Bonsai("start").Of(spec.Name).Cure())
}
