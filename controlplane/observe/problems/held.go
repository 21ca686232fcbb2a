package problems

import (
	"context"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"bonsai/controlplane/observe/problems/diagnose"
)

// maxHeld is how many objects that finalizers hold are returned.
const maxHeld = 20

// held lists the objects of a resource that are being deleted and have finalizers.
func (f *fetcher) held(ctx context.Context, q diagnose.Question) (held []diagnose.Held, err error) {
	resource, kind, err := f.resource(ctx, q.Name)
	if err != nil {
		return nil, err
	}
	list, err := f.metadata.Resource(resource).Namespace(q.Namespace).List(ctx, metav1.ListOptions{Limit: maxNames})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", q.Name, err)
	}
	for _, o := range list.Items {
		if o.DeletionTimestamp != nil && len(o.Finalizers) > 0 && len(held) < maxHeld {
			held = append(held, diagnose.Held{Kind: kind, Namespace: o.Namespace, Name: o.Name, Finalizers: o.Finalizers})
		}
	}
	return held, nil
}

// some reports whether there are objects of a resource; it is true without one.
func (f *fetcher) some(ctx context.Context, name string) (bool, error) {
	if name == "" {
		return true, nil
	}
	resource, _, err := f.resource(ctx, name)
	if err != nil {
		return false, err
	}
	list, err := f.metadata.Resource(resource).List(ctx, metav1.ListOptions{Limit: 1, ResourceVersion: "0"})
	if err != nil {
		return false, fmt.Errorf("list %s: %w", name, err)
	}
	return len(list.Items) > 0, nil
}

// resource finds the version of a resource ("configmaps.", "widgets.example.com") and its kind.
func (f *fetcher) resource(ctx context.Context, name string) (resource schema.GroupVersionResource, kind string, err error) {
	resource.Resource, resource.Group, _ = strings.Cut(name, ".")
	api := discovery.ToDiscoveryInterfaceWithContext(f.client.Discovery())
	groups, err := api.ServerGroupsWithContext(ctx)
	if err != nil {
		return resource, "", fmt.Errorf("list the groups of the API: %w", err)
	}
	for _, g := range groups.Groups {
		if g.Name == resource.Group {
			resource.Version = g.PreferredVersion.Version
		}
	}
	if resource.Version == "" {
		return resource, "", fmt.Errorf("no API has %s", name)
	}
	types, err := api.ServerResourcesForGroupVersionWithContext(ctx, resource.GroupVersion().String())
	if err != nil {
		return resource, "", fmt.Errorf("list the resources of %s: %w", resource.GroupVersion(), err)
	}
	for _, t := range types.APIResources {
		if t.Name == resource.Resource {
			kind = t.Kind
		}
	}
	return resource, kind, nil
}
