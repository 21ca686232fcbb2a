package mirror

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
)

var t0 = time.Date(2026, 11, 29, 12, 0, 0, 300_000_000, time.UTC)

func component(phase cluster.Phase, restarts int, since time.Time, reason string) state {
	s := state{
		known: true, Component: cluster.Component{Name: "x", Phase: phase, Restarts: restarts, Since: since, Reason: reason},
		ready: phase == cluster.PhaseRunning, address: "10.201.0.10",
	}
	if phase != cluster.PhaseFailed {
		s.Started = since
	} else {
		s.Ended = since
	}
	return s
}

// story applies looks one after the other, as a Keeper does, and returns the last status.
func story(have corev1.PodStatus, looks ...state) corev1.PodStatus {
	s := shown{Part: Part{Name: "x", Version: "v1"}}
	var before *life
	for _, is := range looks {
		if before == nil {
			before = new(lifeIn(have, is.Restarts))
		}
		have = statusOf(s, is, have, *before)
		before = new(before.next(is))
	}
	return have
}

func TestRestartsAreCountedOnce(t *testing.T) {
	earlier := story(corev1.PodStatus{}, component(cluster.PhaseRunning, 0, t0, ""))
	at := func(seconds int) time.Time { return t0.Add(time.Duration(seconds) * time.Second) }
	for name, tc := range map[string]struct {
		have  corev1.PodStatus
		looks []state
		want  int32
	}{
		"the first run":                         {corev1.PodStatus{}, []state{component(cluster.PhaseRunning, 0, t0, "")}, 0},
		"restarted before we came":              {corev1.PodStatus{}, []state{component(cluster.PhaseRunning, 4, t0, "")}, 0},
		"the same run, another process of ours": {earlier, []state{component(cluster.PhaseRunning, 3, t0, "")}, 0},
		"another run, another process of ours":  {earlier, []state{component(cluster.PhaseRunning, 0, at(60), "")}, 1},
		"a crash, seen": {corev1.PodStatus{}, []state{
			component(cluster.PhaseRunning, 0, t0, ""), component(cluster.PhaseFailed, 0, at(9), "boom"), component(cluster.PhaseStarting, 1, at(10), ""), component(cluster.PhaseRunning, 1, at(11), ""),
		}, 1},
		"a crash, seen late":           {corev1.PodStatus{}, []state{component(cluster.PhaseRunning, 0, t0, ""), component(cluster.PhaseRunning, 1, at(11), "")}, 1},
		"three crashes at once":        {corev1.PodStatus{}, []state{component(cluster.PhaseRunning, 0, t0, ""), component(cluster.PhaseStarting, 3, at(11), ""), component(cluster.PhaseRunning, 3, at(12), "")}, 3},
		"its supervisor restarted too": {corev1.PodStatus{}, []state{component(cluster.PhaseRunning, 2, t0, ""), component(cluster.PhaseStarting, 0, at(10), ""), component(cluster.PhaseRunning, 0, at(11), "")}, 1},
		"unhealthy for a while":        {corev1.PodStatus{}, []state{component(cluster.PhaseRunning, 0, t0, ""), component(cluster.PhaseDegraded, 0, t0, "no answer"), component(cluster.PhaseRunning, 0, t0, "")}, 0},
	} {
		if got := story(tc.have, tc.looks...).ContainerStatuses[0].RestartCount; got != tc.want {
			t.Errorf("%s: %d restarts, want %d", name, got, tc.want)
		}
	}
}

func TestAStatusSaysWhatIsKnown(t *testing.T) {
	ready := func(s corev1.PodStatus) corev1.PodCondition {
		for _, c := range s.Conditions {
			if c.Type == corev1.PodReady {
				return c
			}
		}
		return corev1.PodCondition{}
	}
	running := story(corev1.PodStatus{}, component(cluster.PhaseRunning, 0, t0, ""))
	c := running.ContainerStatuses[0]
	if running.Phase != corev1.PodRunning || ready(running).Status != corev1.ConditionTrue || !c.Ready || !*c.Started || running.PodIP != "10.201.0.10" ||
		c.State.Running == nil || !c.State.Running.StartedAt.Equal(new(metav1.NewTime(t0.Truncate(time.Second)))) {
		t.Errorf("running: %+v", running)
	}

	failed := story(running, component(cluster.PhaseFailed, 0, t0.Add(time.Minute), "boom"))
	c = failed.ContainerStatuses[0]
	if r := ready(failed); r.Status != corev1.ConditionFalse || r.Message != "boom" || c.State.Waiting == nil || c.State.Waiting.Reason != "CrashLoopBackOff" ||
		c.LastTerminationState.Terminated == nil || c.LastTerminationState.Terminated.Message != "boom" ||
		!c.LastTerminationState.Terminated.FinishedAt.Equal(new(metav1.NewTime(t0.Add(time.Minute).Truncate(time.Second)))) {
		t.Errorf("failed: %+v", failed)
	}

	// Seen late: the supervisor knows the end.
	late := component(cluster.PhaseRunning, 1, t0.Add(time.Minute), "")
	late.Ended = t0.Add(30 * time.Second)
	if last := story(running, component(cluster.PhaseRunning, 0, t0, ""), late).ContainerStatuses[0].LastTerminationState.Terminated; last == nil ||
		!last.FinishedAt.Equal(new(metav1.NewTime(t0.Add(30*time.Second).Truncate(time.Second)))) {
		t.Errorf("restarted: %+v", last)
	}

	// That an agent does not answer says nothing about the run.
	lost := component(cluster.PhaseUnknown, 0, time.Time{}, "")
	lost.reason = "NodeUnreachable"
	unknown := story(running, lost)
	c = unknown.ContainerStatuses[0]
	if r := ready(unknown); r.Status != corev1.ConditionFalse || r.Reason != "NodeUnreachable" || c.Ready || c.State.Running == nil || c.RestartCount != 0 {
		t.Errorf("unknown: %+v", unknown)
	}
	if !ready(unknown).LastTransitionTime.Time.After(t0) {
		t.Errorf("the change has the time %s", ready(unknown).LastTransitionTime)
	}
}

func TestStatesInNodes(t *testing.T) {
	proxy := cluster.Component{Name: "kube-proxy", Phase: cluster.PhaseRunning, Since: t0}
	itself := cluster.Component{Name: agent, Phase: cluster.PhaseRunning, Since: t0.Add(-time.Minute), Restarts: 2}
	up := nodeState{true, []cluster.Component{itself, proxy}}
	down := up
	down.reached = false
	yes, unknown := corev1.ConditionTrue, corev1.ConditionUnknown
	if s := inNode(nodeState{}, false, yes, kubeProxy, ""); s.known {
		t.Errorf("before any news: %+v", s)
	}
	if s := inNode(up, true, yes, kubeProxy, ""); !s.known || !s.ready || !s.Since.Equal(t0) {
		t.Errorf("kube-proxy: %+v", s)
	}
	if s := inNode(up, true, yes, dns, cluster.PhaseStarting); !s.known || s.ready || s.Restarts != 2 || !s.Since.Equal(itself.Since) {
		t.Errorf("DNS that starts: %+v", s)
	}
	if s := inNode(up, true, yes, dns, cluster.PhaseDegraded); !s.ready {
		t.Errorf("DNS that answers: %+v", s)
	}
	for name, s := range map[string]state{"no agent": inNode(down, true, yes, kubeProxy, ""), "no heartbeat": inNode(up, true, unknown, kubeProxy, "")} {
		if !s.known || s.ready || s.Phase != cluster.PhaseUnknown || s.reason != "NodeUnreachable" {
			t.Errorf("%s: %+v", name, s)
		}
	}
}
