package handover

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"bonsai/bootstrap/cluster"
)

func podOn(node, name string, ready corev1.ConditionStatus) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)}, Spec: corev1.PodSpec{NodeName: node},
		Status: corev1.PodStatus{Conditions: []corev1.PodCondition{
			{Type: corev1.ContainersReady, Status: corev1.ConditionTrue}, {Type: corev1.PodReady, Status: ready},
		}},
	}
}

// endpoints is a slice as of a Service that has pods which are not Ready, too.
func endpoints(serving bool, pods ...string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-1"}}
	for _, p := range pods {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{
			TargetRef: &corev1.ObjectReference{UID: types.UID(p)}, Conditions: discoveryv1.EndpointConditions{Ready: new(true), Serving: &serving},
		})
	}
	return s
}

func ready(t *testing.T, client *fake.Clientset, name string) corev1.ConditionStatus {
	t.Helper()
	p, err := client.CoreV1().Pods("default").Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status
		}
	}
	return ""
}

func TestPodsLeaveServicesBeforeTheirNodeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shown := podOn("dev-2", "etcd-dev-2", corev1.ConditionTrue)
		shown.Spec.SchedulerName = cluster.ComponentPods
		objects := []runtime.Object{
			podOn("dev-1", "elsewhere", corev1.ConditionTrue), podOn("dev-2", "serving", corev1.ConditionTrue), podOn("dev-2", "starting", corev1.ConditionFalse),
			shown, endpoints(true, "serving", "elsewhere"),
		}
		client := fake.NewClientset(objects...)
		began := time.Now()
		controller := time.AfterFunc(time.Second, func() { // takes its time
			if _, err := client.DiscoveryV1().EndpointSlices("default").Update(context.Background(), endpoints(false, "serving"), metav1.UpdateOptions{}); err != nil {
				t.Error(err)
			}
		})
		defer controller.Stop()
		pods, err := Leave(t.Context(), client, "dev-2", 1)
		if want := []cluster.ServingPod{{Namespace: "default", Name: "serving", UID: "serving"}}; err != nil || !slices.Equal(pods, want) {
			t.Fatalf("pods that leave are %v, %v; want %v", pods, err, want)
		}
		if took := time.Since(began); took < time.Second+rules || took > time.Second+rules+2*look {
			t.Errorf("it returned after %s, although the Service led to the pod for a second", took)
		}
		for name, want := range map[string]corev1.ConditionStatus{"serving": "False", "starting": "False", "elsewhere": "True", "etcd-dev-2": "True"} {
			if got := ready(t, client, name); got != want {
				t.Errorf("pod %s is Ready: %s, want %s", name, got, want)
			}
		}
	})
}

// The kubelet still runs, and corrects now and then what others say of its pods.
func TestAPodThatItsKubeletBringsBackLeavesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset(podOn("dev-1", "a", corev1.ConditionTrue), endpoints(false, "a"))
		kubelet := time.AfterFunc(rules/2, func() {
			if _, err := client.CoreV1().Pods("default").Update(context.Background(), podOn("dev-1", "a", corev1.ConditionTrue), metav1.UpdateOptions{}); err != nil {
				t.Error(err)
			}
		})
		defer kubelet.Stop()
		began := time.Now()
		pods, err := Leave(t.Context(), client, "dev-1", 1)
		if err != nil || len(pods) != 1 || time.Since(began) < 2*rules {
			t.Errorf("got %v, %v after %s", pods, err, time.Since(began))
		}
		if got := ready(t, client, "a"); got != corev1.ConditionFalse {
			t.Errorf("the pod is Ready: %s", got)
		}
	})
}

func TestServicesThatNobodyChangesHoldNothingUpForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset(podOn("dev-1", "a", corev1.ConditionTrue), endpoints(true, "a"))
		began := time.Now()
		if pods, err := Leave(t.Context(), client, "dev-1", 1); err != nil || len(pods) != 1 || time.Since(began) > 2*slicesLimit {
			t.Errorf("got %v, %v after %s", pods, err, time.Since(began))
		}
	})
}

func TestPodsAreAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended, other := podOn("dev-1", "ended", corev1.ConditionFalse), podOn("dev-1", "other", corev1.ConditionFalse)
		ended.Status.Phase = corev1.PodSucceeded
		client := fake.NewClientset(podOn("dev-1", "a", corev1.ConditionFalse), ended, other)
		kubelet := time.AfterFunc(5*time.Second, func() {
			if _, err := client.CoreV1().Pods("default").Update(context.Background(), podOn("dev-1", "a", corev1.ConditionTrue), metav1.UpdateOptions{}); err != nil {
				t.Error(err)
			}
		})
		defer kubelet.Stop()
		began := time.Now()
		var said []string
		served := []cluster.ServingPod{{UID: "a"}, {UID: "ended"}, {UID: "gone"}}
		err := Await(t.Context(), client, "dev-1", served, func(p cluster.DrainProgress) error { said = append(said, p.Detail); return nil })
		if took := time.Since(began); err != nil || took < 5*time.Second || took > 6*time.Second {
			t.Errorf("it returned %v after %s", err, took)
		}
		if len(said) != 1 || !strings.Contains(said[0], "default/a to be Ready") {
			t.Errorf("it said %q", said)
		}
	})
}
