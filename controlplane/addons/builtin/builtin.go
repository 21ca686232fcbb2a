// Package builtin lists the addons of this version of bonsai. A new one is a folder beside this one and a line here.
package builtin

import (
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/resolvers"
	"bonsai/controlplane/addons"
	"bonsai/controlplane/addons/dashboard"
	"bonsai/controlplane/addons/defaultstorageclass"
	"bonsai/controlplane/addons/dns"
	"bonsai/controlplane/addons/gateway"
	"bonsai/controlplane/addons/ingressdns"
	"bonsai/controlplane/addons/loadbalancer"
	"bonsai/controlplane/addons/localhostnames"
	"bonsai/controlplane/addons/metricsserver"
	"bonsai/controlplane/addons/networkpolicy"
	"bonsai/controlplane/addons/registry"
	"bonsai/controlplane/addons/registrycache"
	"bonsai/controlplane/addons/storageprovisioner"
)

// Machine is what addons use of the machine that they run on. Its zero value is for addons that are not run.
type Machine struct {
	// Names is where Services have names on this machine.
	Names func() cluster.Names
	// Gateway is what the addon of that name uses.
	Gateway gateway.Machine
	// Resolver is what answers names there.
	Resolver ingressdns.Options
	// Dashboard is where the dashboard is.
	Dashboard func() cluster.Dashboard
	// Registry is where the cluster's registry and the cache of others are.
	Registry func() cluster.RegistryStatus
}

// All returns every addon. Each call creates new ones, for one cluster; that costs nothing.
func All(m Machine) []addons.Addon {
	return []addons.Addon{
		dns.New(resolvers.Usual().Follow), storageprovisioner.New(), defaultstorageclass.New(), localhostnames.New(m.Names),
		loadbalancer.New(), networkpolicy.New(), metricsserver.New(), gateway.New(m.Gateway), ingressdns.New(m.Resolver), dashboard.New(m.Dashboard),
		registry.New(m.Registry), registrycache.New(m.Registry),
	}
}

// Descriptions are those of All.
func Descriptions() []cluster.AddonDescription {
	var list []cluster.AddonDescription
	for _, a := range All(Machine{}) {
		list = append(list, a.Describe())
	}
	return list
}
