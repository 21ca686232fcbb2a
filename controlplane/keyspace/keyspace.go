// Package keyspace changes the objects of a cluster where etcd stores them, before an API server serves them: it makes the
// data of a checkpoint fit the cluster that it is for.
//
// Objects are read and written as the API server stores them. Those of kinds that are not mentioned here are left as they
// are, byte for byte. Begin reading at Restore.
package keyspace

import (
	"fmt"
	"iter"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"

	"bonsai/bootstrap/cluster"
)

// Store is etcd's data.
type Store interface {
	// All returns the keys that begin with prefix, with their values, as they are when it is called.
	All(prefix string) iter.Seq2[string, []byte]
	Put(key string, value []byte)
	Delete(key string)
}

// Restorable is a Store that takes the place of another.
type Restorable interface {
	Store
	// Replaced returns the keys of the other that begin with prefix, with their values; none if it cannot be read.
	Replaced(prefix string) map[string][]byte
}

// Where the API server stores objects.
const (
	podsPrefix  = "/registry/pods/"
	nodesPrefix = "/registry/minions/"
)

// codec is that of the API server for the kinds that are built in.
var codec = protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)

// decode reads a stored object.
func decode(key string, value []byte, into runtime.Object) error {
	if _, _, err := codec.Decode(value, nil, into); err != nil {
		return fmt.Errorf("read %s: %w", key, err)
	}
	return nil
}

// Restore makes the objects of an earlier time fit the cluster as it is planned and runs now. Pods on nodes that the plan no
// longer has are removed, so that their controllers create them again at once; upstream's collector of such pods would wait
// 40 seconds. Pods that are still on their node keep their present status, and pods that are not become pending, until
// their kubelet has started them: else they would be taken for ready. Node objects are not changed: the control plane makes
// them as planned.
func Restore(s Restorable, spec cluster.Spec) error {
	foreign, err := foreignNodes(s, spec)
	if err != nil {
		return err
	}
	present := s.Replaced(podsPrefix)
	return change(s, podsPrefix, core("Pod"), func(key string, pod *corev1.Pod) (verdict, error) {
		node := pod.Spec.NodeName
		switch _, planned := spec.NodeByName(node); {
		case node == "" || foreign[node]:
			return keep, nil
		case !planned:
			return drop, nil
		case static(pod): // whoever shows it keeps it up to date
			return keep, nil
		}
		var now corev1.Pod
		if value := present[key]; value != nil && decode(key, value, &now) == nil &&
			now.UID == pod.UID && now.Spec.NodeName == node && now.DeletionTimestamp == nil {
			pod.Status = now.Status
			return write, nil
		}
		if ended(pod) {
			return keep, nil
		}
		pod.Status = toBeStarted(pod)
		return write, nil
	})
}

// static reports whether a pod only shows what runs without the API server.
func static(pod *corev1.Pod) bool {
	_, ok := pod.Annotations[corev1.MirrorPodAnnotationKey]
	return ok
}

func ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// toBeStarted is the status of a pod that was assigned to a node and has not been started.
func toBeStarted(pod *corev1.Pod) corev1.PodStatus {
	return corev1.PodStatus{Phase: corev1.PodPending, QOSClass: pod.Status.QOSClass, Conditions: []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: pod.CreationTimestamp},
	}}
}

// foreignNodes are the nodes in the data that bonsai has not made: somebody has registered them.
func foreignNodes(s Store, spec cluster.Spec) (map[string]bool, error) {
	foreign := map[string]bool{}
	for key, value := range s.All(nodesPrefix) {
		var node corev1.Node
		if err := decode(key, value, &node); err != nil {
			return nil, err
		}
		if node.Spec.ProviderID != cluster.ProviderID(spec.Name, node.Name) {
			foreign[node.Name] = true
		}
	}
	return foreign, nil
}
