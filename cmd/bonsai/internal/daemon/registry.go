package daemon

import (
	"bonsai/bootstrap/dockerlogins"
	"bonsai/bootstrap/peer"
	"bonsai/bootstrap/pki"
	"bonsai/controlplane/registry"
)

// newRegistry returns what serves the cluster's own images, and the cache of others.
func (d *daemon) newRegistry() *registry.Server {
	return registry.New(registry.Options{
		Dir: d.State.Registry(), CacheDir: d.State.RegistryCache(), PKI: d.State.PKI(), Agents: pki.AgentsGroup, MayUse: peer.MayUse,
		Kept: d.State.RegistryPorts, Keep: d.State.KeepRegistryPorts,
		Logins: dockerlogins.New(d.Scale).Login, Log: d.Log, Scale: d.Scale,
	})
}
