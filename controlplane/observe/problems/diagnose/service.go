package diagnose

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/nearmiss"
)

const (
	// serviceGrace is how long a Service may have no pods, or a container may need to listen: both are usually created
	// with one command, and a program needs a moment to start.
	serviceGrace = 20 * time.Second
	// unreadyGrace is how long no pod of a Service may be ready without a problem of its own.
	unreadyGrace = time.Minute
)

// label is one label of the pods of a namespace.
type label struct{ namespace, key, value string }

// byLabel finds pods by any of their labels. Pods that have ended are not in it: no Service leads to them.
func (d *diagnosis) byLabel() map[label][]*corev1.Pod {
	index := map[label][]*corev1.Pod{}
	for _, p := range d.Pods {
		if ended(p) {
			continue
		}
		for k, v := range p.Labels {
			l := label{p.Namespace, k, v}
			index[l] = append(index[l], p)
		}
	}
	return index
}

// services looks at all Services: whether they lead to a pod, and to a port on which something listens.
func (d *diagnosis) services() {
	if len(d.Services) == 0 {
		return
	}
	index, troubled := d.byLabel(), map[*corev1.Pod][]int{}
	for i, f := range d.findings {
		if f.pod != nil {
			troubled[f.pod] = append(troubled[f.pod], i)
		}
	}
	sorted := slices.SortedFunc(slices.Values(d.Services), func(a, b *corev1.Service) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	for _, s := range sorted {
		d.balancer(s)
		// Others have endpoints that somebody writes, or are names of something outside.
		if len(s.Spec.Selector) == 0 || s.Spec.Type == corev1.ServiceTypeExternalName || s.DeletionTimestamp != nil || d.blamed[s.Namespace+"/"+s.Name] {
			continue
		}
		pods := selected(index, s)
		switch {
		case len(pods) == 0:
			d.selectsNobody(s, index)
		case d.noneReady(s, pods, troubled), s.Spec.ClusterIP == corev1.ClusterIPNone: // whose clients choose the port themselves
		default:
			d.targetPorts(s, pods)
		}
	}
}

// selected are the pods that a Service selects, sorted by name.
func selected(index map[label][]*corev1.Pod, s *corev1.Service) (pods []*corev1.Pod) {
	var fewest []*corev1.Pod
	first := true
	for k, v := range s.Spec.Selector {
		if with := index[label{s.Namespace, k, v}]; first || len(with) < len(fewest) {
			fewest, first = with, false
		}
	}
	for _, p := range fewest {
		if matches(s.Spec.Selector, p.Labels) {
			pods = append(pods, p)
		}
	}
	slices.SortFunc(pods, func(a, b *corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	return pods
}

func matches(selector, labels map[string]string) bool {
	for k, v := range selector {
		if have, ok := labels[k]; !ok || have != v {
			return false
		}
	}
	return true
}

// serviceFinding is about a Service.
func serviceFinding(kind, key string, s *corev1.Service) finding {
	return finding{of: owner{"service", s.Namespace, s.Name}, key: key, Problem: cluster.Problem{
		Kind: kind, Severity: cluster.SeverityWarning, Since: s.CreationTimestamp.Time,
	}}
}

// editService is what helps against any mistake in a Service.
func editService(s *corev1.Service) cluster.Command {
	return cluster.Kubectl("edit", "service").On(s.Name).In(s.Namespace).Change()
}

// selectsNobody reports a Service that selects no pod, unless pods are on their way or its workload is scaled to zero.
func (d *diagnosis) selectsNobody(s *corev1.Service, index map[label][]*corev1.Pod) {
	if d.willBeMade(s) || !d.over(s.CreationTimestamp.Time, serviceGrace) {
		return
	}
	f := serviceFinding(cluster.ProblemService, "selector", s)
	f.Summary = "selects no pod"
	wrong, right := d.nearestSelector(s, index)
	if wrong == "" {
		f.Summary += ": none has " + selectorWords(s.Spec.Selector)
		f.Cause, f.Evidence = d.hasPods(s), d.labelsOfPods(s.Namespace)
		f.Advice = append(advise("compare the Service's selector with the labels of the pods",
			cluster.Kubectl("get", "pods").In(s.Namespace).With("--show-labels")), cluster.Advise("correct the selector", editService(s)))
		d.add(f)
		return
	}
	meant := maps.Clone(s.Spec.Selector)
	key, _, _ := strings.Cut(wrong, "=")
	delete(meant, key)
	key, value, _ := strings.Cut(right, "=")
	meant[key] = value
	f.Summary += ": none has " + wrong + "; meant " + right + "?"
	n := 0
	for _, p := range index[label{s.Namespace, key, value}] {
		if matches(meant, p.Labels) {
			n++
		}
	}
	f.Cause = right + " is a label of " + count(n, "pod")
	f.Advice = append(advise("if that is meant, correct the selector",
		cluster.Kubectl("set", "selector", "service").On(s.Name, selectorText(meant)).In(s.Namespace).Change()),
		cluster.Advise("see the labels that pods have", cluster.Kubectl("get", "pods").In(s.Namespace).With("--show-labels")),
		cluster.Advise("change it by hand", editService(s)))
	d.add(f)
}

// willBeMade reports whether the pods of a workload would be selected: it is scaled to zero, or why it has no pods is
// reported for it.
func (d *diagnosis) willBeMade(s *corev1.Service) bool {
	would := func(namespace string, labels map[string]string) bool {
		return namespace == s.Namespace && matches(s.Spec.Selector, labels)
	}
	current := map[owner]bool{} // those with a ReplicaSet that is not merely kept for a rollback
	for _, w := range d.ReplicaSets {
		current[d.owners[w.UID]] = current[d.owners[w.UID]] || replicas(w.Spec.Replicas) > 0
	}
	for _, w := range d.ReplicaSets {
		if would(w.Namespace, w.Spec.Template.Labels) && (replicas(w.Spec.Replicas) > 0 || !current[d.owners[w.UID]]) {
			return true
		}
	}
	for _, w := range d.StatefulSets {
		if would(w.Namespace, w.Spec.Template.Labels) {
			return true
		}
	}
	for _, w := range d.DaemonSets {
		if would(w.Namespace, w.Spec.Template.Labels) {
			return true
		}
	}
	for _, w := range d.Jobs {
		if finished(w) == nil && would(w.Namespace, w.Spec.Template.Labels) {
			return true
		}
	}
	return false
}

// replicas is how many pods a workload wants; one by default.
func replicas(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}

// nearestSelector returns the one part of the selector that no pod with all others has, and the label that was probably
// meant; both are empty if nothing is similar.
func (d *diagnosis) nearestSelector(s *corev1.Service, index map[label][]*corev1.Pod) (wrong, right string) {
	for _, key := range slices.Sorted(maps.Keys(s.Spec.Selector)) {
		value := s.Spec.Selector[key]
		others := maps.Clone(s.Spec.Selector)
		delete(others, key)
		values, keys := map[string]bool{}, map[string]bool{}
		for l, pods := range index {
			if l.namespace != s.Namespace || l.key != key && l.value != value || generated(l.key) {
				continue
			}
			if !slices.ContainsFunc(pods, func(p *corev1.Pod) bool { return matches(others, p.Labels) }) {
				continue
			}
			if l.key == key {
				values[l.value] = true
			} else {
				keys[l.key] = true
			}
		}
		switch near := nearmiss.Nearest(value, slices.Sorted(maps.Keys(values))); {
		case near != "":
			return key + "=" + value, key + "=" + near
		case len(keys) == 1: // the same value by another name, such as app instead of app.kubernetes.io/name
			for k := range keys {
				return key + "=" + value, k + "=" + value
			}
		case len(values) == 1 && len(others) > 0: // pods with all the rest
			for v := range values {
				return key + "=" + value, key + "=" + v
			}
		}
	}
	return "", ""
}

// generated reports whether a label is one that controllers make for themselves.
func generated(key string) bool {
	return slices.Contains([]string{
		"pod-template-hash", "controller-revision-hash", "pod-template-generation", "statefulset.kubernetes.io/pod-name",
		"apps.kubernetes.io/pod-index", "controller-uid", "batch.kubernetes.io/controller-uid",
	}, key)
}

// hasPods says where pods with the labels are, or what else there is.
func (d *diagnosis) hasPods(s *corev1.Service) string {
	here := 0
	var elsewhere []string
	for _, p := range d.Pods {
		switch {
		case ended(p):
		case p.Namespace == s.Namespace:
			here++
		case matches(s.Spec.Selector, p.Labels) && !slices.Contains(elsewhere, p.Namespace):
			elsewhere = append(elsewhere, p.Namespace)
		}
	}
	slices.Sort(elsewhere)
	switch {
	case len(elsewhere) > 0:
		return "pods with these labels are in namespace " + listed(elsewhere) + ", but a Service selects pods of its own namespace only"
	case here == 0:
		return "namespace " + s.Namespace + " has no pods"
	}
	return "none of the " + count(here, "pod") + " in namespace " + s.Namespace + " has such labels"
}

// labelsOfPods shows the labels of some pods of a namespace.
func (d *diagnosis) labelsOfPods(namespace string) (lines []string) {
	for _, p := range d.Pods {
		if p.Namespace != namespace || ended(p) {
			continue
		}
		own := maps.Clone(p.Labels)
		maps.DeleteFunc(own, func(key, _ string) bool { return generated(key) })
		lines = append(lines, "pod "+p.Name+" has "+cmp.Or(selectorText(own), "no labels"))
	}
	slices.Sort(lines)
	return lines[:min(len(lines), evidenceLines)]
}

func selectorText(selector map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(selector)) {
		parts = append(parts, k+"="+selector[k])
	}
	return strings.Join(parts, ",")
}

func selectorWords(selector map[string]string) string {
	return listed(strings.Split(selectorText(selector), ","))
}

// noneReady reports whether no pod of a Service is ready. Usually a pod has a problem of its own, which then says that the
// Service leads nowhere because of it; a Service whose pods have none is reported itself.
func (d *diagnosis) noneReady(s *corev1.Service, pods []*corev1.Pod, troubled map[*corev1.Pod][]int) bool {
	if s.Spec.PublishNotReadyAddresses || slices.ContainsFunc(pods, d.isReady) {
		return false
	}
	since, own := s.CreationTimestamp.Time, false
	var reason string
	for _, p := range pods {
		for _, i := range troubled[p] {
			own = true
			if f := &d.findings[i]; f.Severity != cluster.SeverityInfo {
				f.Evidence = slices.Concat(f.Evidence, []string{"no pod of Service " + s.Name + " is ready, so nobody answers there"})
			}
		}
		if own || p.DeletionTimestamp != nil || d.nodeAway(p.Spec.NodeName) || p.Spec.NodeName == "" {
			own = true // it is ending, or that is reported for its node, or comes when it is certain
			continue
		}
		c := podCondition(p, corev1.PodReady)
		if c == nil || !begun(p) {
			own = true // it is just being started
			continue
		}
		if c.LastTransitionTime.After(since) {
			since = c.LastTransitionTime.Time
		}
		if reason == "" {
			reason = "pod " + p.Name + ": " + oneLine(cmp.Or(c.Message, c.Reason, "its readiness is false"))
		}
	}
	if since.Before(d.Begun) {
		since = d.Begun
	}
	if own || !d.over(since, unreadyGrace) {
		return true
	}
	f := serviceFinding(cluster.ProblemService, "ready", s)
	f.Since, f.Summary, f.Cause = since, "leads nowhere: none of its "+count(len(pods), "pod")+" is ready", reason
	f.Advice = advise("see what its pods wait for", cluster.Kubectl("describe", "pods").In(s.Namespace).With("-l", selectorText(s.Spec.Selector)))
	d.add(f)
	return true
}

func (d *diagnosis) isReady(p *corev1.Pod) bool {
	c := podCondition(p, corev1.PodReady)
	return c != nil && c.Status == corev1.ConditionTrue && p.DeletionTimestamp == nil && !d.nodeAway(p.Spec.NodeName)
}
