package node

import "bonsai/bootstrap/cluster"

// ContainerName is what the engine calls the container of a node: "bonsai-1-k3f9".
func ContainerName(spec *cluster.Spec, n cluster.Node) string { return suffixed(spec, n.Name) }

// VolumeName is what the engine calls the volume with the /var of a node: "bonsai-1-k3f9-var".
func VolumeName(spec *cluster.Spec, n cluster.Node) string { return ContainerName(spec, n) + "-var" }

// NetworkName is what the engine calls the network of a cluster's nodes: "bonsai-NAME-k3f9".
func NetworkName(spec *cluster.Spec) string { return suffixed(spec, "bonsai-"+spec.Name) }

// suffixed leaves the names of clusters that were made without a suffix as they were.
func suffixed(spec *cluster.Spec, name string) string {
	if spec.Suffix == "" {
		return name
	}
	return name + "-" + spec.Suffix
}
