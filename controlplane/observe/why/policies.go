package why

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
)

// policySteps ask the nodes of both ends what their rules say about the first packet.
func (w *walk) policySteps(ctx context.Context) {
	w.direction(ctx, cluster.WhyEgress, func(e endpoint) (node cluster.Node, why string) {
		switch {
		case e.at.Addr().IsLoopback():
			return node, itself
		case w.source.Spec.HostNetwork:
			return node, "the pod is on its node's network, and no policy applies to it"
		}
		return w.sourceNode, ""
	}, func(a cluster.PolicyAnswer) *cluster.PolicyJudgement { return a.Egress }, "pod "+nameOf(w.source))
	pods := slices.DeleteFunc(slices.Clone(w.endpoints), func(e endpoint) bool { return e.pod == nil })
	if len(pods) == 0 {
		return // what is no pod has no policies
	}
	w.direction(ctx, cluster.WhyIngress, func(e endpoint) (node cluster.Node, why string) {
		switch {
		case e.at.Addr().IsLoopback():
			return node, itself
		case e.pod == nil:
			return node, "only pods have policies"
		case e.pod.Spec.HostNetwork:
			return node, "the pod is on its node's network, and no policy applies to it"
		case w.source.Spec.HostNetwork && e.node.Name == w.sourceNode.Name:
			return node, "what a node does with its own pods is always allowed"
		}
		return e.node, ""
	}, func(a cluster.PolicyAnswer) *cluster.PolicyJudgement { return a.Ingress }, subject(pods))
}

const itself = "what a pod does with itself is always allowed"

func subject(list []endpoint) string {
	if len(list) == 1 {
		return list[0].String()
	}
	return fmt.Sprintf("the %d pods", len(list))
}

// direction judges one direction for all endpoints. where returns the node whose rules decide, or why none does.
func (w *walk) direction(ctx context.Context, topic cluster.WhyTopic, where func(endpoint) (cluster.Node, string),
	of func(cluster.PolicyAnswer) *cluster.PolicyJudgement, who string,
) {
	step := cluster.WhyStep{Topic: topic, State: cluster.WhyOK, Saw: fmt.Sprintf("no policy for %s applies to %s", topic, who)}
	var denied []endpoint
	var by []cluster.PolicyWords
	judged := 0
	for _, e := range w.endpoints {
		node, why := where(e)
		if why != "" {
			step.Saw = why
			continue
		}
		if node.Name == "" {
			step.State, step.Saw = cluster.WhySkipped, "the node of "+e.String()+" does not run, and cannot be asked"
			continue
		}
		source := w.out.From.Address
		if w.source.Spec.HostNetwork {
			source = w.sourceNode.IP
		}
		answer, err := w.Agents.JudgePolicies(ctx, node, cluster.PolicyQuestion{Source: source, Dest: e.at, Proto: w.out.Proto})
		if err != nil {
			step.State, step.Saw = cluster.WhySkipped, "node "+node.Name+" cannot be asked: "+err.Error()
			continue
		}
		judged++
		switch j := of(answer); {
		case answer.Phase == cluster.PhaseStopped:
			step.Saw = "NetworkPolicies are not enforced"
		case j == nil:
		case j.Allowed && source == e.at.Addr():
			step.Saw = itself
		case j.Allowed && j.By == "" && topic == cluster.WhyEgress && e.at.Addr() == w.sourceNode.IP:
			step.Saw = "NetworkPolicies always allow what a pod does with its own node"
		case j.Allowed && j.By == "":
			step.Saw = fmt.Sprintf("no rule for %s is about it, and none isolates %s", topic, who)
		case j.Allowed && j.Rule != "":
			step.Saw = "ClusterNetworkPolicy " + j.By + " allows it (rule " + j.Rule + ")"
		case j.Allowed:
			step.Saw = "NetworkPolicy " + j.By + " allows it"
		default:
			denied, by = append(denied, e), j.Policies
		}
	}
	if len(denied) > 0 {
		step.State, step.Saw, step.More, step.Advice = cluster.WhyFailed, denies(by)+" let it out", allowances(by), w.edit(by)
		if topic == cluster.WhyIngress {
			step.Saw = denies(by) + " let it in"
			if own := ownLabels(w.source); own != "" {
				step.More = append(step.More, "pod "+nameOf(w.source)+" has "+own)
			}
		}
		if len(denied) < judged { // other endpoints can be reached
			step.State = cluster.WhyDoubtful
			step.Saw += ", to " + listed(names(denied))
		}
	}
	w.add(step)
}

// ownLabels are the labels of a pod that somebody chose.
func ownLabels(p *corev1.Pod) string {
	var own []string
	for k, v := range p.Labels {
		if !strings.HasSuffix(k, "-hash") {
			own = append(own, k+"="+v)
		}
	}
	slices.Sort(own)
	return strings.Join(own, ",")
}

// denies is "NetworkPolicy a does not".
func denies(by []cluster.PolicyWords) string {
	var names []string
	for _, p := range by {
		names = append(names, p.String())
	}
	if len(names) == 1 {
		return by[0].Kind() + " " + names[0] + " does not"
	}
	return "NetworkPolicies " + listed(names) + " do not" // a ClusterNetworkPolicy is the only one that denies
}

func allowances(by []cluster.PolicyWords) (lines []string) {
	for _, p := range by[:min(len(by), 4)] {
		lines = append(lines, p.Says())
	}
	return lines
}

func (w *walk) edit(by []cluster.PolicyWords) (list []cluster.Advice) {
	if len(by) == 0 {
		return nil
	}
	return []cluster.Advice{cluster.Advise("change it by hand", cluster.Kubectl("edit", strings.ToLower(by[0].Kind())).On(by[0].Name).In(by[0].Namespace).Change())}
}

// listenerStep asks the nodes whether a program listens.
func (w *walk) listenerStep(ctx context.Context) {
	step := cluster.WhyStep{Topic: cluster.WhyListener, State: cluster.WhyOK}
	asked, silent := 0, 0
	for _, e := range w.endpoints {
		if e.pod == nil || e.node.Name == "" {
			continue
		}
		ports, err := w.Agents.Listening(ctx, e.node, string(e.pod.UID))
		if err != nil {
			step.More = append(step.More, "pod "+e.pod.Name+": "+err.Error())
			continue
		}
		asked++
		i := slices.IndexFunc(ports, func(l cluster.Listening) bool { return l.Port == e.at.Port() && l.Protocol == w.out.Proto })
		switch {
		case i >= 0 && (!ports[i].Inside || e.at.Addr().IsLoopback()):
			step.Saw = fmt.Sprintf("pod %s listens on %d", e.pod.Name, e.at.Port())
			continue
		case i >= 0:
			step.More = append(step.More, fmt.Sprintf("pod %s listens on %d at 127.0.0.1 only, which no other pod can reach", e.pod.Name, e.at.Port()))
			step.Advice = []cluster.Advice{cluster.Advise("make the program listen at all addresses (0.0.0.0)", logs(e.pod))}
		default:
			step.More = append(step.More, fmt.Sprintf("pod %s listens on %s", e.pod.Name, cmp.Or(listed(numbers(ports, w.out.Proto)), "no port at all")))
			step.Advice = []cluster.Advice{cluster.Advise("see whether its program has started to serve", logs(e.pod))}
			if s := w.to.service; s != nil && w.to.named != nil {
				step.Advice = append(step.Advice, edit(s))
			}
		}
		silent++
	}
	switch {
	case asked == 0 && len(step.More) == 0:
		return // there is no pod
	case asked == 0:
		step.State, step.Saw = cluster.WhySkipped, "it cannot be seen which ports the pod listens on"
	case silent == asked:
		step.State, step.Saw = cluster.WhyFailed, fmt.Sprintf("nothing listens on port %d", w.endpoints[0].at.Port())
	case silent > 0:
		step.State = cluster.WhyDoubtful
	default:
		step.More = nil
	}
	w.add(step)
}

func logs(p *corev1.Pod) cluster.Command {
	return cluster.Kubectl("logs").On(p.Name).In(p.Namespace)
}

func numbers(ports []cluster.Listening, protocol string) (list []string) {
	for _, l := range ports {
		if l.Protocol == protocol && !l.Inside {
			list = append(list, fmt.Sprint(l.Port))
		}
	}
	return list
}

// connectStep connects from the network of the source, and sends a request if one was asked for.
func (w *walk) connectStep(ctx context.Context) {
	if w.q.UDP {
		w.skipped(cluster.WhyConnect, "UDP has no connections, and nothing was sent")
		return
	}
	q := cluster.ProbeQuestion{Pod: string(w.source.UID), To: w.out.Address, Path: w.q.HTTP, Host: w.to.host}
	if q.Path != "" && !strings.HasPrefix(q.Path, "/") {
		q.Path = "/" + q.Path
	}
	if q.Host != "" && w.to.port != 80 {
		q.Host += ":" + fmt.Sprint(w.to.port)
	}
	r, err := w.Agents.Probe(ctx, w.sourceNode, q)
	if err != nil {
		w.skipped(cluster.WhyConnect, "node %s cannot connect from the network of the pod: %v", w.sourceNode.Name, err)
		return
	}
	step := cluster.WhyStep{Topic: cluster.WhyConnect, State: cluster.WhyFailed, Took: r.Took}
	switch r.Outcome {
	case cluster.ProbeConnected:
		step.State, step.Saw = cluster.WhyOK, fmt.Sprintf("connected to %s", w.out.Address)
		if r.Source.IsValid() && r.Source.Addr() != w.out.From.Address {
			step.Saw += fmt.Sprintf(" from %s", r.Source.Addr())
		}
	case cluster.ProbeRefused:
		step.Saw = fmt.Sprintf("%s refuses connections", w.out.Address)
	case cluster.ProbeTimeout:
		step.Saw = fmt.Sprintf("%s does not answer", w.out.Address)
	case cluster.ProbeUnreachable:
		step.Saw = fmt.Sprintf("there is no way to %s", w.out.Address)
	default:
		step.Saw = fmt.Sprintf("no connection to %s: %s", w.out.Address, r.Reason)
	}
	if step.State == cluster.WhyFailed && len(w.endpoints) == 1 && w.endpoints[0].pod == nil && w.endpoints[0].at.Addr() != (netip.Addr{}) {
		step.Advice = []cluster.Advice{cluster.Advise("see whether this machine reaches it; what is outside may have a firewall, or nothing that listens")}
	}
	if !w.add(step) || q.Path == "" {
		return
	}
	if r.Status == "" {
		w.failed(cluster.WhyAnswer, "no answer to GET "+q.Path+": "+cmp.Or(r.NoAnswer, "nothing came back"), nil)
		return
	}
	w.ok(cluster.WhyAnswer, "GET %s is answered with %s", q.Path, r.Status)
}
