package diagnose

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
)

// Everything younger than its grace period is merely starting.
const (
	pendingGrace = 4 * time.Second  // for a node to be found
	mountGrace   = 5 * time.Second  // for volumes to be mounted; the kubelet tries again after half a second, then less often
	sandboxGrace = 15 * time.Second // for the pod network to be ready
	configGrace  = 3 * time.Second  // for a ConfigMap or Secret that is created just after the pod
	refusedGrace = 4 * time.Second  // for what a new namespace gets, such as its service account
)

// container is one container of a pod and what is known of it.
type container struct {
	pod    *corev1.Pod
	spec   *corev1.Container
	status *corev1.ContainerStatus
	// list is where the pod has it: "containers", "initContainers" or "ephemeralContainers".
	list string
}

// The lists of a pod's containers.
const (
	mainList      = "containers"
	initList      = "initContainers"
	ephemeralList = "ephemeralContainers"
)

// sidecar reports whether it starts before the others and runs beside them.
func (c container) sidecar() bool {
	return c.list == initList && c.spec.RestartPolicy != nil && *c.spec.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// first reports whether it has to end before the others start.
func (c container) first() bool { return c.list == initList && !c.sidecar() }

// word names it in a sentence; the only container of a pod needs no name.
func (c container) word() string {
	switch {
	case c.sidecar():
		return "sidecar container " + c.spec.Name
	case c.list == initList:
		return "init container " + c.spec.Name
	case c.list == ephemeralList:
		return "ephemeral container " + c.spec.Name
	case len(c.pod.Spec.Containers) == 1:
		return "the container"
	}
	return "container " + c.spec.Name
}

// containers are those of a pod that the kubelet has reported, init containers first, without ephemeral ones.
func containers(p *corev1.Pod) (list []container) {
	add := func(specs []corev1.Container, all []corev1.ContainerStatus, in string) {
		for i := range specs {
			if s := statusOf(specs[i].Name, all); s != nil {
				list = append(list, container{p, &specs[i], s, in})
			}
		}
	}
	add(p.Spec.InitContainers, p.Status.InitContainerStatuses, initList)
	add(p.Spec.Containers, p.Status.ContainerStatuses, mainList)
	return list
}

// ephemeral are the containers that were added to a pod with kubectl debug. They are never restarted.
func ephemeral(p *corev1.Pod) (list []container) {
	for i := range p.Spec.EphemeralContainers {
		spec := corev1.Container(p.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		if s := statusOf(spec.Name, p.Status.EphemeralContainerStatuses); s != nil {
			list = append(list, container{p, &spec, s, ephemeralList})
		}
	}
	return list
}

func statusOf(name string, all []corev1.ContainerStatus) *corev1.ContainerStatus {
	for i := range all {
		if all[i].Name == name {
			return &all[i]
		}
	}
	return nil
}

// pod examines one pod.
func (d *diagnosis) pod(p *corev1.Pod) {
	switch {
	case p.DeletionTimestamp != nil:
		if p.Spec.NodeName != "" && d.nodeAway(p.Spec.NodeName) {
			d.away(p)
		} else {
			d.endingPod(p)
		}
		return
	case p.Status.Phase == corev1.PodSucceeded:
		return
	case cluster.NoKubeletRuns(p.Spec.SchedulerName):
		return // it shows the state of an addon or a component, which has problems of its own
	case p.Status.Phase == corev1.PodFailed:
		d.failedPod(p)
		d.countEnded(p)
		return
	case p.Spec.NodeName == "":
		d.unscheduled(p)
		return
	case d.nodeAway(p.Spec.NodeName):
		d.away(p) // the state of its containers is outdated
		return
	}
	if d.noUserNamespaces(p) {
		return
	}
	found := false
	for _, c := range containers(p) {
		for _, look := range []func(container) bool{d.image, d.config, d.start, d.crash, d.probe} {
			if look(c) {
				found = true
				break
			}
		}
	}
	if !found {
		d.creating(p)
	}
	for _, c := range ephemeral(p) {
		_ = d.image(c) || d.config(c) || d.start(c)
	}
}

// nodeAway reports whether a node's kubelet currently does not report, or reports that it cannot work.
func (d *diagnosis) nodeAway(name string) bool {
	n := d.nodes[name]
	if n == nil {
		return len(d.nodes) > 0 // deleted; its pods go with it
	}
	ready := condition(n, corev1.NodeReady)
	return ready != nil && ready.Status != corev1.ConditionTrue
}

func condition(n *corev1.Node, kind corev1.NodeConditionType) *corev1.NodeCondition {
	for i := range n.Status.Conditions {
		if n.Status.Conditions[i].Type == kind {
			return &n.Status.Conditions[i]
		}
	}
	return nil
}

// creating examines a pod none of whose containers has a problem, but which may not get that far.
func (d *diagnosis) creating(p *corev1.Pod) {
	since := scheduledAt(p)
	switch {
	case createdAgain(p):
		if c := podCondition(p, corev1.PodReadyToStartContainers); c != nil && c.LastTransitionTime.After(since) {
			since = c.LastTransitionTime.Time
		}
	case p.Status.Phase != corev1.PodPending || begun(p):
		return
	}
	if d.unmounted(p, since) {
		return
	}
	// kubelet's kuberuntime_manager.go: "Failed to create pod sandbox: …"
	e := d.eventOf(p.UID, func(e *corev1.Event) bool { return e.Reason == "FailedCreatePodSandBox" })
	if e == nil || lastSeen(e).Before(since) || !d.over(since, sandboxGrace) || d.Now.Sub(lastSeen(e)) > time.Minute {
		return
	}
	cause, ok := after(e.Message, "Failed to create pod sandbox: ", "Failed to create pod sandbox ")
	if !ok {
		cause = e.Message
	}
	f := finding{of: d.ownerOf(p), pod: p, key: "sandbox", Problem: cluster.Problem{
		Kind: cluster.ProblemStart, Severity: cluster.SeverityError, Since: since,
		Summary: "the pod's sandbox cannot be created on node " + p.Spec.NodeName, Cause: oneLine(plainError(cause)),
		Advice: advise("look at the node", cluster.Bonsai("logs").On("containerd").With("--node", p.Spec.NodeName)),
	}}
	if cause, advice, ok := runtimeClass(p, cause); ok {
		f.Cause, f.Advice = cause, advice
	}
	d.add(f)
}

// begun reports whether any container of a pod has ever run.
func begun(p *corev1.Pod) bool {
	for _, c := range containers(p) {
		if s := c.status; s.State.Running != nil || s.State.Terminated != nil || s.LastTerminationState.Terminated != nil {
			return true
		}
	}
	return false
}

// createdAgain reports whether a pod that has run gets a new sandbox, with nothing of it running meanwhile: its node was
// started, or created, again.
func createdAgain(p *corev1.Pod) bool {
	all := containers(p)
	for _, c := range all {
		if w := c.status.State.Waiting; w == nil || w.Reason != "ContainerCreating" && w.Reason != "PodInitializing" {
			return false
		}
	}
	return len(all) > 0 && p.Status.Phase == corev1.PodRunning
}

func podCondition(p *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range p.Status.Conditions {
		if p.Status.Conditions[i].Type == kind {
			return &p.Status.Conditions[i]
		}
	}
	return nil
}

// scheduledAt is when a pod got its node.
func scheduledAt(p *corev1.Pod) time.Time {
	if c := podCondition(p, corev1.PodScheduled); c != nil && c.Status == corev1.ConditionTrue {
		return c.LastTransitionTime.Time
	}
	return p.CreationTimestamp.Time
}

// plainError drops what gRPC puts before an error.
func plainError(text string) string {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "rpc error: ") {
		if rest, ok := after(text, "desc = "); ok {
			return strings.TrimSpace(rest)
		}
	}
	return text
}
