package diagnose

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bonsai/bootstrap/cluster"
)

const (
	// starved is how many packets are stopped before that is a problem: a program that gets no answer sends the first packet of a
	// connection again after one second and after three, or asks for a name several times.
	starved = 3
	// starvedFor is how long it is one after the last of them. Programs pause longer and longer between two tries.
	starvedFor = 90 * time.Second
)

// clusterPolicyCRD defines ClusterNetworkPolicies.
const clusterPolicyCRD = "clusternetworkpolicies.policy.networking.k8s.io"

// defined reports whether the cluster has a resource definition.
func (d *diagnosis) defined(name string) bool {
	return slices.ContainsFunc(d.Definitions, func(o *metav1.PartialObjectMetadata) bool { return o.Name == name && o.DeletionTimestamp == nil })
}

// denials reports what policies keep from what it needs: traffic that they have just stopped, and still would.
func (d *diagnosis) denials() {
	if !d.Enforced {
		return
	}
	q := Question{Topic: DeniedTraffic}
	if len(d.Policies) == 0 {
		if !d.defined(clusterPolicyCRD) {
			return
		}
		q.Name = clusterPolicyCRD // nodes are asked only if there are any
	}
	a, ok := d.ask(q)
	if !ok || len(a.Denied) == 0 {
		return
	}
	pods, addresses := map[string]*corev1.Pod{}, map[netip.Addr]string{}
	for _, p := range d.Pods {
		pods[podName(p)] = p
	}
	for _, n := range d.Nodes {
		for _, at := range n.Status.Addresses {
			if ip, err := netip.ParseAddr(at.Address); err == nil {
				addresses[ip] = "node/" + n.Name
			}
		}
	}
	for _, x := range a.Denied {
		if !x.Still || x.Packets < starved || len(x.Policies) == 0 || d.over(x.Last, starvedFor) {
			continue
		}
		from, to := pods[x.From], pods[x.To]
		if x.From != "" && from == nil || x.To != "" && to == nil || from == nil && to == nil {
			continue // it is gone
		}
		d.denial(x, from, to, addresses)
	}
}

func (d *diagnosis) denial(x cluster.Denied, from, to *corev1.Pod, addresses map[netip.Addr]string) {
	port := fmt.Sprintf("%d/%s", x.Dest.Port(), x.Proto)
	source, dest := d.endWords(from, x.Source, addresses), d.endWords(to, x.Dest.Addr(), addresses)
	f := finding{key: fmt.Sprint(x.Egress, dest, port), pod: from, Problem: cluster.Problem{Kind: cluster.ProblemDenied, Severity: cluster.SeverityWarning}}
	names := x.Policies[0].Kind() + " " + x.Policies[0].Name
	if len(x.Policies) > 1 {
		var all []string
		for _, p := range x.Policies {
			all = append(all, p.Name)
		}
		names = "NetworkPolicies " + listed(all)
	}
	var allowed []string
	for _, p := range x.Policies {
		allowed = append(allowed, p.Says())
	}
	f.Cause = strings.Join(allowed[:min(len(allowed), 3)], "; ")
	f.Evidence = []string{fmt.Sprintf("%d packets from %s to %s/%s were stopped", x.Packets, source, x.Dest, x.Proto)}
	switch {
	case from == nil:
		f.of, f.pod = d.ownerOf(to), to
		f.key += source
		f.Summary = source + " cannot reach it at port " + port + ": stopped by " + names + " on the way in"
	case x.DNS:
		f.of, f.key = d.ownerOf(from), "dns"
		f.Summary = "cannot ask cluster DNS: stopped by " + names
	case x.Egress:
		f.of = d.ownerOf(from)
		f.Summary = "cannot reach " + dest + " at port " + port + ": stopped by " + names + " on the way out"
		if to == nil && addresses[x.Dest.Addr()] == "" {
			f.Severity = cluster.SeverityInfo // to keep what is outside away is what such policies are for
		}
	default:
		f.of = d.ownerOf(from)
		f.Summary = "cannot reach " + dest + " at port " + port + ": stopped by " + names + " on the way in"
	}
	f.Since = d.deniedSince(x, from, to)
	if from != nil && !x.Egress {
		f.Cause += "; pod " + from.Name + " has " + cmp.Or(selectorText(ownLabels(from)), "no labels")
	}
	f.Advice = d.allow(x, from, to)
	d.add(f)
}

// deniedSince is when the last of those that take part was created: it cannot have begun before.
func (d *diagnosis) deniedSince(x cluster.Denied, from, to *corev1.Pod) (since time.Time) {
	for _, p := range []*corev1.Pod{from, to} {
		if p != nil && p.CreationTimestamp.After(since) {
			since = p.CreationTimestamp.Time
		}
	}
	if i := d.policyOf(x.Policies[0]); i >= 0 && d.Policies[i].CreationTimestamp.After(since) {
		since = d.Policies[i].CreationTimestamp.Time
	}
	return since
}

func (d *diagnosis) policyOf(w cluster.PolicyWords) int {
	return slices.IndexFunc(d.Policies, func(p *networkingv1.NetworkPolicy) bool { return p.Namespace == w.Namespace && p.Name == w.Name })
}

// endWords is how people name one end of a connection.
func (d *diagnosis) endWords(p *corev1.Pod, at netip.Addr, addresses map[netip.Addr]string) string {
	if p != nil {
		return d.ownerOf(p).object()
	}
	return cmp.Or(addresses[at], at.String())
}

// ownLabels are the labels of a pod that somebody chose.
func ownLabels(p *corev1.Pod) map[string]string {
	own := maps.Clone(p.Labels)
	maps.DeleteFunc(own, func(key, _ string) bool { return generated(key) })
	return own
}

// allow says how to let through what was stopped.
func (d *diagnosis) allow(x cluster.Denied, from, to *corev1.Pod) (list []cluster.Advice) {
	if from != nil {
		dest := x.Dest.Addr().String()
		if to != nil {
			dest = podName(to)
		}
		command := cluster.Bonsai("flow", "why").On(podName(from), dest, strconv.Itoa(int(x.Dest.Port())))
		if x.DNS {
			command = cluster.Bonsai("flow", "why").On(podName(from), "kube-system/kube-dns", "53").With("--udp")
		}
		list = append(list, cluster.Advise("see each step of the way there", command))
	}
	if p := x.Policies[0]; p.Namespace == "" { // its rules are somebody's intention for the whole cluster
		return append(list, cluster.Advise("change it by hand", cluster.Kubectl("edit", strings.ToLower(p.Kind())).On(p.Name).Change()))
	}
	i := d.policyOf(x.Policies[0])
	if i < 0 {
		return list
	}
	policy := d.Policies[i]
	if patch, ok := d.allowing(policy, x, from, to); ok {
		list = append([]cluster.Advice{cluster.Advise("if that is meant to work, allow it",
			cluster.Kubectl("patch", "networkpolicy").On(policy.Name).In(policy.Namespace).With("--type=json", "-p", patch).Change())}, list...)
	}
	return append(list, cluster.Advise("change it by hand", cluster.Kubectl("edit", "networkpolicy").On(policy.Name).In(policy.Namespace).Change()))
}

// allowing is a patch with which a policy allows what was stopped.
func (d *diagnosis) allowing(policy *networkingv1.NetworkPolicy, x cluster.Denied, from, to *corev1.Pod) (patch string, ok bool) {
	protocol := corev1.Protocol(x.Proto)
	port := networkingv1.NetworkPolicyPort{Port: new(intstr.FromInt32(int32(x.Dest.Port()))), Protocol: &protocol}
	ports := []networkingv1.NetworkPolicyPort{port}
	peer, ok := d.peer(policy.Namespace, from, x.Source)
	path, empty := "/spec/ingress", len(policy.Spec.Ingress) == 0
	var rule any
	switch {
	case x.DNS:
		peer, ok = networkingv1.NetworkPolicyPeer{
			NamespaceSelector: selecting(map[string]string{corev1.LabelMetadataName: metav1.NamespaceSystem}),
			PodSelector:       selecting(map[string]string{"k8s-app": "kube-dns"}),
		}, true
		ports = nil
		for _, p := range []corev1.Protocol{corev1.ProtocolUDP, corev1.ProtocolTCP} {
			ports = append(ports, networkingv1.NetworkPolicyPort{Port: new(intstr.FromInt32(53)), Protocol: &p})
		}
	case x.Egress:
		peer, ok = d.peer(policy.Namespace, to, x.Dest.Addr())
	}
	if x.Egress {
		path, empty = "/spec/egress", len(policy.Spec.Egress) == 0
		rule = networkingv1.NetworkPolicyEgressRule{To: []networkingv1.NetworkPolicyPeer{peer}, Ports: ports}
	} else {
		rule = networkingv1.NetworkPolicyIngressRule{From: []networkingv1.NetworkPolicyPeer{peer}, Ports: ports}
	}
	if !ok {
		return "", false
	}
	if empty {
		rule = []any{rule}
	} else {
		path += "/-"
	}
	text, err := json.Marshal([]any{map[string]any{"op": "add", "path": path, "value": rule}})
	return string(text), err == nil
}

// peer selects the pods of the same workload, or an address; false if nothing would tell them from others.
func (d *diagnosis) peer(namespace string, p *corev1.Pod, at netip.Addr) (peer networkingv1.NetworkPolicyPeer, ok bool) {
	if p == nil || p.Spec.HostNetwork {
		return networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: netip.PrefixFrom(at, at.BitLen()).String()}}, true
	}
	labels := d.selectorOf(p)
	if len(labels) == 0 {
		return peer, false
	}
	peer.PodSelector = selecting(labels)
	if p.Namespace != namespace {
		peer.NamespaceSelector = selecting(map[string]string{corev1.LabelMetadataName: p.Namespace})
	}
	return peer, true
}

// selectorOf are labels that all pods of a pod's workload have.
func (d *diagnosis) selectorOf(p *corev1.Pod) map[string]string {
	switch o := d.ownerOf(p); o.kind {
	case "deployment":
		for _, w := range d.Deployments {
			if w.Namespace == o.namespace && w.Name == o.name && w.Spec.Selector != nil {
				return w.Spec.Selector.MatchLabels
			}
		}
	case "statefulset":
		for _, w := range d.StatefulSets {
			if w.Namespace == o.namespace && w.Name == o.name && w.Spec.Selector != nil {
				return w.Spec.Selector.MatchLabels
			}
		}
	case "daemonset":
		for _, w := range d.DaemonSets {
			if w.Namespace == o.namespace && w.Name == o.name && w.Spec.Selector != nil {
				return w.Spec.Selector.MatchLabels
			}
		}
	}
	own := ownLabels(p)
	delete(own, "job-name")
	delete(own, "batch.kubernetes.io/job-name")
	return own
}

func selecting(labels map[string]string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: labels}
}
