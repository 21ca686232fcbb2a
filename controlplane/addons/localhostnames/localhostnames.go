// Package localhostnames is the addon that gives Services names on this machine. What serves them is package names, which the
// daemon runs also while the cluster is paused: a request wakes it. The addon is the switch, the settings and the state.
package localhostnames

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons"
)

// Addon is the addon.
type Addon struct{ status func() cluster.Names }

var _ addons.Addon = Addon{}

// New returns the addon of a cluster whose names have that status; nil if only its description is needed.
func New(status func() cluster.Names) Addon { return Addon{status} }

// Describe implements addons.Addon.
func (Addon) Describe() cluster.AddonDescription {
	return cluster.AddonDescription{
		Name: cluster.NamesAddon, Version: "1.0", Maintainer: "bonsai",
		Description: "Services by name: http://SERVICE.NAMESPACE.localhost",
		Docs:        "docs/names.md",
		Delivery:    cluster.DeliveryBuiltin, Offline: true, Default: true,
		Settings: []cluster.AddonSetting{
			{
				Name: cluster.NamesPortSetting, Type: cluster.SettingInteger, Min: 0, Max: 65535, Default: "0",
				Description: "Port of this machine at which the names are; 0 is 80, 8080 or a free one, as it was before",
				Cost:        "Connections are closed, and URLs change",
			},
			{
				Name: cluster.NamesOriginsSetting, Type: cluster.SettingOrigins, Max: 50,
				Description: "Origins of web pages, besides the names, that may use the names, such as http://localhost:3000",
				Cost:        "The next request is judged by it",
			},
		},
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
		cluster.Advise("choose another port", cluster.Bonsai("addons", "configure").On(cluster.NamesAddon, cluster.NamesPortSetting+"=PORT").Fill(cluster.NamesPortSetting+"=PORT").Change()),
	}
}
