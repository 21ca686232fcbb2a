package flows

import (
	"cmp"
	"net/netip"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
)

// objects says what addresses belong to.
type objects struct {
	ends     map[netip.Addr]cluster.FlowEnd
	services map[servicePort]string // "namespace/name"
}

// servicePort is where a Service is reached.
type servicePort struct {
	addr  netip.AddrPort
	proto string
}

// index finds pods and Services by address. Machine is where nodes reach the machine.
func index(pods []*corev1.Pod, services []*corev1.Service, nodes []cluster.Node, machine netip.Addr) objects {
	o := objects{map[netip.Addr]cluster.FlowEnd{}, map[servicePort]string{}}
	for _, p := range pods {
		if p.Spec.HostNetwork {
			continue // its address is the node's
		}
		over := p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
		for _, ip := range p.Status.PodIPs {
			addr, err := netip.ParseAddr(ip.IP)
			if _, taken := o.ends[addr]; err != nil || over && taken {
				continue // another pod has it now
			}
			o.ends[addr] = cluster.FlowEnd{Kind: cluster.FlowPod, Namespace: p.Namespace, Name: p.Name, Workload: Workload(p), Node: p.Spec.NodeName}
		}
	}
	for _, n := range nodes {
		end := cluster.FlowEnd{Kind: cluster.FlowNode, Name: n.Name, Node: n.Name}
		o.ends[n.IP] = end
		o.ends[n.PodCIDR.Addr().Next()] = end // the node's address on its pod network
	}
	if machine.IsValid() {
		o.ends[machine] = cluster.FlowEnd{Kind: cluster.FlowMachine}
	}
	for _, s := range services {
		addresses := []string{s.Spec.ClusterIP}
		for _, i := range s.Status.LoadBalancer.Ingress {
			addresses = append(addresses, i.IP)
		}
		for _, p := range s.Spec.Ports {
			proto := string(cmp.Or(p.Protocol, corev1.ProtocolTCP))
			for _, a := range addresses {
				if addr, err := netip.ParseAddr(a); err == nil {
					o.services[servicePort{netip.AddrPortFrom(addr, uint16(p.Port)), proto}] = s.Namespace + "/" + s.Name
				}
			}
			for _, n := range nodes {
				if p.NodePort > 0 {
					o.services[servicePort{netip.AddrPortFrom(n.IP, uint16(p.NodePort)), proto}] = s.Namespace + "/" + s.Name
				}
			}
		}
	}
	return o
}

// Workload is what controls a pod, "" if nothing does. The ReplicaSets of a Deployment are named after it and a hash.
func Workload(p *corev1.Pod) string {
	for _, r := range p.OwnerReferences {
		if r.Controller == nil || !*r.Controller || r.Kind == "Node" {
			continue
		}
		if hash := p.Labels[appsv1.DefaultDeploymentUniqueLabelKey]; hash != "" && r.Kind == "ReplicaSet" {
			return "deployment/" + strings.TrimSuffix(r.Name, "-"+hash)
		}
		return strings.ToLower(r.Kind) + "/" + r.Name
	}
	return ""
}

// end is what an address belongs to.
func (o objects) end(a netip.Addr) cluster.FlowEnd {
	e, ok := o.ends[a]
	if !ok {
		e.Kind = cluster.FlowOutside
	}
	e.Address = a
	return e
}

// service is the "namespace/name" of the one that is reached there.
func (o objects) service(a netip.AddrPort, proto string) string {
	return o.services[servicePort{a, proto}]
}
