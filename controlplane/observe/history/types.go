package history

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

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

const (
	// typesSettle is how long after a change of a definition the API server may still serve the types as they were.
	typesSettle = 10 * time.Second
	// typesAge bounds how long types are believed whatever happens.
	typesAge = 10 * time.Minute
)

// definitions are the keys of what defines types.
var definitions = []string{"/registry/apiextensions.k8s.io/customresourcedefinitions/", "/registry/apiregistration.k8s.io/apiservices/"}

// typeCache has the types of the API server as they were served last: asking for them takes longer than to answer most questions.
type typeCache struct {
	mu             sync.Mutex // guards the rest
	list           []apiType
	asked, changed time.Time
}

// seen notes a change of a key.
func (c *typeCache) seen(key string, now time.Time) {
	if slices.ContainsFunc(definitions, func(prefix string) bool { return strings.HasPrefix(key, prefix) }) {
		c.mu.Lock()
		c.changed = now
		c.mu.Unlock()
	}
}

// known returns the types if they are still what the API server has.
func (c *typeCache) known(now time.Time) []apiType {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked.Sub(c.changed) < typesSettle || now.Sub(c.asked) > typesAge {
		return nil
	}
	return c.list
}

func (c *typeCache) keep(list []apiType, asked time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list, c.asked = list, asked
}

// find returns the type that a user calls so, from the types that are known or the API server's; nil if it has none.
func (h *History) find(ctx context.Context, name, group string, grouped bool) (*apiType, error) {
	matches := func(t apiType) bool {
		return slices.Contains(t.names, name) && (!grouped || t.Group == group || t.Version+"."+t.Group == group)
	}
	asked := time.Now()
	types := h.typesSeen.known(asked)
	i := slices.IndexFunc(types, matches)
	if i < 0 {
		var err error
		if types, err = h.types(ctx); err != nil {
			return nil, err
		}
		h.typesSeen.keep(types, asked)
		i = slices.IndexFunc(types, matches)
	}
	if i < 0 {
		return nil, nil
	}
	return &types[i], nil
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

// wanted reports of a key whether it can be one that the selector matches; nil means any.
func (s selector) wanted() func(key []byte) bool {
	if s.Name == "" {
		return nil
	}
	end := []byte("/" + s.Name)
	return func(key []byte) bool { return bytes.HasSuffix(key, end) }
}

// question is selector for what is asked now: once everything that has happened is in the journal, definitions of types, too.
func (h *History) question(ctx context.Context, q cluster.ObjectQuery) (selector, error) {
	if err := h.upToDate(ctx); err != nil {
		return selector{}, err
	}
	return h.selector(ctx, q)
}

// selector resolves the type in q, of which a user may have typed any name. A type without namespaces has no namespace in
// the selector.
func (h *History) selector(ctx context.Context, q cluster.ObjectQuery) (selector, error) {
	s := selector{ObjectQuery: q}
	if q.Type == "" {
		return s, nil
	}
	name, group, grouped := strings.Cut(strings.ToLower(q.Type), ".")
	t, err := h.find(ctx, name, group, grouped)
	if err != nil {
		return s, err
	}
	if t == nil { // of a definition that was deleted, perhaps
		s.resource, s.group = name, group
		return s, nil
	}
	s.resource, s.known = t.Resource, t
	if !scheme.Scheme.IsGroupRegistered(t.Group) {
		s.group = t.Group
	}
	if !t.namespaced {
		s.Namespace = ""
	}
	return s, nil
}

// one is question about exactly one object.
func (h *History) one(ctx context.Context, q cluster.ObjectQuery) (selector, error) {
	if q.Type == "" || q.Name == "" {
		return selector{}, fault.Newf(fault.Usage, "no object was given")
	}
	return h.question(ctx, q)
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
