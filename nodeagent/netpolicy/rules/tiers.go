package rules

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// applied are the policies that apply to a pod in one direction.
type applied struct {
	admin []ClusterPolicy
	// policies isolate the pod. If there is none, baseline is asked.
	policies []Policy
	baseline []ClusterPolicy
}

// of finds the policies that apply to a pod.
func (c *compiler) of(d direction, pod Pod) (a applied) {
	for _, p := range c.policies[pod.Namespace] {
		if d.of(p) != nil && p.Pods.Matches(pod.Labels) {
			a.policies = append(a.policies, p)
		}
	}
	for _, p := range c.cluster {
		switch {
		case len(p.rules(d)) == 0 || !p.Pods.Matches(pod.Labels) || !matches(p.Namespaces, c.Namespaces, pod.Namespace):
		case !p.Baseline:
			a.admin = append(a.admin, p)
		case len(a.policies) == 0:
			a.baseline = append(a.baseline, p)
		}
	}
	return a
}

// keys are the policies in the order in which they are asked.
func (a applied) keys() (list []Key) {
	for _, p := range a.admin {
		list = append(list, p.Key())
	}
	for _, p := range a.policies {
		list = append(list, p.Key)
	}
	for _, p := range a.baseline {
		list = append(list, p.Key())
	}
	return list
}

// inOrder are ClusterNetworkPolicies as they are asked. Of the same priority the API leaves the order open; by name it is always the same.
func inOrder(of map[string]ClusterPolicy) (list []ClusterPolicy) {
	for _, p := range of {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b ClusterPolicy) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// tier is the chain with all rules of a tier's policies that apply to some pod, one after the other: so to return from it is to pass.
func (c *compiler) tier(d direction, list []ClusterPolicy) string {
	var names []string
	for _, p := range list {
		names = append(names, p.Name)
	}
	name := d.name + "-tier-" + hash(names...)
	if _, ok := c.out.Chains[name]; ok {
		return name
	}
	chain := Chain{Comment: comment(strings.Join(names, ", "))}
	c.out.Chains[name] = chain
	for _, p := range list {
		for i, r := range p.rules(d) {
			if r.Never {
				continue
			}
			verdict := map[Action]string{Accept: "goto " + d.allowed, Deny: "goto " + d.denied, Pass: "return"}[r.Action]
			for _, peer := range c.clusterPeers(d, r.Peers) {
				for _, ports := range c.ports(r.Ports) {
					chain.add(Source{Policy: p.Key(), Rule: i}, peer, ports, verdict)
				}
			}
		}
	}
	c.out.Chains[name] = chain
	return name
}

// clusterPeers are expressions of which one has to match. All blocks of addresses are one.
func (c *compiler) clusterPeers(d direction, peers []Peer) (list []string) {
	if len(peers) == 0 {
		return []string{""}
	}
	var blocks []netip.Prefix
	for _, p := range peers {
		switch {
		case p.Block.IsValid():
			blocks = append(blocks, p.Block)
		case p.Nodes != nil:
			list = append(list, d.peer+" @"+c.nodes(p))
		default:
			list = append(list, d.peer+" @"+c.selected("", p))
		}
	}
	switch blocks = outermost(blocks); {
	case len(blocks) == 0:
	case blocks[0].Bits() == 0:
		return []string{""} // everything
	default:
		list = append(list, d.peer+" { "+joined(blocks)+" }")
	}
	return list
}

// nodes is the set of the addresses of nodes that a peer selects.
func (c *compiler) nodes(p Peer) string {
	name := "nodes-" + hash(p.Nodes.String())
	if _, ok := c.out.Sets[name]; ok {
		return name
	}
	c.set(name, "ipv4_addr")
	for _, n := range c.Nodes {
		if !p.Nodes.Matches(n.Labels) {
			continue
		}
		for _, a := range n.Addresses {
			c.out.Sets[name].Elements[a.String()] = true
		}
	}
	return name
}

// profile is the chain for pods to which exactly these policies apply.
func (c *compiler) profile(d direction, a applied) string {
	keys := a.keys()
	var names []string
	for _, k := range keys {
		names = append(names, k.String())
	}
	name := d.name + "-pods-" + hash(names...)
	if _, ok := c.out.Chains[name]; ok {
		return name
	}
	chain := Chain{Comment: comment(strings.Join(names, ", ")), Of: keys}
	c.out.Chains[name] = chain // of all chains of a pod the first
	chain.Rules = c.judge(d, a)
	if d.name == egressMap {
		c.out.Chains[name] = chain // from here on it is judged, for DNS
		chain.Rules = append(c.nearby(a, name), chain.Rules...)
	}
	c.out.Chains[name] = chain
	return name
}

// wasSent ends a chain for what has been allowed on the way out. On the way in what is allowed has left already.
const wasSent = "ct mark @" + sentSet + " return"

// judge asks one tier after the other.
func (c *compiler) judge(d direction, a applied) (rules []string) {
	add := func(rule string) { rules = append(rules, rule) }
	out := d.name == egressMap
	if len(a.admin) > 0 {
		add("jump " + c.tier(d, a.admin))
		if out {
			add(wasSent)
		}
	}
	if len(a.policies) == 0 {
		if len(a.baseline) > 0 {
			add("jump " + c.tier(d, a.baseline))
		}
		return append(rules, "goto "+d.allowed) // nobody decides
	}
	for _, p := range a.policies {
		if allows := d.of(p); len(allows.Rules) > 0 {
			add("jump " + c.policy(d, p, allows))
		}
	}
	if out {
		add(wasSent)
	}
	return append(rules, "goto "+d.denied)
}

// nearby are the rules for what a pod sends to its own node, before those of its profile.
//
// Packets to cluster DNS have the address of a server by now, so what the profile says of the Service is found out here. NetworkPolicies
// say nothing of all other things on the node; ClusterNetworkPolicies do.
func (c *compiler) nearby(a applied, profile string) (rules []string) {
	rules = []string{"ct original ip daddr @" + dnsSet + " jump " + c.dns(profile), wasSent}
	node := c.judge(egress, applied{admin: a.admin, baseline: a.baseline})
	const local = "fib daddr type != unicast goto "
	if len(node) == 1 {
		return append(rules, local+egress.allowed)
	}
	var names []string
	for _, k := range a.keys() {
		names = append(names, k.String())
	}
	name := "egress-node-" + hash(names...)
	c.out.Chains[name] = Chain{Comment: c.out.Chains[profile].Comment, Rules: node}
	return append(rules, local+name)
}

// dns is the chain with what a profile says of cluster DNS, and which rules say it. Profiles that say the same share it.
func (c *compiler) dns(profile string) string {
	var chain Chain
	var says []string
	for _, at := range c.servers() {
		verdict := "goto " + egress.denied
		w := walk{Ruleset: c.out, direction: egress, packet: Packet{Dest: at.at, Protocol: at.protocol, Port: at.port}}
		if err := w.chain(profile); err == nil && !w.denied { // a rule that is not understood is a mistake that tests find
			verdict = "goto " + egress.allowed
		}
		chain.add(w.by, "ct original ip daddr", at.at.String(), "meta l4proto", string(at.protocol), "ct original proto-dst", strconv.Itoa(int(at.port)), verdict)
		says = append(says, verdict, w.by.Policy.String(), strconv.Itoa(w.by.Rule))
	}
	name := "egress-dns-" + hash(says...)
	c.out.Chains[name] = chain
	return name
}

// server is one way to reach cluster DNS.
type server struct {
	at       netip.Addr
	protocol Protocol
	port     uint16
}

func (c *compiler) servers() (list []server) {
	for _, at := range c.DNS.addresses() {
		for _, p := range dnsPod.Ports {
			list = append(list, server{at, p.Protocol, p.Number})
		}
	}
	if c.NodeIP.Is4() && c.DNS.Port > 0 {
		list = append(list, server{c.NodeIP, "udp", c.DNS.Port}, server{c.NodeIP, "tcp", c.DNS.Port})
	}
	return list
}
