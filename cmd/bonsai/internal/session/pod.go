package session

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/kube"
)

// podType is the type of pods.
var podType = kube.ResourceType{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}

// Pod tells what a pod's screens need.
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

// owners are the controlling owners from the pod up. Where one cannot be read any more, the chain ends.
func owners(ctx context.Context, c *conn, p *corev1.Pod) []string {
	var chain []string
	for o := metav1.GetControllerOf(p); o != nil; {
		chain = append(chain, o.Kind+"/"+o.Name)
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
		Ref:  kube.Ref{Type: podType, Namespace: p.Namespace, Name: p.Name, UID: string(p.UID)},
		Node: p.Spec.NodeName, IP: p.Status.PodIP, QoS: string(p.Status.QOSClass), DNSPolicy: string(p.Spec.DNSPolicy),
	}
	for _, c := range p.Status.Conditions {
		d.Conditions = append(d.Conditions, strings.Join(slices.DeleteFunc(
			[]string{string(c.Type), string(c.Status), c.Reason, c.Message}, func(s string) bool { return s == "" }), " "))
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
		State: stateText(status.State), LastState: stateText(status.LastTerminationState),
		Requests: amounts(c.Resources.Requests), Limits: amounts(c.Resources.Limits),
	}
	if d.State == "" {
		d.State = "waiting"
	}
	for _, e := range c.EnvFrom {
		d.Env = append(d.Env, kube.EnvVar{Name: e.Prefix + "*", From: sourceOfAll(e)})
	}
	for _, e := range c.Env {
		d.Env = append(d.Env, kube.EnvVar{Name: e.Name, Value: e.Value, From: sourceOfOne(e.ValueFrom)})
	}
	for _, p := range c.Ports {
		text := fmt.Sprintf("%d/%s", p.ContainerPort, cmp.Or(p.Protocol, corev1.ProtocolTCP))
		if p.Name != "" {
			text = p.Name + " " + text
		}
		if p.HostPort != 0 {
			text += fmt.Sprintf(" (port %d of the node)", p.HostPort)
		}
		d.Ports = append(d.Ports, text)
	}
	for _, m := range c.VolumeMounts {
		text := m.MountPath + " from " + m.Name
		if m.SubPath != "" {
			text += "/" + m.SubPath
		}
		if m.ReadOnly {
			text += " (read-only)"
		}
		d.Mounts = append(d.Mounts, text)
	}
	return d
}

// stateText is a container's state in words; empty if there is none.
func stateText(s corev1.ContainerState) string {
	switch {
	case s.Running != nil:
		return "running since " + s.Running.StartedAt.Local().Format(time.DateTime)
	case s.Terminated != nil:
		return ended(s.Terminated)
	case s.Waiting != nil:
		return strings.TrimSuffix("waiting: "+strings.TrimSuffix(s.Waiting.Reason+" "+s.Waiting.Message, " "), ": ")
	}
	return ""
}

func ended(t *corev1.ContainerStateTerminated) string {
	text := fmt.Sprintf("exited %d", t.ExitCode)
	if t.Signal != 0 {
		text = fmt.Sprintf("killed by signal %d", t.Signal)
	}
	if t.Reason != "" {
		text += " (" + t.Reason + ")"
	}
	if !t.FinishedAt.IsZero() {
		text += " at " + t.FinishedAt.Local().Format(time.DateTime)
	}
	if t.Message != "" {
		text += ": " + strings.TrimSpace(t.Message)
	}
	return text
}

// amounts are resources as "cpu 100m, memory 64Mi".
func amounts(list corev1.ResourceList) string {
	var all []string
	for resource, amount := range list {
		all = append(all, string(resource)+" "+amount.String())
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func sourceOfAll(e corev1.EnvFromSource) string {
	switch {
	case e.ConfigMapRef != nil:
		return "ConfigMap " + e.ConfigMapRef.Name
	case e.SecretRef != nil:
		return "Secret " + e.SecretRef.Name
	}
	return ""
}

func sourceOfOne(e *corev1.EnvVarSource) string {
	switch {
	case e == nil:
		return ""
	case e.ConfigMapKeyRef != nil:
		return "ConfigMap " + e.ConfigMapKeyRef.Name + ", key " + e.ConfigMapKeyRef.Key
	case e.SecretKeyRef != nil:
		return "Secret " + e.SecretKeyRef.Name + ", key " + e.SecretKeyRef.Key
	case e.FieldRef != nil:
		return "field " + e.FieldRef.FieldPath
	case e.ResourceFieldRef != nil:
		return "resource " + e.ResourceFieldRef.Resource
	case e.FileKeyRef != nil:
		return "file " + e.FileKeyRef.Path + ", key " + e.FileKeyRef.Key
	}
	return ""
}
