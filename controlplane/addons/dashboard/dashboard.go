// Package dashboard is the addon that shows the cluster in a browser. What serves the pages is controlplane/dashboard, which the
// daemon runs also while the cluster is paused. The addon is the switch, the setting and the state.
package dashboard

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons"
)

// Addon is the addon.
type Addon struct{ status func() cluster.Dashboard }

var _ addons.Addon = Addon{}

// New returns the addon of a cluster whose dashboard has that status; nil if only its description is needed.
func New(status func() cluster.Dashboard) Addon { return Addon{status} }

// Describe implements addons.Addon.
func (Addon) Describe() cluster.AddonDescription {
	return cluster.AddonDescription{
		Name: cluster.DashboardAddon, Version: "1.0", Maintainer: "bonsai",
		Description: "The cluster in a browser: bonsai dashboard",
		Docs:        "docs/dashboard.md",
		Delivery:    cluster.DeliveryBuiltin, Offline: true,
		Settings: []cluster.AddonSetting{{
			Name: cluster.DashboardPortSetting, Type: cluster.SettingInteger, Min: 0, Max: 65535, Default: "0",
			Description: "Port of this machine at which the dashboard is; 0 is a free one, as it was before",
			Cost:        "Pages that are open have to be opened again",
		}},
	}
}

// Objects implements addons.Addon: it has none.
func (Addon) Objects(addons.Cluster) []runtime.Object { return nil }

// Health implements addons.Addon.
func (a Addon) Health(context.Context, addons.Cluster) (cluster.AddonState, string, []cluster.Advice) {
	if a.status == nil {
		return cluster.AddonRunning, "", nil
	}
	s := a.status()
	if s.Open {
		return cluster.AddonRunning, "", nil
	}
	return cluster.AddonDegraded, s.Reason, []cluster.Advice{
		cluster.Advise("choose another port", cluster.Bonsai("addons", "configure").On(cluster.DashboardAddon, cluster.DashboardPortSetting+"=PORT").Fill(cluster.DashboardPortSetting+"=PORT").Change()),
	}
}
