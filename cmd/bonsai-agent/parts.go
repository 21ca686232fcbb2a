package main

import (
	"context"
	"log/slog"
	"path/filepath"

	"bonsai/bootstrap/cluster"
	"bonsai/nodeagent"
	"bonsai/nodeagent/builtinimages"
	"bonsai/nodeagent/containerd"
	"bonsai/nodeagent/flows"
	"bonsai/nodeagent/netpolicy"
	"bonsai/nodeagent/podprobe"
	"bonsai/nodeagent/registryroutes"
	"bonsai/nodeagent/volumes"
)

// parts are what addons have on every node, and what answers the daemon besides the agent itself. The rights that addons need in
// the API are declared by them (addons.NodePart).
func parts(cfg cluster.NodeConfig, log *slog.Logger) []nodeagent.Part {
	policies := netpolicy.New(netpolicy.Config{
		Node: cfg.Node.Name, NodeIP: cfg.Node.IP, API: nodeagent.APIClient(cfg), Runtime: containerd.Socket,
		Resolver: cluster.NodeResolver, DNSPort: cluster.DNSPort, Scale: cfg.WaitScale, Log: log,
	})
	return []nodeagent.Part{
		clusterDNS(cfg, log),
		volumes.New(volumes.Dir, volumes.Floor), // of storage-provisioner
		flows.New(flows.Places{
			Pods: cfg.Node.PodCIDR, Node: cfg.Node.IP, AllPods: cfg.PodCIDR, Nodes: cfg.Subnet, Machine: cfg.Gateway,
		}, policies.Denied),
		announcing(cfg, log), // of loadbalancer
		policies,
		podprobe.New("/proc", nodeagent.Processes, cfg.WaitScale),
		gatewayPart(cfg, log),
		registryroutes.New(setRoutes),
		builtinimages.New(filepath.Join(cluster.PayloadDir, "images"), payloadImages{}, cfg.WaitScale),
	}
}

// setRoutes has containerd pull what an addon of the daemon serves. The node's own registries may have changed since the agent started.
func setRoutes(addon string, n *cluster.NodeRegistries) error {
	cfg, err := nodeagent.LoadConfig()
	if err != nil {
		return err
	}
	return containerd.SetRoutes(addon, n, cfg.Registries, cfg.WaitScale)
}

// payloadImages imports images of the payload.
type payloadImages struct{}

// EnsureBuiltin implements builtinimages.Images. It is called a few times in the life of a node.
func (payloadImages) EnsureBuiltin(ctx context.Context, name, file, digest string) error {
	c, err := containerd.Detect()
	if err != nil {
		return err
	}
	client, err := containerd.NewClient(containerd.Socket, c.Snapshotter)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	return client.EnsureBuiltin(ctx, name, file, digest)
}
