package controlplane

import (
	"slices"

	etcdversion "go.etcd.io/etcd/api/v3/version"

	"bonsai/controlplane/config"
	"bonsai/controlplane/internal/componentpods"
	"bonsai/controlplane/mirror"
)

var _ componentpods.Logs = (*mirror.Keeper)(nil)

// Parts are the running components of a control plane, to be shown as pods. kubernetes is the version that they have ("v1.37.2").
func Parts(c config.Config, kubernetes string) []mirror.Part {
	part := func(name string, flags []string) mirror.Part {
		return mirror.Part{Name: name, Version: kubernetes, Command: append([]string{name}, flags...)}
	}
	all := []mirror.Part{
		{Name: Etcd, Version: etcdversion.Version, Command: []string{Etcd}}, // it is not configured by flags
		part(APIServer, c.APIServerFlags()),
		part(ControllerManager, c.ControllerManagerFlags()),
		part(Scheduler, c.SchedulerFlags()),
	}
	return slices.DeleteFunc(all, func(p mirror.Part) bool { return !c.Spec.Runs(p.Name) })
}

// componentLogs is nil, and not an interface with nil in it, if components are not shown.
func (cp *ControlPlane) componentLogs() componentpods.Logs {
	if cp.opts.Mirror == nil {
		return nil
	}
	return cp.opts.Mirror
}
