package session

import (
	"context"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/nodeimages"
)

// imagesLimit is how long nodes and engine may take to list their images.
const imagesLimit = 30 * time.Second

// Ports are the ports of this machine that lead into the cluster; none of one that is not running is open.
func (s *Session) Ports(ctx context.Context) ([]cluster.PortStatus, error) {
	list, err := s.o.Engine.Ports(ctx, s.o.Name)
	return list, s.explain(ctx, "list the ports of this machine", err)
}

// Images lists the images of all nodes whose containers run, by the node's name.
func (s *Session) Images(ctx context.Context) (byNode map[string][]cluster.NodeImage, err error) {
	spec, err := s.state().LoadSpec()
	if err != nil {
		return nil, err
	}
	ctx, cancel := s.limit(ctx, imagesLimit, "the images of the nodes")
	defer cancel()
	err = s.withDriver(func(d node.Driver) error {
		containers, err := d.List(ctx, spec.ID)
		if err != nil {
			return err
		}
		var running []node.Container
		for _, c := range containers {
			if _, planned := spec.NodeByName(c.Node); planned && c.Running {
				running = append(running, c)
			}
		}
		byNode, err = nodeimages.List(ctx, d, running)
		return err
	})
	return byNode, s.explain(ctx, "list the images of the nodes", err)
}

// EngineImages are the names of the images that the container engine has.
func (s *Session) EngineImages(ctx context.Context) (names []string, err error) {
	ctx, cancel := s.limit(ctx, imagesLimit, "the images of the container engine")
	defer cancel()
	err = s.withDriver(func(d node.Driver) error {
		names, err = d.ImageNames(ctx)
		return err
	})
	return names, s.explain(ctx, "list the images of the container engine", err)
}
