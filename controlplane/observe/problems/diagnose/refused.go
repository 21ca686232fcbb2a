package diagnose

import (
	"regexp"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
)

// refusals looks for workloads whose pods are not admitted. The missing pods are the state, the Event says why.
func (d *diagnosis) refusals() {
	for _, rs := range d.ReplicaSets {
		if rs.Spec.Replicas == nil || rs.Status.Replicas >= *rs.Spec.Replicas {
			continue
		}
		message := ""
		for _, c := range rs.Status.Conditions {
			if c.Type == appsv1.ReplicaSetReplicaFailure && c.Status == corev1.ConditionTrue && c.Reason == "FailedCreate" {
				message = c.Message
			}
		}
		d.refused(&rs.ObjectMeta, d.owners[rs.UID], message)
	}
	for _, s := range d.StatefulSets {
		if s.Spec.Replicas == nil || s.Status.Replicas < *s.Spec.Replicas {
			d.refused(&s.ObjectMeta, owner{"statefulset", s.Namespace, s.Name}, "")
		}
	}
	for _, s := range d.DaemonSets {
		if s.Status.CurrentNumberScheduled < s.Status.DesiredNumberScheduled {
			d.refused(&s.ObjectMeta, owner{"daemonset", s.Namespace, s.Name}, "")
		}
	}
	for _, j := range d.Jobs {
		if j.Status.Active == 0 && j.Status.CompletionTime == nil && finished(j) == nil && (j.Spec.Suspend == nil || !*j.Spec.Suspend) {
			d.refused(&j.ObjectMeta, d.owners[j.UID], "")
		}
	}
}

// refusedKey is that of findings about pods that do not exist.
const refusedKey = "refused"

// refused examines one workload that lacks pods, if their creation fails. message is the workload's own message, if it
// has one; Events appear at longer and longer intervals.
func (d *diagnosis) refused(m *metav1.ObjectMeta, of owner, message string) {
	if m.DeletionTimestamp != nil {
		return
	}
	e := d.eventOf(m.UID, func(e *corev1.Event) bool { return e.Reason == "FailedCreate" })
	since := m.CreationTimestamp.Time
	if e != nil {
		since = firstSeen(e)
		message = e.Message
	}
	// A pod that was created since then proves that it works again.
	if message == "" || e != nil && d.madeSince(m, lastSeen(e)) || !d.over(since, refusedGrace) {
		return
	}
	f := finding{of: of, key: refusedKey, Problem: cluster.Problem{
		Kind: cluster.ProblemRefused, Severity: cluster.SeverityWarning, Since: since,
	}}
	f.Summary, f.Cause, f.Advice = refusalWords(m.Namespace, message)
	if p := podSecurity.FindStringSubmatch(message); p != nil {
		f.Evidence = securityRules(p[2])
	}
	d.add(f)
}

func (d *diagnosis) madeSince(m *metav1.ObjectMeta, t time.Time) bool {
	for _, p := range d.Pods {
		for _, r := range p.OwnerReferences {
			if r.UID == m.UID && p.CreationTimestamp.After(t) {
				return true
			}
		}
	}
	return false
}

var (
	quotaExceeded = regexp.MustCompile(`exceeded quota: ([^,]+), requested: (.+), used: (.+), limited: (.+)$`)
	quotaUnknown  = regexp.MustCompile(`failed quota: ([^:]+): (must specify .+)$`)
	podSecurity   = regexp.MustCompile(`violates PodSecurity "([^"]+)": (.+)$`)
	webhookDenied = regexp.MustCompile(`admission webhook "([^"]+)" denied the request(?:: (.+)| without explanation)?`)
	webhookFailed = regexp.MustCompile(`failed calling webhook "([^"]+)": (?:failed to call webhook: )?(.+)$`)
	policyDenied  = regexp.MustCompile(`ValidatingAdmissionPolicy '([^']+)'(?: with binding '[^']+')? denied request: (.+)$`)
	limitRange    = regexp.MustCompile(`((?:minimum|maximum) \S+ usage per \S+ is .+|\S+ max limit to request ratio per .+)$`)
	noAccount     = regexp.MustCompile(`error looking up service account [^/]+/([^:]+):`)
	noRuntime     = regexp.MustCompile(`pod rejected: RuntimeClass "([^"]+)" not found`)
	noPriority    = regexp.MustCompile(`no PriorityClass with name (\S+) was found`)
)

// refusalWords parses the messages of the API server's admission: resourcequota, limitranger, pod-security-admission,
// webhooks, policies.
func refusalWords(namespace, message string) (summary, cause string, advice []cluster.Advice) {
	message = strings.Join(strings.Fields(message), " ")
	webhooks := cluster.Kubectl("get", "validatingwebhookconfigurations,mutatingwebhookconfigurations")
	if m := quotaExceeded.FindStringSubmatch(message); m != nil {
		return "its pods are rejected by quota " + m[1],
			clip("another pod needs "+m[2]+"; the quota allows "+m[4]+", of which "+m[3]+" is used", 400),
			advise("stop something, or raise the quota", cluster.Kubectl("edit", "quota").On(m[1]).In(namespace).Change())
	}
	if m := quotaUnknown.FindStringSubmatch(message); m != nil {
		return "its pods are rejected by quota " + m[1], clip("with that quota each container "+m[2], 400),
			advise("set these resources in the pod, or defaults by a LimitRange")
	}
	if m := podSecurity.FindStringSubmatch(message); m != nil {
		level, _, _ := strings.Cut(m[1], ":")
		return "its pods are rejected by PodSecurity: they are not " + level, "against the rules: " + strings.Join(ruleNames(m[2]), ", "),
			advise("change the pod, or relax the rules of the namespace",
				cluster.Kubectl("label", "ns").On(namespace, "pod-security.kubernetes.io/enforce=baseline").With("--overwrite").Change())
	}
	if m := webhookDenied.FindStringSubmatch(message); m != nil {
		if m[2] == "" {
			m[2] = "it does not say why"
		}
		return "its pods are rejected by webhook " + m[1], clip(m[2], 400), advise("ask the person who installed it", webhooks)
	}
	if m := webhookFailed.FindStringSubmatch(message); m != nil {
		return "its pods are rejected, because webhook " + m[1] + " does not answer", clip(m[2], 400),
			advise("make its Service run, or remove it", webhooks)
	}
	if m := policyDenied.FindStringSubmatch(message); m != nil {
		return "its pods are rejected by policy " + m[1], clip(m[2], 400), advise("", cluster.Kubectl("describe", "validatingadmissionpolicy").On(m[1]))
	}
	if m := limitRange.FindStringSubmatch(message); m != nil {
		return "its pods are rejected by a LimitRange", clip(strings.TrimSuffix(m[1], "]"), 400),
			advise("change resources in the pod, or the LimitRange", cluster.Kubectl("describe", "limitrange").In(namespace))
	}
	if m := noAccount.FindStringSubmatch(message); m != nil {
		return "its pods are rejected: service account " + m[1] + " does not exist", "",
			advise("create it", cluster.Kubectl("create", "serviceaccount").On(m[1]).In(namespace).Change())
	}
	if m := noRuntime.FindStringSubmatch(message); m != nil {
		return "its pods are rejected: runtime class " + m[1] + " does not exist", "", advise("see those that exist", cluster.Kubectl("get", "runtimeclasses"))
	}
	if m := noPriority.FindStringSubmatch(message); m != nil {
		return "its pods are rejected: priority class " + m[1] + " does not exist", "", advise("see those that exist", cluster.Kubectl("get", "priorityclasses"))
	}
	cause = message
	if rest, ok := after(message, " is forbidden: ", "failed error: ", "Error creating: "); ok {
		cause = rest
	}
	return "its pods cannot be created", clip(cause, 400), advise("", cluster.Bonsai("logs").On("kube-controller-manager"))
}

// securityRule is one rule of PodSecurity and what it requires: `runAsNonRoot != true (pod or container "c" must set
// …)`.
var securityRule = regexp.MustCompile(`([^(),]+) \(([^()]*(?:\([^()]*\)[^()]*)*)\)`)

func ruleNames(text string) (names []string) {
	for _, m := range securityRule.FindAllStringSubmatch(text, -1) {
		names = append(names, strings.TrimLeft(m[1], ", "))
	}
	if len(names) == 0 {
		return []string{clip(text, 400)}
	}
	return names
}

func securityRules(text string) (lines []string) {
	for _, m := range securityRule.FindAllStringSubmatch(text, -1) {
		lines = append(lines, clip(strings.TrimLeft(m[1], ", ")+": "+m[2], maxLine))
	}
	return lines
}

// jobs looks for Jobs that failed, or whose pods fail again and again.
func (d *diagnosis) jobs() {
	for _, j := range d.Jobs {
		if j.DeletionTimestamp != nil {
			continue
		}
		end := finished(j)
		switch {
		case end != nil && end.Type != batchv1.JobFailed, end == nil && j.Status.Failed < 2, d.superseded(j):
			continue
		}
		f := finding{of: d.owners[j.UID], key: "job", Problem: cluster.Problem{
			Kind: cluster.ProblemFailed, Severity: cluster.SeverityWarning, Since: j.CreationTimestamp.Time,
			Summary: "the job's pods fail, " + times(int(j.Status.Failed)) + " so far",
			Advice:  advise("", cluster.Kubectl("describe", "job").On(j.Name).In(j.Namespace)),
		}}
		if end != nil {
			f.Severity, f.Since = cluster.SeverityError, end.LastTransitionTime.Time
			f.Summary, f.Cause = "the job has failed", oneLine(end.Message)
			if end.Reason == batchv1.JobReasonBackoffLimitExceeded {
				f.Summary, f.Cause = "the job has failed: its pods failed "+times(int(j.Status.Failed))+", and no more retries are allowed", ""
			}
		}
		if c, t := d.lastFailure(j); t != nil {
			e := ending{ContainerStateTerminated: *t}
			lines := d.log(c, e)
			f.Evidence, f.Container, f.Pods = lastOf(lines, evidenceLines), c.spec.Name, []string{podName(c.pod)}
			cause := strings.TrimSpace(c.word() + " " + exitWords(c, e))
			if line := errorLine(lines); line != "" {
				cause += ": " + line
			} else if t.Reason == "OOMKilled" {
				cause += ": it was killed because of its memory use"
			} else if meaning := exitMeaning(c, e); meaning != "" {
				cause += ": " + meaning
			}
			f.Cause = cause
			f.Advice = advise("see its log", cluster.Kubectl("logs").On(c.pod.Name).In(c.pod.Namespace))
		}
		d.add(f)
	}
}

// finished is the condition with which a Job has ended, nil if it has not.
func finished(j *batchv1.Job) *batchv1.JobCondition {
	for i := range j.Status.Conditions {
		c := &j.Status.Conditions[i]
		if c.Status == corev1.ConditionTrue && (c.Type == batchv1.JobFailed || c.Type == batchv1.JobComplete) {
			return c
		}
	}
	return nil
}

// superseded reports whether a later Job of the same CronJob exists, which has the current state.
func (d *diagnosis) superseded(j *batchv1.Job) bool {
	of := d.owners[j.UID]
	if of.kind != "cronjob" {
		return false
	}
	for _, other := range d.Jobs {
		if d.owners[other.UID] == of && other.CreationTimestamp.After(j.CreationTimestamp.Time) && finished(other) != nil {
			return true
		}
	}
	return false
}

// lastFailure is the newest container of a Job that failed, of those that still exist.
func (d *diagnosis) lastFailure(j *batchv1.Job) (c container, t *corev1.ContainerStateTerminated) {
	for _, p := range d.Pods {
		if p.Status.Phase != corev1.PodFailed || !metav1.IsControlledBy(p, j) {
			continue
		}
		for _, one := range containers(p) {
			e := one.status.State.Terminated
			if e != nil && e.ExitCode != 0 && (t == nil || e.FinishedAt.After(t.FinishedAt.Time)) {
				c, t = one, e
			}
		}
	}
	return c, t
}
