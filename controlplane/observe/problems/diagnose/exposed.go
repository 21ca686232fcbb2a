package diagnose

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"bonsai/bootstrap/cluster"
)

// exposedGrace is how long a controller may need to give a Service or an Ingress an address.
const exposedGrace = 15 * time.Second

// nodeAddress is that of a node that is ready, the first one by name.
func (d *diagnosis) nodeAddress() string {
	sorted := slices.SortedFunc(slices.Values(d.Nodes), func(a, b *corev1.Node) int { return cmp.Compare(a.Name, b.Name) })
	for _, n := range sorted {
		if c := condition(n, corev1.NodeReady); c == nil || c.Status != corev1.ConditionTrue {
			continue
		}
		for _, a := range n.Status.Addresses {
			if a.Type == corev1.NodeInternalIP {
				return a.Address
			}
		}
	}
	return ""
}

// unprivileged is a port of this machine that a user may have.
func unprivileged(port int32) int32 {
	if port < 1024 {
		return port + 8000
	}
	return port
}

// classAnnotation named an Ingress's class before spec.ingressClassName did; many controllers still obey it.
const classAnnotation = "kubernetes.io/ingress.class"

// ingresses looks for those that no controller serves, because they have no class or one that does not exist.
func (d *diagnosis) ingresses() {
	for _, i := range d.Ingresses {
		if i.DeletionTimestamp != nil || len(i.Status.LoadBalancer.Ingress) > 0 || i.Annotations[classAnnotation] != "" ||
			!d.over(i.CreationTimestamp.Time, exposedGrace) {
			continue
		}
		if a, ok := d.ask(Question{Topic: NamesClass}); ok {
			d.ingress(i, slices.Sorted(slices.Values(a.Lines)))
		}
	}
}

func (d *diagnosis) ingress(i *networkingv1.Ingress, classes []string) {
	f := finding{of: owner{"ingress", i.Namespace, i.Name}, Problem: cluster.Problem{
		Kind: cluster.ProblemIngress, Severity: cluster.SeverityWarning, Since: i.CreationTimestamp.Time, Summary: "no controller serves it",
		Advice: advise("change it by hand", cluster.Kubectl("edit", "ingress").On(i.Name).In(i.Namespace).Change()),
	}}
	if name := i.Spec.IngressClassName; d.Gateway != nil && (name == nil && len(classes) == 0 || name != nil && *name == cluster.GatewayClass) {
		switch {
		case !d.Gateway.Enabled:
			f.Cause = "the addon " + cluster.GatewayAddon + ", which would serve it, is disabled"
			f.Advice = advise("", cluster.Bonsai("addons", "enable").On(cluster.GatewayAddon).Cure())
		case d.Gateway.State != cluster.AddonRunning:
			f.Cause = "the addon " + cluster.GatewayAddon + ", which would serve it, does not run: " + d.Gateway.Reason
			f.Advice = advise("see why", cluster.Bonsai("addons", "status").On(cluster.GatewayAddon))
		default:
			return // it is about to
		}
		d.add(f)
		return
	}
	have := "the cluster has the classes " + listed(classes)
	switch len(classes) {
	case 0:
		have = "the cluster has no IngressClass, so no ingress controller is installed"
		f.Advice = advise("install an ingress controller, or reach its Services from this machine",
			cluster.Kubectl("port-forward", "service/NAME", "8080:80").In(i.Namespace).Fill("NAME"))
	case 1:
		have = "the cluster has the class " + classes[0]
	}
	switch name := i.Spec.IngressClassName; {
	case name == nil && len(classes) == 0:
		f.Cause = have
	case name == nil:
		f.Cause = "it names no class, and none is the default; " + have
	case slices.Contains(classes, *name):
		return // its controller may not report addresses
	default:
		f.Summary += ": ingress class " + *name + " does not exist" + meant(*name, classes)
		f.Cause = have
	}
	d.add(f)
}
