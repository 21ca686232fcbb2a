package netpolicy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/nodeagent/netpolicy/rules"
)

// Denied returns the traffic that policies have stopped on this node in the last minutes, the newest first. The kernel remembers
// it; this reads it, and costs nothing while there are no rules.
func (p *Part) Denied() ([]cluster.Denied, error) {
	p.mu.Lock()
	applied := p.applied
	p.mu.Unlock()
	if applied == nil {
		return nil, nil
	}
	drops, err := p.table.Drops()
	if err != nil || len(drops) == 0 {
		return nil, err
	}
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	names := p.names()
	list := make([]cluster.Denied, 0, len(drops))
	for _, d := range drops {
		if d.Egress && p.world.DNS.Serves(d.Asked.Addr(), d.Asked.Port(), p.world.NodeIP) {
			d.Dest, d.Port = d.Asked.Addr(), d.Asked.Port() // policies are about the Service, not about the server that would have answered
		}
		one := cluster.Denied{
			Egress: d.Egress, Proto: strings.ToUpper(string(d.Protocol)), Source: d.Source, Dest: netip.AddrPortFrom(d.Dest, d.Port),
			Asked: d.Asked, From: names[d.Source], To: names[d.Dest], DNS: p.world.DNS.Serves(d.Dest, d.Port, p.world.NodeIP),
			Packets: d.Packets, Last: now.Add(-d.Ago),
		}
		judged, err := applied.Judge(d.Packet)
		if err != nil {
			return nil, fmt.Errorf("judge a packet: %w", err)
		}
		for _, j := range judged {
			if j.Egress == d.Egress {
				one.Policies, one.Still = p.words(j), !j.Allowed
			}
		}
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b cluster.Denied) int {
		return cmp.Or(b.Last.Compare(a.Last), a.Source.Compare(b.Source), a.Dest.Compare(b.Dest), a.Asked.Compare(b.Asked))
	})
	return list, nil
}

// names are the pods by address, "namespace/name"; p.mu is held. Of two with the same address, one is about to go.
func (p *Part) names() map[netip.Addr]string {
	names := make(map[netip.Addr]string, len(p.world.Pods))
	ending := map[netip.Addr]bool{}
	for k, pod := range p.world.Pods {
		if at, ok := p.world.Sandboxes[k]; ok && pod.Node == p.world.Node {
			pod.IP = at
		}
		if !pod.IP.IsValid() || pod.HostNetwork {
			continue
		}
		if _, taken := names[pod.IP]; !taken || ending[pod.IP] {
			names[pod.IP], ending[pod.IP] = k.String(), pod.Ending
		}
	}
	return names
}

// words are the policies that a judgement is about, with what they say; p.mu is held. A ClusterNetworkPolicy is among them only if it
// denies: it isolates nothing.
func (p *Part) words(j rules.Judgement) (list []cluster.PolicyWords) {
	if r, ok := p.rule(j); ok && !j.Allowed {
		return []cluster.PolicyWords{{Name: j.By.Policy.Name, Denies: r.Words(j.Egress), Rule: r.Name}}
	}
	for _, k := range j.Policies {
		if k.Namespace == "" {
			continue
		}
		one := cluster.PolicyWords{Namespace: k.Namespace, Name: k.Name}
		if policy, ok := p.world.Policies[k]; ok {
			one.Allows = policy.Allows(j.Egress)
		}
		list = append(list, one)
	}
	return list
}

// rule is the one of a ClusterNetworkPolicy that decides; false if none does. p.mu is held.
func (p *Part) rule(j rules.Judgement) (r rules.ClusterRule, ok bool) {
	by := j.By.Policy
	if by.Name == "" || by.Namespace != "" {
		return r, false
	}
	of := p.world.ClusterPolicies[by.Name].Ingress
	if j.Egress {
		of = p.world.ClusterPolicies[by.Name].Egress
	}
	if j.By.Rule < len(of) {
		return of[j.By.Rule], true
	}
	return rules.ClusterRule{Name: fmt.Sprintf("#%d", j.By.Rule+1)}, true // it has just been changed
}

// Judge returns what the rules that are in force on this node say about a packet.
func (p *Part) Judge(q cluster.PolicyQuestion) (answer cluster.PolicyAnswer, err error) {
	packet := rules.Packet{
		Source: q.Source.Unmap(), Dest: q.Dest.Addr().Unmap(), Port: q.Dest.Port(), Protocol: rules.Protocol(strings.ToLower(q.Proto)),
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	answer.Phase, answer.Reason = p.health.Phase, p.health.Reason
	judged, err := p.applied.Judge(packet)
	if err != nil {
		return answer, fmt.Errorf("judge a packet: %w", err)
	}
	for _, j := range judged {
		one := &cluster.PolicyJudgement{Policies: p.words(j), Allowed: j.Allowed}
		if j.By != (rules.Source{}) {
			one.By = j.By.Policy.String()
		}
		if r, ok := p.rule(j); ok {
			one.Rule = r.Name
		}
		if j.Egress {
			answer.Egress = one
		} else {
			answer.Ingress = one
		}
	}
	return answer, nil
}
