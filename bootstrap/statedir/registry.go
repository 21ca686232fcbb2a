package statedir

import "path/filepath"

// Registry is where the cluster's own registry has its images.
func (c Cluster) Registry() string { return c.path("registry") }

// RegistryCache is where the images of other registries are that nodes of any cluster have pulled. It stays when clusters are
// deleted.
func (c Cluster) RegistryCache() string { return c.state().RegistryCache() }

// RegistryCache is that of all clusters in this state folder.
func (d Dir) RegistryCache() string { return filepath.Join(d.Root, "registry-cache") }

func (c Cluster) registryFile() string { return c.path("registry.json") }

// registryRecord is registry.json.
type registryRecord struct {
	Port  int `json:"port,omitempty"`
	Nodes int `json:"nodes,omitempty"`
}

// RegistryPorts are the ports at which the cluster's registry was last, for this machine and for nodes; 0 if it never was.
func (c Cluster) RegistryPorts() (port, nodes int) {
	var r registryRecord
	c.loadJSON(c.registryFile(), &r)
	return r.Port, r.Nodes
}

// KeepRegistryPorts records these ports, so that the next daemon takes them again, and names of images stay right. One that is 0
// stays as it was.
func (c Cluster) KeepRegistryPorts(port, nodes int) error {
	var r registryRecord
	c.loadJSON(c.registryFile(), &r)
	was := r
	if port != 0 {
		r.Port = port
	}
	if nodes != 0 {
		r.Nodes = nodes
	}
	if r == was {
		return nil
	}
	return c.saveJSON(c.registryFile(), r)
}
