package rules

import (
	"cmp"
	"fmt"
	"strings"
)

// maxWords is how many rules, and how many peers and ports of one, are put into words.
const maxWords = 3

// Allows says in words what a policy allows in one direction: "ingress from pods app=api at port 80/TCP".
func (p Policy) Allows(egress bool) string {
	d, name, preposition := p.Ingress, "ingress", "from"
	if egress {
		d, name, preposition = p.Egress, "egress", "to"
	}
	if d == nil || len(d.Rules) == 0 {
		return "no " + name
	}
	return name + " " + some(d.Rules, ", or ", func(r Rule) string { return r.words(preposition) })
}

// Words says what a rule is about: "ingress from pods app=api at port 80/TCP".
func (r ClusterRule) Words(egress bool) string {
	name, preposition := "ingress", "from"
	if egress {
		name, preposition = "egress", "to"
	}
	return name + " " + r.words(preposition)
}

func (r Rule) words(preposition string) string {
	peers, ports := "everything", ""
	if len(r.Peers) > 0 {
		peers = some(r.Peers, " and ", Peer.words)
	}
	if len(r.Ports) > 0 {
		ports = " at port " + some(r.Ports, ", ", Port.words)
	}
	return preposition + " " + peers + ports
}

func (p Peer) words() string {
	if p.Nodes != nil {
		return "nodes " + cmp.Or(p.Nodes.String(), "of any kind")
	}
	if p.Block.IsValid() {
		text := p.Block.String()
		if len(p.Except) > 0 {
			text += " except " + joined(p.Except)
		}
		return text
	}
	text := "all pods"
	if s := p.Pods.String(); s != "" {
		text = "pods " + s
	}
	if p.Namespaces == nil {
		return text
	}
	if s := p.Namespaces.String(); s != "" {
		return text + " of namespaces " + s
	}
	return text + " of all namespaces"
}

func (p Port) words() string {
	number := fmt.Sprint(p.First)
	switch {
	case p.Name != "":
		number = p.Name
	case p.First == 0:
		number = "any"
	case p.Last != p.First:
		number = fmt.Sprintf("%d-%d", p.First, p.Last)
	}
	return number + "/" + strings.ToUpper(string(p.Protocol))
}

// some are the first ones of a list.
func some[T any](list []T, separator string, words func(T) string) string {
	var texts []string
	for _, e := range list[:min(len(list), maxWords)] {
		texts = append(texts, words(e))
	}
	if more := len(list) - len(texts); more > 0 {
		texts = append(texts, fmt.Sprintf("%d more", more))
	}
	return strings.Join(texts, separator)
}
