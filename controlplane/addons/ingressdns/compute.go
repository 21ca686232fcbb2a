package ingressdns

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"bonsai/bootstrap/cluster"
)

// Reach is what this machine reaches directly.
type Reach struct {
	// Nodes is the cluster's subnet, with nodes and load balancers. With an engine in a virtual machine it is false.
	Nodes bool
	// Services is the range of the cluster's Services, Pods that of its pods. A user can have them routed to a node.
	Services, Pods bool
}

// input is what names come from.
type input struct {
	spec  cluster.Spec
	hosts []string // the domains of hosts
	reach Reach

	services  []*corev1.Service
	slices    []*discoveryv1.EndpointSlice // only while pods are reached
	nodes     []*corev1.Node
	ingresses []*networkingv1.Ingress
	gateways  []*gatewayv1.Gateway
	routes    []*gatewayv1.HTTPRoute // GRPCRoutes are here as well: what is read of both is the same
}

// compute returns all names.
func compute(in input) cluster.HostDNS {
	c := computing{input: in, names: map[string]cluster.HostName{}}
	c.domains = in.spec.HostDNSDomains(in.hosts)
	c.add(cluster.HostName{Name: cluster.HostDNSProbe(in.spec.Name), Addresses: []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, Of: "this resolver"})
	for _, s := range in.services {
		c.service(s)
	}
	for _, i := range in.ingresses {
		var addresses []netip.Addr
		for _, lb := range i.Status.LoadBalancer.Ingress {
			addresses = appendAddress(addresses, lb.IP)
		}
		for _, r := range i.Spec.Rules {
			c.host(r.Host, "Ingress "+i.Namespace+"/"+i.Name, addresses)
		}
	}
	gateways := map[string][]netip.Addr{}
	for _, g := range in.gateways {
		var addresses []netip.Addr
		for _, a := range g.Status.Addresses {
			if a.Type == nil || *a.Type == gatewayv1.IPAddressType {
				addresses = appendAddress(addresses, a.Value)
			}
		}
		gateways[g.Namespace+"/"+g.Name] = addresses
		for _, l := range g.Spec.Listeners {
			if l.Hostname != nil {
				c.host(string(*l.Hostname), "Gateway "+g.Namespace+"/"+g.Name, addresses)
			}
		}
	}
	for _, r := range in.routes {
		var addresses []netip.Addr
		for _, p := range r.Spec.ParentRefs {
			if p.Kind != nil && *p.Kind != "Gateway" {
				continue
			}
			namespace := r.Namespace
			if p.Namespace != nil {
				namespace = string(*p.Namespace)
			}
			for _, a := range gateways[namespace+"/"+string(p.Name)] {
				addresses = appendAddress(addresses, a.String())
			}
		}
		for _, h := range r.Spec.Hostnames {
			c.host(string(h), r.Kind+" "+r.Namespace+"/"+r.Name, addresses)
		}
	}
	h := cluster.HostDNS{Domains: c.domains}
	for _, name := range slices.Sorted(maps.Keys(c.names)) {
		h.Names = append(h.Names, c.names[name])
	}
	return h
}

type computing struct {
	input
	domains []string
	names   map[string]cluster.HostName
}

func appendAddress(list []netip.Addr, text string) []netip.Addr {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" && !slices.Contains(list, a.Unmap()) {
		list = append(list, a.Unmap())
	}
	return list
}

// reached are those of addresses that this machine reaches. Those outside the cluster's ranges are another controller's, which
// knows where they are.
func (c *computing) reached(addresses []netip.Addr) (list []netip.Addr) {
	for _, a := range addresses {
		if a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast() {
			continue // a status is what somebody has written: this machine's own programs are not what such a name means
		}
		if !c.reach.Nodes && c.spec.Subnet.Contains(a) || !c.reach.Services && c.spec.ServiceRange().Contains(a) {
			continue
		}
		list = append(list, a)
	}
	return list
}

func (c *computing) service(s *corev1.Service) {
	n := cluster.HostName{Of: "Service " + s.Namespace + "/" + s.Name}
	n.Addresses, n.Reason = c.serviceAddresses(s)
	for _, domain := range []string{cluster.ClusterDomain, cluster.HostDNSOwnDomain(c.spec.Name)} {
		n.Name = s.Name + "." + s.Namespace + ".svc." + domain
		c.add(n)
	}
}

// serviceAddresses are, of what a Service has, the first that this machine reaches: its load balancer, its own address, the nodes
// with its NodePort.
func (c *computing) serviceAddresses(s *corev1.Service) (addresses []netip.Addr, reason string) {
	for _, lb := range s.Status.LoadBalancer.Ingress {
		addresses = appendAddress(addresses, lb.IP)
	}
	if reached := c.reached(addresses); len(reached) > 0 {
		return reached, ""
	}
	switch {
	case s.Spec.Type == corev1.ServiceTypeExternalName:
		return nil, "it only leads to " + s.Spec.ExternalName
	case s.Spec.ClusterIP == corev1.ClusterIPNone:
		return c.podAddresses(s)
	case c.reach.Services:
		for _, ip := range s.Spec.ClusterIPs {
			addresses = appendAddress(addresses, ip)
		}
		if reached := c.reached(addresses); len(reached) > 0 {
			return reached, ""
		}
	}
	if !c.reach.Nodes {
		return nil, c.apart()
	}
	if slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.NodePort != 0 }) {
		var nodes []netip.Addr
		for _, n := range c.nodes {
			if ready(n) {
				for _, a := range n.Status.Addresses {
					if a.Type == corev1.NodeInternalIP {
						nodes = appendAddress(nodes, a.Address)
					}
				}
			}
		}
		if len(nodes) > 0 {
			return nodes, ""
		}
		return nil, "no node is ready"
	}
	if s.Spec.Type == corev1.ServiceTypeLoadBalancer {
		return nil, "it has no address yet"
	}
	return nil, "its address is not reached from this machine: it is neither of type LoadBalancer nor of type NodePort"
}

// podAddresses are those of the ready pods of a Service that has no address itself.
func (c *computing) podAddresses(s *corev1.Service) (addresses []netip.Addr, reason string) {
	if !c.reach.Pods {
		return nil, "it has no address of its own, and those of its pods are not reached from this machine"
	}
	for _, l := range c.slices {
		if l.Namespace != s.Namespace || l.Labels[discoveryv1.LabelServiceName] != s.Name {
			continue
		}
		for _, e := range l.Endpoints {
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				for _, a := range e.Addresses {
					addresses = appendAddress(addresses, a)
				}
			}
		}
	}
	if len(addresses) == 0 {
		return nil, "none of its pods is ready"
	}
	return addresses, ""
}

func ready(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

func (c *computing) apart() string {
	return fmt.Sprintf("this machine has no interface in the nodes' network %s", c.spec.Subnet)
}

// host adds a host of something that routes requests.
func (c *computing) host(name, of string, addresses []netip.Addr) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if name == "" || cluster.Below(name, "localhost") { // every name below localhost is this machine without us
		return
	}
	n := cluster.HostName{Name: name, Of: of}
	bare := strings.TrimPrefix(name, "*.")
	switch reached := c.reached(addresses); {
	case !slices.ContainsFunc(c.domains, func(d string) bool { return cluster.Below(bare, d) }):
		n.Reason = "it is below none of the domains of " + cluster.HostDNSAddon
	case len(reached) > 0:
		n.Addresses = reached
	case len(addresses) > 0:
		n.Reason = c.apart()
	default:
		n.Reason = "nothing serves it"
	}
	c.add(n)
}

// add adds a name, or to a name: several objects may have one.
func (c *computing) add(n cluster.HostName) {
	have, ok := c.names[n.Name]
	if !ok {
		c.names[n.Name] = n
		return
	}
	if !strings.Contains(have.Of+",", n.Of+",") {
		have.Of += ", " + n.Of
	}
	for _, a := range n.Addresses {
		if !slices.Contains(have.Addresses, a) {
			have.Addresses = append(slices.Clone(have.Addresses), a)
		}
	}
	if len(have.Addresses) > 0 {
		have.Reason = ""
	}
	c.names[n.Name] = have
}
