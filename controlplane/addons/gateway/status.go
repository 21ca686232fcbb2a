package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"bonsai/controlplane/addons"
	"bonsai/controlplane/addons/gateway/compile"
)

// fieldManager owns the statuses that are written here.
const fieldManager = addons.FieldManager + "/" + Name

// parallelWrites limits simultaneous writes: the server on the other end shares our cores.
const parallelWrites = 8

func eventSink(client kubernetes.Interface) record.EventSink {
	return &typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")}
}

// scheme knows the objects that Events are about.
func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	_ = networkingv1.AddToScheme(s) // fails only if it was added before
	_ = corev1.AddToScheme(s)
	return s
}

// writer writes statuses and Events.
type writer struct {
	c      addons.Cluster
	events record.EventRecorder
	warned map[compile.Warning]bool
}

func newWriter(c addons.Cluster, events record.EventRecorder) *writer {
	return &writer{c: c, events: events, warned: map[compile.Warning]bool{}}
}

// patch is a status that is not as it should be.
type patch struct {
	resource schema.GroupVersionResource
	key      compile.Key
	// version makes the patch fail if the object has changed; empty if that does not matter.
	version string
	status  any
}

// write brings all statuses up to date, and reports whether that succeeded for all.
func (w *writer) write(ctx context.Context, have *watched, want compile.Output) bool {
	var patches []patch
	for key, status := range want.Classes {
		if o := get[gatewayv1.GatewayClass](have.gatewayClasses, key); o != nil && !equality.Semantic.DeepEqual(o.Status, status) {
			patches = append(patches, patch{gatewayClasses, key, "", status})
		}
	}
	for key, status := range want.Gateways {
		if o := get[gatewayv1.Gateway](have.gateways, key); o != nil && !equality.Semantic.DeepEqual(o.Status, status) {
			// A merge patch leaves what it does not mention.
			changed := map[string]any{"addresses": status.Addresses, "conditions": status.Conditions, "listeners": status.Listeners}
			if status.AttachedListenerSets != nil { // which older definitions do not have
				changed["attachedListenerSets"] = status.AttachedListenerSets
			}
			patches = append(patches, patch{gateways, key, "", changed})
		}
	}
	for key, status := range want.ListenerSets {
		if o := get[gatewayv1.ListenerSet](have.listenerSets, key); o != nil && !equality.Semantic.DeepEqual(o.Status, status) {
			patches = append(patches, patch{listenerSets, key, "", map[string]any{"conditions": status.Conditions, "listeners": status.Listeners}})
		}
	}
	for key, status := range want.HTTPRoutes {
		if o := get[gatewayv1.HTTPRoute](have.httpRoutes, key); o != nil {
			patches = append(patches, parents(httpRoutes, key, o.ResourceVersion, o.Status.Parents, status)...)
		}
	}
	for key, status := range want.GRPCRoutes {
		if o := get[gatewayv1.GRPCRoute](have.grpcRoutes, key); o != nil {
			patches = append(patches, parents(grpcRoutes, key, o.ResourceVersion, o.Status.Parents, status)...)
		}
	}
	for key, status := range want.TLSRoutes {
		if o := get[gatewayv1.TLSRoute](have.tlsRoutes, key); o != nil {
			patches = append(patches, parents(tlsRoutes, key, o.ResourceVersion, o.Status.Parents, status)...)
		}
	}
	for key, status := range want.BackendTLSPolicies {
		if o := get[gatewayv1.BackendTLSPolicy](have.policies, key); o != nil {
			patches = append(patches, ancestors(key, o, status)...)
		}
	}
	for key, status := range want.Ingresses {
		o := get[networkingv1.Ingress](have.ingresses, key)
		if o != nil && !equality.Semantic.DeepEqual(o.Status.LoadBalancer, status) {
			patches = append(patches, patch{networkingv1.SchemeGroupVersion.WithResource("ingresses"), key, "", map[string]any{"loadBalancer": map[string]any{"ingress": status.Ingress}}})
		}
	}
	w.warn(have, want.Warnings)
	return w.apply(ctx, patches)
}

// parents is the patch of a route's status, if it needs one: what other controllers have written into it stays.
func parents(resource schema.GroupVersionResource, key compile.Key, version string, have []gatewayv1.RouteParentStatus, want gatewayv1.RouteStatus) []patch {
	then := []gatewayv1.RouteParentStatus{}
	for _, p := range have {
		if p.ControllerName != compile.Controller {
			then = append(then, p)
		}
	}
	then = append(then, want.Parents...)
	if equality.Semantic.DeepEqual(have, then) {
		return nil
	}
	return []patch{{resource, key, version, map[string]any{"parents": then}}}
}

// ancestors is the patch of a policy's status, if it needs one: what other controllers have written into it stays.
func ancestors(key compile.Key, have *gatewayv1.BackendTLSPolicy, want gatewayv1.PolicyStatus) []patch {
	then := []gatewayv1.PolicyAncestorStatus{}
	for _, a := range have.Status.Ancestors {
		if a.ControllerName != compile.Controller {
			then = append(then, a)
		}
	}
	then = append(then, want.Ancestors...)
	if equality.Semantic.DeepEqual(have.Status.Ancestors, then) {
		return nil
	}
	return []patch{{tlsPolicies, key, have.ResourceVersion, map[string]any{"ancestors": then}}}
}

// apply sends patches. One that fails because its object changed comes again with that change.
func (w *writer) apply(ctx context.Context, patches []patch) bool {
	var mu sync.Mutex
	ok := true
	var working sync.WaitGroup
	slots := make(chan struct{}, parallelWrites)
	for _, p := range patches {
		slots <- struct{}{}
		working.Go(func() {
			defer func() { <-slots }()
			err := w.patch(ctx, p)
			if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
				return
			}
			w.c.Log.Debug("a status was not written", "resource", p.resource.Resource, "object", p.key.String(), "err", err)
			mu.Lock()
			ok = false
			mu.Unlock()
		})
	}
	working.Wait()
	return ok
}

func (w *writer) patch(ctx context.Context, p patch) error {
	content := map[string]any{"status": p.status}
	if p.version != "" {
		content["metadata"] = map[string]any{"resourceVersion": p.version}
	}
	data, err := json.Marshal(content)
	if err != nil {
		return fmt.Errorf("encode the status of %s: %w", p.key, err)
	}
	client := w.c.Dynamic.Resource(p.resource)
	options := metav1.PatchOptions{FieldManager: fieldManager}
	if p.key.Namespace == "" {
		_, err = client.Patch(ctx, p.key.Name, types.MergePatchType, data, options, "status")
	} else {
		_, err = client.Namespace(p.key.Namespace).Patch(ctx, p.key.Name, types.MergePatchType, data, options, "status")
	}
	return err
}

// warn writes an Event for each mistake that is new.
func (w *writer) warn(have *watched, list []compile.Warning) {
	now := map[compile.Warning]bool{}
	for _, warning := range list {
		now[warning] = true
		if w.warned[warning] {
			continue
		}
		if in := get[networkingv1.Ingress](have.ingresses, warning.Of); in != nil {
			w.events.Event(in, corev1.EventTypeWarning, warning.Reason, warning.Message)
		}
	}
	w.warned = now
}
