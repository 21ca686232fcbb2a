// Package registry is the addon that has a registry: this machine pushes to localhost:PORT, and pods pull by the same name. What
// serves it is controlplane/registry, in the daemon, also while the cluster is paused. The addon is the switch and the settings;
// nodes receive from it where to pull (Delivery), and tools where to push, by KEP-1755.
package registry

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons"
)

// Addon is the addon. Create it with New.
type Addon struct {
	status   func() cluster.RegistryStatus
	delivery Delivery
}

var (
	_ addons.Addon   = (*Addon)(nil)
	_ addons.Runner  = (*Addon)(nil)
	_ addons.Remover = (*Addon)(nil)
)

// New returns the addon of a cluster whose registry has that status; nil if only its description is needed.
func New(status func() cluster.RegistryStatus) *Addon {
	return &Addon{status: status, delivery: Delivery{Addon: cluster.RegistryAddon}}
}

// Describe implements addons.Addon.
func (*Addon) Describe() cluster.AddonDescription {
	return cluster.AddonDescription{
		Name: cluster.RegistryAddon, Version: "1.0", Maintainer: "bonsai",
		Description: "A registry: push to localhost:5000, pull in pods", Docs: "docs/registry.md",
		Delivery: cluster.DeliveryBuiltin, Offline: true,
		Settings: []cluster.AddonSetting{
			{
				Name: cluster.RegistryPortSetting, Type: cluster.SettingInteger, Min: 0, Max: 65535, Default: "0",
				Description: "Port of this machine at which the registry is; 0 is 5000, or the next that is free, as it was before",
				Cost:        "Images have another name, and have to be pushed and named in pods by it",
			},
			{
				Name: cluster.RegistryAliasesSetting, Type: cluster.SettingRegistries, Max: 20,
				Description: "Other names of the registry, by which pods pull from it, such as registry.test",
				Cost:        "The next pull of an image with such a name goes to the registry",
			},
		},
	}
}

// Where tools find the registry (https://github.com/kubernetes/enhancements/tree/master/keps/sig-cluster-lifecycle/generic/1755-communicating-a-local-registry).
const hostingName, hostingKey = "local-registry-hosting", "localRegistryHosting.v1"

// Objects implements addons.Addon.
func (a *Addon) Objects(addons.Cluster) []runtime.Object {
	if a.status == nil {
		return []runtime.Object{hosting(cluster.RegistryDefaultPort)}
	}
	if s := a.status(); s.Open {
		return []runtime.Object{hosting(s.Port)}
	}
	return nil
}

func hosting(port int) runtime.Object {
	return &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespacePublic, Name: hostingName},
		Data:       map[string]string{hostingKey: fmt.Sprintf("host: %q\nhostFromContainerRuntime: %[1]q\nhelp: \"bonsai registry --help\"\n", cluster.RegistryName(port))},
	}
}

// Health implements addons.Addon.
func (a *Addon) Health(_ context.Context, c addons.Cluster) (cluster.AddonState, string, []cluster.Advice) {
	if a.status == nil {
		return cluster.AddonRunning, "", nil
	}
	s := a.status()
	if !s.Open {
		return cluster.AddonDegraded, s.Reason, []cluster.Advice{
			cluster.Advise("choose another port", cluster.Bonsai("addons", "configure").On(cluster.RegistryAddon, cluster.RegistryPortSetting+"=PORT").Fill(cluster.RegistryPortSetting+"=PORT").Change()),
		}
	}
	if state, reason, ok := a.delivery.Waiting(c, s); ok {
		return state, reason, nil
	}
	return cluster.AddonRunning, "", nil
}

// Run implements addons.Runner.
func (a *Addon) Run(ctx context.Context, c addons.Cluster) error {
	return a.delivery.Run(ctx, c, func() cluster.NodeRegistries {
		s, spec := a.status(), c.Spec()
		if !s.Open {
			return cluster.NodeRegistries{}
		}
		return cluster.NodeRegistries{URL: s.NodesURL, Names: append([]string{cluster.RegistryName(s.Port)}, spec.RegistryAliases()...)}
	})
}

// Remove implements addons.Remover. The images stay.
func (a *Addon) Remove(ctx context.Context, c addons.Cluster) error {
	a.delivery.Remove(ctx, c)
	return nil
}
