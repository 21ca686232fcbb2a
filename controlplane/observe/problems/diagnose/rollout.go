package diagnose

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/observe/objects"
)

// rolloutGrace is how long new pods may fail: some need what starts beside them.
const rolloutGrace = 15 * time.Second

// rollouts looks for those that do not go on, while pods of an older revision still run: going back is possible.
func (d *diagnosis) rollouts() {
	for _, o := range d.Deployments {
		d.deployment(o)
	}
	for _, o := range d.StatefulSets {
		d.statefulSet(o)
	}
	for _, o := range d.DaemonSets {
		d.daemonSet(o)
	}
}

// brokenOf returns the worst finding about a pod of an owner that is of the newest revision.
func (d *diagnosis) brokenOf(of owner, newest func(*finding) bool) *finding {
	var worst *finding
	for i := range d.findings {
		f := &d.findings[i]
		if f.of != of || f.Kind == cluster.ProblemDeletion || f.Kind == cluster.ProblemDrain || !newest(f) {
			continue
		}
		if worst == nil || f.Severity == cluster.SeverityError && worst.Severity != cluster.SeverityError {
			worst = f
		}
	}
	return worst
}

// stuck is a finding about a rollout; broken may be nil. to is the number of the revision that still runs.
func stuck(of owner, since time.Time, broken *finding, old int32, to string) finding {
	f := finding{of: of, key: "rollout", Problem: cluster.Problem{
		Kind: cluster.ProblemRollout, Severity: cluster.SeverityWarning, Since: since, Summary: "its rollout is stuck",
	}}
	if old > 0 {
		f.Summary += "; " + count(int(old), "pod") + " of the revision before still " + runs(int(old))
	}
	if broken != nil {
		f.Cause = broken.Summary
		if broken.Cause != "" {
			f.Cause += ": " + broken.Cause
		}
		if broken.pod != nil { // otherwise it says that there are none
			f.Cause, f.Pods = "its new pods fail: "+f.Cause, []string{podName(broken.pod)}
		}
	}
	undo := cluster.Kubectl("rollout", "undo").On(of.kind + "/" + of.name).In(of.namespace).Change()
	if to != "" {
		undo = undo.With("--to-revision", to)
	}
	f.Advice = advise("go back to the revision that runs", undo)
	return f
}

func runs(n int) string {
	if n == 1 {
		return "runs"
	}
	return "run"
}

func (d *diagnosis) deployment(o *appsv1.Deployment) {
	if o.DeletionTimestamp != nil || o.Spec.Paused || o.Status.ObservedGeneration < o.Generation {
		return
	}
	var sets []*appsv1.ReplicaSet
	for _, rs := range d.ReplicaSets {
		if metav1.IsControlledBy(rs, o) {
			sets = append(sets, rs)
		}
	}
	if len(sets) == 0 {
		return
	}
	slices.SortFunc(sets, func(a, b *appsv1.ReplicaSet) int { return cmp.Compare(revisionOf(b), revisionOf(a)) })
	newest := sets[0]
	var running *appsv1.ReplicaSet // of the older ones, that with the most pods
	for _, rs := range sets[1:] {
		if rs.Status.ReadyReplicas > 0 && (running == nil || rs.Status.ReadyReplicas > running.Status.ReadyReplicas) {
			running = rs
		}
	}
	of := owner{"deployment", o.Namespace, o.Name}
	broken := d.brokenOf(of, func(f *finding) bool {
		if f.pod != nil {
			return metav1.IsControlledBy(f.pod, newest)
		}
		return f.key == refusedKey && newest.Spec.Replicas != nil && newest.Status.Replicas < *newest.Spec.Replicas
	})
	late := lateness(o)
	switch {
	case running == nil && (late == nil || broken != nil): // there is nothing to go back to, and its pods say why
		return
	case late == nil && broken == nil:
		return
	case late == nil && !d.over(d.sinceBegun(newest.CreationTimestamp.Time), rolloutGrace):
		return
	}
	since := newest.CreationTimestamp.Time
	var old int32
	to := ""
	if running != nil {
		old, to = running.Status.ReadyReplicas, running.Annotations[objects.RevisionAnnotation]
	}
	f := stuck(of, since, broken, old, to)
	if broken == nil {
		f.Cause = "it has made no progress for longer than its progressDeadlineSeconds: " + oneLine(late.Message)
	}
	if running == nil {
		f.Advice = advise("", cluster.Kubectl("describe", "deployment").On(o.Name).In(o.Namespace))
	}
	d.add(f)
}

// lateness is the condition of a Deployment whose rollout takes longer than it allows; nil if there is none.
func lateness(o *appsv1.Deployment) *appsv1.DeploymentCondition {
	for i := range o.Status.Conditions {
		c := &o.Status.Conditions[i]
		if c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse && c.Reason == "ProgressDeadlineExceeded" {
			return c
		}
	}
	return nil
}

func revisionOf(rs *appsv1.ReplicaSet) int64 {
	n, _ := strconv.ParseInt(rs.Annotations[objects.RevisionAnnotation], 10, 64) // none is the oldest
	return n
}

// statefulSet examines a rollout; the pods of each revision have its name in a label.
func (d *diagnosis) statefulSet(o *appsv1.StatefulSet) {
	s := o.Status
	if o.DeletionTimestamp != nil || s.UpdateRevision == s.CurrentRevision || s.CurrentReplicas == 0 || s.ObservedGeneration < o.Generation {
		return
	}
	of := owner{"statefulset", o.Namespace, o.Name}
	broken := d.brokenOf(of, func(f *finding) bool {
		return f.pod != nil && f.pod.Labels[appsv1.ControllerRevisionHashLabelKey] == s.UpdateRevision
	})
	if broken == nil || !d.over(d.sinceBegun(broken.pod.CreationTimestamp.Time), rolloutGrace) {
		return
	}
	f := stuck(of, broken.pod.CreationTimestamp.Time, broken, s.CurrentReplicas, d.revision(o.Namespace, s.CurrentRevision))
	// kubernetes/kubernetes#67250: the controller waits for the broken pod to become ready before it replaces it.
	f.Advice = advise("go back to the revision that runs, and delete the broken pod, which is not replaced otherwise",
		append(f.Advice[0].Commands, cluster.Kubectl("delete", "pod").On(broken.pod.Name).In(o.Namespace).Change())...)
	d.add(f)
}

// daemonSet examines a rollout; the pods of each revision have its number and its hash in labels.
func (d *diagnosis) daemonSet(o *appsv1.DaemonSet) {
	s := o.Status
	if o.DeletionTimestamp != nil || s.UpdatedNumberScheduled >= s.DesiredNumberScheduled || s.ObservedGeneration < o.Generation {
		return
	}
	generation := func(p *corev1.Pod) int64 {
		n, _ := strconv.ParseInt(p.Labels[appsv1.DeprecatedTemplateGeneration], 10, 64) // 0 without a label, which is old
		return n
	}
	var newest, running *corev1.Pod
	var old int32
	for _, p := range d.Pods {
		if !metav1.IsControlledBy(p, o) {
			continue
		}
		if newest == nil || generation(p) > generation(newest) {
			newest = p
		}
	}
	for _, p := range d.Pods {
		if metav1.IsControlledBy(p, o) && generation(p) < generation(newest) && p.Status.Phase == corev1.PodRunning {
			old++
			if running == nil || generation(p) > generation(running) {
				running = p
			}
		}
	}
	if running == nil {
		return
	}
	of := owner{"daemonset", o.Namespace, o.Name}
	broken := d.brokenOf(of, func(f *finding) bool { return f.pod != nil && generation(f.pod) == generation(newest) })
	if broken == nil || !d.over(d.sinceBegun(broken.pod.CreationTimestamp.Time), rolloutGrace) {
		return
	}
	name := o.Name + "-" + running.Labels[appsv1.ControllerRevisionHashLabelKey]
	d.add(stuck(of, broken.pod.CreationTimestamp.Time, broken, old, d.revision(o.Namespace, name)))
}

// revision is the number of a ControllerRevision, as kubectl rollout wants it; empty if it is not known.
func (d *diagnosis) revision(namespace, name string) string {
	a, ok := d.ask(Question{Topic: RevisionOf, Namespace: namespace, Name: name})
	if !ok {
		return ""
	}
	return strings.Join(a.Lines, "")
}
