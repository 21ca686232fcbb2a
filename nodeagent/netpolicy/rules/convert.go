package rules

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// PolicyOf is what rules need of a NetworkPolicy. What the API server would not have accepted matches nothing, and is in err.
func PolicyOf(o *networkingv1.NetworkPolicy) (p Policy, err error) {
	p.Key = Key{o.Namespace, o.Name}
	c := converter{what: "NetworkPolicy " + p.Key.String()}
	p.Pods = c.selector(&o.Spec.PodSelector)
	types := o.Spec.PolicyTypes
	if len(types) == 0 { // the API server fills them in; this is its rule
		types = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		if len(o.Spec.Egress) > 0 {
			types = append(types, networkingv1.PolicyTypeEgress)
		}
	}
	if slices.Contains(types, networkingv1.PolicyTypeIngress) {
		p.Ingress = &Direction{}
		for _, r := range o.Spec.Ingress {
			c.rule(p.Ingress, r.From, r.Ports)
		}
	}
	if slices.Contains(types, networkingv1.PolicyTypeEgress) {
		p.Egress = &Direction{}
		for _, r := range o.Spec.Egress {
			c.rule(p.Egress, r.To, r.Ports)
		}
	}
	return p, c.err
}

// converter collects the first error of one policy.
type converter struct {
	what string
	err  error
}

func (c *converter) fail(err error) {
	if c.err == nil {
		c.err = fmt.Errorf("%s: %w", c.what, err)
	}
}

func (c *converter) selector(s *metav1.LabelSelector) labels.Selector {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		c.fail(err)
		return labels.Nothing()
	}
	return selector
}

// rule adds a rule, unless nothing of it can match: no peers that are left must not become any peer.
func (c *converter) rule(d *Direction, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) {
	var r Rule
	for _, p := range peers {
		if peer, ok := c.peer(p); ok {
			r.Peers = append(r.Peers, peer)
		}
	}
	for _, p := range ports {
		if port, ok := c.port(p); ok {
			r.Ports = append(r.Ports, port)
		}
	}
	if len(peers) > 0 && len(r.Peers) == 0 || len(ports) > 0 && len(r.Ports) == 0 {
		return
	}
	d.Rules = append(d.Rules, r)
}

func (c *converter) peer(p networkingv1.NetworkPolicyPeer) (peer Peer, ok bool) {
	if p.IPBlock != nil {
		block, err := netip.ParsePrefix(p.IPBlock.CIDR)
		if err != nil {
			c.fail(err)
			return peer, false
		}
		if !block.Addr().Is4() {
			return peer, false // no pod has such addresses, and none reaches them
		}
		peer.Block = block.Masked()
		for _, e := range p.IPBlock.Except {
			except, err := netip.ParsePrefix(e)
			if err != nil {
				c.fail(err)
				return peer, false
			}
			if except.Addr().Is4() {
				peer.Except = append(peer.Except, except.Masked())
			}
		}
		return peer, true
	}
	if p.PodSelector == nil && p.NamespaceSelector == nil {
		return peer, false
	}
	peer.Pods = labels.Everything()
	if p.PodSelector != nil {
		peer.Pods = c.selector(p.PodSelector)
	}
	if p.NamespaceSelector != nil {
		peer.Namespaces = c.selector(p.NamespaceSelector)
	}
	return peer, true
}

func (c *converter) port(p networkingv1.NetworkPolicyPort) (port Port, ok bool) {
	protocol := corev1.ProtocolTCP
	if p.Protocol != nil {
		protocol = *p.Protocol
	}
	if port.Protocol, ok = protocolOf(protocol); !ok {
		c.fail(fmt.Errorf("unknown protocol %q", protocol))
		return port, false
	}
	switch {
	case p.Port == nil:
		return port, true
	case p.Port.Type == intstr.String:
		port.Name = p.Port.StrVal
		return port, port.Name != ""
	}
	last := p.Port.IntVal
	if p.EndPort != nil {
		last = *p.EndPort
	}
	if p.Port.IntVal < 1 || last < p.Port.IntVal || last > 65535 {
		c.fail(fmt.Errorf("%d to %d are not ports", p.Port.IntVal, last))
		return port, false
	}
	port.First, port.Last = uint16(p.Port.IntVal), uint16(last)
	return port, true
}

func protocolOf(p corev1.Protocol) (Protocol, bool) {
	switch p {
	case corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP:
		return Protocol(strings.ToLower(string(p))), true
	case "":
		return "tcp", true
	}
	return "", false
}

// PodOf is what rules need of a pod. One that has ended has no address any more: another may have got it.
func PodOf(o *corev1.Pod) Pod {
	p := Pod{
		Key: Key{o.Namespace, o.Name}, Labels: o.Labels, Node: o.Spec.NodeName,
		HostNetwork: o.Spec.HostNetwork, Ending: o.DeletionTimestamp != nil,
	}
	if o.Status.Phase != corev1.PodSucceeded && o.Status.Phase != corev1.PodFailed {
		p.IP = ipv4(o.Status)
	}
	for _, c := range o.Spec.Containers {
		p.Ports = named(p.Ports, c.Ports)
	}
	for _, c := range o.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways { // a sidecar
			p.Ports = named(p.Ports, c.Ports)
		}
	}
	return p
}

func ipv4(s corev1.PodStatus) netip.Addr {
	for _, ip := range s.PodIPs {
		if a, err := netip.ParseAddr(ip.IP); err == nil && a.Is4() {
			return a
		}
	}
	if a, err := netip.ParseAddr(s.PodIP); err == nil && a.Is4() {
		return a
	}
	return netip.Addr{}
}

func named(list []NamedPort, ports []corev1.ContainerPort) []NamedPort {
	for _, p := range ports {
		protocol, ok := protocolOf(p.Protocol)
		if ok && p.Name != "" && p.ContainerPort > 0 && p.ContainerPort <= 65535 {
			list = append(list, NamedPort{p.Name, protocol, uint16(p.ContainerPort)})
		}
	}
	return list
}
