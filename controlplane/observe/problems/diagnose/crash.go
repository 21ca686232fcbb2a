package diagnose

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
)

const (
	// A container that has run twice as long as last time, within these limits, has recovered from its crashes.
	stableMin = 10 * time.Second
	stableMax = 5 * time.Minute
	// A kill because of memory counts longer: it comes with the load.
	stableMemory = 3 * time.Minute
	// backOffMax is the longest pause of kubelet before it restarts a container, and a little.
	backOffMax = 6 * time.Minute
	// stale is how long after a start the API's data about containers may be from before it.
	stale = 15 * time.Second
)

// ending is how a container exited.
type ending struct {
	corev1.ContainerStateTerminated
	// previous means that another container has taken its place.
	previous bool
	// again means that the kubelet restarts it again and again.
	again bool
	retry time.Time
}

// crash looks for a container that does not stay up.
func (d *diagnosis) crash(c container) bool {
	e, ok := d.crashing(c)
	if !ok {
		return false
	}
	d.addEnding(c, e)
	return true
}

// crashing returns how a container exited if it is restarted again and again. A single restart is not a problem: the
// kubelet waits only before the second one.
func (d *diagnosis) crashing(c container) (e ending, ok bool) {
	s := c.status
	switch {
	case s.State.Terminated != nil:
		e.ContainerStateTerminated = *s.State.Terminated
	case s.LastTerminationState.Terminated != nil:
		e.ContainerStateTerminated, e.previous = *s.LastTerminationState.Terminated, true
	default:
		return e, false
	}
	// It is unknown how a container ended that was lost with its node.
	if e.Reason == "ContainerStatusUnknown" || e.Reason == "Unknown" {
		return e, false
	}
	if e.FinishedAt.Time.Before(d.Begun) && !d.over(d.Begun, stale) {
		return e, false
	}
	// kubelet's kuberuntime_manager.go
	if w := s.State.Waiting; w != nil && w.Reason == "CrashLoopBackOff" {
		e.again = true
		if pause, err := time.ParseDuration(between(w.Message, "back-off ", " restarting")); err == nil && !e.FinishedAt.IsZero() {
			if at := e.FinishedAt.Add(pause); at.After(d.Now) {
				e.retry = at
			}
		}
		return e, true
	}
	if c.first() && s.State.Terminated != nil && e.ExitCode == 0 {
		return e, false // it has finished its work
	}
	memory := e.Reason == "OOMKilled"
	event := d.backOff(c)
	if !memory && (event == nil || d.Now.Sub(lastSeen(event)) > backOffMax || e.FinishedAt.Time.Before(d.Begun)) {
		return e, false
	}
	if r := s.State.Running; r != nil {
		least := min(max(2*e.FinishedAt.Sub(e.StartedAt.Time), stableMin), stableMax)
		if memory {
			least = max(least, stableMemory)
		}
		if d.over(r.StartedAt.Time, least) {
			return e, false
		}
	}
	e.again = event != nil || s.RestartCount > 0
	return e, true
}

// backOff returns the Event that a container is not restarted at once.
func (d *diagnosis) backOff(c container) *corev1.Event {
	return d.eventOf(c.pod.UID, func(e *corev1.Event) bool {
		return e.Reason == "BackOff" && c.isIn(e) && strings.HasPrefix(e.Message, "Back-off restarting")
	})
}

// isIn reports whether an Event about a pod is about this container.
func (c container) isIn(e *corev1.Event) bool {
	path := e.InvolvedObject.FieldPath
	return path == "" && len(c.pod.Spec.Containers)+len(c.pod.Spec.InitContainers) == 1 || path == "spec."+c.list+"{"+c.spec.Name+"}"
}

// addEnding adds why a container exited.
func (d *diagnosis) addEnding(c container, e ending) {
	f := finding{of: d.ownerOf(c.pod), pod: c.pod, key: c.spec.Name, Problem: cluster.Problem{
		Kind: cluster.ProblemCrash, Severity: cluster.SeverityError, Container: c.spec.Name, Retry: e.retry, Since: e.FinishedAt.Time,
	}}
	if event := d.backOff(c); event != nil {
		f.Since = firstSeen(event)
	}
	if !e.again {
		f.Kind = cluster.ProblemFailed
	}
	if d.outOfMemory(c, e, &f) || d.killedByProbe(c, e, &f) || notStarted(c, e, &f) {
		d.add(f)
		return
	}
	lines := d.log(c, e)
	f.Evidence = lastOf(lines, evidenceLines)
	if d.portInUse(c, lines, &f) || d.nameMissing(c, e, lines, &f) {
		d.add(f)
		return
	}
	f.Summary = c.word() + " " + exitWords(c, e)
	f.Cause = exitMeaning(c, e)
	if line := errorLine(lines); line != "" {
		f.Cause = line
	}
	log := logOf(c)
	if c.status.RestartCount > 0 {
		log = log.With("--previous")
	}
	f.Advice = advise("see its log", log)
	if e.ExitCode == 0 && e.again {
		f.Advice = advise("work that ends belongs in a Job; a server has to stay in the foreground")
	}
	d.add(f)
}

// exitWords is "exits with 1, 4 times so far".
func exitWords(c container, e ending) string {
	text := fmt.Sprintf("exits with %d", e.ExitCode)
	if e.ExitCode == 0 {
		text = "exits on its own (exit code 0)"
	}
	if e.again {
		return text + ", " + times(int(c.status.RestartCount)+boolInt(!e.previous || c.status.State.Waiting != nil)) + " so far"
	}
	return strings.Replace(text, "exits", "exited", 1)
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// exitMeaning returns the meaning of an exit code, if it has one.
func exitMeaning(c container, e ending) string {
	switch e.ExitCode {
	case 0:
		return "it finishes its work and exits, but its pod should run forever"
	case 126:
		return "its command is not executable"
	case 127:
		return "its command does not exist in the image " + c.spec.Image
	case 132:
		return "it ran an instruction that this machine's processor does not have (SIGILL)"
	case 134:
		return "it aborted itself (SIGABRT)"
	case 137:
		return "it was killed (SIGKILL)"
	case 139:
		return "it accessed memory that is not its own (SIGSEGV)"
	case 143:
		return "it was asked to stop (SIGTERM)"
	}
	if e.Message != "" {
		return oneLine(e.Message)
	}
	return ""
}

// outOfMemory looks for a kill by the kernel, with the limit.
func (d *diagnosis) outOfMemory(c container, e ending, f *finding) bool {
	if e.Reason != "OOMKilled" {
		return false
	}
	f.Kind = cluster.ProblemMemory
	f.Summary = c.word() + " is killed because of its memory use"
	if n := int(c.status.RestartCount) + boolInt(!e.previous || c.status.State.Waiting != nil); n > 1 {
		f.Summary += ", " + times(n) + " so far"
	}
	if limit := memoryLimit(c); limit != "" {
		f.Cause = "it needs more than its limit of " + limit
		f.Advice = advise("raise resources.limits.memory, or reduce its memory use")
	} else {
		f.Cause = "it has no limit of its own; node " + c.pod.Spec.NodeName + " or its pod had no more"
		f.Advice = advise("", cluster.Kubectl("describe", "node").On(c.pod.Spec.NodeName))
	}
	return true
}

// notStarted looks for a command that the runtime could not start.
func notStarted(c container, e ending, f *finding) bool {
	switch e.Reason {
	case "StartError", "ContainerCannotRun": // containerd, and runtimes before it
	default:
		return false
	}
	f.Kind = cluster.ProblemStart
	f.Summary, f.Cause, f.Advice = startFailure(c, e.Message)
	return true
}

// start looks for a container that the runtime cannot create or start (kubelet's kuberuntime_container.go).
func (d *diagnosis) start(c container) bool {
	w := c.status.State.Waiting
	if w == nil {
		return false
	}
	switch w.Reason {
	case "CreateContainerError", "RunContainerError", "PreCreateHookError", "PreStartHookError", "PostStartHookError":
	default:
		return false
	}
	f := finding{of: d.ownerOf(c.pod), pod: c.pod, key: c.spec.Name, Problem: cluster.Problem{
		Kind: cluster.ProblemStart, Severity: cluster.SeverityError, Container: c.spec.Name, Since: scheduledAt(c.pod),
	}}
	f.Summary, f.Cause, f.Advice = startFailure(c, w.Message)
	if len(f.Advice) == 0 {
		f.Advice = describe(c.pod)
	}
	d.add(f)
	return true
}

// startFailure parses runc's message, as containerd passes it on:
//
//	failed to create containerd task: … exec: "serve": executable file not found in $PATH
func startFailure(c container, message string) (summary, cause string, advice []cluster.Advice) {
	summary = c.word() + " cannot be started"
	text := plainError(message)
	command := between(text, `exec: "`, `"`)
	switch {
	case command != "" && containsAny(text, "executable file not found", "no such file or directory"):
		return summary, "its command " + command + " does not exist in the image " + c.spec.Image, advise("correct the command, or choose an image that has it")
	case command != "" && strings.Contains(text, "permission denied"):
		return summary, "its command " + command + " is not executable", advise("make it executable in the image, or choose another command")
	case command != "" && strings.Contains(text, "exec format error"):
		return summary, "its command " + command + " is not for this machine's architecture", advise("build or choose an image that is")
	}
	if cause, advice, ok := seccompProfile(c, text); ok {
		return summary, cause, advice
	}
	return summary, oneLine(text), nil
}

// memoryLimit is the limit of a container, as people write it; "" if it has none.
func memoryLimit(c container) string {
	if q, ok := c.spec.Resources.Limits[corev1.ResourceMemory]; ok {
		return amount(corev1.ResourceMemory, q)
	}
	return ""
}

// failedPod looks at a pod that will not run again. Controllers create new ones, and are examined themselves.
func (d *diagnosis) failedPod(p *corev1.Pod) {
	if o := d.ownerOf(p); o.kind != "pod" {
		return
	}
	for _, c := range containers(p) {
		t := c.status.State.Terminated
		if t == nil || t.ExitCode == 0 || t.FinishedAt.Time.Before(d.Begun) || t.Reason == "ContainerStatusUnknown" {
			continue
		}
		d.addEnding(c, ending{ContainerStateTerminated: *t})
		return
	}
	if p.Status.Reason == "" {
		return
	}
	// The kubelet refused or ended it: Evicted, UnexpectedAdmissionError, OutOfcpu, NodeAffinity…
	d.add(finding{of: d.ownerOf(p), pod: p, Problem: cluster.Problem{
		Kind: cluster.ProblemFailed, Severity: cluster.SeverityWarning, Since: p.CreationTimestamp.Time,
		Summary: "the pod has failed on node " + cmp.Or(p.Spec.NodeName, "?") + ": " + p.Status.Reason, Cause: oneLine(p.Status.Message),
		Advice: advise("delete it", cluster.Kubectl("delete", "pod").On(p.Name).In(p.Namespace).Change()),
	}})
}
