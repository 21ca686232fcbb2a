package rules

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/knftables"
)

// The fixed names in the table.
const (
	egressMap, ingressMap = "egress", "ingress" // from the address of a pod to its profile
	selfSet               = "self"
	dnsSet                = "dns"
	// What is dropped is remembered in a set of each direction, which the kernel fills; see Drops.
	egressDeny, ingressDeny     = "deny-egress", "deny-ingress"
	deniedEgress, deniedIngress = "denied-egress", "denied-ingress"
	// What is allowed gets a mark, by which it is known later; see Stamped.
	sentChain, receivedChain = "sent", "received"
	sentSet, receivedSet     = "was-sent", "was-received"
	sentMap, receivedMap     = "mark-sent", "mark-received"
)

// direction is one of the two, as rules see it.
type direction struct {
	name string // of the map
	// peer is the packet's address that is not the pod's.
	peer string
	// allowed is the chain for what is allowed, denied the one for what is not.
	allowed, denied string
	of              func(Policy) *Direction
}

var (
	egress  = direction{egressMap, "ip daddr", sentChain, egressDeny, func(p Policy) *Direction { return p.Egress }}
	ingress = direction{ingressMap, "ip saddr", receivedChain, ingressDeny, func(p Policy) *Direction { return p.Ingress }}
)

// compiler makes one Ruleset.
type compiler struct {
	*State
	out *Ruleset
	// spaces are the pods of each namespace that have an address of their own, and the one that stands for the DNS server.
	spaces map[string][]located
	// policies are those of each namespace, in order.
	policies map[string][]Policy
	// cluster are the ClusterNetworkPolicies, in order.
	cluster []ClusterPolicy
}

// located is a pod with its addresses.
type located struct {
	Pod
	at []netip.Addr
}

// Compile returns the rules for a node; nil if no pod of it is restricted. It does not keep s.
func Compile(s *State) *Ruleset {
	c := compiler{State: s, spaces: map[string][]located{}, policies: map[string][]Policy{}, cluster: inOrder(s.ClusterPolicies), out: &Ruleset{
		Sets: map[string]Set{}, Maps: map[string]Map{}, Chains: map[string]Chain{}, local: []netip.Addr{s.NodeIP, s.DNS.Resolver},
	}}
	for _, p := range s.Policies {
		c.policies[p.Namespace] = append(c.policies[p.Namespace], p)
	}
	for _, list := range c.policies {
		slices.SortFunc(list, func(a, b Policy) int { return cmp.Compare(a.Name, b.Name) })
	}
	for _, p := range s.Pods {
		if ip, ok := s.Sandboxes[p.Key]; ok && p.Node == s.Node {
			p.IP = ip
		}
		if p.IP.Is4() && !p.HostNetwork {
			c.spaces[p.Namespace] = append(c.spaces[p.Namespace], located{p, []netip.Addr{p.IP}})
		}
	}
	if at := s.DNS.addresses(); len(at) > 0 {
		c.spaces[dnsPod.Namespace] = append(c.spaces[dnsPod.Namespace], located{dnsPod, at})
	}
	c.subjects()
	if len(c.out.Maps[egressMap].Elements)+len(c.out.Maps[ingressMap].Elements) == 0 {
		return nil
	}
	c.base()
	return c.out
}

// subjects are the pods of this node to which policies apply.
func (c *compiler) subjects() {
	for _, d := range []direction{egress, ingress} {
		c.out.Maps[d.name] = Map{Type: "ipv4_addr : verdict", Elements: map[string]string{}}
	}
	c.set(selfSet, "ipv4_addr . ipv4_addr")
	// The same policies apply to pods with the same labels, as most have that a controller created.
	verdicts := map[Key][2]string{}
	for _, pod := range c.local() {
		alike := Key{pod.Namespace, pod.Labels.String()}
		of, ok := verdicts[alike]
		if !ok {
			of = [2]string{c.verdict(egress, pod), c.verdict(ingress, pod)}
			verdicts[alike] = of
		}
		for i, d := range []direction{egress, ingress} {
			if of[i] != "" {
				c.out.Maps[d.name].Elements[pod.IP.String()] = of[i]
				c.out.Sets[selfSet].Elements[fmt.Sprintf("%s . %s", pod.IP, pod.IP)] = true
			}
		}
	}
}

// verdict is where packets of a pod go in one direction; empty if no policy applies.
func (c *compiler) verdict(d direction, pod Pod) string {
	apply := c.of(d, pod)
	if len(apply.keys()) == 0 {
		return ""
	}
	return "jump " + c.profile(d, apply)
}

// local are the pods of this node by their addresses. Of two with the same, one is about to go.
func (c *compiler) local() map[netip.Addr]Pod {
	m := map[netip.Addr]Pod{}
	for _, pods := range c.spaces {
		for _, pod := range pods {
			if pod.Node != c.Node || !pod.IP.IsValid() {
				continue
			}
			if other, taken := m[pod.IP]; !taken || other.Ending || !pod.Ending && pod.String() < other.String() {
				m[pod.IP] = pod.Pod
			}
		}
	}
	return m
}

// policy is the chain with what a policy allows.
func (c *compiler) policy(d direction, p Policy, allows *Direction) string {
	name := d.name + "-" + hash(p.Namespace, p.Name)
	if _, ok := c.out.Chains[name]; ok {
		return name
	}
	chain := Chain{Comment: comment(p.String())}
	for i, r := range allows.Rules {
		for _, peer := range c.peers(d, p.Namespace, r.Peers) {
			for _, ports := range c.ports(r.Ports) {
				chain.add(Source{Policy: p.Key, Rule: i}, peer, ports, "goto "+d.allowed)
			}
		}
	}
	c.out.Chains[name] = chain
	return name
}

// peers are expressions of which one has to match.
func (c *compiler) peers(d direction, namespace string, peers []Peer) (list []string) {
	if len(peers) == 0 {
		return []string{""}
	}
	for _, p := range peers {
		if !p.Block.IsValid() {
			list = append(list, d.peer+" @"+c.selected(namespace, p))
			continue
		}
		except := outermost(p.Except)
		if slices.ContainsFunc(except, func(e netip.Prefix) bool { return covers(e, p.Block) }) {
			continue // nothing is left
		}
		var text string
		if p.Block.Bits() > 0 {
			text = d.peer + " " + p.Block.String()
		}
		if len(except) > 0 {
			text = strings.TrimSpace(text + " " + d.peer + " != { " + joined(except) + " }")
		}
		list = append(list, text)
	}
	return list
}

// selected is the set of the addresses of pods that a peer selects.
func (c *compiler) selected(namespace string, p Peer) string {
	where, spaces := "in "+namespace, []string{namespace}
	if p.Namespaces != nil {
		where, spaces = "where "+p.Namespaces.String(), nil
		for name := range c.spaces {
			if matches(p.Namespaces, c.Namespaces, name) {
				spaces = append(spaces, name)
			}
		}
	}
	name := "pods-" + hash(where, p.Pods.String())
	if _, ok := c.out.Sets[name]; ok {
		return name
	}
	c.set(name, "ipv4_addr")
	for _, space := range spaces {
		for _, pod := range c.spaces[space] {
			if !p.Pods.Matches(pod.Labels) {
				continue
			}
			for _, at := range pod.at {
				c.out.Sets[name].Elements[at.String()] = true
			}
		}
	}
	return name
}

// matches reports whether a namespace is selected. Of one that is not known yet only its name is certain.
func matches(s labels.Selector, known map[string]labels.Set, name string) bool {
	of, ok := known[name]
	if !ok {
		of = labels.Set{"kubernetes.io/metadata.name": name}
	}
	return s.Matches(of)
}

// ports are expressions of which one has to match.
func (c *compiler) ports(ports []Port) (list []string) {
	if len(ports) == 0 {
		return []string{""}
	}
	for _, protocol := range protocols {
		var ranges []Port
		all := false
		for _, p := range ports {
			switch {
			case p.Protocol != protocol:
			case p.Name != "":
				list = append(list, fmt.Sprintf("ip daddr . %s dport @%s", protocol, c.namedPort(protocol, p.Name)))
			case p.First == 0:
				all = true
			default:
				ranges = append(ranges, p)
			}
		}
		switch {
		case all:
			list = append(list, "meta l4proto "+string(protocol))
		case len(ranges) > 0:
			list = append(list, fmt.Sprintf("%s dport { %s }", protocol, joinedPorts(ranges)))
		}
	}
	return list
}

// namedPort is the set of addresses with the number that a port of that name has there.
func (c *compiler) namedPort(protocol Protocol, port string) string {
	name := fmt.Sprintf("port-%s-%s", protocol, hash(port))
	if _, ok := c.out.Sets[name]; ok {
		return name
	}
	c.set(name, "ipv4_addr . inet_service")
	for _, pods := range c.spaces {
		for _, pod := range pods {
			for _, p := range pod.Ports {
				if p.Protocol != protocol || p.Name != port {
					continue
				}
				for _, at := range pod.at {
					c.out.Sets[name].Elements[fmt.Sprintf("%s . %d", at, p.Number)] = true
				}
			}
		}
	}
	return name
}

func (c *compiler) set(name, of string) {
	c.out.Sets[name] = Set{Type: of, Elements: map[string]bool{}}
}

// base adds the chain that the kernel calls.
//
// It is called when the address of a Service has just been replaced by that of a pod, once for each packet that comes to the node from
// a pod or from outside: what is then forwarded, and what is for the node itself, such as its DNS server. A node's own traffic, such as
// the kubelet's probes, does not come by.
//
// Only the first direction of a connection is judged. What both directions of policies have allowed is recognized by its mark until
// the rules change, before policies are looked at; then it is judged again, so that policies that come and go act on open connections.
func (c *compiler) base() {
	c.marks()
	c.out.Chains["prerouting"] = Chain{Hook: knftables.PreroutingHook, Priority: knftables.DNATPriority + "+10", Rules: []string{
		"ct direction reply accept", // the cheapest comes first
		"ct mark @" + receivedSet + " accept",
		"ip saddr vmap @" + egressMap, "ip daddr vmap @" + ingressMap,
		"ct mark @" + sentSet + " goto " + receivedChain,
	}}
	dns := c.DNS.addresses()
	if c.NodeIP.Is4() && c.DNS.Port > 0 {
		dns = append(dns, c.NodeIP)
	}
	c.out.Sets[dnsSet] = setOf("ipv4_addr", dns...)
	for chain, set := range map[string]string{egressDeny: deniedEgress, ingressDeny: deniedIngress} {
		c.out.Sets[set] = Set{Type: dropType, Size: maxDrops, Forgets: DropMemory, Elements: map[string]bool{}}
		// A pod always reaches itself, by way of a Service. What does not fit into the set any more is dropped all the same: a rule
		// that cannot remember ends, and the next one follows (nft_dynset_eval in net/netfilter/nft_dynset.c).
		c.out.Chains[chain] = Chain{Rules: []string{
			"ip saddr . ip daddr @" + selfSet + " accept",
			"ct state related meta l4proto icmp accept", // such as "fragmentation needed"
			"meta l4proto { tcp, udp, sctp } update @" + set + " { " + dropKey + " counter }", "counter drop",
		}}
	}
}

// marks adds what gives connections their marks; Stamped says which.
func (c *compiler) marks() {
	for _, d := range []struct{ set, by string }{{sentSet, sentMap}, {receivedSet, receivedMap}} {
		c.out.Sets[d.set] = setOf[string]("mark")
		c.out.Maps[d.by] = Map{Type: "ct_dir : mark", Elements: map[string]string{}}
	}
	// After the policies for what is sent come those for what is received.
	c.out.Chains[sentChain] = Chain{Rules: []string{"ct mark set ct direction map @" + sentMap}}
	c.out.Chains[receivedChain] = Chain{Rules: []string{"ct mark set ct direction map @" + receivedMap + " accept"}}
}

// setOf returns a set of a few elements, in which the kernel finds something faster than in others.
func setOf[E any](of string, elements ...E) Set {
	const few = 8
	s := Set{Type: of, Size: few, Elements: map[string]bool{}}
	for _, e := range elements {
		s.Elements[fmt.Sprint(e)] = true
	}
	return s
}

// outermost drops what is inside of another: intervals in nftables must not overlap.
func outermost(list []netip.Prefix) (kept []netip.Prefix) {
	list = slices.Compact(slices.SortedFunc(slices.Values(list), func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	}))
	for _, p := range list {
		if len(kept) == 0 || !covers(kept[len(kept)-1], p) {
			kept = append(kept, p)
		}
	}
	return kept
}

func covers(outer, inner netip.Prefix) bool {
	return outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}

func joined(list []netip.Prefix) string {
	var texts []string
	for _, p := range list {
		texts = append(texts, p.String())
	}
	return strings.Join(texts, ", ")
}

// joinedPorts merges ranges that overlap.
func joinedPorts(list []Port) string {
	slices.SortFunc(list, func(a, b Port) int { return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last)) })
	merged := list[:1]
	for _, p := range list[1:] {
		if last := &merged[len(merged)-1]; int(p.First) <= int(last.Last)+1 {
			last.Last = max(last.Last, p.Last)
			continue
		}
		merged = append(merged, p)
	}
	var texts []string
	for _, p := range merged {
		if p.First == p.Last {
			texts = append(texts, fmt.Sprint(p.First))
			continue
		}
		texts = append(texts, fmt.Sprintf("%d-%d", p.First, p.Last))
	}
	return strings.Join(texts, ", ")
}

// hash makes a short name of long ones. It is long enough that nobody finds two with the same.
func hash(parts ...string) string {
	sum := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(sum, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(sum.Sum(nil)[:10])
}

// comment is as long as nftables accepts, and has no quotes, as names of objects have none.
func comment(text string) string {
	const longest = 127
	if len(text) > longest {
		text = text[:longest-3] + "..."
	}
	return text
}
