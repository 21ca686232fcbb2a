package diagnose

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
)

func TestRuntimeThatNoNodeHas(t *testing.T) {
	s := world()
	p := pod("a", waiting("ContainerCreating", ""), func(p *corev1.Pod) { p.Spec.RuntimeClassName = new("gvisor") })
	s.Pods = []*corev1.Pod{p}
	s.Events = []*corev1.Event{eventAbout("Pod", p.UID, "FailedCreatePodSandBox", `Failed to create pod sandbox: rpc error: code = Unknown desc = `+
		`failed to get sandbox runtime: no runtime for "runsc" is configured`, 30*time.Second)}
	check(t, s, want{cluster.ProblemStart, cart, "the pod's sandbox cannot be created on node dev-1",
		"RuntimeClass gvisor needs the runtime runsc; the nodes of this cluster have only runc", "leave out the pod's runtimeClassName"})
}

func TestSeccompProfileThatTheNodeLacks(t *testing.T) {
	s := world()
	const missing = "failed to create containerd container: failed to generate seccomp spec opts: " +
		`cannot load seccomp profile "/var/lib/kubelet/seccomp/profiles/a b.json": open /var/lib/kubelet/seccomp/profiles/a b.json: no such file or directory`
	s.Pods = []*corev1.Pod{pod("a", waiting("CreateContainerError", missing))}
	check(t, s, want{cluster.ProblemStart, cart, "the container cannot be started",
		"node dev-1 has no seccomp profile profiles/a b.json; a profile of type Localhost has to be put on every node",
		"bonsai ssh dev-1 -p dev -- tee '/var/lib/kubelet/seccomp/profiles/a b.json'"})
}

// evicted is a pod that the kubelet ended some time ago.
func evicted(since time.Duration, message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.CreationTimestamp = ago(since + time.Minute)
		p.Status = corev1.PodStatus{
			Phase: corev1.PodFailed, Reason: "Evicted", Message: message,
			Conditions: []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, LastTransitionTime: ago(since)}},
		}
	}
}

func TestPodsThatAreEvictedAgainAndAgain(t *testing.T) {
	const volume = `Usage of EmptyDir volume "data" exceeds the limit "5Mi". `
	s := world()
	s.Pods = []*corev1.Pod{pod("a", evicted(3*time.Minute, volume)), pod("b", evicted(time.Minute, volume)), pod("c")}
	r := check(t, s, want{cluster.ProblemFailed, cart, "its pods are ended by their node again and again: Evicted (2 pods)",
		`Usage of EmptyDir volume "data" exceeds the limit "5Mi".`, "raise the volume's sizeLimit"})
	if want := now.Add(7 * time.Minute); !r.Next.Equal(want) {
		t.Errorf("the report is valid until %v, want %v: then one of the two no longer counts", r.Next, want)
	}

	s.Pods[0] = pod("a", evicted(3*time.Minute, volume))
	s.Pods[1] = pod("b", evicted(time.Minute, "Pod ephemeral local storage usage exceeds the total limit of containers 5Mi. "))
	check(t, s, want{cluster.ProblemFailed, cart, "its pods are ended by their node again and again: Evicted (2 pods)",
		"Pod ephemeral local storage", "raise the limit of ephemeral-storage"})

	for name, pods := range map[string][]*corev1.Pod{
		"once":         {pod("a", evicted(time.Minute, volume)), pod("b")},
		"long ago":     {pod("a", evicted(time.Hour/2, volume)), pod("b", evicted(time.Minute, volume))},
		"two owners":   {pod("a", evicted(time.Minute, volume)), pod("b", evicted(time.Minute, volume), other)},
		"another life": {pod("a", evicted(2*time.Hour, volume)), pod("b", evicted(3*time.Hour, volume))},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			s.Pods = pods
			check(t, s)
		})
	}
}

// other makes a pod one of another Deployment.
func other(p *corev1.Pod) {
	p.Labels, p.OwnerReferences = nil, []metav1.OwnerReference{{Kind: "StatefulSet", Name: "db", UID: "sts", Controller: new(true)}}
}
