// Package builtin lists the addons of this version of bonsai. A new one is a folder beside this one and a line here.
package builtin

import (
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/resolvers"
	"bonsai/controlplane/addons"
	"bonsai/controlplane/addons/defaultstorageclass"
	"bonsai/controlplane/addons/dns"
	"bonsai/controlplane/addons/storageprovisioner"
)

// All returns every addon. Each call creates new ones, for one cluster; that costs nothing.
func All() []addons.Addon {
	return []addons.Addon{dns.New(resolvers.Usual().Follow), storageprovisioner.New(), defaultstorageclass.New()}
}

// Descriptions are those of All.
func Descriptions() []cluster.AddonDescription {
	var list []cluster.AddonDescription
	for _, a := range All() {
		list = append(list, a.Describe())
	}
	return list
}
