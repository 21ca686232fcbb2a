package diagnose

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// now is the moment of every test; ago is before it.
var now = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }

// world is a healthy cluster of three nodes that has run for an hour.
func world() State {
	s := State{Now: now, Cluster: "dev", Begun: now.Add(-time.Hour)}
	for name, free := range map[string]string{"dev-1": "2Gi", "dev-2": "4Gi", "dev-3": "3Gi"} {
		s.Nodes = append(s.Nodes, &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kubernetes.io/hostname": name, "disktype": "hdd"}},
			Status: corev1.NodeStatus{
				Allocatable: resources("cpu", "2", "memory", free, "pods", "110"),
				Conditions:  []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastTransitionTime: ago(time.Hour)}},
			},
		})
	}
	s.Classes = []*storagev1.StorageClass{{
		ObjectMeta:  metav1.ObjectMeta{Name: "standard", Annotations: map[string]string{defaultClassAnnotation: "true"}},
		Provisioner: ownProvisioner, VolumeBindingMode: new(storagev1.VolumeBindingWaitForFirstConsumer),
	}}
	for _, n := range []string{"default", "kube-system", "shop"} {
		s.Namespaces = append(s.Namespaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: n}})
	}
	for _, n := range [][2]string{{"default", "kubernetes"}, {"default", "redis"}, {"shop", "web"}, {"shop", "db"}, {"kube-system", "kube-dns"}} {
		s.Services = append(s.Services, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: n[0], Name: n[1]}})
	}
	return s
}

func resources(pairs ...string) corev1.ResourceList {
	list := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		list[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return list
}

// pod is one of the Deployment shop/cart, a minute old, whose only container runs and is ready.
func pod(suffix string, change ...func(*corev1.Pod)) *corev1.Pod {
	name := "cart-7d9f4-" + suffix
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: name, UID: types.UID(name), CreationTimestamp: ago(time.Minute),
			Labels:          map[string]string{"app": "cart", appsv1.DefaultDeploymentUniqueLabelKey: "7d9f4"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "cart-7d9f4", UID: "rs", Controller: new(true)}},
		},
		Spec: corev1.PodSpec{
			NodeName: "dev-1", RestartPolicy: corev1.RestartPolicyAlways,
			Containers: []corev1.Container{{Name: "cart", Image: "cart:1", ImagePullPolicy: corev1.PullIfNotPresent}},
		},
		Status: corev1.PodStatus{
			Phase:      corev1.PodRunning,
			Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: ago(time.Minute)}},
			ContainerStatuses: []corev1.ContainerStatus{{
				Name: "cart", Image: "cart:1", Ready: true, Started: new(true),
				State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: ago(time.Minute)}},
			}},
		},
	}
	for _, f := range change {
		f(p)
	}
	return p
}

// alone makes a pod nobody's.
func alone(name string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Name, p.UID, p.OwnerReferences, p.Labels = name, types.UID(name), nil, nil
	}
}

// waiting is a container that has not come to run.
func waiting(reason, message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.Phase = corev1.PodPending
		p.Status.ContainerStatuses[0] = corev1.ContainerStatus{
			Name: "cart", Image: p.Spec.Containers[0].Image,
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
		}
	}
}

// looping is a container in its back-off, whose last run took a second and ended ten seconds ago.
func looping(code int32, reason string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.ContainerStatuses[0] = corev1.ContainerStatus{
			Name: "cart", Image: "cart:1", RestartCount: 3, Started: new(false),
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
				Reason: "CrashLoopBackOff", Message: "back-off 40s restarting failed container=cart pod=" + p.Name + "_shop(uid)",
			}},
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode: code, Reason: reason, StartedAt: ago(11 * time.Second), FinishedAt: ago(10 * time.Second), ContainerID: "containerd://" + p.Name,
			}},
		}
	}
}

func limit(memory string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.Containers[0].Resources.Limits = resources("memory", memory) }
}

// unscheduledFor is a pod without a node, about which the scheduler has said why for that long.
func unscheduledFor(d time.Duration, message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.NodeName = ""
		p.Status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: message, LastTransitionTime: ago(d),
		}}}
	}
}

// probing gives the container a probe; a readiness probe fails for half a minute.
func probing(kind string, probe corev1.Probe) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		probe.PeriodSeconds, probe.FailureThreshold, probe.TimeoutSeconds = 5, 3, 1
		switch c := &p.Spec.Containers[0]; kind {
		case "readiness":
			c.ReadinessProbe = &probe
			p.Status.ContainerStatuses[0].Ready = false
		case "liveness":
			c.LivenessProbe = &probe
		}
	}
}

func httpGet(path string, port int) corev1.Probe {
	return corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt(port)}}}
}

// warning is an Event about the only container of a pod.
func warning(p *corev1.Pod, reason, message string, since time.Duration) *corev1.Event {
	e := eventAbout("Pod", p.UID, reason, message, since)
	e.InvolvedObject.FieldPath = "spec.containers{cart}"
	return e
}

func eventAbout(kind string, uid types.UID, reason, message string, since time.Duration) *corev1.Event {
	return &corev1.Event{
		InvolvedObject: corev1.ObjectReference{Kind: kind, UID: uid}, Type: corev1.EventTypeWarning, Reason: reason, Message: message,
		FirstTimestamp: ago(since), LastTimestamp: ago(min(since, 5*time.Second)), Count: 3,
	}
}

// logs answers the question for the log of a crashed pod's container.
func logs(p *corev1.Pod, previous bool, lines ...string) map[Question]Answer {
	return map[Question]Answer{
		{Topic: LogOf, Namespace: "shop", Name: p.Name, Container: "cart", ID: "containerd://" + p.Name, Previous: previous}: {Lines: lines},
	}
}

func replicaSet(want, have int32, message string) *appsv1.ReplicaSet {
	rs := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "cart-7d9f4", UID: "rs", CreationTimestamp: ago(time.Minute),
			OwnerReferences: []metav1.OwnerReference{{Kind: "Deployment", Name: "cart", Controller: new(true)}},
		},
		Spec: appsv1.ReplicaSetSpec{Replicas: &want}, Status: appsv1.ReplicaSetStatus{Replicas: have},
	}
	if message != "" {
		rs.Status.Conditions = []appsv1.ReplicaSetCondition{{Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: message}}
	}
	return rs
}

func claim(class *string, change ...func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "data", UID: "claim", CreationTimestamp: ago(time.Minute)},
		Spec:       corev1.PersistentVolumeClaimSpec{StorageClassName: class},
		Status:     corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending},
	}
	for _, f := range change {
		f(c)
	}
	return c
}

func job(failed int32, conditions ...batchv1.JobCondition) *batchv1.Job {
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "import", UID: "job", CreationTimestamp: ago(time.Minute)},
		Status:     batchv1.JobStatus{Failed: failed, Active: 1, Conditions: conditions},
	}
}
