package kubelet

import (
	"context"
	"sync"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	clientset "k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

// reportedNodes is a client of the API server that does not have nodes without a capacity. The control plane makes a Node
// object before its kubelet runs, and the kubelet says how much it has a moment later. It asks the object whether a pod fits:
// one without a capacity has room for none, and a pod that has been rejected ("OutOfpods") never runs. In a fork and in a
// cluster from a file pods are there before the kubelet. It asks for pods when it has its object (newNodeHasSyncedFunc in
// upstream's pkg/kubelet), which is now one that says what fits.
type reportedNodes struct {
	clientset.Interface
	found *found
}

// found is closed when the first node with a capacity has been seen.
type found struct {
	once sync.Once
	c    chan struct{}
}

func newReportedNodes(client clientset.Interface) *reportedNodes {
	return &reportedNodes{client, &found{c: make(chan struct{})}}
}

// await returns true when a node with a capacity has been seen, and false if ctx ended before.
func (c *reportedNodes) await(ctx context.Context) bool {
	select {
	case <-c.found.c:
		return true
	case <-ctx.Done():
		return false
	}
}

func (c *reportedNodes) CoreV1() corev1client.CoreV1Interface {
	return reportedNodesCore{c.Interface.CoreV1(), c.found}
}

type reportedNodesCore struct {
	corev1client.CoreV1Interface
	found *found
}

func (c reportedNodesCore) Nodes() corev1client.NodeInterface {
	return reportedNodesOnly{c.CoreV1Interface.Nodes(), c.found}
}

type reportedNodesOnly struct {
	corev1client.NodeInterface
	found *found
}

func (n reportedNodesOnly) List(ctx context.Context, o metav1.ListOptions) (*v1.NodeList, error) {
	list, err := n.NodeInterface.List(ctx, o)
	if err != nil {
		return nil, err
	}
	all := list.Items
	list.Items = nil
	for _, node := range all {
		if n.found.reported(&node) {
			list.Items = append(list.Items, node)
		}
	}
	return list, nil
}

func (n reportedNodesOnly) Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	w, err := n.NodeInterface.Watch(ctx, o)
	if err != nil {
		return nil, err
	}
	return watch.Filter(w, func(e watch.Event) (watch.Event, bool) {
		node, is := e.Object.(*v1.Node)
		return e, !is || n.found.reported(node) || e.Type != watch.Added && e.Type != watch.Modified // bookmarks are nodes without content
	}), nil
}

// reported is whether the kubelet of a node has said how much the node has.
func (f *found) reported(n *v1.Node) bool {
	if len(n.Status.Capacity) == 0 {
		return false
	}
	f.once.Do(func() { close(f.c) })
	return true
}
