package history

import (
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes/scheme"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// apiType is a type that the API server has.
type apiType struct {
	schema.GroupVersionResource
	kind       string
	namespaced bool
	names      []string // in lower case, without the group
}

// types asks the API server for its types. Those of aggregated APIs are missing: their objects are not in etcd.
func (h *History) types(ctx context.Context) ([]apiType, error) {
	client, err := discovery.NewDiscoveryClientForConfig(h.Client)
	if err != nil {
		return nil, err
	}
	groups, lists, _, err := client.GroupsAndMaybeResourcesWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for the types of the API: %w", err)
	}
	var types []apiType
	for _, g := range groups.Groups {
		seen := map[string]bool{}
		for _, v := range append([]string{g.PreferredVersion.Version}, versions(g)...) {
			gv := schema.GroupVersion{Group: g.Name, Version: v}
			if lists[gv] == nil {
				continue
			}
			for _, r := range lists[gv].APIResources {
				if strings.Contains(r.Name, "/") || seen[r.Name] {
					continue
				}
				seen[r.Name] = true
				names := append([]string{r.Name, r.SingularName, strings.ToLower(r.Kind)}, r.ShortNames...)
				types = append(types, apiType{gv.WithResource(r.Name), r.Kind, r.Namespaced, names})
			}
		}
	}
	return types, nil
}

// selector decides which objects a question is about.
type selector struct {
	cluster.ObjectQuery
	// resource is the type; its group is that of keys, empty for what is built in. Empty: all types.
	group, resource string
	// known is the type in the API; nil if it does not have it (any more). Then the group may be missing.
	known *apiType
}

func (s selector) matches(id identity) bool {
	return (s.resource == "" || s.resource == id.resource && (s.group == id.group || s.known == nil && s.group == "")) &&
		(s.Namespace == "" || s.Namespace == id.namespace) && (s.Name == "" || s.Name == id.name)
}

// selector resolves the type in q, of which a user may have typed any name. A type without namespaces has no namespace in
// the selector.
func (h *History) selector(ctx context.Context, q cluster.ObjectQuery) (selector, error) {
	s := selector{ObjectQuery: q}
	if q.Type == "" {
		return s, nil
	}
	types, err := h.types(ctx)
	if err != nil {
		return s, err
	}
	name, group, grouped := strings.Cut(strings.ToLower(q.Type), ".")
	i := slices.IndexFunc(types, func(t apiType) bool {
		return slices.Contains(t.names, name) && (!grouped || t.Group == group || t.Version+"."+t.Group == group)
	})
	if i < 0 { // of a definition that was deleted, perhaps
		s.resource, s.group = name, group
		return s, nil
	}
	t := types[i]
	s.resource, s.known = t.Resource, &t
	if !scheme.Scheme.IsGroupRegistered(t.Group) {
		s.group = t.Group
	}
	if !t.namespaced {
		s.Namespace = ""
	}
	return s, nil
}

// one is selector for exactly one object.
func (h *History) one(ctx context.Context, q cluster.ObjectQuery) (selector, error) {
	if q.Type == "" || q.Name == "" {
		return selector{}, fault.Newf(fault.Usage, "no object was given")
	}
	return h.selector(ctx, q)
}

// subject is what a question is about, in words.
func (s selector) subject() string {
	switch {
	case s.resource == "":
		return "any object"
	case s.Name == "":
		return "any of " + s.resource
	case s.Namespace != "":
		return s.resource + "/" + s.Name + " in namespace " + s.Namespace
	}
	return s.resource + "/" + s.Name
}

func versions(g metav1.APIGroup) (names []string) {
	for _, v := range g.Versions {
		names = append(names, v.Version)
	}
	return names
}
