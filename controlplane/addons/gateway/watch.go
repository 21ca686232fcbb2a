package gateway

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	"bonsai/controlplane/addons"
	"bonsai/controlplane/addons/gateway/compile"
)

// The resources of Gateway API that are followed.
var (
	gatewayClasses = resource(gatewayv1.GroupVersion, "gatewayclasses")
	gateways       = resource(gatewayv1.GroupVersion, "gateways")
	httpRoutes     = resource(gatewayv1.GroupVersion, "httproutes")
	grpcRoutes     = resource(gatewayv1.GroupVersion, "grpcroutes")
	// These are not in older definitions in this version, and not followed then.
	tlsPolicies  = resource(gatewayv1.GroupVersion, "backendtlspolicies")
	tlsRoutes    = resource(gatewayv1.GroupVersion, "tlsroutes")
	listenerSets = resource(gatewayv1.GroupVersion, "listenersets")
	// referenceGrants are the versions of one resource. They are the same but for their name, and definitions that others have
	// installed may be so old that there is only the second one.
	referenceGrants = []schema.GroupVersionResource{
		resource(gatewayv1.GroupVersion, "referencegrants"), resource(gatewayv1beta1.GroupVersion, "referencegrants"),
	}
)

func resource(version metav1.GroupVersion, name string) schema.GroupVersionResource {
	return schema.GroupVersion(version).WithResource(name)
}

// watched are all objects that the table depends on.
type watched struct {
	core, secrets informers.SharedInformerFactory
	configMaps    informers.SharedInformerFactory
	routes        dynamicinformer.DynamicSharedInformerFactory

	ingresses, classes, services, slices, namespaces, tls    cache.SharedIndexInformer
	gatewayClasses, gateways, httpRoutes, grpcRoutes, grants cache.SharedIndexInformer
	// These are nil if the definitions that there are do not have them; authorities are the ConfigMaps with CAs.
	tlsRoutes, listenerSets, policies, authorities cache.SharedIndexInformer
}

// watch prepares to follow them; touch is called after each change. The definitions of Gateway API have to be there.
func watch(ctx context.Context, c addons.Cluster, touch func()) (*watched, error) {
	grants, err := firstServed(ctx, c.Dynamic, referenceGrants...)
	if err != nil {
		return nil, err
	}
	w := &watched{
		core: informers.NewSharedInformerFactoryWithOptions(c.Client, 0, informers.WithTransform(stripped)),
		secrets: informers.NewSharedInformerFactoryWithOptions(c.Client, 0, informers.WithTransform(stripped),
			informers.WithTweakListOptions(func(o *metav1.ListOptions) {
				o.FieldSelector = fields.OneTermEqualSelector("type", string(corev1.SecretTypeTLS)).String()
			})),
		routes: dynamicinformer.NewDynamicSharedInformerFactory(c.Dynamic, 0),
	}
	w.ingresses = w.core.Networking().V1().Ingresses().Informer()
	w.classes = w.core.Networking().V1().IngressClasses().Informer()
	w.services = w.core.Core().V1().Services().Informer()
	w.slices = w.core.Discovery().V1().EndpointSlices().Informer()
	w.namespaces = w.core.Core().V1().Namespaces().Informer()
	w.tls = w.secrets.Core().V1().Secrets().Informer()
	w.gatewayClasses = w.routes.ForResource(gatewayClasses).Informer()
	w.gateways = w.routes.ForResource(gateways).Informer()
	w.httpRoutes = w.routes.ForResource(httpRoutes).Informer()
	w.grpcRoutes = w.routes.ForResource(grpcRoutes).Informer()
	w.grants = w.routes.ForResource(grants).Informer()
	for informer, transform := range map[cache.SharedIndexInformer]cache.TransformFunc{
		w.gatewayClasses: typed[gatewayv1.GatewayClass], w.gateways: typed[gatewayv1.Gateway],
		w.httpRoutes: typed[gatewayv1.HTTPRoute], w.grpcRoutes: typed[gatewayv1.GRPCRoute], w.grants: typed[gatewayv1.ReferenceGrant],
	} {
		if err := informer.SetTransform(transform); err != nil {
			return nil, err
		}
	}
	if err := w.watchOthers(ctx, c, touch); err != nil {
		return nil, err
	}
	for _, i := range []cache.SharedIndexInformer{w.ingresses, w.classes, w.services, w.slices, w.namespaces, w.tls, w.gatewayClasses, w.gateways, w.httpRoutes, w.grpcRoutes, w.grants} {
		if _, err := i.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { touch() }, UpdateFunc: func(any, any) { touch() }, DeleteFunc: func(any) { touch() },
		}); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// later follows a resource that not all definitions have, nil if the cluster does not have it.
func later[T any, P object[T]](ctx context.Context, c addons.Cluster, w *watched, of schema.GroupVersionResource, touch func()) (cache.SharedIndexInformer, error) {
	if _, err := firstServed(ctx, c.Dynamic, of); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return nil, err
	}
	i := w.routes.ForResource(of).Informer()
	if err := i.SetTransform(typed[T, P]); err != nil {
		return nil, err
	}
	_, err := i.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { touch() }, UpdateFunc: func(any, any) { touch() }, DeleteFunc: func(any) { touch() },
	})
	return i, err
}

// watchOthers follows what is not in all definitions, and the ConfigMaps with CAs.
func (w *watched) watchOthers(ctx context.Context, c addons.Cluster, touch func()) (err error) {
	if w.tlsRoutes, err = later[gatewayv1.TLSRoute](ctx, c, w, tlsRoutes, touch); err != nil {
		return err
	}
	if w.listenerSets, err = later[gatewayv1.ListenerSet](ctx, c, w, listenerSets, touch); err != nil {
		return err
	}
	if w.policies, err = later[gatewayv1.BackendTLSPolicy](ctx, c, w, tlsPolicies, touch); err != nil {
		return err
	}
	w.configMaps = informers.NewSharedInformerFactoryWithOptions(c.Client, 0, informers.WithTransform(onlyAuthority))
	w.authorities = w.configMaps.Core().V1().ConfigMaps().Informer()
	changed := func(before, after any) {
		old, okOld := before.(*corev1.ConfigMap)
		now, okNow := after.(*corev1.ConfigMap)
		if !okOld || !okNow || old.Data[compile.CAKey] != now.Data[compile.CAKey] {
			touch()
		}
	}
	some := func(o any) {
		if m, ok := o.(*corev1.ConfigMap); !ok || m.Data[compile.CAKey] != "" {
			touch()
		}
	}
	_, err = w.authorities.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: some, UpdateFunc: changed, DeleteFunc: some})
	return err
}

// onlyAuthority keeps of ConfigMaps the certificates of CAs.
func onlyAuthority(o any) (any, error) {
	m, ok := o.(*corev1.ConfigMap)
	if !ok {
		return o, nil
	}
	kept := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion}}
	if text := m.Data[compile.CAKey]; text != "" {
		kept.Data = map[string]string{compile.CAKey: text}
	}
	return kept, nil
}

// stripped removes from an object what nobody here reads.
func stripped(o any) (any, error) {
	if with, ok := o.(metav1.Object); ok {
		with.SetManagedFields(nil)
	}
	return o, nil
}

// object is a pointer to a type of objects.
type object[T any] interface {
	*T
	runtime.Object
	metav1.Object
}

// typed converts what a dynamic client reads, once for each change.
func typed[T any, P object[T]](from any) (any, error) {
	u, ok := from.(*unstructured.Unstructured)
	if !ok {
		return from, nil // converted before, or the end of an object
	}
	into := P(new(T))
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, into); err != nil {
		return nil, fmt.Errorf("read %s %s/%s: %w", u.GetKind(), u.GetNamespace(), u.GetName(), err)
	}
	into.SetManagedFields(nil)
	return into, nil
}

// start follows until ctx ends, and returns when everything that there is has been read.
func (w *watched) start(ctx context.Context) error {
	w.core.StartWithContext(ctx)
	w.secrets.StartWithContext(ctx)
	w.routes.Start(ctx.Done())
	if s := w.core.WaitForCacheSyncWithContext(ctx); s.Err != nil {
		return s.Err
	}
	if s := w.secrets.WaitForCacheSyncWithContext(ctx); s.Err != nil {
		return s.Err
	}
	w.configMaps.StartWithContext(ctx)
	if s := w.configMaps.WaitForCacheSyncWithContext(ctx); s.Err != nil {
		return s.Err
	}
	w.routes.WaitForCacheSync(ctx.Done())
	return ctx.Err()
}

func (w *watched) shutdown() {
	w.core.Shutdown()
	w.secrets.Shutdown()
	w.configMaps.Shutdown()
	w.routes.Shutdown()
}

// input is what there is now, without time and nodes.
func (w *watched) input() compile.Input {
	in := compile.Input{
		Ingresses: all[networkingv1.Ingress](w.ingresses), IngressClasses: all[networkingv1.IngressClass](w.classes),
		GatewayClasses: all[gatewayv1.GatewayClass](w.gatewayClasses), Gateways: all[gatewayv1.Gateway](w.gateways),
		HTTPRoutes: all[gatewayv1.HTTPRoute](w.httpRoutes), GRPCRoutes: all[gatewayv1.GRPCRoute](w.grpcRoutes), Grants: all[gatewayv1.ReferenceGrant](w.grants),
		Namespaces: all[corev1.Namespace](w.namespaces), Services: all[corev1.Service](w.services),
		Slices: all[discoveryv1.EndpointSlice](w.slices), Secrets: all[corev1.Secret](w.tls),
	}
	in.ConfigMaps = all[corev1.ConfigMap](w.authorities)
	if w.policies != nil {
		in.BackendTLSPolicies = all[gatewayv1.BackendTLSPolicy](w.policies)
	}
	if w.tlsRoutes != nil {
		in.TLSRoutes = all[gatewayv1.TLSRoute](w.tlsRoutes)
	}
	if w.listenerSets != nil {
		in.ListenerSets = all[gatewayv1.ListenerSet](w.listenerSets)
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

// get returns one object, nil if it is gone.
func get[T any](i cache.SharedIndexInformer, key compile.Key) *T {
	o, exists, err := i.GetStore().GetByKey(key.String())
	if err != nil || !exists {
		return nil
	}
	t, _ := o.(*T)
	return t
}
