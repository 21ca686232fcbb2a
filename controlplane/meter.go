package controlplane

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/component-base/metrics/legacyregistry"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/internal/controllers"
	"bonsai/controlplane/observe/load"
)

// NewLoadMeter starts measuring how busy the control plane is, for one client.
func (cp *ControlPlane) NewLoadMeter() *load.Meter {
	enabled := controllers.Enabled()
	return load.NewMeter(load.Sources{
		Traffic:    &cp.traffic,
		Kubernetes: load.Registry{Registerer: legacyregistry.Registerer(), Gatherer: legacyregistry.DefaultGatherer},
		Etcd:       load.Registry{Registerer: prometheus.DefaultRegisterer, Gatherer: prometheus.DefaultGatherer},
		DBSize:     cp.etcd.Size,
		Objects: func(r schema.GroupResource) (int, error) {
			return cp.etcd.Count(context.Background(), cp.server.ObjectsKey(r)) // reads from memory, within microseconds
		},
		Controllers: func() int {
			cp.mu.Lock()
			defer cp.mu.Unlock()
			if cp.components[ControllerManager].Phase != cluster.PhaseRunning {
				return 0
			}
			return enabled
		},
	})
}
