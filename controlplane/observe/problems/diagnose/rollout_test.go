package diagnose

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/observe/objects"
)

// rolling is the Deployment shop/cart between revision 3, of which pods run, and revision 4, a minute old.
func rolling(old int32, fresh ...*corev1.Pod) State {
	s := world()
	set := func(name, revision string, ready int32) *appsv1.ReplicaSet {
		rs := replicaSet(ready, ready, "")
		rs.Name, rs.UID, rs.Annotations, rs.Status.ReadyReplicas = name, types.UID(name), map[string]string{objects.RevisionAnnotation: revision}, ready
		rs.OwnerReferences[0].UID = "cart"
		return rs
	}
	s.Deployments = []*appsv1.Deployment{{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart", UID: "cart"}}}
	s.ReplicaSets = []*appsv1.ReplicaSet{set("cart-new", "10", 0), set("cart-old", "9", old), set("cart-older", "2", 0)}
	for _, p := range fresh {
		p.OwnerReferences[0].UID = "cart-new"
		s.Pods = append(s.Pods, p)
	}
	s.Pods = append(s.Pods, pod("o", func(p *corev1.Pod) { p.OwnerReferences[0].UID = "cart-old" }))
	return s
}

func TestRolloutsOfDeployments(t *testing.T) {
	pull := waiting("ErrImagePull", "cart:2: not found")
	image := want{cluster.ProblemImage, cart, "image cart:1 cannot be pulled", "", ""}
	stuck := want{
		cluster.ProblemRollout, cart, "its rollout is stuck; 2 pods of the revision before still run", "its new pods fail: image cart:1 cannot be pulled: docker.io has no such image",
		"go back to the revision that runs:  bonsai kubectl -p dev -- rollout undo deployment/cart -n shop --to-revision 9",
	}
	check(t, rolling(2, pod("a", pull)), image, stuck)
	check(t, rolling(0, pod("a", pull)), image) // there is nothing to go back to
	s := rolling(2, pod("a", pull))
	s.Deployments[0].Spec.Paused = true
	check(t, s, image)
	s = rolling(2, pod("a", pull))
	s.ReplicaSets[0].CreationTimestamp = ago(time.Second)
	check(t, s, image)
	s = rolling(2, pod("a"))
	s.Pods[1] = pod("o", func(p *corev1.Pod) { pull(p); p.OwnerReferences[0].UID = "cart-old" })
	check(t, s, image) // an old pod fails, not the rollout

	refused := rolling(2)
	refused.ReplicaSets[0].Spec.Replicas = new(int32(1))
	refused.ReplicaSets[0].Status.Conditions = replicaSet(1, 0, `pods "x" is forbidden: exceeded quota: few, requested: pods=1, used: pods=2, limited: pods=2`).Status.Conditions
	check(t, refused, want{cluster.ProblemRefused, cart, "its pods are rejected by quota few", "", ""},
		want{cluster.ProblemRollout, cart, stuck.summary, "its pods are rejected by quota few: another pod needs pods=1", "--to-revision 9"})

	late := func(s State) State {
		s.Deployments[0].Status.Conditions = []appsv1.DeploymentCondition{{
			Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded", Message: `ReplicaSet "cart-new" has timed out progressing.`,
		}}
		return s
	}
	check(t, late(rolling(1, pod("a"))), want{cluster.ProblemRollout, cart, "its rollout is stuck; 1 pod of the revision before still runs", "progressDeadlineSeconds", "--to-revision 9"})
	check(t, late(rolling(0, pod("a"))), want{cluster.ProblemRollout, cart, "its rollout is stuck", "progressDeadlineSeconds", "describe deployment cart"})
	check(t, late(rolling(0, pod("a", pull))), image)
}

func TestRolloutsOfStatefulSetsAndDaemonSets(t *testing.T) {
	of := func(kind, name, hash, generation string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Name: name, UID: types.UID(name), Controller: new(true)}}
			p.Labels = map[string]string{appsv1.ControllerRevisionHashLabelKey: hash, appsv1.DeprecatedTemplateGeneration: generation}
		}
	}
	pull := waiting("ErrImagePull", "not found")
	s := world()
	s.StatefulSets = []*appsv1.StatefulSet{{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db", UID: "db"}, Spec: appsv1.StatefulSetSpec{Replicas: new(int32(2))},
		Status: appsv1.StatefulSetStatus{Replicas: 2, CurrentReplicas: 1, UpdatedReplicas: 1, CurrentRevision: "db-old", UpdateRevision: "db-new"},
	}}
	s.Pods = []*corev1.Pod{pod("1", of("StatefulSet", "db", "db-new", ""), pull), pod("0", of("StatefulSet", "db", "db-old", ""))}
	image := want{cluster.ProblemImage, "statefulset/shop/db", "image cart:1 cannot be pulled", "", ""}
	stuck := want{
		cluster.ProblemRollout, "statefulset/shop/db", "its rollout is stuck; 1 pod of the revision before still runs", "its new pods fail: image cart:1",
		"rollout undo statefulset/db -n shop && bonsai kubectl -p dev -- delete pod cart-7d9f4-1 -n shop",
	}
	check(t, s, image, stuck)
	s.Answers = map[Question]Answer{{Topic: RevisionOf, Namespace: "shop", Name: "db-old"}: {Lines: []string{"7"}}}
	stuck.hint = "rollout undo statefulset/db -n shop --to-revision 7 && "
	check(t, s, image, stuck)
	s.StatefulSets[0].Status.CurrentRevision = "db-new" // its first
	check(t, s, image)

	s = world()
	s.DaemonSets = []*appsv1.DaemonSet{{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "log", UID: "log"},
		Status:     appsv1.DaemonSetStatus{CurrentNumberScheduled: 3, DesiredNumberScheduled: 3, UpdatedNumberScheduled: 1},
	}}
	s.Pods = []*corev1.Pod{pod("a", of("DaemonSet", "log", "bbb", "12"), pull), pod("b", of("DaemonSet", "log", "aaa", "11")), pod("c", of("DaemonSet", "log", "aaa", "9"))}
	s.Answers = map[Question]Answer{{Topic: RevisionOf, Namespace: "shop", Name: "log-aaa"}: {Lines: []string{"4"}}}
	image.object, stuck.object = "daemonset/shop/log", "daemonset/shop/log"
	stuck.summary, stuck.hint = "its rollout is stuck; 2 pods of the revision before still run", "rollout undo daemonset/log -n shop --to-revision 4"
	check(t, s, image, stuck)
	s.Pods = s.Pods[:1]
	check(t, s, image)
}
