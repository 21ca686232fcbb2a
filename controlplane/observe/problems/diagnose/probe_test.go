package diagnose

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
)

// TestTheReasonSurvivesBackOff: the Events that say that a liveness probe failed get rare, old, and are deleted at last,
// while the kubelet goes on killing the container.
func TestTheReasonSurvivesBackOff(t *testing.T) {
	const because, probably = "the container is restarted because its liveness probe fails", "the container is killed (exit code 137), probably because its liveness probe fails"
	const refused = `Liveness probe failed: Get "http://10.244.1.5:8080/": dial tcp 10.244.1.5:8080: connect: connection refused`
	// It lived for a time: three failures, five seconds between them, and the grace period of half a minute are 40 s.
	lived := func(life time.Duration, restarts int32, code int32, reason string) *corev1.Pod {
		p := pod("a", looping(code, reason), probing("liveness", httpGet("/", 8080)))
		c := &p.Status.ContainerStatuses[0]
		c.RestartCount, c.LastTerminationState.Terminated.StartedAt = restarts, ago(life+10*time.Second)
		return p
	}
	seen := func(p *corev1.Pod, before time.Duration) []*corev1.Event {
		e := warning(p, "Unhealthy", refused, before)
		e.LastTimestamp = ago(before)
		return []*corev1.Event{e}
	}
	note := func(p *corev1.Pod) map[Probed]string { return map[Probed]string{{p.UID, "cart", "liveness"}: refused} }
	for name, test := range map[string]struct {
		pod    *corev1.Pod
		events time.Duration // how old the last one is; 0 is none
		noted  bool
		want   want
	}{
		"the Event is of its last life":           {pod: lived(42*time.Second, 1, 137, "Error"), events: 40 * time.Second, want: want{cluster.ProblemProbe, cart, because, "nothing listens on port 8080", ""}},
		"the Event is old":                        {pod: lived(42*time.Second, 9, 137, "Error"), events: 20 * time.Minute, want: want{cluster.ProblemProbe, cart, because, "nothing listens on port 8080", ""}},
		"the Event is gone":                       {pod: lived(42*time.Second, 30, 137, "Error"), noted: true, want: want{cluster.ProblemProbe, cart, because, "nothing listens on port 8080", ""}},
		"nobody saw an Event":                     {pod: lived(42*time.Second, 30, 137, "Error"), want: want{cluster.ProblemProbe, cart, probably, "GET / on port 8080", ""}},
		"it was killed before the probe could":    {pod: lived(3*time.Second, 30, 137, "Error"), noted: true, want: want{cluster.ProblemCrash, cart, "the container exits with 137, 31 times so far", "SIGKILL", ""}},
		"it was killed long after":                {pod: lived(time.Hour, 30, 137, "Error"), want: want{cluster.ProblemCrash, cart, "the container exits with 137, 31 times so far", "SIGKILL", ""}},
		"it exits on its own":                     {pod: lived(42*time.Second, 30, 1, "Error"), noted: true, want: want{cluster.ProblemCrash, cart, "the container exits with 1, 31 times so far", "", ""}},
		"it was killed because of its memory use": {pod: lived(42*time.Second, 9, 137, "OOMKilled"), noted: true, want: want{cluster.ProblemMemory, cart, "the container is killed because of its memory use, 10 times so far", "", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			s.Pods = []*corev1.Pod{test.pod}
			if test.events != 0 {
				s.Events = seen(test.pod, test.events)
			}
			if test.noted {
				s.Noted = note(test.pod)
			}
			check(t, s, test.want)
		})
	}
	s := world()
	s.Pods = []*corev1.Pod{lived(42*time.Second, 1, 137, "Error")}
	s.Events = seen(s.Pods[0], 40*time.Second)
	r := Workloads(s)
	s.Events, s.Noted = nil, r.Noted
	s.Pods[0].Status.ContainerStatuses[0].RestartCount = 9
	r = Workloads(s)
	if p := r.Problems[0]; p.Summary != because || !strings.Contains(strings.Join(p.Evidence, ""), "connection refused") || r.Noted[Probed{s.Pods[0].UID, "cart", "liveness"}] != refused {
		t.Errorf("what was noted is not kept: %+v, %v", p, r.Noted)
	}
	s.Noted, s.Pods = r.Noted, nil
	if r = Workloads(s); len(r.Noted) != 0 {
		t.Errorf("a pod that is gone is noted: %v", r.Noted)
	}
}
