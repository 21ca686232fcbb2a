package gateway

import (
	"context"
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"bonsai/controlplane/addons"
	"bonsai/controlplane/addons/definitions"
	"bonsai/controlplane/addons/gateway/compile"
)

// Needed implements addons.OnDemand. It returns when there is an Ingress that is not of another controller's class, or a
// Gateway of the class that this addon has. The definitions of Gateway API may come at any time, from whoever installs them.
func (*Gateway) Needed(ctx context.Context, c addons.Cluster) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	needed := make(chan struct{}, 1)
	need := func() {
		select {
		case needed <- struct{}{}:
		default:
		}
	}
	core := informers.NewSharedInformerFactoryWithOptions(c.Client, 0, informers.WithTransform(smallIngress))
	defer core.Shutdown()
	defer cancel()
	classes := core.Networking().V1().IngressClasses().Informer()
	ingresses := core.Networking().V1().Ingresses().Informer()
	look := func(any) {
		all := all[networkingv1.IngressClass](classes)
		for _, o := range ingresses.GetStore().List() {
			if in, ok := o.(*networkingv1.Ingress); ok && wants(in, all) {
				need()
				return
			}
		}
	}
	for _, i := range []cache.SharedIndexInformer{classes, ingresses} {
		if err := on(i, look); err != nil {
			return err
		}
	}
	definitions, err := definitionsInformer(c)
	if err != nil {
		return err
	}
	defined := make(chan struct{}, 1)
	if err := on(definitions, func(any) {
		select {
		case defined <- struct{}{}:
		default:
		}
	}); err != nil {
		return err
	}
	core.StartWithContext(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); definitions.RunWithContext(ctx) }()
	defer func() { cancel(); <-ended }()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-needed:
		return nil
	case <-defined:
	}
	routes := dynamicinformer.NewDynamicSharedInformerFactory(c.Dynamic, 0)
	defer routes.Shutdown()
	defer cancel()
	informer := routes.ForResource(gateways).Informer()
	if err := informer.SetTransform(typed[gatewayv1.Gateway]); err != nil {
		return err
	}
	if err := on(informer, func(o any) {
		if g, ok := o.(*gatewayv1.Gateway); ok && g.Spec.GatewayClassName == compile.Class {
			need()
		}
	}); err != nil {
		return err
	}
	routes.Start(ctx.Done())
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-needed:
		return nil
	}
}

// wants reports whether an Ingress needs the addon, whose class need not exist yet.
func wants(in *networkingv1.Ingress, classes []*networkingv1.IngressClass) bool {
	name := in.Spec.IngressClassName
	return name != nil && *name == compile.Class || compile.OursIngress(in, classes)
}

// on calls f with each object that there is or comes.
func on(i cache.SharedIndexInformer, f func(any)) error {
	_, err := i.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: f, UpdateFunc: func(_, o any) { f(o) }})
	return err
}

// smallIngress keeps of Ingresses what wants reads.
func smallIngress(o any) (any, error) {
	in, ok := o.(*networkingv1.Ingress)
	if !ok {
		return stripped(o)
	}
	return &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Namespace: in.Namespace, Name: in.Name, UID: in.UID, ResourceVersion: in.ResourceVersion, Annotations: in.Annotations},
		Spec:       networkingv1.IngressSpec{IngressClassName: in.Spec.IngressClassName},
	}, nil
}

// definitionsInformer follows whether the cluster has the definition of Gateways.
func definitionsInformer(c addons.Cluster) (cache.SharedIndexInformer, error) {
	client, err := metadata.NewForConfig(c.Config)
	if err != nil {
		return nil, fmt.Errorf("create a client for metadata: %w", err)
	}
	return metadatainformer.NewFilteredMetadataInformer(client, definitions.Resource, metav1.NamespaceAll, 0, cache.Indexers{}, func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("metadata.name", gateways.GroupResource().String()).String()
	}).Informer(), nil
}
