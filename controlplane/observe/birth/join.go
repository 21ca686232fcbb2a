package birth

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
)

// Observation is everything that was found out about one pod.
type Observation struct {
	Pod *corev1.Pod
	// Record is nil for a pod that is older than the control plane's process, or was dropped.
	Record *Record
	// Node is nil if the pod has no node, or the node could not be asked; NodeError says why.
	Node      *cluster.PodOnNode
	NodeError string
}

// instant ends a step of which only one moment is known; an end of 0 would mean that it has not ended.
const instant = time.Nanosecond

// Join computes the birth of a pod. For each time the best source is used: what this process observed, then what the
// node reports, then the pod's own conditions, which have whole seconds.
func Join(o Observation) cluster.Birth {
	j := joiner{o: o, birth: cluster.Birth{
		Namespace: o.Pod.Namespace, Name: o.Pod.Name, UID: string(o.Pod.UID), Started: o.Pod.CreationTimestamp.Time,
	}}
	if r := o.Record; r != nil && !r.Created.Begin.IsZero() {
		j.birth.Started = r.Created.Begin
	}
	j.kubelet = "kubelet"
	j.runtime = "containerd"
	if node := o.Pod.Spec.NodeName; node != "" {
		j.kubelet += " on " + node
		j.runtime += " on " + node
	}
	j.find()
	j.created()
	if j.scheduled() && j.prepared() {
		j.containers()
	}
	j.finish()
	return j.birth
}

// joiner is one Join. Consecutive steps are joined at last, the end of the newest.
type joiner struct {
	o                Observation
	birth            cluster.Birth
	last             time.Time
	kubelet, runtime string
	// ready is when the pod was ready for the first time; zero if it was not yet.
	ready      time.Time
	readyExact bool
	notes      []string
}

// find settles when the pod was ready.
func (j *joiner) find() {
	if r := j.o.Record; r != nil && !r.Ready.IsZero() {
		j.ready, j.readyExact = r.Ready, true
		return
	}
	if c := condition(j.o.Pod, corev1.PodReady); c != nil && c.Status == corev1.ConditionTrue {
		j.ready = c.LastTransitionTime.Time
	}
}

func condition(p *corev1.Pod, t corev1.PodConditionType) *corev1.PodCondition {
	for i := range p.Status.Conditions {
		if p.Status.Conditions[i].Type == t {
			return &p.Status.Conditions[i]
		}
	}
	return nil
}

// add appends a step. A zero end is a step that has not ended. A time in whole seconds may seem to be before the
// previous step; it is moved.
func (j *joiner) add(name, who string, begin, end time.Time, exact bool, detail string) *cluster.BirthStep {
	if !exact && begin.Before(j.last) {
		begin = j.last
	}
	s := cluster.BirthStep{Step: name, Who: who, Begin: max(0, begin.Sub(j.birth.Started)), Exact: exact, Detail: detail}
	if !end.IsZero() {
		s.End = max(end.Sub(j.birth.Started), s.Begin+instant)
		if t := j.birth.Started.Add(s.End); t.After(j.last) {
			j.last = t
		}
	}
	j.birth.Steps = append(j.birth.Steps, s)
	return &j.birth.Steps[len(j.birth.Steps)-1]
}

// created adds the API call.
func (j *joiner) created() {
	p, r := j.o.Pod, j.o.Record
	from := ""
	for _, o := range p.OwnerReferences {
		if o.Controller != nil && *o.Controller {
			from = "for " + o.Kind + " " + o.Name
		}
	}
	if r == nil || r.Created.Begin.IsZero() {
		who := "unknown"
		if len(p.ManagedFields) > 0 && p.ManagedFields[0].Manager != "" {
			who = p.ManagedFields[0].Manager
		}
		if who == "bonsai" && from != "" {
			who = "kube-controller-manager" // which is a part of that program
		}
		j.add("api", who, j.birth.Started, j.birth.Started.Add(instant), false, from)
		j.notes = append(j.notes, "the pod is older than the control plane's process, or many pods were created since: the API call and the scheduler's decision were not recorded")
		return
	}
	c := r.Created
	as := "as " + c.User
	if strings.HasPrefix(c.User, "system:") { // a component, which Who names already
		as = ""
	}
	detail := list(from, as, part("authentication", c.Authentication), part("authorization", c.Authorization), part("priority and fairness", c.Queue))
	j.add("api", c.Who, c.Begin, c.End, true, detail)
	if !c.Admission.Begin.IsZero() {
		j.add("admission", "kube-apiserver", c.Admission.Begin, c.Admission.End, true,
			list(part("mutating", c.Mutating), part("validating", c.Validating), part("webhooks", c.Webhooks)))
	}
	if c.Etcd.Took() > 0 {
		j.add("etcd", "etcd", c.Etcd.Begin, c.Etcd.End, true, "the pod is stored")
		j.last = c.Etcd.End // watchers know before the caller has the answer
	}
}

// part is a share of a step's time, if it had one.
func part(what string, d time.Duration) string {
	if d < 10*time.Microsecond {
		return ""
	}
	return what + " " + short(d)
}

// short formats a time with the relevant digits.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d < 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

// list joins the non-empty parts.
func list(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}

// scheduled adds how the pod got its node, and reports whether it has one.
func (j *joiner) scheduled() bool {
	const who = "kube-scheduler"
	p, r := j.o.Pod, j.o.Record
	if r == nil || r.Created.Begin.IsZero() && r.Decision == nil {
		return j.scheduledLongAgo()
	}
	if r.Decision == nil && p.Spec.NodeName != "" {
		// The creator of the pod has chosen its node, or another scheduler has.
		if !r.Bound.End.IsZero() {
			j.bound(j.last)
		}
		return true
	}
	begin := cmp.Or(r.Queued, j.last)
	unscheduled := condition(p, corev1.PodScheduled)
	switch {
	case len(p.Spec.SchedulingGates) > 0:
		var gates []string
		for _, g := range p.Spec.SchedulingGates {
			gates = append(gates, g.Name)
		}
		j.add("queue", who, begin, time.Time{}, true, "held back by scheduling gates: "+strings.Join(gates, ", "))
		return false
	case r.Decision == nil:
		scheduler := who
		if name := p.Spec.SchedulerName; name != corev1.DefaultSchedulerName && name != "" {
			scheduler = name
		}
		s := j.add("queue", scheduler, begin, time.Time{}, true, "")
		if unscheduled != nil && unscheduled.Status == corev1.ConditionFalse {
			s.Failed, s.Detail = true, unscheduled.Message
		}
		return false
	}
	d := r.Decision
	j.birth.Scheduling = d
	detail := ""
	if d.Attempts > 1 {
		detail = fmt.Sprintf("attempt %d", d.Attempts)
	}
	if r.Created.Begin.IsZero() {
		begin = r.Cycle.Begin
	}
	j.add("queue", who, begin, r.Cycle.Begin, true, detail)
	possible := len(d.Verdicts)
	for _, v := range d.Verdicts {
		if len(v.Rejected) > 0 {
			possible--
		}
	}
	s := j.add("schedule", who, r.Cycle.Begin, r.Cycle.End, true, "")
	if d.Node == "" {
		s.Failed, s.Detail = true, "no node is possible"
		if unscheduled != nil && unscheduled.Message != "" {
			s.Detail = unscheduled.Message
		}
		return false
	}
	if s.Detail = d.Node; len(d.Verdicts) > 0 {
		s.Detail += fmt.Sprintf(", one of %d possible nodes of %d", possible, len(d.Verdicts))
	}
	if r.Bound.End.IsZero() && p.Spec.NodeName == "" {
		j.add("bind", who, r.Cycle.End, time.Time{}, true, "")
		return false
	}
	j.bound(r.Cycle.End)
	return true
}

// bound adds the binding, which the scheduler started at begin.
func (j *joiner) bound(begin time.Time) {
	b := j.o.Record.Bound
	detail := part("etcd", b.Etcd.Took())
	claims := slices.ContainsFunc(j.o.Pod.Spec.Volumes, func(v corev1.Volume) bool { return v.PersistentVolumeClaim != nil || v.Ephemeral != nil })
	if waited := b.Begin.Sub(begin); claims && waited > 20*time.Millisecond {
		detail = list("its volumes took "+short(waited), detail)
	}
	j.add("bind", cmp.Or(b.Who, "kube-scheduler"), begin, cmp.Or(b.End, j.last), true, detail)
	if !b.Etcd.End.IsZero() {
		j.last = b.Etcd.End // the node's kubelet knows before the scheduler has the answer
	}
}

// scheduledLongAgo is scheduled for a pod of which this process has seen neither creation nor scheduling.
func (j *joiner) scheduledLongAgo() bool {
	c := condition(j.o.Pod, corev1.PodScheduled)
	switch {
	case j.o.Pod.Spec.NodeName == "":
		s := j.add("schedule", "kube-scheduler", j.last, time.Time{}, false, "")
		if c != nil && c.Status == corev1.ConditionFalse {
			s.Failed, s.Detail = true, c.Message
		}
		return false
	case c != nil && c.Status == corev1.ConditionTrue:
		j.add("schedule", "kube-scheduler", j.last, c.LastTransitionTime.Time, false, j.o.Pod.Spec.NodeName)
	}
	return true
}

// prepared adds what the node did before the containers, and reports whether it got that far.
func (j *joiner) prepared() bool {
	p, n := j.o.Pod, j.o.Node
	if n == nil || n.Begun.IsZero() {
		return j.preparedUnseen()
	}
	begin := j.last
	if n.Begun.Before(begin) { // the watch reached kubelet before etcd's answer was counted as done; or the file system's clock is a tick behind
		begin = n.Begun
	}
	j.add("kubelet", j.kubelet, begin, n.Begun, true, "sees the pod and creates its folder")
	if n.Sandbox != nil && j.recreated(n.Sandbox.Attempt, n.Sandbox.Done) {
		j.notes = append(j.notes, "the pod's sandbox and containers were recreated later, for example after a stop of the node; the first ones are gone")
		return true
	}
	sandboxBegin := time.Time{}
	if n.Sandbox != nil {
		sandboxBegin = cmp.Or(n.Sandbox.Begun, n.Sandbox.Done)
	}
	filled, detail := n.Filled, ""
	if n.Volumes > 0 {
		detail = plural(n.Volumes, "volume")
	}
	if n.Sandbox != nil {
		// Kubelet checks only now and then whether its volumes are ready. Tokens are rewritten after an hour.
		if !filled.IsZero() && filled.Before(sandboxBegin) {
			detail += " filled after " + short(filled.Sub(n.Begun)) + "; kubelet looks every 300 ms"
		}
		filled = sandboxBegin
	}
	volumes := 0
	for _, v := range p.Spec.Volumes {
		if v.HostPath == nil { // it has no folder of kubelet's
			volumes++
		}
	}
	if n.Sandbox == nil && n.Volumes < volumes {
		filled, detail = time.Time{}, fmt.Sprintf("%d of %s", n.Volumes, plural(volumes, "volume"))
	}
	if volumes > 0 {
		j.add("volumes", j.kubelet, n.Begun, filled, true, detail)
		if filled.IsZero() {
			return false
		}
	}
	if n.Sandbox == nil {
		j.add("sandbox", j.runtime, j.last, time.Time{}, true, "")
		return false
	}
	detail = "network and namespaces"
	if ip := p.Status.PodIP; ip != "" && !p.Spec.HostNetwork {
		detail += ", address " + ip
	}
	if n.Sandbox.Attempt > 0 {
		detail += fmt.Sprintf(", attempt %d", n.Sandbox.Attempt+1)
	}
	j.add("sandbox", j.runtime, cmp.Or(n.Sandbox.Begun, j.last), n.Sandbox.Done, true, detail)
	return true
}

// preparedUnseen is prepared without data from the node.
func (j *joiner) preparedUnseen() bool {
	p, r := j.o.Pod, j.o.Record
	if j.o.NodeError != "" {
		j.notes = append(j.notes, fmt.Sprintf("node %s cannot be asked (%s): times of its containers are those of the pod's status, in whole seconds", p.Spec.NodeName, j.o.NodeError))
	}
	switch {
	case r != nil && !r.Reported.IsZero():
		j.add("kubelet", j.kubelet, j.last, r.Reported, true, "reports on the pod for the first time")
	case p.Status.StartTime != nil:
		j.add("kubelet", j.kubelet, j.last, p.Status.StartTime.Time, false, "")
	default:
		j.add("kubelet", j.kubelet, j.last, time.Time{}, false, "")
		return false
	}
	c := condition(p, corev1.PodReadyToStartContainers)
	switch {
	case r != nil && !r.Sandbox.IsZero():
		j.add("sandbox", j.runtime, j.last, r.Sandbox, true, "")
	case c != nil && c.Status == corev1.ConditionTrue:
		j.add("sandbox", j.runtime, j.last, c.LastTransitionTime.Time, false, "")
	default:
		j.add("sandbox", j.runtime, j.last, time.Time{}, false, "")
		return false
	}
	return true
}

// recreated reports whether something replaced what the birth created, and so is not part of the birth.
func (j *joiner) recreated(attempt uint32, made time.Time) bool {
	return attempt > 0 && !j.ready.IsZero() && made.After(j.ready.Add(time.Second))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// finish sorts the steps and reports whether the birth is complete.
func (j *joiner) finish() {
	slices.SortStableFunc(j.birth.Steps, func(a, b cluster.BirthStep) int { return cmp.Compare(a.Begin, b.Begin) })
	j.birth.Ready = !j.ready.IsZero()
	if phase := j.o.Pod.Status.Phase; phase == corev1.PodSucceeded || phase == corev1.PodFailed {
		j.birth.Ready = true
		j.notes = append(j.notes, "the pod has ended: "+list(string(phase), j.o.Pod.Status.Reason, j.o.Pod.Status.Message))
	}
	j.birth.Note = strings.Join(j.notes, "; ")
}
