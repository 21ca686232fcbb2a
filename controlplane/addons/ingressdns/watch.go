package ingressdns

import (
	"context"
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"bonsai/controlplane/addons"
	"bonsai/controlplane/addons/definitions"
)

// routeResources are the routes of Gateway API that have hosts, with their kinds.
func routeResources() map[string]string {
	return map[string]string{"httproutes": "HTTPRoute", "grpcroutes": "GRPCRoute"}
}

const gatewayResource = "gateways"

// watched are the objects that names come from.
type watched struct {
	core                       informers.SharedInformerFactory
	services, nodes, ingresses cache.SharedIndexInformer
	definitions                cache.SharedIndexInformer
	dynamic                    dynamicinformer.DynamicSharedInformerFactory
	defining                   sync.WaitGroup
	touch                      func()

	mu      sync.Mutex                           // guards the rest
	slices  cache.SharedIndexInformer            // nil until they are needed
	started map[string]cache.SharedIndexInformer // by resource of Gateway API, whose definitions may come at any time
}

// watch prepares to follow them; touch is called after each change.
func watch(c addons.Cluster, touch func()) (*watched, error) {
	w := &watched{
		core:    informers.NewSharedInformerFactoryWithOptions(c.Client, 0, informers.WithTransform(trim)),
		dynamic: dynamicinformer.NewDynamicSharedInformerFactory(c.Dynamic, 0),
		touch:   touch, started: map[string]cache.SharedIndexInformer{},
	}
	w.services, w.nodes, w.ingresses = w.core.Core().V1().Services().Informer(), w.core.Core().V1().Nodes().Informer(), w.core.Networking().V1().Ingresses().Informer()
	for _, i := range []cache.SharedIndexInformer{w.services, w.nodes, w.ingresses} {
		if _, err := i.AddEventHandler(w.handler()); err != nil {
			return nil, err
		}
	}
	client, err := metadata.NewForConfig(c.Config)
	if err != nil {
		return nil, fmt.Errorf("create a client for metadata: %w", err)
	}
	w.definitions = metadatainformer.NewFilteredMetadataInformer(client, definitions.Resource, metav1.NamespaceAll, 0, cache.Indexers{}, nil).Informer()
	return w, w.definitions.SetTransform(bare)
}

func (w *watched) handler() cache.ResourceEventHandlerFuncs {
	return cache.ResourceEventHandlerFuncs{AddFunc: func(any) { w.touch() }, UpdateFunc: func(any, any) { w.touch() }, DeleteFunc: func(any) { w.touch() }}
}

// defined follows a resource of Gateway API until ctx ends, when its definition is there.
func (w *watched) defined(ctx context.Context, o any) {
	m, ok := o.(metav1.Object)
	if !ok {
		return
	}
	resource, ok := strings.CutSuffix(m.GetName(), "."+gatewayv1.GroupName)
	kind := routeResources()[resource]
	if !ok || kind == "" && resource != gatewayResource {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.started[resource] != nil {
		return
	}
	informer := w.dynamic.ForResource(schema.GroupVersion(gatewayv1.GroupVersion).WithResource(resource)).Informer()
	transform := func(o any) (any, error) { return route(o, kind) }
	if resource == gatewayResource {
		transform = gateway
	}
	_ = informer.SetTransform(transform) // it fails only once it is started
	_, _ = informer.AddEventHandler(w.handler())
	w.started[resource] = informer
	w.dynamic.Start(ctx.Done())
}

// start follows until ctx ends, and returns when Services, nodes and Ingresses have been read.
func (w *watched) start(ctx context.Context) error {
	if _, err := w.definitions.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: func(o any) { w.defined(ctx, o) }}); err != nil {
		return err
	}
	w.core.StartWithContext(ctx)
	w.defining.Go(func() { w.definitions.RunWithContext(ctx) })
	s := w.core.WaitForCacheSyncWithContext(ctx)
	return s.Err
}

// followPods follows endpoints as well, until ctx ends.
func (w *watched) followPods(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.slices != nil {
		return
	}
	w.slices = w.core.Discovery().V1().EndpointSlices().Informer()
	_, _ = w.slices.AddEventHandler(w.handler()) // it fails only once it is stopped
	w.core.StartWithContext(ctx)
}

// shutdown waits for what start has started; its context has ended.
func (w *watched) shutdown() {
	w.defining.Wait()
	w.core.Shutdown()
	w.dynamic.Shutdown()
}

// input is what there is now, without what is not an object.
func (w *watched) input() input {
	in := input{services: all[corev1.Service](w.services), nodes: all[corev1.Node](w.nodes), ingresses: all[networkingv1.Ingress](w.ingresses)}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.slices != nil {
		in.slices = all[discoveryv1.EndpointSlice](w.slices)
	}
	for resource, i := range w.started {
		if resource == gatewayResource {
			in.gateways = all[gatewayv1.Gateway](i)
		} else {
			in.routes = append(in.routes, all[gatewayv1.HTTPRoute](i)...)
		}
	}
	return in
}

func all[T any](i cache.SharedIndexInformer) []*T {
	objects := i.GetStore().List()
	list := make([]*T, 0, len(objects))
	for _, o := range objects {
		if t, ok := o.(*T); ok {
			list = append(list, t)
		}
	}
	return list
}

func identity(o metav1.Object) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: o.GetNamespace(), Name: o.GetName(), UID: o.GetUID(), ResourceVersion: o.GetResourceVersion()}
}

// bare keeps the name of an object of which nothing else is known.
func bare(o any) (any, error) {
	if m, ok := o.(*metav1.PartialObjectMetadata); ok {
		return &metav1.PartialObjectMetadata{TypeMeta: m.TypeMeta, ObjectMeta: identity(m)}, nil
	}
	return o, nil
}

// trim keeps of objects what is read.
func trim(o any) (any, error) {
	switch o := o.(type) {
	case *corev1.Service:
		ports := make([]corev1.ServicePort, 0, len(o.Spec.Ports))
		for _, p := range o.Spec.Ports {
			ports = append(ports, corev1.ServicePort{NodePort: p.NodePort})
		}
		return &corev1.Service{ObjectMeta: identity(o), Status: corev1.ServiceStatus{LoadBalancer: o.Status.LoadBalancer}, Spec: corev1.ServiceSpec{
			Type: o.Spec.Type, ClusterIP: o.Spec.ClusterIP, ClusterIPs: o.Spec.ClusterIPs, ExternalName: o.Spec.ExternalName, Ports: ports,
		}}, nil
	case *corev1.Node:
		n := &corev1.Node{ObjectMeta: identity(o), Status: corev1.NodeStatus{Addresses: o.Status.Addresses}}
		for _, c := range o.Status.Conditions {
			if c.Type == corev1.NodeReady {
				n.Status.Conditions = []corev1.NodeCondition{{Type: c.Type, Status: c.Status}}
			}
		}
		return n, nil
	case *discoveryv1.EndpointSlice:
		l := &discoveryv1.EndpointSlice{ObjectMeta: identity(o)}
		l.Labels = map[string]string{discoveryv1.LabelServiceName: o.Labels[discoveryv1.LabelServiceName]}
		for _, e := range o.Endpoints {
			l.Endpoints = append(l.Endpoints, discoveryv1.Endpoint{Addresses: e.Addresses, Conditions: discoveryv1.EndpointConditions{Ready: e.Conditions.Ready}})
		}
		return l, nil
	case *networkingv1.Ingress:
		in := &networkingv1.Ingress{ObjectMeta: identity(o), Status: o.Status}
		for _, r := range o.Spec.Rules {
			in.Spec.Rules = append(in.Spec.Rules, networkingv1.IngressRule{Host: r.Host})
		}
		return in, nil
	}
	return o, nil
}

func gateway(from any) (any, error) {
	u, ok := from.(*unstructured.Unstructured)
	if !ok {
		return from, nil // converted before, or the end of an object
	}
	var g gatewayv1.Gateway
	if err := convert(u, &g); err != nil {
		return nil, err
	}
	small := &gatewayv1.Gateway{ObjectMeta: identity(u), Status: gatewayv1.GatewayStatus{Addresses: g.Status.Addresses}}
	for _, l := range g.Spec.Listeners {
		small.Spec.Listeners = append(small.Spec.Listeners, gatewayv1.Listener{Hostname: l.Hostname})
	}
	return small, nil
}

// route reads a route of any kind that has hosts.
func route(from any, kind string) (any, error) {
	u, ok := from.(*unstructured.Unstructured)
	if !ok {
		return from, nil
	}
	var read struct {
		Spec struct {
			gatewayv1.CommonRouteSpec `json:",inline"`
			Hostnames                 []gatewayv1.Hostname `json:"hostnames"`
		} `json:"spec"`
	}
	if err := convert(u, &read); err != nil {
		return nil, err
	}
	small := &gatewayv1.HTTPRoute{TypeMeta: metav1.TypeMeta{Kind: kind}, ObjectMeta: identity(u)}
	small.Spec.ParentRefs, small.Spec.Hostnames = read.Spec.ParentRefs, read.Spec.Hostnames
	return small, nil
}

func convert(u *unstructured.Unstructured, into any) error {
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, into); err != nil {
		return fmt.Errorf("read %s %s/%s: %w", u.GetKind(), u.GetNamespace(), u.GetName(), err)
	}
	return nil
}
