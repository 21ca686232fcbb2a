package diagnose

import (
	"fmt"
	"net/netip"

	"bonsai/bootstrap/cluster"
)

// Ranges reports what this machine reaches at addresses that pods and Services of the cluster have: for pods it is not there.
// routed are the ranges of such routes.
func Ranges(spec cluster.Spec, routed []netip.Prefix) (list []cluster.Problem) {
	for _, of := range []struct {
		what, flag string
		own        netip.Prefix
		free       func([]netip.Prefix) (netip.Prefix, error)
		other      netip.Prefix
	}{
		{"pods", "--pod-subnet", spec.PodRange(), cluster.ChoosePodSubnet, spec.ServiceRange()},
		{"Services", "--service-subnet", spec.ServiceRange(), cluster.ChooseServiceSubnet, spec.PodRange()},
	} {
		var met []string
		for _, p := range routed {
			if p.Overlaps(of.own) {
				met = append(met, p.String())
			}
		}
		if len(met) == 0 {
			continue
		}
		again := cluster.Bonsai("start").Change()
		if free, err := of.free(append([]netip.Prefix{spec.Subnet, of.own, of.other}, routed...)); err == nil {
			again = again.With(of.flag, free.String())
		}
		list = append(list, cluster.Problem{
			Kind: cluster.ProblemRange, Severity: cluster.SeverityWarning, Object: "cluster/" + spec.Name,
			Summary: fmt.Sprintf("pods cannot reach what this machine reaches at %s", listed(met)),
			Cause:   fmt.Sprintf("the cluster's %s have %s", of.what, of.own),
			Advice: []cluster.Advice{
				cluster.Advise("if pods need it, recreate the cluster, without its data", cluster.Bonsai("delete").Change(), again),
			},
		}.For(spec.Name))
	}
	return list
}
