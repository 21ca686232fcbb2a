package session

import (
	"cmp"
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/kube"
)

// Pod returns what a pod's screens need.
func (s *Session) Pod(ctx context.Context, namespace, podName string) (kube.PodDetail, error) {
	op := "read pod " + podName + " in " + namespace
	ctx, cancel := s.limit(ctx, callLimit, "an answer from the API server")
	defer cancel()
	c, err := s.api()
	if err != nil {
		return kube.PodDetail{}, err
	}
	p, err := c.client.CoreV1().Pods(namespace).Get(ctx, podName, metav1.GetOptions{})
	if err != nil {
		return kube.PodDetail{}, s.explain(ctx, op, err)
	}
	d := podDetail(p)
	d.Owners = owners(ctx, c, p)
	return d, nil
}

// owners are the controlling owners from the pod up. The chain ends at one that cannot be read any more.
func owners(ctx context.Context, c *conn, p *corev1.Pod) []kube.Object {
	var chain []kube.Object
	for o := metav1.GetControllerOf(p); o != nil; {
		chain = append(chain, kube.Object{Kind: o.Kind, Name: o.Name})
		var parent metav1.Object
		var err error
		switch o.Kind { // of the built-in types only these have owners themselves
		case "ReplicaSet":
			parent, err = c.client.AppsV1().ReplicaSets(p.Namespace).Get(ctx, o.Name, metav1.GetOptions{})
		case "Job":
			parent, err = c.client.BatchV1().Jobs(p.Namespace).Get(ctx, o.Name, metav1.GetOptions{})
		default:
			return chain
		}
		if err != nil || parent.GetUID() != o.UID {
			return chain
		}
		o = metav1.GetControllerOf(parent)
	}
	return chain
}

func podDetail(p *corev1.Pod) kube.PodDetail {
	d := kube.PodDetail{
		Ref:  kube.Ref{Type: kube.PodType(), Namespace: p.Namespace, Name: p.Name, UID: string(p.UID)},
		Node: p.Spec.NodeName, IP: p.Status.PodIP, QoS: string(p.Status.QOSClass), DNSPolicy: string(p.Spec.DNSPolicy),
	}
	for _, c := range p.Status.Conditions {
		d.Conditions = append(d.Conditions, kube.Condition{
			Type: string(c.Type), Status: string(c.Status), Reason: c.Reason, Message: c.Message, Since: c.LastTransitionTime.Time,
		})
	}
	add := func(specs []corev1.Container, statuses []corev1.ContainerStatus, init bool) {
		for i := range specs {
			var status corev1.ContainerStatus
			if j := slices.IndexFunc(statuses, func(s corev1.ContainerStatus) bool { return s.Name == specs[i].Name }); j >= 0 {
				status = statuses[j]
			}
			d.Containers = append(d.Containers, containerDetail(&specs[i], &status, init))
		}
	}
	add(p.Spec.InitContainers, p.Status.InitContainerStatuses, true)
	add(p.Spec.Containers, p.Status.ContainerStatuses, false)
	for _, e := range p.Spec.EphemeralContainers {
		add([]corev1.Container{corev1.Container(e.EphemeralContainerCommon)}, p.Status.EphemeralContainerStatuses, false)
	}
	return d
}

func containerDetail(c *corev1.Container, status *corev1.ContainerStatus, init bool) kube.ContainerDetail {
	d := kube.ContainerDetail{
		Name: c.Name, Image: c.Image, Init: init, Ready: status.Ready, Restarts: int(status.RestartCount),
		State: containerState(status.State), LastState: containerState(status.LastTerminationState),
		Requests: quantities(c.Resources.Requests), Limits: quantities(c.Resources.Limits),
	}
	if d.State == (kube.ContainerState{}) { // nobody has looked at it yet
		d.State.Phase = kube.ContainerWaiting
	}
	for _, p := range c.Ports {
		d.Ports = append(d.Ports, kube.ContainerPort{
			Name: p.Name, Port: int(p.ContainerPort), Protocol: string(cmp.Or(p.Protocol, corev1.ProtocolTCP)), HostPort: int(p.HostPort),
		})
	}
	for _, m := range c.VolumeMounts {
		d.Mounts = append(d.Mounts, kube.Mount{Path: m.MountPath, Volume: m.Name, SubPath: m.SubPath, ReadOnly: m.ReadOnly})
	}
	return d
}

// containerState is zero if there is no state.
func containerState(s corev1.ContainerState) kube.ContainerState {
	switch {
	case s.Running != nil:
		return kube.ContainerState{Phase: kube.ContainerRunning, Started: s.Running.StartedAt.Time}
	case s.Terminated != nil:
		t := s.Terminated
		return kube.ContainerState{
			Phase: kube.ContainerTerminated, Reason: t.Reason, Message: strings.TrimSpace(t.Message), ExitCode: int(t.ExitCode), Signal: int(t.Signal),
			Started: t.StartedAt.Time, Finished: t.FinishedAt.Time,
		}
	case s.Waiting != nil:
		return kube.ContainerState{Phase: kube.ContainerWaiting, Reason: s.Waiting.Reason, Message: s.Waiting.Message}
	}
	return kube.ContainerState{}
}

func quantities(list corev1.ResourceList) map[string]string {
	if len(list) == 0 {
		return nil
	}
	all := make(map[string]string, len(list))
	for resource, amount := range list {
		all[string(resource)] = amount.String()
	}
	return all
}
