package load

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"bonsai/bootstrap/cluster"
)

// names maps UIDs to pods. A pod's object is deleted after its cgroup, so no name is missing for a pod that ends.
type names map[types.UID]types.NamespacedName

func namesOf(pods []*corev1.Pod) names {
	n := make(names, len(pods))
	for _, p := range pods {
		n[p.UID] = types.NamespacedName{Namespace: p.Namespace, Name: p.Name}
	}
	return n
}

// fill adds the names of pods to a copy.
func (n names) fill(u cluster.NodeUsage) cluster.NodeUsage {
	pods := make([]cluster.PodUsage, len(u.Pods))
	for i, p := range u.Pods {
		name := n[types.UID(p.UID)]
		p.Namespace, p.Name = name.Namespace, name.Name
		pods[i] = p
	}
	u.Pods = pods
	return u
}
