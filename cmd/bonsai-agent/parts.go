package main

import (
	"log/slog"

	"bonsai/bootstrap/cluster"
	"bonsai/nodeagent"
	"bonsai/nodeagent/volumes"
)

// parts are what addons have on every node. The rights that they need in the API are declared by their addons
// (addons.NodePart).
func parts(cfg cluster.NodeConfig, log *slog.Logger) []nodeagent.Part {
	return []nodeagent.Part{
		clusterDNS(cfg, log),
		volumes.New(volumes.Dir, volumes.Floor), // of storage-provisioner
	}
}
