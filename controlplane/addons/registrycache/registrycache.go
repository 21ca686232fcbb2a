// Package registrycache is the addon that keeps what nodes pull from registries, for all clusters of the user. What serves it is
// controlplane/registry, in the daemon. The addon is the switch and the settings, and has nodes pull through it.
package registrycache

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons"
	"bonsai/controlplane/addons/registry"
)

// Addon is the addon. Create it with New.
type Addon struct {
	status   func() cluster.RegistryStatus
	delivery registry.Delivery
}

var (
	_ addons.Addon   = (*Addon)(nil)
	_ addons.Runner  = (*Addon)(nil)
	_ addons.Remover = (*Addon)(nil)
)

// New returns the addon of a cluster whose cache has that status; nil if only its description is needed.
func New(status func() cluster.RegistryStatus) *Addon {
	return &Addon{status: status, delivery: registry.Delivery{Addon: cluster.RegistryCacheAddon}}
}

// Describe implements addons.Addon.
func (*Addon) Describe() cluster.AddonDescription {
	return cluster.AddonDescription{
		Name: cluster.RegistryCacheAddon, Version: "1.0", Maintainer: "bonsai",
		Description: "Keeps pulled images on this machine, for all clusters", Docs: "docs/registry.md",
		Delivery: cluster.DeliveryBuiltin, Offline: true,
		Settings: []cluster.AddonSetting{
			{
				Name: cluster.RegistryCacheLoginsSetting, Type: cluster.SettingChoice,
				Options: []string{cluster.RegistryLoginsDocker, cluster.RegistryLoginsNone}, Default: cluster.RegistryLoginsDocker,
				Description: "What registries are asked with: docker, the logins of this machine's Docker configuration, or none",
				Cost:        "The next image is fetched with it; those that are kept stay",
			},
			{
				Name: cluster.RegistryCacheSizeSetting, Type: cluster.SettingInteger, Min: 1, Max: 10000, Default: "20",
				Description: "How many gigabytes are kept; what was not used for longest goes first",
				Cost:        "More is removed when the next image is fetched",
			},
		},
	}
}

// Objects implements addons.Addon: it has none.
func (*Addon) Objects(addons.Cluster) []runtime.Object { return nil }

// Health implements addons.Addon.
func (a *Addon) Health(_ context.Context, c addons.Cluster) (cluster.AddonState, string, []cluster.Advice) {
	if a.status == nil {
		return cluster.AddonRunning, "", nil
	}
	if state, reason, ok := a.delivery.Waiting(c, a.status()); ok {
		return state, reason, nil
	}
	return cluster.AddonRunning, "", nil
}

// Run implements addons.Runner.
func (a *Addon) Run(ctx context.Context, c addons.Cluster) error {
	return a.delivery.Run(ctx, c, func() cluster.NodeRegistries {
		return cluster.NodeRegistries{URL: a.status().NodesURL, Cache: true}
	})
}

// Remove implements addons.Remover. What is kept stays, for other clusters.
func (a *Addon) Remove(ctx context.Context, c addons.Cluster) error {
	a.delivery.Remove(ctx, c)
	return nil
}
