package session

import (
	"reflect"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/kube"
)

func TestAPodInDetail(t *testing.T) {
	at := time.Date(2026, 8, 1, 10, 0, 0, 0, time.UTC)
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-0", UID: "u1"},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{{Name: "setup"}},
			Containers: []corev1.Container{{
				Name: "web", Image: "web:1",
				Ports:        []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, HostPort: 80}},
				VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data", SubPath: "web", ReadOnly: true}},
				Resources:    corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}},
			}},
		},
		Status: corev1.PodStatus{
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: "ContainersNotReady", LastTransitionTime: metav1.NewTime(at)}},
			ContainerStatuses: []corev1.ContainerStatus{{
				Name: "web", RestartCount: 4, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off 40s"}},
				LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
					ExitCode: 137, Signal: 9, Reason: "OOMKilled", Message: "no memory\n", StartedAt: metav1.NewTime(at), FinishedAt: metav1.NewTime(at.Add(time.Second)),
				}},
			}},
		},
	}
	got := podDetail(p)
	want := kube.PodDetail{
		Ref:        kube.Ref{Type: kube.PodType(), Namespace: "shop", Name: "web-0", UID: "u1"},
		Conditions: []kube.Condition{{Type: "Ready", Status: "False", Reason: "ContainersNotReady", Since: at}},
		Containers: []kube.ContainerDetail{
			{Name: "setup", Init: true, State: kube.ContainerState{Phase: kube.ContainerWaiting}},
			{
				Name: "web", Image: "web:1", Restarts: 4,
				State: kube.ContainerState{Phase: kube.ContainerWaiting, Reason: "CrashLoopBackOff", Message: "back-off 40s"},
				LastState: kube.ContainerState{
					Phase: kube.ContainerTerminated, Reason: "OOMKilled", Message: "no memory", ExitCode: 137, Signal: 9, Started: at, Finished: at.Add(time.Second),
				},
				Ports:    []kube.ContainerPort{{Name: "http", Port: 8080, Protocol: "TCP", HostPort: 80}},
				Mounts:   []kube.Mount{{Path: "/data", Volume: "data", SubPath: "web", ReadOnly: true}},
				Requests: map[string]string{"cpu": "100m"},
			},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	running := containerState(corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(at)}})
	if running != (kube.ContainerState{Phase: kube.ContainerRunning, Started: at}) {
		t.Errorf("running: %+v", running)
	}
}
