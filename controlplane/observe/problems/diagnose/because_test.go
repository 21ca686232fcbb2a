package diagnose

import (
	"reflect"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"bonsai/bootstrap/cluster"
)

// TestProblemsNameWhatTheyFollowFrom: pods that wait because a node is down say so, each in its way; others do not.
func TestProblemsNameWhatTheyFollowFrom(t *testing.T) {
	asks := func(memory string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(memory)}
		}
	}
	noRoom := unscheduledFor(time.Minute, "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient memory.")
	tainted := unscheduledFor(time.Minute, "0/3 nodes are available: 3 node(s) had untolerated taint(s).")
	for name, test := range map[string]struct {
		pod    *corev1.Pod
		volume string
		want   []cluster.Because
	}{
		"it runs there":          {pod: pod("a", alone("db")), want: becauseOf(cluster.BecauseRuns, "dev-1")},
		"its volume is there":    {pod: pod("a", unscheduledFor(time.Minute, "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 node(s) didn't match PersistentVolume's node affinity."), withData), volume: "dev-1", want: becauseOf(cluster.BecauseVolume, "dev-1")},
		"it would have room":     {pod: pod("a", noRoom, asks("1900Mi")), want: becauseOf(cluster.BecauseRoom, "dev-1")},
		"it is too large anyway": {pod: pod("a", noRoom, asks("100Gi"))},
		"it gets no pods":        {pod: pod("a", tainted), want: becauseOf(cluster.BecauseTaint, "dev-1")},
	} {
		s := world()
		s.Pods = []*corev1.Pod{test.pod}
		if test.volume != "" {
			s.Volumes = []*corev1.PersistentVolume{volumeOn(test.volume)}
		}
		unreachable(&s, "dev-1", time.Hour)
		for _, n := range s.Nodes {
			if n.Name == "dev-1" {
				n.Spec.Taints = []corev1.Taint{{Key: "node.kubernetes.io/unreachable", Effect: corev1.TaintEffectNoSchedule}}
			}
		}
		problems := Workloads(s).Problems
		if len(problems) != 1 || !reflect.DeepEqual(problems[0].Because, test.want) {
			t.Errorf("%s: %+v", name, problems)
		}
	}
}

func TestProblemsOfPartsAreRelated(t *testing.T) {
	of := func(object string) cluster.Problem { return cluster.Problem{Object: object} }
	list := []cluster.Problem{of("node/dev-1"), of("node/dev-2"), of("component/dev-1/containerd"), of("component/kube-apiserver"), of("component/etcd"), of("component/kube-scheduler"), of("pod/shop/a")}
	for range 2 { // a list may be related again
		Relate(list)
	}
	want := map[string][]cluster.Because{
		"node/dev-1":               {{Object: "component/dev-1/containerd", How: cluster.BecauseComponent}},
		"component/kube-apiserver": {{Object: "component/etcd", How: cluster.BecauseComponent}},
		"component/kube-scheduler": {{Object: "component/kube-apiserver", How: cluster.BecauseComponent}},
	}
	for _, p := range list {
		if !reflect.DeepEqual(p.Because, want[p.Object]) {
			t.Errorf("%s: %+v", p.Object, p.Because)
		}
	}
}
