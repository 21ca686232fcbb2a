// Package metricsserver is the addon that answers metrics.k8s.io, the API behind "kubectl top" and HorizontalPodAutoscalers.
//
// Figures, storage and API are upstream's metrics-server, as packages; the API is served by the cluster's own API server, without
// a pod, a Service or a port (decision 040). What is ours is where it runs, how often it reads figures, and the way to the
// kubelets. Begin reading at Addon.Run.
package metricsserver

import (
	"context"
	"fmt"
	"sync"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	registrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons"
)

// Name is the addon's, as in minikube.
const Name = cluster.MetricsAddon

// version is that of the linked sigs.k8s.io/metrics-server.
const version = "0.9.0"

// apiService is the name of the API's registration. Upstream's manifests have the same.
const apiService = "v1beta1." + metricsv1beta1.GroupName

// Addon is the addon of one cluster. Create it with New.
type Addon struct {
	mu sync.Mutex // guards the rest
	// figures are read while the addon runs; nil otherwise.
	figures *figures
	// elsewhere is the Service, NAMESPACE/NAME, to which somebody has pointed the API; empty if it is served here.
	elsewhere string
}

var (
	_ addons.Addon  = (*Addon)(nil)
	_ addons.Runner = (*Addon)(nil)
)

// New returns the addon.
func New() *Addon { return &Addon{} }

// Describe implements addons.Addon.
func (*Addon) Describe() cluster.AddonDescription {
	return cluster.AddonDescription{
		Name: Name, Version: version, Maintainer: "Kubernetes",
		Description: "The use of CPU and memory, for kubectl top and autoscalers",
		Docs:        "docs/metrics.md", Delivery: cluster.DeliveryBuiltin, Offline: true, Default: true,
	}
}

// Objects implements addons.Addon. An APIService that names no Service is served by the API server itself. The role is upstream's
// (manifests/base/rbac.yaml): whoever may view a namespace may see what its pods use. Upstream's other roles are for its pod.
func (*Addon) Objects(addons.Cluster) []runtime.Object {
	aggregated := map[string]string{}
	for _, role := range []string{"view", "edit", "admin"} {
		aggregated["rbac.authorization.k8s.io/aggregate-to-"+role] = "true"
	}
	return []runtime.Object{
		&registrationv1.APIService{
			TypeMeta:   metav1.TypeMeta{APIVersion: registrationv1.SchemeGroupVersion.String(), Kind: "APIService"},
			ObjectMeta: metav1.ObjectMeta{Name: apiService},
			Spec: registrationv1.APIServiceSpec{
				Group: metricsv1beta1.GroupName, Version: metricsv1beta1.SchemeGroupVersion.Version, GroupPriorityMinimum: 100, VersionPriority: 100,
			},
		},
		&rbacv1.ClusterRole{
			TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole"},
			ObjectMeta: metav1.ObjectMeta{Name: "system:aggregated-metrics-reader", Labels: aggregated},
			Rules: []rbacv1.PolicyRule{{
				APIGroups: []string{metricsv1beta1.GroupName}, Resources: []string{"pods", "nodes"}, Verbs: []string{"get", "list", "watch"},
			}},
		},
	}
}

// Health implements addons.Addon. It runs when the figures of a node can be shown: that takes two readings some seconds apart.
func (a *Addon) Health(context.Context, addons.Cluster) (cluster.AddonState, string, []cluster.Advice) {
	a.mu.Lock()
	figures, elsewhere := a.figures, a.elsewhere
	a.mu.Unlock()
	if figures == nil {
		return cluster.AddonInstalling, "its controller is starting", nil
	}
	if elsewhere != "" {
		return cluster.AddonDegraded, fmt.Sprintf("APIService %s leads to Service %s, which somebody else installed, and not to this addon", apiService, elsewhere),
			[]cluster.Advice{
				cluster.Advise("if that is wanted, disable this addon and install the other one again", cluster.Bonsai("addons", "disable").On(Name).Change()),
				cluster.Advise("otherwise remove the APIService, which comes back", cluster.Kubectl("delete", "apiservice").On(apiService).Change()),
			}
	}
	return figures.health()
}

// set changes what Health knows.
func (a *Addon) set(c addons.Cluster, change func()) {
	a.mu.Lock()
	change()
	a.mu.Unlock()
	c.Notify()
}
