package mirror

import (
	"cmp"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
)

// state is what is known of a component now.
type state struct {
	// known is false before the first news of it; what an earlier process wrote may well be true then.
	known bool
	cluster.Component
	ready bool
	// reason is why it is not ready, in one word of Kubernetes.
	reason string
	// address is where it is reached.
	address string
}

// life distinguishes two runs of a component.
type life struct {
	restarts int
	started  time.Time
}

// since is how often a component was restarted between two looks at it: as its supervisor counts, or once if that counts
// from the beginning, because it was restarted too.
func (l life) since(before life) int32 {
	switch {
	case l.restarts > before.restarts:
		return int32(l.restarts - before.restarts)
	case l.started.IsZero() || before.started.IsZero() || l.started.Sub(before.started).Abs() < 2*time.Second:
		return 0 // the same: an object has whole seconds only
	}
	return 1
}

// statusOf is what the pod of a component says of it. have is what it says already, before what was known when that was
// written: the number of restarts goes on from there, and times change only with what they are about.
func statusOf(s shown, is state, have corev1.PodStatus, before life) corev1.PodStatus {
	now := metav1.Now().Rfc3339Copy()
	old := corev1.ContainerStatus{}
	if len(have.ContainerStatuses) == 1 {
		old = have.ContainerStatuses[0]
	}
	c := corev1.ContainerStatus{
		Name: s.Name, Image: registry + s.Name + ":" + s.Version, Ready: is.ready, Started: new(is.Phase == cluster.PhaseRunning || is.Phase == cluster.PhaseDegraded),
		RestartCount: old.RestartCount + life{is.Restarts, is.started()}.since(before), LastTerminationState: old.LastTerminationState,
	}
	switch started := metav1.NewTime(is.started()).Rfc3339Copy(); is.Phase {
	case cluster.PhaseRunning, cluster.PhaseDegraded:
		c.State.Running = &corev1.ContainerStateRunning{StartedAt: started}
	case cluster.PhaseFailed:
		c.State.Waiting = &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: is.Reason}
	default:
		c.State.Waiting = &corev1.ContainerStateWaiting{Reason: cmp.Or(is.reason, "Starting"), Message: is.Reason}
	}
	switch {
	case old.State.Running == nil:
	case is.Phase == cluster.PhaseUnknown, c.State.Running != nil && c.RestartCount == old.RestartCount:
		c.State = old.State // as far as known, the same run
	case is.Phase == cluster.PhaseFailed:
		finished := is.Ended
		if finished.IsZero() { // nobody has seen it; not later than this
			finished = is.Since
		}
		c.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{
			Reason: "Error", ExitCode: 1, Message: is.Reason, StartedAt: old.State.Running.StartedAt, FinishedAt: metav1.NewTime(finished).Rfc3339Copy(),
		}
	default: // nobody has seen how it ended
		finished := metav1.NewTime(is.Ended).Rfc3339Copy()
		switch {
		case !finished.Before(&old.State.Running.StartedAt) && !is.Ended.IsZero():
		case c.State.Running != nil: // nor when; not later than this
			finished = c.State.Running.StartedAt
		default:
			finished = now
		}
		c.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{Reason: "Restarted", StartedAt: old.State.Running.StartedAt, FinishedAt: finished}
	}
	status := corev1.PodStatus{
		Phase: corev1.PodRunning, StartTime: have.StartTime, QOSClass: have.QOSClass, HostIP: is.address, PodIP: is.address,
		HostIPs: []corev1.HostIP{{IP: is.address}}, PodIPs: []corev1.PodIP{{IP: is.address}}, ContainerStatuses: []corev1.ContainerStatus{c},
	}
	if status.StartTime == nil {
		status.StartTime = &now
	}
	for _, t := range []corev1.PodConditionType{corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled} {
		condition := corev1.PodCondition{Type: t, Status: corev1.ConditionTrue, LastTransitionTime: now}
		if (t == corev1.PodReady || t == corev1.ContainersReady) && !is.ready {
			condition.Status, condition.Reason, condition.Message = corev1.ConditionFalse, cmp.Or(is.reason, "ContainersNotReady"), is.Reason
		}
		for _, o := range have.Conditions {
			if o.Type == t && o.Status == condition.Status {
				condition.LastTransitionTime = o.LastTransitionTime
			}
		}
		status.Conditions = append(status.Conditions, condition)
	}
	return status
}

// next is the life to compare the next look with.
func (l life) next(is state) life {
	next := life{is.Restarts, is.started()}
	if next.started.IsZero() && next.restarts <= l.restarts {
		next.started = l.started // the next run differs from this one, and has not been counted
	}
	return next
}

// started is when the component started, zero if it does not run.
func (s state) started() time.Time {
	if s.Phase == cluster.PhaseRunning || s.Phase == cluster.PhaseDegraded {
		return s.Started
	}
	return time.Time{}
}

// lifeIn is what an object says of the last run of a component, for a process that knows nothing of it yet.
func lifeIn(have corev1.PodStatus, now int) life {
	l := life{restarts: now} // counts from before are in the object
	if len(have.ContainerStatuses) == 1 && have.ContainerStatuses[0].State.Running != nil {
		l.started = have.ContainerStatuses[0].State.Running.StartedAt.Time
	}
	return l
}
