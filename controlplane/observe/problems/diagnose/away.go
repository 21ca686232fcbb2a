package diagnose

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
)

// startNodes brings nodes back whose containers have stopped.
func startNodes() cluster.Advice {
	return cluster.Advise("if its container has stopped, start it", cluster.Bonsai("start").Cure())
}

// away examines a pod on a node that does not work: whether it waits for that node, and what becomes of its data. The
// node itself is reported elsewhere. Pods that Kubernetes replaces on other nodes do not wait.
func (d *diagnosis) away(p *corev1.Pod) {
	n := d.nodes[p.Spec.NodeName]
	if n == nil {
		return // the pod is deleted soon
	}
	ready := condition(n, corev1.NodeReady)
	if ready == nil || !d.over(d.sinceBegun(ready.LastTransitionTime.Time), nodeGrace) {
		return
	}
	by := metav1.GetControllerOf(p)
	if by != nil && (by.Kind == "DaemonSet" || by.Kind == "Node") {
		return // it belongs to this node
	}
	here := d.claimsOn(p, n.Name)
	f := finding{of: d.ownerOf(p), pod: p, key: "away/" + n.Name, Problem: cluster.Problem{
		Kind: cluster.ProblemAway, Severity: cluster.SeverityWarning, Since: ready.LastTransitionTime.Time,
		Summary: "waits for node " + n.Name + ", which does not work", Advice: []cluster.Advice{startNodes()},
		Because: becauseOf(cluster.BecauseRuns, n.Name),
	}}
	switch {
	case by != nil && by.Kind == "StatefulSet":
		f.Cause = "a StatefulSet replaces a pod only when the old one is known to have ended"
	case by == nil:
		f.Cause = "no controller starts the pod elsewhere"
	case len(here) == 0:
		return // its controller replaces it
	default:
		f.Cause = "its volume exists only there"
	}
	if len(here) > 0 {
		f.Cause += "; its data (claim " + listed(here) + ") is on that node and is kept"
	} else if by != nil {
		f.Advice = append(f.Advice, giveUp(p))
	}
	d.add(f)
}

// claimsOn are the claims of a pod whose volumes are on a node and nowhere else.
func (d *diagnosis) claimsOn(p *corev1.Pod, node string) (names []string) {
	for _, c := range d.localClaims(p) {
		if c.node == node {
			names = append(names, c.name)
		}
	}
	return names
}

// localClaim is a claim whose volume is on one node.
type localClaim struct{ name, node string }

// localClaims are those of a pod.
func (d *diagnosis) localClaims(p *corev1.Pod) (list []localClaim) {
	names := claimsOf(p)
	if len(names) == 0 {
		return nil
	}
	for _, v := range d.Volumes {
		ref := v.Spec.ClaimRef
		if ref == nil || ref.Namespace != p.Namespace || !slices.Contains(names, ref.Name) || v.Status.Phase != corev1.VolumeBound {
			continue
		}
		if node := nodeOf(v); node != "" {
			list = append(list, localClaim{ref.Name, node})
		}
	}
	slices.SortFunc(list, func(a, b localClaim) int { return strings.Compare(a.name, b.name) })
	return list
}

// nodeOf is the only node that has a volume; empty if it can be used on several.
func nodeOf(v *corev1.PersistentVolume) string {
	if v.Spec.NodeAffinity == nil || v.Spec.NodeAffinity.Required == nil || len(v.Spec.NodeAffinity.Required.NodeSelectorTerms) != 1 {
		return ""
	}
	term := v.Spec.NodeAffinity.Required.NodeSelectorTerms[0]
	for _, r := range slices.Concat(term.MatchExpressions, term.MatchFields) {
		if (r.Key == corev1.LabelHostname || r.Key == metav1.ObjectNameField) && r.Operator == corev1.NodeSelectorOpIn && len(r.Values) == 1 {
			return r.Values[0]
		}
	}
	return ""
}

// volumeAway looks for the reason why a pod gets no node: the only one that has its volume is gone, does not work, or
// accepts no pods. It says what becomes of the data.
func (d *diagnosis) volumeAway(p *corev1.Pod, f *finding) bool {
	for _, c := range d.localClaims(p) {
		n := d.byHost(c.node)
		switch {
		case n == nil && len(d.Nodes) > 0:
			f.Kind, f.Severity = cluster.ProblemAway, cluster.SeverityError
			f.Summary, f.Cause = "its volume was on node "+c.node+", which does not exist any more", "the data of claim "+c.name+" is lost with the node"
			f.Advice = advise("delete the claim and the pod, and create again what does not come back on its own; the volume is then empty",
				cluster.Kubectl("delete", "pvc").On(c.name).In(p.Namespace).With("--wait=false").Change(),
				cluster.Kubectl("delete", "pod").On(p.Name).In(p.Namespace).Change())
		case n == nil:
			continue
		case d.nodeAway(n.Name):
			f.Kind = cluster.ProblemAway
			f.Summary = "its volume is on node " + n.Name + ", which does not work"
			f.Cause = "the data of claim " + c.name + " is kept there; the pod starts when the node is back"
			f.Advice = []cluster.Advice{startNodes()}
			f.Because = becauseOf(cluster.BecauseVolume, n.Name)
		case n.Spec.Unschedulable:
			f.Kind = cluster.ProblemAway
			f.Summary = "its volume is on node " + n.Name + ", which accepts no new pods"
			f.Cause = "the data of claim " + c.name + " is kept there; the node is cordoned"
			f.Advice = advise("allow pods on it again", cluster.Kubectl("uncordon").On(n.Name).Change())
		default:
			continue
		}
		f.key = "volume/" + c.name
		return true
	}
	return false
}

// byHost finds a node by the label that volumes name.
func (d *diagnosis) byHost(host string) *corev1.Node {
	for _, n := range d.Nodes {
		if n.Labels[corev1.LabelHostname] == host || n.Name == host {
			return n
		}
	}
	return nil
}
