package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The components of a control plane, as Snapshot.Components names them.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
)

// ControlPlaneComponents are all of them, in the order in which they start.
func ControlPlaneComponents() []string {
	return []string{Etcd, APIServer, ControllerManager, Scheduler}
}

// ParseComponents turns what a user wrote ("etcd,apiserver", "all") into Spec.Components: names may lack their "kube-". All
// mistakes are reported.
func ParseComponents(list []string) ([]string, error) {
	var errs []error
	named := map[string]bool{}
	for _, text := range list {
		for part := range strings.SplitSeq(text, ",") {
			part = strings.TrimSpace(part)
			if part == "all" {
				for _, name := range ControlPlaneComponents() {
					named[name] = true
				}
				continue
			}
			i := slices.IndexFunc(ControlPlaneComponents(), func(name string) bool { return part == name || "kube-"+part == name })
			if i < 0 {
				errs = append(errs, fmt.Errorf("component %q is not one of etcd, apiserver, controller-manager, scheduler, all", part))
				continue
			}
			named[ControlPlaneComponents()[i]] = true
		}
	}
	if len(errs) == 0 {
		errs = append(errs, validateComponents(named))
	}
	chosen := slices.DeleteFunc(ControlPlaneComponents(), func(name string) bool { return !named[name] })
	return chosen, errors.Join(errs...)
}

func validateComponents(named map[string]bool) error {
	if !named[Etcd] || !named[APIServer] {
		return fmt.Errorf("%s and %s cannot be left out: they are the cluster", Etcd, APIServer)
	}
	return nil
}

// Runs reports whether the user wants a component of the control plane, one of those of ControlPlaneComponents.
func (s *Spec) Runs(component string) bool {
	return len(s.Components) == 0 || slices.Contains(s.Components, component)
}

// RunComponents makes Runs true for these, and for no others.
func (s *Spec) RunComponents(names []string) {
	s.Components = slices.DeleteFunc(ControlPlaneComponents(), func(name string) bool { return !slices.Contains(names, name) })
	if len(s.Components) == len(ControlPlaneComponents()) {
		s.Components = nil
	}
}

// LeftOut are the components that do not run.
func (s *Spec) LeftOut() []string {
	return slices.DeleteFunc(ControlPlaneComponents(), s.Runs)
}

// CheckComponents returns why the cluster cannot work with the components that it has, or nil. Nodes can do without a
// scheduler, which may be another one. Without controllers their pods lack what they mount, the ConfigMap kube-root-ca.crt and
// the account default, and nobody notices a node that fails.
func (s *Spec) CheckComponents() error {
	if len(s.Nodes) > 0 && !s.Runs(ControllerManager) {
		return fmt.Errorf("cluster %q has nodes, which need %s: pods get their accounts and certificates from it; only %s can be left out", s.Name, ControllerManager, Scheduler)
	}
	return nil
}
