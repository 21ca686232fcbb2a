package addons

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"bonsai/bootstrap/cluster"
)

// store contains the cluster's objects as the Manager needs them.
type store interface {
	// apply creates or updates an object; fields that others set are kept. An existing object that no addon created is
	// a foreignError and stays as it is, unless known says that it is ours.
	apply(ctx context.Context, u *unstructured.Unstructured, known bool) error
	// owned finds the objects of these kinds that addons have applied. It may miss recently created ones.
	owned(ctx context.Context, kinds []schema.GroupVersionKind) (inventory, error)
	exists(ctx context.Context, r ref) (bool, error)
	// remove deletes an object; one that is gone or has been replaced is not an error.
	remove(ctx context.Context, r ref) error
}

// ref identifies an object of the cluster.
type ref struct {
	resource  schema.GroupVersionResource
	kind      string
	namespace string
	name      string
	uid       types.UID // empty if unknown
}

// key is the same for all versions in which the API serves an object.
func (r ref) key() string {
	return strings.Join([]string{r.resource.Group, r.resource.Resource, r.namespace, r.name}, "/")
}

func (r ref) gvk() schema.GroupVersionKind { return r.resource.GroupVersion().WithKind(r.kind) }

func (r ref) String() string {
	if r.namespace == "" {
		return r.kind + " " + r.name
	}
	return r.kind + " " + r.namespace + "/" + r.name
}

func refOf(u *unstructured.Unstructured) ref {
	// Correct for all kinds of Kubernetes itself, and needs no request: discovery takes a while when an API server
	// starts.
	resource, _ := meta.UnsafeGuessKindToResource(u.GroupVersionKind())
	return ref{resource: resource, kind: u.GetKind(), namespace: u.GetNamespace(), name: u.GetName(), uid: u.GetUID()}
}

// foreignError means that an object that does not belong to the addon has the name that the addon needs.
type foreignError struct{ ref ref }

func (e *foreignError) Error() string {
	return e.ref.String() + " exists already and was not created by bonsai"
}

func (e *foreignError) advice() []cluster.Advice {
	remove := cluster.Kubectl("delete", e.ref.resource.GroupResource().String()).On(e.ref.name).In(e.ref.namespace).Change()
	return []cluster.Advice{cluster.Advise("if it is not needed", remove)}
}

func isForeign(err error) bool {
	_, ok := errors.AsType[*foreignError](err)
	return ok
}

// toUnstructured returns what is sent for an object: without the fields that a typed object cannot omit, which would be
// claimed otherwise, and with the addon's label.
func toUnstructured(object runtime.Object, addon string) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("encode an object of addon %s: %w", addon, err)
	}
	delete(content, "status")
	dropNulls(content)
	u := &unstructured.Unstructured{Object: content}
	if u.GetKind() == "" || u.GetAPIVersion() == "" || u.GetName() == "" {
		return nil, fmt.Errorf("an object of addon %s has no kind, version or name: %v", addon, content)
	}
	labels := u.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[Label] = addon
	u.SetLabels(labels)
	return u, nil
}

func dropNulls(content map[string]any) {
	for key, value := range content {
		switch v := value.(type) {
		case nil:
			delete(content, key)
		case map[string]any:
			dropNulls(v)
		}
	}
}

// objects is the store of a real cluster.
type objects struct{ dynamic dynamic.Interface }

func (o *objects) client(r ref) dynamic.ResourceInterface {
	if r.namespace == "" {
		return o.dynamic.Resource(r.resource)
	}
	return o.dynamic.Resource(r.resource).Namespace(r.namespace)
}

func (o *objects) apply(ctx context.Context, u *unstructured.Unstructured, known bool) error {
	r := refOf(u)
	if !known {
		have, err := o.client(r).Get(ctx, r.name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return fmt.Errorf("get %s: %w", r, err)
		case !ours(have):
			return &foreignError{r}
		case contains(have.Object, u.Object):
			// The usual case when an existing cluster starts: reading costs a fraction of writing. Additional fields of
			// an earlier version are removed by the next comparison, where the object is known.
			return nil
		}
	}
	// Force: a field that somebody else has set is restored, as the documentation of addons promises.
	options := metav1.ApplyOptions{FieldManager: FieldManager, Force: true}
	_, err := o.client(r).Apply(ctx, r.name, u, options)
	if apierrors.IsInvalid(err) {
		// Some fields of an earlier version cannot be changed, for example the provisioner of a StorageClass.
		if have, getErr := o.client(r).Get(ctx, r.name, metav1.GetOptions{}); getErr == nil && ours(have) {
			if removeErr := o.remove(ctx, refOf(have)); removeErr != nil {
				return errors.Join(err, removeErr)
			}
			_, err = o.client(r).Apply(ctx, r.name, u, options)
		}
	}
	if err != nil {
		return fmt.Errorf("apply %s: %w", r, err)
	}
	return nil
}

// ours reports whether addons have applied an object. The label alone is not enough: a copy made by a user has it, too.
func ours(u *unstructured.Unstructured) bool {
	for _, f := range u.GetManagedFields() {
		if f.Manager == FieldManager && f.Operation == metav1.ManagedFieldsOperationApply {
			return true
		}
	}
	return false
}

// contains reports whether have contains everything in want; it may contain more.
func contains(have, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		have, ok := have.(map[string]any)
		if !ok {
			return false
		}
		for key, value := range want {
			if !contains(have[key], value) {
				return false
			}
		}
		return true
	case []any:
		have, ok := have.([]any)
		return ok && slices.EqualFunc(have, want, contains)
	}
	return have == want
}

// prunable are the kinds that an addon may have had in some version, and that contain no user data. Claims, volumes and
// namespaces are not among them, nor are resource definitions, with which all resources would be deleted.
var prunable = []schema.GroupVersionKind{
	{Version: "v1", Kind: "ConfigMap"},
	{Version: "v1", Kind: "Secret"},
	{Version: "v1", Kind: "Service"},
	{Version: "v1", Kind: "ServiceAccount"},
	{Group: "admissionregistration.k8s.io", Version: "v1", Kind: "MutatingWebhookConfiguration"},
	{Group: "admissionregistration.k8s.io", Version: "v1", Kind: "ValidatingWebhookConfiguration"},
	{Group: "apiregistration.k8s.io", Version: "v1", Kind: "APIService"},
	{Group: "apps", Version: "v1", Kind: "DaemonSet"},
	{Group: "apps", Version: "v1", Kind: "Deployment"},
	{Group: "apps", Version: "v1", Kind: "StatefulSet"},
	{Group: "batch", Version: "v1", Kind: "CronJob"},
	{Group: "batch", Version: "v1", Kind: "Job"},
	{Group: "discovery.k8s.io", Version: "v1", Kind: "EndpointSlice"},
	{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "GatewayClass"},
	{Group: "networking.k8s.io", Version: "v1", Kind: "IngressClass"},
	{Group: "policy", Version: "v1", Kind: "PodDisruptionBudget"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRole"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRoleBinding"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "Role"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "RoleBinding"},
	{Group: "scheduling.k8s.io", Version: "v1", Kind: "PriorityClass"},
	{Group: "storage.k8s.io", Version: "v1", Kind: "CSIDriver"},
	{Group: "storage.k8s.io", Version: "v1", Kind: "StorageClass"},
}

// Kinds are those of which addons may have objects: they are found and deleted when the addon is disabled.
func Kinds() []schema.GroupVersionKind { return slices.Clone(prunable) }

// parallel limits simultaneous lists: the server on the other end shares our cores.
const parallel = 8

func (o *objects) owned(ctx context.Context, kinds []schema.GroupVersionKind) (inventory, error) {
	found := inventory{}
	var mu sync.Mutex // guards found
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, kind := range kinds {
		g.Go(func() error {
			resource, _ := meta.UnsafeGuessKindToResource(kind)
			// Version 0 is answered from the server's cache at once. Any other would wait up to 100 ms for etcd to
			// confirm it.
			list, err := o.dynamic.Resource(resource).List(ctx, metav1.ListOptions{LabelSelector: Label, ResourceVersion: "0"})
			if apierrors.IsNotFound(err) {
				return nil // not served by the emulated version
			}
			if err != nil {
				return fmt.Errorf("list the %s of addons: %w", resource.Resource, err)
			}
			mu.Lock()
			defer mu.Unlock()
			for i := range list.Items {
				if u := &list.Items[i]; ours(u) {
					addon := u.GetLabels()[Label]
					found[addon] = append(found[addon], refOf(u))
				}
			}
			return nil
		})
	}
	return found, g.Wait()
}

func (o *objects) exists(ctx context.Context, r ref) (bool, error) {
	_, err := o.client(r).Get(ctx, r.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

func (o *objects) remove(ctx context.Context, r ref) error {
	background := metav1.DeletePropagationBackground
	options := metav1.DeleteOptions{PropagationPolicy: &background}
	if r.uid != "" {
		options.Preconditions = &metav1.Preconditions{UID: &r.uid}
	}
	err := o.client(r).Delete(ctx, r.name, options)
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return fmt.Errorf("delete %s: %w", r, err)
}
