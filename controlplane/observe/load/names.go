package load

import (
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"bonsai/bootstrap/cluster"
)

// podNames says which pod has a UID. A pod's object goes after its cgroup, so there is no afterlife to care for.
type podNames struct {
	mu    sync.Mutex // guards byUID
	byUID map[types.UID]types.NamespacedName
}

// fill names the pods of a copy.
func (n *podNames) fill(u cluster.NodeUsage) cluster.NodeUsage {
	n.mu.Lock()
	defer n.mu.Unlock()
	pods := make([]cluster.PodUsage, len(u.Pods))
	for i, p := range u.Pods {
		name := n.byUID[types.UID(p.UID)]
		p.Namespace, p.Name = name.Namespace, name.Name
		pods[i] = p
	}
	u.Pods = pods
	return u
}

// follow learns the names of all pods until end is called, which waits.
func follow(client kubernetes.Interface) (names *podNames, end func()) {
	names = &podNames{byUID: map[types.UID]types.NamespacedName{}}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(trimPod))
	// It fails only for informers that have been stopped.
	_, _ = factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) { names.set(o, false) },
		// A pod that was made again under its name while the watch was interrupted.
		UpdateFunc: func(old, now any) { names.set(old, true); names.set(now, false) },
		DeleteFunc: func(o any) { names.set(o, true) },
	})
	ctx, cancel := context.WithCancel(context.Background())
	factory.StartWithContext(ctx)
	return names, func() {
		cancel()
		factory.Shutdown()
	}
}

func (n *podNames) set(object any, deleted bool) {
	if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = last.Obj
	}
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if deleted {
		delete(n.byUID, pod.UID)
		return
	}
	n.byUID[pod.UID] = types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
}

// trimPod keeps of a Pod what is read here and what the informer itself needs.
func trimPod(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID, ResourceVersion: pod.ResourceVersion,
	}}, nil
}
