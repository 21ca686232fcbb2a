package rules

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	policyv1beta1 "sigs.k8s.io/network-policy-api/apis/v1beta1"
)

// ClusterPolicy is a ClusterNetworkPolicy.
type ClusterPolicy struct {
	Name string
	// Baseline policies are asked after NetworkPolicies, about pods that have none in a direction; the others before them.
	Baseline bool
	// Priority orders those of a tier, the smallest first.
	Priority int32
	// Namespaces and Pods select the pods to which it applies.
	Namespaces, Pods labels.Selector
	// Ingress and Egress are the rules, of which the first that matches decides.
	Ingress, Egress []ClusterRule
}

// ClusterRule is one rule of a ClusterPolicy.
type ClusterRule struct {
	// Name is the one that its author gave it, or its place in the policy.
	Name   string
	Action Action
	Rule
	// Never says that it matches nothing.
	Never bool
}

// Action is what happens to traffic that a rule matches.
type Action string

// The actions. Pass leaves the tier for the next one.
const (
	Accept Action = "Accept"
	Deny   Action = "Deny"
	Pass   Action = "Pass"
)

// Node is what rules need of a node.
type Node struct {
	Labels    labels.Set
	Addresses []netip.Addr
}

// Equal reports whether rules are the same for both.
func (n Node) Equal(o Node) bool {
	return maps.Equal(n.Labels, o.Labels) && slices.Equal(n.Addresses, o.Addresses)
}

// Key is that of the policy. It has no namespace, as no other policy.
func (p ClusterPolicy) Key() Key { return Key{Name: p.Name} }

// rules are those of a direction.
func (p ClusterPolicy) rules(d direction) []ClusterRule {
	if d.name == egressMap {
		return p.Egress
	}
	return p.Ingress
}

// NeedsNodes reports whether it selects nodes.
func (p ClusterPolicy) NeedsNodes() bool {
	return slices.ContainsFunc(p.Egress, func(r ClusterRule) bool {
		return slices.ContainsFunc(r.Peers, func(p Peer) bool { return p.Nodes != nil })
	})
}

// errDomainNames is about the one part of the type that is not supported.
var errDomainNames = errors.New("domainNames are not supported, and match nothing")

// ClusterPolicyOf is what rules need of a ClusterNetworkPolicy. What is not supported or not known is in err: as the API demands, a rule
// to accept then ignores that part, and one to deny or to pass becomes one that denies everything.
func ClusterPolicyOf(o *policyv1beta1.ClusterNetworkPolicy) (p ClusterPolicy, err error) {
	p = ClusterPolicy{Name: o.Name, Priority: o.Spec.Priority, Baseline: o.Spec.Tier == policyv1beta1.BaselineTier}
	c := converter{what: "ClusterNetworkPolicy " + o.Name}
	switch s := o.Spec.Subject; {
	case s.Pods != nil:
		p.Namespaces, p.Pods = c.selector(&s.Pods.NamespaceSelector), c.selector(&s.Pods.PodSelector)
	case s.Namespaces != nil:
		p.Namespaces, p.Pods = c.selector(s.Namespaces), labels.Everything()
	default:
		c.fail(errors.New("its subject selects in an unknown way, and it applies to nothing"))
		p.Namespaces, p.Pods = labels.Nothing(), labels.Nothing()
	}
	for i, r := range o.Spec.Ingress {
		f := ruleFields{Name: r.Name, Action: r.Action, Protocols: r.Protocols}
		for _, from := range r.From {
			f.Peers = append(f.Peers, policyv1beta1.ClusterNetworkPolicyEgressPeer{Namespaces: from.Namespaces, Pods: from.Pods})
		}
		p.Ingress = append(p.Ingress, c.clusterRule(i, f))
	}
	for i, r := range o.Spec.Egress {
		p.Egress = append(p.Egress, c.clusterRule(i, ruleFields{r.Name, r.Action, r.To, r.Protocols}))
	}
	return p, c.err
}

// ruleFields are what rules of both directions have. Egress has more kinds of peers.
type ruleFields struct {
	Name      string
	Action    policyv1beta1.ClusterNetworkPolicyRuleAction
	Peers     []policyv1beta1.ClusterNetworkPolicyEgressPeer
	Protocols []policyv1beta1.ClusterNetworkPolicyProtocol
}

func (c *converter) clusterRule(place int, from ruleFields) ClusterRule {
	r := ClusterRule{Name: cmp.Or(from.Name, fmt.Sprintf("#%d", place+1)), Action: Action(from.Action)}
	unknown := false
	if r.Action != Accept && r.Action != Deny && r.Action != Pass {
		c.fail(fmt.Errorf("rule %s: the action %q is not known, and everything is denied", r.Name, from.Action))
		r.Action, unknown = Deny, true
	}
	for _, p := range from.Peers {
		peers, err := clusterPeers(p)
		if err != nil {
			c.fail(fmt.Errorf("rule %s: %w", r.Name, err))
			unknown = true
		}
		r.Peers = append(r.Peers, peers...)
	}
	for _, p := range from.Protocols {
		ports, err := clusterPorts(p)
		if err != nil {
			c.fail(fmt.Errorf("rule %s: %w", r.Name, err))
			unknown = true
		}
		r.Ports = append(r.Ports, ports...)
	}
	if unknown && r.Action != Accept {
		r.Action, r.Rule = Deny, Rule{}
		return r
	}
	// No peers that are left must not become any peer.
	r.Never = len(r.Peers) == 0 || len(from.Protocols) > 0 && len(r.Ports) == 0
	return r
}

// clusterPeers are what one peer of a rule stands for.
func clusterPeers(p policyv1beta1.ClusterNetworkPolicyEgressPeer) (list []Peer, err error) {
	// A selector that cannot be read is an error, and not one that selects nothing: the rule may be one to deny.
	switch {
	case p.Pods != nil:
		namespaces, err := metav1.LabelSelectorAsSelector(&p.Pods.NamespaceSelector)
		pods, podsErr := metav1.LabelSelectorAsSelector(&p.Pods.PodSelector)
		if err := cmp.Or(err, podsErr); err != nil {
			return nil, err
		}
		return []Peer{{Namespaces: namespaces, Pods: pods}}, nil
	case p.Namespaces != nil:
		namespaces, err := metav1.LabelSelectorAsSelector(p.Namespaces)
		if err != nil {
			return nil, err
		}
		return []Peer{{Namespaces: namespaces, Pods: labels.Everything()}}, nil
	case p.Nodes != nil:
		nodes, err := metav1.LabelSelectorAsSelector(p.Nodes)
		if err != nil {
			return nil, err
		}
		return []Peer{{Nodes: nodes}}, nil
	case len(p.Networks) > 0:
		for _, n := range p.Networks {
			block, err := netip.ParsePrefix(string(n))
			if err != nil {
				return list, fmt.Errorf("read a network: %w", err)
			}
			if block.Addr().Is4() { // no pod reaches others
				list = append(list, Peer{Block: block.Masked()})
			}
		}
		return list, nil
	case len(p.DomainNames) > 0:
		return nil, errDomainNames
	}
	return nil, errors.New("it has a peer of an unknown kind")
}

func clusterPorts(p policyv1beta1.ClusterNetworkPolicyProtocol) ([]Port, error) {
	of := func(protocol Protocol, at *policyv1beta1.Port) ([]Port, error) {
		port := Port{Protocol: protocol}
		var first, last int32
		switch {
		case at == nil:
			return []Port{port}, nil
		case at.Range != nil:
			first, last = at.Range.Start, at.Range.End
		default:
			first, last = at.Number, at.Number
		}
		if first < 1 || last < first || last > 65535 {
			return nil, fmt.Errorf("%d to %d are not ports", first, last)
		}
		port.First, port.Last = uint16(first), uint16(last)
		return []Port{port}, nil
	}
	switch {
	case p.TCP != nil:
		return of("tcp", p.TCP.DestinationPort)
	case p.UDP != nil:
		return of("udp", p.UDP.DestinationPort)
	case p.SCTP != nil:
		return of("sctp", p.SCTP.DestinationPort)
	case p.DestinationNamedPort != "":
		var list []Port
		for _, protocol := range protocols { // whichever the pod has it for
			list = append(list, Port{Protocol: protocol, Name: p.DestinationNamedPort})
		}
		return list, nil
	}
	return nil, errors.New("it has a protocol of an unknown kind")
}

// NodeOf is what rules need of a node.
func NodeOf(o *corev1.Node) Node {
	n := Node{Labels: o.Labels}
	for _, at := range o.Status.Addresses {
		if a, err := netip.ParseAddr(at.Address); err == nil && a.Is4() && !slices.Contains(n.Addresses, a) {
			n.Addresses = append(n.Addresses, a)
		}
	}
	return n
}
