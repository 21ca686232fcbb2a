package podnet

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// Follow keeps the peers in line with the cluster's Node objects, until ctx ends. The API server need not answer yet;
// until it does, what is known stays. cfg is used with core/v1 only.
func (n *Network) Follow(ctx context.Context, cfg *rest.Config) error {
	client, err := coreClient(cfg)
	if err != nil {
		return fmt.Errorf("create a client for nodes: %w", err)
	}
	lw := cache.NewListWatchFromClient(client, "nodes", metav1.NamespaceAll, fields.Everything())
	_, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: lw,
		ObjectType:    &corev1.Node{},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(obj any) { n.observe(obj) },
			UpdateFunc: func(_, obj any) { n.observe(obj) },
			DeleteFunc: n.forget,
		},
		// Node objects carry their images and conditions; a hundred of them would weigh more than the agent.
		Transform: trim,
	})
	controller.RunWithContext(ctx)
	return nil
}

func (n *Network) observe(obj any) {
	node, ok := obj.(*corev1.Node)
	if !ok || node.Name == n.cfg.NodeName {
		return
	}
	if n.peers.set(peerOf(node)) {
		n.log.Info("node has joined or moved", "node", node.Name, "podCIDR", node.Spec.PodCIDR)
		n.wake()
	}
}

func (n *Network) forget(obj any) {
	if last, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = last.Obj
	}
	if node, ok := obj.(*corev1.Node); ok && n.peers.leave(node.Name, time.Now()) {
		n.log.Info("node object was deleted", "node", node.Name, "routeStaysFor", leaveAfter)
	}
}

func (n *Network) wake() {
	select {
	case n.kick <- struct{}{}:
	default: // it is awake already
	}
}

func peerOf(node *corev1.Node) Peer {
	p := Peer{Name: node.Name}
	p.PodCIDR, _ = netip.ParsePrefix(node.Spec.PodCIDR) // empty until it is assigned
	for _, a := range node.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			p.IP, _ = netip.ParseAddr(a.Address)
			break
		}
	}
	return p
}

// trim keeps only those parts of a Node that peerOf reads and that the informer itself needs.
func trim(obj any) (any, error) {
	node, ok := obj.(*corev1.Node)
	if !ok {
		return obj, nil
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: node.Name, UID: node.UID, ResourceVersion: node.ResourceVersion},
		Spec:       corev1.NodeSpec{PodCIDR: node.Spec.PodCIDR},
		Status:     corev1.NodeStatus{Addresses: node.Status.Addresses},
	}, nil
}

// coreClient supports only core/v1; the usual clientset links and registers all of Kubernetes' types.
func coreClient(cfg *rest.Config) (*rest.RESTClient, error) {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	cfg = rest.CopyConfig(cfg)
	cfg.APIPath = "/api"
	cfg.GroupVersion = &corev1.SchemeGroupVersion
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	cfg.ContentType = runtime.ContentTypeProtobuf
	return rest.RESTClientFor(cfg)
}
