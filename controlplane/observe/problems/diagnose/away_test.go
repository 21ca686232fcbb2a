package diagnose

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
)

// withData gives a pod the claim shop/data.
func withData(p *corev1.Pod) {
	p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
}

// volumeOn is the volume of that claim, on one node.
func volumeOn(node string) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pv"}, Status: corev1.PersistentVolumeStatus{Phase: corev1.VolumeBound},
		Spec: corev1.PersistentVolumeSpec{
			ClaimRef: &corev1.ObjectReference{Namespace: "shop", Name: "data"},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}},
			}}}},
		},
	}
}

func TestPodsThatWaitForANode(t *testing.T) {
	by := func(kind string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.OwnerReferences, p.Labels = []metav1.OwnerReference{{Kind: kind, Name: "db", UID: "db", Controller: new(true)}}, nil
		}
	}
	going := func(p *corev1.Pod) { p.DeletionTimestamp = new(ago(time.Hour)) }
	unscheduled := unscheduledFor(time.Minute, "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 node(s) didn't match PersistentVolume's node affinity.")
	const waits = "waits for node dev-1, which does not work"
	for name, test := range map[string]struct {
		pod    *corev1.Pod
		volume string
		state  func(*State)
		wants  []want
	}{
		"a pod of its own": {pod: pod("a", alone("db")), wants: []want{{cluster.ProblemAway, "pod/shop/db", waits, "no controller starts the pod elsewhere", "bonsai start -p dev"}}},
		"a StatefulSet": {
			pod: pod("a", by("StatefulSet"), going), wants: []want{{cluster.ProblemAway, "statefulset/shop/db", waits, "known to have ended", "--force --grace-period 0"}},
		},
		"a StatefulSet with data": {
			pod: pod("a", by("StatefulSet"), going, withData), volume: "dev-1",
			wants: []want{{cluster.ProblemAway, "statefulset/shop/db", waits, "its data (claim data) is on that node and is kept", "bonsai start -p dev"}},
		},
		"a Deployment":                        {pod: pod("a")},
		"a Deployment with data":              {pod: pod("a", withData), volume: "dev-1", wants: []want{{cluster.ProblemAway, cart, waits, "its volume exists only there", "bonsai start"}}},
		"a DaemonSet":                         {pod: pod("a", by("DaemonSet"))},
		"a node that was silent for a moment": {pod: pod("a", alone("db")), state: func(s *State) { unreachable(s, "dev-1", time.Second) }},
		"data on a node that does not work": {
			pod: pod("a", unscheduled, withData), volume: "dev-1",
			wants: []want{{cluster.ProblemAway, cart, "its volume is on node dev-1, which does not work", "the data of claim data is kept there", "bonsai start"}},
		},
		"data on a node that is gone": {
			pod: pod("a", unscheduled, withData), volume: "dev-9",
			wants: []want{{
				cluster.ProblemAway, cart, "its volume was on node dev-9, which does not exist any more", "the data of claim data is lost",
				"delete pvc data -n shop --wait=false && bonsai kubectl -p dev -- delete pod cart-7d9f4-a -n shop",
			}},
		},
		"data on a cordoned node": {
			pod: pod("a", unscheduled, withData), volume: "dev-2", state: func(s *State) {
				for _, n := range s.Nodes {
					n.Spec.Unschedulable = n.Name == "dev-2"
				}
			},
			wants: []want{{cluster.ProblemAway, cart, "its volume is on node dev-2, which accepts no new pods", "kept there", "uncordon dev-2"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			s.Pods = []*corev1.Pod{test.pod}
			if test.volume != "" {
				s.Volumes = []*corev1.PersistentVolume{volumeOn(test.volume)}
			}
			unreachable(&s, "dev-1", time.Hour)
			if test.state != nil {
				test.state(&s)
			}
			check(t, s, test.wants...)
		})
	}
}

func TestContainersOfEveryKind(t *testing.T) {
	second := func(list string, status corev1.ContainerStatus) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			status.Name = "extra"
			c := corev1.Container{Name: "extra", Image: "extra:1"}
			switch list {
			case "sidecar":
				c.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
				fallthrough
			case "init":
				p.Spec.InitContainers, p.Status.InitContainerStatuses = []corev1.Container{c}, []corev1.ContainerStatus{status}
			case "ephemeral":
				p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon(c)}}
				p.Status.EphemeralContainerStatuses = []corev1.ContainerStatus{status}
			}
		}
	}
	waits := corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "not found"}}}
	config := corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CreateContainerConfigError", Message: `secret "db" not found`}}}
	loops := pod("x", looping(1, "Error")).Status.ContainerStatuses[0]
	done := corev1.ContainerStatus{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", FinishedAt: ago(time.Minute)}}}
	loopsWith0 := pod("x", looping(0, "Completed")).Status.ContainerStatuses[0]
	image := want{cluster.ProblemImage, cart, "image extra:1 cannot be pulled", "", ""}
	secret := want{cluster.ProblemConfig, cart, "Secret db does not exist", "", ""}
	for name, test := range map[string]struct {
		list   string
		status corev1.ContainerStatus
		wants  []want
	}{
		"image of an init container":       {"init", waits, []want{image}},
		"image of a sidecar":               {"sidecar", waits, []want{image}},
		"image of an ephemeral container":  {"ephemeral", waits, []want{image}},
		"Secret of an ephemeral container": {"ephemeral", config, []want{secret}},
		"Secret of a sidecar":              {"sidecar", config, []want{secret}},
		"an init container crashes":        {"init", loops, []want{{cluster.ProblemCrash, cart, "init container extra exits with 1, 4 times so far", "", ""}}},
		"a sidecar crashes":                {"sidecar", loops, []want{{cluster.ProblemCrash, cart, "sidecar container extra exits with 1, 4 times so far", "", "-c extra"}}},
		"a sidecar exits": {"sidecar", loopsWith0, []want{{
			cluster.ProblemCrash, cart, "sidecar container extra exits on its own (exit code 0), 4 times so far", "", "a server has to stay in the foreground",
		}}},
		"an ephemeral container has ended": {"ephemeral", done, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			s.Pods = []*corev1.Pod{pod("a", second(test.list, test.status))}
			check(t, s, test.wants...)
		})
	}
	t.Run("a sidecar is not ready", func(t *testing.T) {
		s := world()
		p := pod("a", second("sidecar", corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: ago(time.Minute)}}, Started: new(true)}))
		probe := httpGet("/", 80)
		p.Spec.InitContainers[0].ReadinessProbe = &probe
		s.Pods = []*corev1.Pod{p}
		e := warning(p, "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 500", 30*time.Second)
		e.InvolvedObject.FieldPath = "spec.initContainers{extra}"
		s.Events = []*corev1.Event{e}
		check(t, s, want{cluster.ProblemProbe, cart, "sidecar container extra is running but not ready", "it answers 500", ""})
	})
}
