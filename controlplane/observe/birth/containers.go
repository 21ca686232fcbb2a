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

// containers adds each container in the order in which kubelet handles them, and the pod becoming ready.
func (j *joiner) containers() {
	p := j.o.Pod
	for _, c := range p.Spec.InitContainers {
		sidecar := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		if !j.container(c, statusOf(p.Status.InitContainerStatuses, c.Name), !sidecar) {
			return
		}
	}
	running := true
	for _, c := range p.Spec.Containers {
		// Kubelet continues with the next one if one fails.
		running = j.container(c, statusOf(p.Status.ContainerStatuses, c.Name), false) && running
	}
	if running || !j.ready.IsZero() {
		j.becomesReady()
	}
}

func statusOf(all []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	i := slices.IndexFunc(all, func(s corev1.ContainerStatus) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &all[i]
}

// times of one container, the best available.
type times struct {
	prepared, created, started, finished time.Time
	exact                                bool
	exitCode                             int32
	attempt                              uint32
}

// container adds one container and reports whether the next one follows: it runs or, with toEnd, has succeeded.
func (j *joiner) container(c corev1.Container, s *corev1.ContainerStatus, toEnd bool) bool {
	t := j.timesOf(c.Name, s)
	waiting, message := "", ""
	if s != nil && s.State.Waiting != nil {
		waiting, message = s.State.Waiting.Reason, s.State.Waiting.Message
	}
	if !j.image(c, t, waiting, message) {
		return false
	}
	if t.started.IsZero() && !t.created.IsZero() && t.finished.IsZero() && waiting == "" {
		t.exact = true // it was just created, and is being started
	}
	begin, detail := cmp.Or(t.prepared, j.last), ""
	if t.attempt > 0 {
		begin, detail = t.created, fmt.Sprintf("attempt %d; earlier ones are gone", t.attempt+1)
	}
	create := j.add("create/"+c.Name, j.runtime, begin, t.created, t.exact, detail)
	if t.created.IsZero() && t.started.IsZero() {
		if strings.HasPrefix(waiting, "CreateContainer") {
			create.Failed, create.Detail = true, list(waiting, message)
		}
		return false
	}
	start := j.add("start/"+c.Name, j.runtime, cmp.Or(t.created, j.last), t.started, t.exact, "")
	if t.started.IsZero() {
		if waiting != "" && waiting != "ContainerCreating" && waiting != "PodInitializing" {
			start.Failed, start.Detail = true, list(waiting, message)
		}
		return false
	}
	if !toEnd {
		return true
	}
	run := j.add("init/"+c.Name, c.Name, t.started, t.finished, t.exact, "")
	if !t.finished.IsZero() && t.exitCode != 0 {
		run.Failed, run.Detail = true, list(fmt.Sprintf("exit code %d", t.exitCode), waiting, message)
		return false
	}
	return !t.finished.IsZero()
}

// timesOf returns a container's times from its node, or otherwise from the pod's status.
func (j *joiner) timesOf(name string, s *corev1.ContainerStatus) (t times) {
	if n := j.o.Node; n != nil {
		i := slices.IndexFunc(n.Containers, func(c cluster.ContainerOnNode) bool { return c.Name == name })
		if i >= 0 && !j.recreated(n.Containers[i].Attempt, n.Containers[i].Created) {
			c := n.Containers[i]
			return times{c.Prepared, c.Created, c.Started, c.Finished, true, c.ExitCode, c.Attempt}
		}
		if i < 0 && j.ready.IsZero() {
			return times{exact: true} // not created yet
		}
		if i >= 0 {
			j.notes = append(j.notes, "container "+name+" was restarted since; its first start is not known")
		}
	}
	if s == nil {
		return t
	}
	set := func(r *corev1.ContainerStateRunning, e *corev1.ContainerStateTerminated) {
		switch {
		case r != nil:
			t.started = r.StartedAt.Time
		case e != nil:
			t.started, t.finished, t.exitCode = e.StartedAt.Time, e.FinishedAt.Time, e.ExitCode
		}
	}
	set(s.LastTerminationState.Running, s.LastTerminationState.Terminated)
	set(s.State.Running, s.State.Terminated)
	if !j.ready.IsZero() && t.started.After(j.ready) {
		t.started = j.ready // the time of a restart
	}
	t.created = t.started
	return t
}

// image adds how a container's image came to the node, and reports whether it did.
func (j *joiner) image(c corev1.Container, t times, waiting, message string) bool {
	var pull Pull
	if r := j.o.Record; r != nil {
		if i := slices.IndexFunc(r.Pulls, func(p Pull) bool { return p.Container == c.Name }); i >= 0 {
			pull = r.Pulls[i]
		}
	}
	begin, end, exact := j.last, cmp.Or(t.prepared, t.created, pull.End), t.exact
	detail := c.Image
	switch {
	case pull.Begin.IsZero() && strings.Contains(pull.Message, "already present"):
		detail += " is on the node already"
	case strings.HasPrefix(pull.Message, "Successfully pulled"):
		detail += " is pulled" + size(pull.Message)
	}
	if pull.Begin.After(begin) && (end.IsZero() || pull.Begin.Before(end)) {
		begin = pull.Begin
	}
	s := j.add("image/"+c.Name, j.runtime, begin, end, exact, detail)
	if !end.IsZero() {
		return true
	}
	s.Exact = true
	if strings.Contains(waiting, "Image") { // ErrImagePull, ImagePullBackOff, InvalidImageName, ErrImageNeverPull…
		s.Failed, s.Detail = true, list(c.Image+": "+waiting, message)
	}
	return false
}

// size is the size of a pulled image, as reported by kubelet.
func size(message string) string {
	_, text, ok := strings.Cut(message, "Image size: ")
	if !ok {
		return ""
	}
	return ", " + strings.TrimSuffix(text, ".")
}

// becomesReady adds the time from the last start to the Ready condition.
func (j *joiner) becomesReady() {
	p := j.o.Pod
	var waits []string
	for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
		if c.StartupProbe != nil {
			waits = append(waits, "the startup probe of "+c.Name)
		}
		if c.ReadinessProbe != nil {
			waits = append(waits, "the readiness probe of "+c.Name)
		}
	}
	for _, g := range p.Spec.ReadinessGates {
		waits = append(waits, "the readiness gate "+string(g.ConditionType))
	}
	detail := "kubelet notices that all containers run, and reports it"
	if len(waits) > 0 {
		detail = "waits for " + strings.Join(waits, ", ")
	}
	s := j.add("ready", j.kubelet, j.last, j.ready, j.readyExact || j.ready.IsZero(), detail)
	if !j.ready.IsZero() {
		return
	}
	if phase := p.Status.Phase; phase == corev1.PodSucceeded || phase == corev1.PodFailed {
		j.birth.Steps = j.birth.Steps[:len(j.birth.Steps)-1] // it ended without having been ready
		return
	}
	for _, c := range p.Status.ContainerStatuses {
		if w := c.State.Waiting; w != nil && w.Reason != "ContainerCreating" {
			s.Failed, s.Detail = true, list("container "+c.Name+" is restarted: "+w.Reason, w.Message)
		} else if e := c.State.Terminated; e != nil && e.ExitCode != 0 {
			s.Failed, s.Detail = true, fmt.Sprintf("container %s has exited with code %d", c.Name, e.ExitCode)
		}
	}
}
