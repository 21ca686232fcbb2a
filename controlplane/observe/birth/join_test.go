package birth

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
)

// t0 is when every birth here begins; it is not on a whole second.
var t0 = time.Date(2026, 1, 2, 10, 0, 0, 400e6, time.UTC)

// ms is a moment of the story.
func ms(n float64) time.Time { return t0.Add(time.Duration(n * float64(time.Millisecond))) }

func span(begin, end float64) Span { return Span{Begin: ms(begin), End: ms(end)} }

// whole is what Kubernetes makes of a moment in a status.
func whole(n float64) metav1.Time { return metav1.NewTime(ms(n).Truncate(time.Second)) }

func isTrue(t corev1.PodConditionType, at float64) corev1.PodCondition {
	return corev1.PodCondition{Type: t, Status: corev1.ConditionTrue, LastTransitionTime: whole(at)}
}

// world is a pod of a ReplicaSet that is ready after 500 ms, with everything that is known of it.
func world() Observation {
	return Observation{
		Pod: &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "u", CreationTimestamp: whole(0),
				OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "web-1", Controller: new(true)}},
				ManagedFields:   []metav1.ManagedFieldsEntry{{Manager: "bonsai"}}},
			Spec: corev1.PodSpec{NodeName: "n2", SchedulerName: corev1.DefaultSchedulerName, Volumes: []corev1.Volume{{Name: "token"}}, Containers: []corev1.Container{{Name: "main", Image: "app:1"}}},
			Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.244.2.5", StartTime: new(whole(30)),
				Conditions:        []corev1.PodCondition{isTrue(corev1.PodScheduled, 15), isTrue(corev1.PodReadyToStartContainers, 300), isTrue(corev1.PodReady, 500)},
				ContainerStatuses: []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: whole(420)}}}}},
		},
		Record: &Record{
			Namespace: "shop", Name: "web", UID: "u",
			Created: Call{Who: "kube-controller-manager (replicaset-controller)", User: "system:serviceaccount:kube-system:replicaset-controller", Span: span(0, 8), Authentication: time.Millisecond,
				Admission: span(2, 4), Mutating: 1500 * time.Microsecond, Etcd: span(4, 7)},
			Queued: ms(7.5), Cycle: span(8.5, 9.5),
			Decision: &cluster.Decision{Node: "n2", Attempts: 1, Verdicts: []cluster.NodeVerdict{{Node: "n1", Rejected: []string{"no"}}, {Node: "n2"}, {Node: "n3"}}},
			Bound:    Call{Span: span(9.6, 14), Etcd: span(11, 13)},
			Reported: ms(40), Sandbox: ms(450), Ready: ms(500),
			Pulls: []Pull{{Container: "main", Span: Span{End: ms(330)}, Message: `Container image "app:1" already present on machine`}},
		},
		Node: &cluster.PodOnNode{
			Begun: ms(20), Filled: ms(120), Volumes: 1, Sandbox: &cluster.SandboxOnNode{Begun: ms(130), Done: ms(310)},
			Containers: []cluster.ContainerOnNode{{Name: "main", Prepared: ms(320), Created: ms(350), Started: ms(420)}},
		},
	}
}

// lines renders a birth in lines: begin, end, step, detail; "~" is not exact, "!" failed, "…" lasts.
func lines(b cluster.Birth) string {
	var s strings.Builder
	at := func(d time.Duration) string { return fmt.Sprint(float64(d.Microseconds()) / 1000) }
	for _, step := range b.Steps {
		end := at(step.End)
		if step.End == 0 {
			end = "…"
		}
		mark := ""
		if !step.Exact {
			mark = "~"
		}
		if step.Failed {
			mark += "!"
		}
		fmt.Fprintln(&s, strings.TrimRight(fmt.Sprintf("%s%s %s %s [%s] %s", mark, at(step.Begin), end, step.Step, step.Who, step.Detail), " "))
	}
	if b.Ready {
		fmt.Fprintln(&s, "complete")
	}
	if b.Note != "" {
		fmt.Fprintln(&s, "note: "+b.Note)
	}
	return s.String()
}

func TestJoin(t *testing.T) {
	const (
		made = `0 8 api [kube-controller-manager (replicaset-controller)] for ReplicaSet web-1, authentication 1ms
2 4 admission [kube-apiserver] mutating 1.5ms
4 7 etcd [etcd] the pod is stored
`
		placed = made + `7.5 8.5 queue [kube-scheduler]
8.5 9.5 schedule [kube-scheduler] n2, one of 2 possible nodes of 3
9.5 14 bind [kube-scheduler] etcd 2ms
`
		onNode = placed + `13 20 kubelet [kubelet on n2] sees the pod and creates its folder
20 130 volumes [kubelet on n2] 1 volume filled after 100ms; kubelet looks every 300 ms
130 310 sandbox [containerd on n2] network and namespaces, address 10.244.2.5
`
		old = "the pod is older than the control plane's process, or many pods were created since: the API call and the scheduler's decision were not recorded"
	)
	// unready takes back what came after the container was started.
	unready := func(o *Observation) {
		o.Record.Ready = time.Time{}
		o.Pod.Status.Conditions = o.Pod.Status.Conditions[:2]
		o.Pod.Status.Phase = corev1.PodPending
	}
	unmade := func(o *Observation, s corev1.ContainerStateWaiting) {
		unready(o)
		o.Node.Containers = nil
		o.Pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &s}
	}
	unscheduled := func(o *Observation) {
		unready(o)
		o.Pod.Spec.NodeName, o.Pod.Status.Conditions, o.Pod.Status.ContainerStatuses = "", nil, nil
		o.Node, o.Record.Bound, o.Record.Decision = nil, Call{}, nil
		o.Record.Cycle = Span{}
	}
	for name, c := range map[string]struct {
		change func(*Observation)
		want   string
	}{
		"everything is known": {nil, onNode + `310 320 image/main [containerd on n2] app:1 is on the node already
320 350 create/main [containerd on n2]
350 420 start/main [containerd on n2]
420 500 ready [kubelet on n2] kubelet notices that all containers run, and reports it
complete
`},
		"made by a person": {func(o *Observation) {
			o.Pod.OwnerReferences = nil
			o.Record.Created.Who, o.Record.Created.User = "kubectl run", "jane"
			unscheduled(o)
		}, `0 8 api [kubectl run] as jane, authentication 1ms
2 4 admission [kube-apiserver] mutating 1.5ms
4 7 etcd [etcd] the pod is stored
7.5 … queue [kube-scheduler]
`},
		"a pulled image": {func(o *Observation) {
			o.Node.Containers[0].Prepared, o.Node.Containers[0].Created = ms(348), ms(350)
			o.Record.Pulls[0] = Pull{Container: "main", Span: span(315, 349), Message: `Successfully pulled image "app:1" in 33ms (33ms including waiting). Image size: 7 bytes.`}
		}, onNode + `315 348 image/main [containerd on n2] app:1 is pulled, 7 bytes
348 350 create/main [containerd on n2]
350 420 start/main [containerd on n2]
420 500 ready [kubelet on n2] kubelet notices that all containers run, and reports it
complete
`},
		"an image that cannot be pulled": {func(o *Observation) {
			unmade(o, corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "no such host"})
			o.Record.Pulls[0] = Pull{Container: "main", Span: Span{Begin: ms(315)}}
		}, onNode + "!315 … image/main [containerd on n2] app:1: ImagePullBackOff, no such host\n"},
		"a container that cannot be created": {func(o *Observation) {
			unmade(o, corev1.ContainerStateWaiting{Reason: "CreateContainerConfigError", Message: `secret "x" not found`})
		}, onNode + `310 330 image/main [containerd on n2] app:1 is on the node already
!330 … create/main [containerd on n2] CreateContainerConfigError, secret "x" not found
`},
		"a container that keeps failing": {func(o *Observation) {
			unready(o)
			o.Pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off 10s"}}
		}, onNode + `310 320 image/main [containerd on n2] app:1 is on the node already
320 350 create/main [containerd on n2]
350 420 start/main [containerd on n2]
!420 … ready [kubelet on n2] container main is restarted: CrashLoopBackOff, back-off 10s
`},
		"a container that has failed often": {func(o *Observation) {
			unready(o)
			o.Node.Containers[0] = cluster.ContainerOnNode{Name: "main", Attempt: 3, Prepared: ms(320), Created: ms(70000), Started: ms(70050)}
			o.Pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
		}, onNode + `310 320 image/main [containerd on n2] app:1 is on the node already
70000 70000 create/main [containerd on n2] attempt 4; earlier ones are gone
70000 70050 start/main [containerd on n2]
!70050 … ready [kubelet on n2] container main is restarted: CrashLoopBackOff
`},
		"another scheduler": {func(o *Observation) {
			o.Record.Queued, o.Record.Decision, o.Record.Cycle = time.Time{}, nil, Span{}
			o.Record.Bound.Who = "yunikorn"
		}, made + `7 14 bind [yunikorn] etcd 2ms
` + strings.TrimPrefix(onNode, placed) + `310 320 image/main [containerd on n2] app:1 is on the node already
320 350 create/main [containerd on n2]
350 420 start/main [containerd on n2]
420 500 ready [kubelet on n2] kubelet notices that all containers run, and reports it
complete
`},
		"another scheduler has not come to it": {func(o *Observation) {
			unscheduled(o)
			o.Record.Queued, o.Pod.Spec.SchedulerName = time.Time{}, "yunikorn"
		}, made + "7 … queue [yunikorn]\n"},
		"it waits for a probe": {func(o *Observation) {
			unready(o)
			o.Pod.Spec.Containers[0].ReadinessProbe = &corev1.Probe{}
		}, onNode + `310 320 image/main [containerd on n2] app:1 is on the node already
320 350 create/main [containerd on n2]
350 420 start/main [containerd on n2]
420 … ready [kubelet on n2] waits for the readiness probe of main
`},
		"an init container": {func(o *Observation) {
			o.Pod.Spec.InitContainers = []corev1.Container{{Name: "first", Image: "i"}}
			o.Node.Containers = append([]cluster.ContainerOnNode{{Name: "first", Prepared: ms(311), Created: ms(312), Started: ms(313), Finished: ms(318)}}, o.Node.Containers...)
		}, onNode + `310 311 image/first [containerd on n2] i
311 312 create/first [containerd on n2]
312 313 start/first [containerd on n2]
313 318 init/first [first]
318 320 image/main [containerd on n2] app:1 is on the node already
320 350 create/main [containerd on n2]
350 420 start/main [containerd on n2]
420 500 ready [kubelet on n2] kubelet notices that all containers run, and reports it
complete
`},
		"an init container that failed": {func(o *Observation) {
			unready(o)
			o.Pod.Spec.InitContainers = []corev1.Container{{Name: "first", Image: "i"}}
			o.Node.Containers = []cluster.ContainerOnNode{{Name: "first", Prepared: ms(311), Created: ms(312), Started: ms(313), Finished: ms(318), ExitCode: 3}}
		}, onNode + `310 311 image/first [containerd on n2] i
311 312 create/first [containerd on n2]
312 313 start/first [containerd on n2]
!313 318 init/first [first] exit code 3
`},
		"a token that was renewed": {func(o *Observation) { o.Node.Filled = ms(3e6) }, strings.Replace(onNode, " filled after 100ms; kubelet looks every 300 ms", "", 1) +
			`310 320 image/main [containerd on n2] app:1 is on the node already
320 350 create/main [containerd on n2]
350 420 start/main [containerd on n2]
420 500 ready [kubelet on n2] kubelet notices that all containers run, and reports it
complete
`},
		// The API server sends kubelet the binding before the answer of etcd is counted as done.
		"kubelet was faster than the answer": {func(o *Observation) {
			unready(o)
			o.Node = &cluster.PodOnNode{Begun: ms(12)}
		}, placed + `12 12 kubelet [kubelet on n2] sees the pod and creates its folder
12 … volumes [kubelet on n2] 0 of 1 volume
`},
		"volumes are awaited": {func(o *Observation) {
			unready(o)
			o.Node = &cluster.PodOnNode{Begun: ms(20)}
		}, placed + `13 20 kubelet [kubelet on n2] sees the pod and creates its folder
20 … volumes [kubelet on n2] 0 of 1 volume
`},
		"the node does not answer": {func(o *Observation) { o.Node, o.NodeError = nil, "refused" }, placed +
			`13 40 kubelet [kubelet on n2] reports on the pod for the first time
40 450 sandbox [containerd on n2]
~450 450 image/main [containerd on n2] app:1 is on the node already
~450 450 create/main [containerd on n2]
~450 450 start/main [containerd on n2]
450 500 ready [kubelet on n2] kubelet notices that all containers run, and reports it
complete
note: node n2 cannot be asked (refused): times of its containers are those of the pod's status, in whole seconds
`},
		"the node was stopped and started since": {func(o *Observation) {
			o.Node.Sandbox = &cluster.SandboxOnNode{Attempt: 1, Begun: ms(9e6), Done: ms(9.1e6)}
			o.Node.Containers[0] = cluster.ContainerOnNode{Name: "main", Attempt: 1, Prepared: ms(320), Created: ms(9.2e6), Started: ms(9.3e6)}
			o.Pod.Status.ContainerStatuses[0].State.Running.StartedAt = whole(9.3e6)
			o.Pod.Status.Conditions[2] = isTrue(corev1.PodReady, 9.4e6)
		}, placed + `13 20 kubelet [kubelet on n2] sees the pod and creates its folder
~20 500 image/main [containerd on n2] app:1 is on the node already
~500 500 create/main [containerd on n2]
~500 500 start/main [containerd on n2]
500 500 ready [kubelet on n2] kubelet notices that all containers run, and reports it
complete
note: the pod's sandbox and containers were recreated later, for example after a stop of the node; the first ones are gone; container main was restarted since; its first start is not known
`},
		"an older control plane": {func(o *Observation) { o.Record = nil }, `~0 0 api [kube-controller-manager] for ReplicaSet web-1
~0 0 schedule [kube-scheduler] n2
0 420 kubelet [kubelet on n2] sees the pod and creates its folder
420 530 volumes [kubelet on n2] 1 volume filled after 100ms; kubelet looks every 300 ms
530 710 sandbox [containerd on n2] network and namespaces, address 10.244.2.5
710 720 image/main [containerd on n2] app:1
720 750 create/main [containerd on n2]
750 820 start/main [containerd on n2]
~820 820 ready [kubelet on n2] kubelet notices that all containers run, and reports it
complete
note: ` + old + "\n"},
		"not in the queue yet": {func(o *Observation) {
			unscheduled(o)
			o.Record.Queued = time.Time{}
		}, made + "7 … queue [kube-scheduler]\n"},
		"scheduling gates": {func(o *Observation) {
			unscheduled(o)
			o.Pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/quota"}}
		}, made + "7.5 … queue [kube-scheduler] held back by scheduling gates: example.com/quota\n"},
		"no nodes": {func(o *Observation) {
			unscheduled(o)
			o.Pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "no nodes available to schedule pods"}}
		}, made + "!7.5 … queue [kube-scheduler] no nodes available to schedule pods\n"},
		"no node is possible": {func(o *Observation) {
			unscheduled(o)
			o.Record.Cycle = span(8.5, 9.5)
			o.Record.Decision = &cluster.Decision{Attempts: 2, Verdicts: []cluster.NodeVerdict{{Node: "n1", Rejected: []string{"no"}}}}
			o.Pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/1 nodes are available"}}
		}, made + `7.5 8.5 queue [kube-scheduler] attempt 2
!8.5 9.5 schedule [kube-scheduler] 0/1 nodes are available
`},
		"verdicts were not noted": {func(o *Observation) {
			d := *o.Record.Decision
			d.Verdicts = nil
			unscheduled(o)
			o.Record.Cycle, o.Record.Decision = span(8.5, 9.5), &d
		}, made + `7.5 8.5 queue [kube-scheduler]
8.5 9.5 schedule [kube-scheduler] n2
9.5 … bind [kube-scheduler]
`},
		"a volume is being made": {func(o *Observation) {
			d := o.Record.Decision
			unscheduled(o)
			o.Record.Cycle, o.Record.Decision = span(8.5, 9.5), d
		}, made + `7.5 8.5 queue [kube-scheduler]
8.5 9.5 schedule [kube-scheduler] n2, one of 2 possible nodes of 3
9.5 … bind [kube-scheduler]
`},
		"a volume was made": {func(o *Observation) {
			o.Pod.Spec.Volumes[0].PersistentVolumeClaim = &corev1.PersistentVolumeClaimVolumeSource{}
			o.Record.Bound = Call{Span: span(49.5, 60), Etcd: span(50, 55)}
			o.Node = nil
			unready(o)
			o.Record.Reported, o.Pod.Status.StartTime = time.Time{}, nil
		}, strings.Replace(placed, "9.5 14 bind [kube-scheduler] etcd 2ms", "9.5 60 bind [kube-scheduler] its volumes took 40ms, etcd 5ms", 1) +
			"~55 … kubelet [kubelet on n2]\n"},
		"its maker chose the node": {func(o *Observation) {
			o.Record.Queued, o.Record.Decision, o.Record.Cycle, o.Record.Bound = time.Time{}, nil, Span{}, Call{}
		}, made + `7 20 kubelet [kubelet on n2] sees the pod and creates its folder
20 130 volumes [kubelet on n2] 1 volume filled after 100ms; kubelet looks every 300 ms
130 310 sandbox [containerd on n2] network and namespaces, address 10.244.2.5
310 320 image/main [containerd on n2] app:1 is on the node already
320 350 create/main [containerd on n2]
350 420 start/main [containerd on n2]
420 500 ready [kubelet on n2] kubelet notices that all containers run, and reports it
complete
`},
		"it has ended without having been ready": {func(o *Observation) {
			unready(o)
			o.Pod.Status.Phase, o.Pod.Status.Reason = corev1.PodSucceeded, "Completed"
			o.Node.Containers[0].Finished = ms(430)
		}, onNode + `310 320 image/main [containerd on n2] app:1 is on the node already
320 350 create/main [containerd on n2]
350 420 start/main [containerd on n2]
complete
note: the pod has ended: Succeeded, Completed
`},
	} {
		t.Run(name, func(t *testing.T) {
			o := world()
			if c.change != nil {
				c.change(&o)
			}
			if got := lines(Join(o)); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}
