package diagnose

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/component-helpers/resource"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"bonsai/bootstrap/cluster"
)

// reasonCount is one piece of the scheduler's message: "2 Insufficient memory".
var reasonCount = regexp.MustCompile(`^(\d+) (.+)$`)

// reasonsIn parses "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s). preemption: …"
// (FitError in pkg/scheduler/framework/types.go). What a plugin says about all nodes at once has no count.
func reasonsIn(message string) (reasons []string) {
	text, ok := after(message, "nodes are available: ")
	if !ok {
		return []string{message}
	}
	for part := range strings.SplitSeq(strings.TrimSuffix(beforePreemption(text), "."), ", ") {
		if m := reasonCount.FindStringSubmatch(part); m != nil {
			part = m[2]
		}
		if part = strings.TrimSuffix(part, "."); part != "" {
			reasons = append(reasons, part)
		}
	}
	return reasons
}

// beforePreemption drops the part about what would not help either.
func beforePreemption(message string) string {
	for _, mark := range []string{" preemption: ", " no new claims to deallocate", " still not schedulable"} {
		message, _, _ = strings.Cut(message, mark)
	}
	return strings.TrimSpace(message)
}

// unscheduled examines a pod without a node.
func (d *diagnosis) unscheduled(p *corev1.Pod) {
	c := podCondition(p, corev1.PodScheduled)
	if c == nil || c.Status != corev1.ConditionFalse || c.Reason != corev1.PodReasonUnschedulable {
		return // the scheduler has not said no; or the pod is held back on purpose
	}
	if !d.over(c.LastTransitionTime.Time, pendingGrace) {
		return
	}
	f := finding{of: d.ownerOf(p), pod: p, Problem: cluster.Problem{
		Kind: cluster.ProblemUnschedulable, Severity: cluster.SeverityWarning, Since: c.LastTransitionTime.Time,
		Evidence: []string{oneLine(beforePreemption(c.Message))},
	}}
	reasons := reasonsIn(c.Message)
	has := func(text string) bool {
		return slices.ContainsFunc(reasons, func(r string) bool { return strings.Contains(r, text) })
	}
	switch {
	case d.volumeAway(p, &f):
	case containsAny(c.Message, "unbound immediate PersistentVolumeClaims", "storageclass.storage.k8s.io "):
		if d.waitsForClaim(p) {
			return // that is reported for the claim
		}
		f.Kind, f.Summary, f.Cause = cluster.ProblemClaim, "is waiting for a volume", "a claim of the pod is not bound"
		f.Advice = advise("", cluster.Kubectl("get", "pvc").In(p.Namespace))
	case has("persistentvolumeclaim "):
		d.claimReason(p, &f, reasons)
	case has("free ports for the requested pod ports") && !has("Insufficient"):
		d.portsTaken(p, f)
		return
	case has("Insufficient") || has("Too many pods"):
		d.tooLarge(p, &f, reasons)
	case len(d.Nodes) == 0 || strings.Contains(c.Message, "no nodes available"):
		f.Summary, f.Cause = "no node is suitable", "the cluster has no nodes"
		f.Advice = advise("add some", d.oneNodeMore().Cure())
	case has("node affinity/selector"):
		d.notSelected(p, &f)
	case has("untolerated taint") || has("unschedulable"):
		d.tainted(p, &f)
	case has("topology spread"):
		f.Summary, f.Cause = "no node is suitable", "its topology spread constraints allow none of the nodes"
		f.Advice = advise("set whenUnsatisfiable: ScheduleAnyway if they are only a preference, or add a node")
	case has("anti-affinity"):
		f.Summary, f.Cause = "no node is suitable", "it must not share a node with pods that are already there (pod anti-affinity)"
		f.Advice = advise("run fewer of it, or add a node", d.oneNodeMore().Cure())
	case has("pod affinity"):
		f.Summary, f.Cause = "no node is suitable", "it has to be near pods that do not exist (pod affinity)"
		f.Advice = advise("check the labels that it requires", cluster.Kubectl("get", "pods").With("-A", "--show-labels"))
	case has("PersistentVolume's node affinity"):
		f.Summary, f.Cause = "no node is suitable", "its volume is on a node that cannot run the pod"
		f.Advice = advise("", cluster.Kubectl("get", "pv").With("-o", "wide"))
	default:
		f.Summary, f.Cause = "no node is suitable", oneLine(strings.Join(reasons, ", "))
		f.Advice = describe(p)
	}
	d.add(f)
}

// oneNodeMore adds a node to the cluster.
func (d *diagnosis) oneNodeMore() cluster.Command {
	return cluster.Bonsai("start").With("--nodes", strconv.Itoa(len(d.Nodes)+1)).Change()
}

// tooLarge says which resource is short, how much is requested, and which node has most.
func (d *diagnosis) tooLarge(p *corev1.Pod, f *finding, reasons []string) {
	wants := resourcehelper.PodRequests(p, resourcehelper.PodResourcesOptions{})
	var short []corev1.ResourceName
	for _, r := range reasons {
		if name, ok := strings.CutPrefix(r, "Insufficient "); ok {
			short = append(short, corev1.ResourceName(name))
		} else if strings.Contains(r, "Too many pods") {
			short = append(short, corev1.ResourcePods)
		}
	}
	slices.Sort(short)
	short = slices.Compact(short)
	possible := d.possible(p)
	var causes []string
	for _, r := range short {
		if r == corev1.ResourcePods {
			causes = append(causes, "no node may run more pods")
			continue
		}
		want := wants[r]
		cause := "it requests " + resourceWords(r, amount(r, want))
		best, largest, node := int64(-1), int64(0), ""
		var free, total string
		for _, n := range possible {
			left := d.freeOn(n.Name)[r]
			if left.MilliValue() > best || node == "" {
				best, node, free = left.MilliValue(), n.Name, amount(r, left)
			}
			if all := n.Status.Allocatable[r]; all.MilliValue() > largest {
				largest, total = all.MilliValue(), amount(r, all)
			}
		}
		switch {
		case node == "":
		case largest == 0:
			cause += ", and no node has any"
		default:
			cause += "; the node with the most, " + node + ", has " + free
			if want.MilliValue() > largest {
				cause += " left, and none is larger than " + total
			}
		}
		causes = append(causes, cause)
	}
	var names []string
	for _, r := range short {
		names = append(names, string(r))
	}
	f.Summary, f.Cause = "no node has enough "+listed(names)+" left", strings.Join(causes, "; ")
	f.Advice = advise("reduce its resources.requests, or stop something else")
	f.Because = becauseOf(cluster.BecauseRoom, d.awayWithRoom(wants)...)
	fits := len(possible) > 0
	for _, r := range short {
		want := wants[r]
		fits = fits && slices.ContainsFunc(possible, func(n *corev1.Node) bool { all := n.Status.Allocatable[r]; return want.Cmp(all) <= 0 })
	}
	if fits {
		f.Advice = append(advise("let it ask for less (resources.requests)"), cluster.Advise("or run fewer of it, or add a node", d.oneNodeMore().Cure()))
	}
}

// awayWithRoom are the nodes that do not work and would be large enough for requests.
func (d *diagnosis) awayWithRoom(wants corev1.ResourceList) (names []string) {
	for _, n := range d.Nodes {
		fits := d.nodeAway(n.Name)
		for r, want := range wants {
			have := n.Status.Allocatable[r]
			fits = fits && want.Cmp(have) <= 0
		}
		if fits {
			names = append(names, n.Name)
		}
	}
	return names
}

func resourceWords(r corev1.ResourceName, amount string) string {
	switch r {
	case corev1.ResourceCPU:
		if amount == "1" {
			return "1 CPU"
		}
		return amount + " CPUs"
	case corev1.ResourceMemory:
		return amount + " of memory"
	case corev1.ResourceEphemeralStorage:
		return amount + " of disk (ephemeral-storage)"
	}
	return amount + " " + string(r)
}

// possible are the nodes that could run the pod if they had room; all, if there are none.
func (d *diagnosis) possible(p *corev1.Pod) (list []*corev1.Node) {
	wanted := nodeaffinity.GetRequiredNodeAffinity(p)
	for _, n := range d.Nodes {
		if ok, err := wanted.Match(n); err == nil && ok && !n.Spec.Unschedulable && untolerated(p, n) == nil {
			list = append(list, n)
		}
	}
	if len(list) == 0 {
		return d.Nodes
	}
	return list
}

// freeOn is what a node still has for pods.
func (d *diagnosis) freeOn(node string) corev1.ResourceList {
	if d.free == nil {
		d.free = map[string]corev1.ResourceList{}
		for _, n := range d.Nodes {
			d.free[n.Name] = n.Status.Allocatable.DeepCopy()
		}
		for _, p := range d.Pods {
			free := d.free[p.Spec.NodeName]
			if free == nil || ended(p) {
				continue
			}
			for r, q := range resourcehelper.PodRequests(p, resourcehelper.PodResourcesOptions{}) {
				if left, ok := free[r]; ok {
					left.Sub(q)
					free[r] = left
				}
			}
		}
	}
	return d.free[node]
}

// untolerated returns the first taint of a node that keeps the pod away.
func untolerated(p *corev1.Pod, n *corev1.Node) *corev1.Taint {
	for i := range n.Spec.Taints {
		t := &n.Spec.Taints[i]
		if t.Effect != corev1.TaintEffectNoSchedule && t.Effect != corev1.TaintEffectNoExecute {
			continue
		}
		if !slices.ContainsFunc(p.Spec.Tolerations, func(tol corev1.Toleration) bool { return tolerates(tol, t) }) {
			return t
		}
	}
	return nil
}

// tolerates is the rule of the API's Toleration, without operators that compare numbers.
func tolerates(tol corev1.Toleration, t *corev1.Taint) bool {
	if tol.Effect != "" && tol.Effect != t.Effect || tol.Key != "" && tol.Key != t.Key {
		return false
	}
	switch tol.Operator {
	case corev1.TolerationOpExists:
		return true
	case "", corev1.TolerationOpEqual:
		return tol.Key != "" && tol.Value == t.Value
	}
	return false
}

// tainted says which taints keep a pod off which nodes.
func (d *diagnosis) tainted(p *corev1.Pod, f *finding) {
	f.Summary = "no node is suitable"
	nodes := map[string][]string{} // by taint
	var cordoned, away []string
	for _, n := range d.Nodes {
		t := untolerated(p, n)
		switch {
		case n.Spec.Unschedulable:
			cordoned = append(cordoned, n.Name)
		case t == nil:
		case strings.HasPrefix(t.Key, "node.kubernetes.io/"):
			away = append(away, n.Name)
		default:
			text := t.Key
			if t.Value != "" {
				text += "=" + t.Value
			}
			nodes[text+":"+string(t.Effect)] = append(nodes[text+":"+string(t.Effect)], n.Name)
		}
	}
	var causes []string
	for _, taint := range slices.Sorted(maps.Keys(nodes)) {
		causes = append(causes, fmt.Sprintf("%s has the taint %s, which it does not tolerate", listed(nodes[taint]), taint))
		f.Advice = advise("give it a toleration, or remove the taint", cluster.Kubectl("taint", "nodes").On(nodes[taint][0], taint+"-").Change())
	}
	if len(away) > 0 {
		causes = append(causes, listed(away)+" is not ready")
		f.Advice = advise("see why a node is not ready", cluster.Bonsai("status"))
		f.Because = becauseOf(cluster.BecauseTaint, away...)
	}
	if len(cordoned) > 0 {
		causes = append(causes, listed(cordoned)+" accepts no new pods (cordoned)")
		f.Advice = advise("allow pods on it again", cluster.Kubectl("uncordon").On(cordoned[0]).Cure())
	}
	f.Cause = strings.Join(causes, "; ")
	if len(f.Advice) == 0 {
		f.Advice = describe(p)
	}
}

// notSelected says which label no node has.
func (d *diagnosis) notSelected(p *corev1.Pod, f *finding) {
	f.Summary = "no node matches its requirements"
	f.Advice = advise("see the labels of the nodes", cluster.Kubectl("get", "nodes").With("--show-labels"))
	var lacking []string
	for _, key := range slices.Sorted(maps.Keys(p.Spec.NodeSelector)) {
		value := p.Spec.NodeSelector[key]
		var values, keys []string
		for _, n := range d.Nodes {
			for k, v := range n.Labels {
				keys = append(keys, k)
				if k == key {
					values = append(values, v)
				}
			}
		}
		slices.Sort(keys)
		slices.Sort(values)
		keys, values = slices.Compact(keys), slices.Compact(values)
		if slices.Contains(values, value) {
			continue
		}
		text := "no node has the label " + key + "=" + value
		if len(values) > 0 {
			text += "; there is " + key + "=" + listed(values)
		} else {
			text += meant(key, keys)
		}
		lacking = append(lacking, text)
		f.Advice = advise("label one", d.label(key+"="+value))
	}
	f.Cause = strings.Join(lacking, "; ")
	if f.Cause == "" {
		f.Cause = "its node selector and affinity match no node that has room"
	}
}

// label gives a label to one of the nodes.
func (d *diagnosis) label(pair string) cluster.Command {
	c := cluster.Kubectl("label", "node").Change()
	if len(d.Nodes) == 0 {
		return c.On("NODE", pair).Fill("NODE")
	}
	names := make([]string, 0, len(d.Nodes))
	for _, n := range d.Nodes {
		names = append(names, n.Name)
	}
	return c.On(slices.Min(names), pair)
}
