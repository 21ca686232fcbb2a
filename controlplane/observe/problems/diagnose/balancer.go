package diagnose

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
)

// balancerGrace is how long the addon may need to give a Service an address, which usually takes less than half a second.
const balancerGrace = exposedGrace / 3

// balancerFailed is the reason of upstream's Event about a Service that got no address, and balancerPrefix what is in front of the
// cause in its text (k8s.io/cloud-provider/controllers/service).
const (
	balancerFailed = "SyncLoadBalancerFailed"
	balancerPrefix = "Error syncing load balancer: failed to ensure load balancer: "
)

// balancer reports a Service of type LoadBalancer that has no address: it stays pending, and what waits for it, too.
func (d *diagnosis) balancer(s *corev1.Service) {
	if s.Spec.Type != corev1.ServiceTypeLoadBalancer || len(s.Status.LoadBalancer.Ingress) > 0 || s.DeletionTimestamp != nil || len(s.Spec.Ports) == 0 {
		return
	}
	f := serviceFinding(cluster.ProblemBalancer, "", s)
	f.Summary = "its load balancer stays pending"
	grace := exposedGrace
	switch class := s.Spec.LoadBalancerClass; {
	case class != nil && *class != cluster.LoadBalancerClass:
		f.Cause = "nothing in this cluster gives Services of load balancer class " + *class + " an address"
	case d.Balancer == nil:
		f.Cause = "nothing in this cluster gives Services of type LoadBalancer an address"
	case !d.Balancer.Enabled:
		f.Cause = "the addon " + cluster.LoadBalancerAddon + ", which would give it an address, is disabled"
		f.Advice = advise("", cluster.Bonsai("addons", "enable").On(cluster.LoadBalancerAddon).Cure())
		grace = balancerGrace
	default:
		f.Cause, f.Advice = d.balancerFailure(s)
		grace = balancerGrace
	}
	if !d.over(s.CreationTimestamp.Time, grace) {
		return
	}
	port := s.Spec.Ports[0]
	if ip := d.nodeAddress(); port.NodePort > 0 && ip != "" {
		f.Cause += "; at a node's address it can be reached already: " + ip + ":" + strconv.Itoa(int(port.NodePort))
	}
	if port.Protocol != corev1.ProtocolUDP { // of which kubectl forwards none
		f.Advice = append(f.Advice, cluster.Advise("reach it from this machine meanwhile", cluster.Kubectl("port-forward").
			On("service/"+s.Name, fmt.Sprintf("%d:%d", unprivileged(port.Port), port.Port)).In(s.Namespace)))
	}
	f.Advice = append(f.Advice, cluster.Advise("or let it have a port of the nodes only", cluster.Kubectl("patch", "service").On(s.Name).In(s.Namespace).
		With("-p", `{"spec":{"type":"NodePort"}}`).Change()))
	d.add(f)
}

// balancerFailure is why the addon, which is enabled, gives a Service no address.
func (d *diagnosis) balancerFailure(s *corev1.Service) (cause string, advice []cluster.Advice) {
	if e := d.eventOf(s.UID, func(e *corev1.Event) bool { return e.Reason == balancerFailed }); e != nil {
		text := oneLine(strings.TrimPrefix(e.Message, balancerPrefix))
		if d.Balancer.State != cluster.AddonRunning { // it is not this Service's fault
			return "it gets no address: " + text, d.Balancer.Advice
		}
		return "it gets no address: " + text, advise("change it by hand", editService(s))
	}
	if d.Balancer.State != cluster.AddonRunning {
		return "the addon " + cluster.LoadBalancerAddon + ", which would give it an address, does not run: " + d.Balancer.Reason,
			advise("see why", cluster.Bonsai("addons", "status").On(cluster.LoadBalancerAddon))
	}
	return "the addon " + cluster.LoadBalancerAddon + " has not given it an address yet", advise("see why", cluster.Bonsai("logs").On("daemon"))
}
