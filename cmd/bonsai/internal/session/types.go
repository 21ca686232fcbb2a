package session

import (
	"cmp"
	"context"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"bonsai/bootstrap/kube"
)

// Types are all types that can be listed, as the API server has them now. Those of aggregated APIs that do not answer
// are missing.
func (s *Session) Types(ctx context.Context) ([]kube.ResourceType, error) {
	const op = "ask for the types of the API"
	ctx, cancel := s.limit(ctx, answerLimit, "the list of types from the API server")
	defer cancel()
	c, err := s.api()
	if err != nil {
		return nil, err
	}
	client, err := discovery.NewDiscoveryClientForConfigAndClient(c.config, c.http)
	if err != nil {
		return nil, s.explain(ctx, op, err)
	}
	groups, lists, _, err := client.GroupsAndMaybeResourcesWithContext(ctx)
	if err != nil {
		return nil, s.explain(ctx, op, err)
	}
	if lists == nil { // a server without aggregated discovery
		_, all, err := client.ServerGroupsAndResourcesWithContext(ctx)
		if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
			return nil, s.explain(ctx, op, err)
		}
		lists = map[schema.GroupVersion]*metav1.APIResourceList{}
		for _, l := range all {
			if gv, err := schema.ParseGroupVersion(l.GroupVersion); err == nil {
				lists[gv] = l
			}
		}
	}
	return resourceTypes(groups, lists), nil
}

// resourceTypes picks each type in the version that its group prefers, or the first that has it.
func resourceTypes(groups *metav1.APIGroupList, lists map[schema.GroupVersion]*metav1.APIResourceList) []kube.ResourceType {
	var types []kube.ResourceType
	for _, g := range groups.Groups {
		versions := []metav1.GroupVersionForDiscovery{g.PreferredVersion}
		seen := map[string]bool{}
		for _, v := range append(versions, g.Versions...) {
			list := lists[schema.GroupVersion{Group: g.Name, Version: v.Version}]
			if list == nil {
				continue
			}
			for _, r := range list.APIResources {
				if strings.Contains(r.Name, "/") || seen[r.Name] || !slices.Contains([]string(r.Verbs), "list") {
					continue
				}
				seen[r.Name] = true
				types = append(types, kube.ResourceType{
					Group: g.Name, Version: v.Version, Resource: r.Name, Kind: r.Kind, Namespaced: r.Namespaced,
					Short: r.ShortNames, Verbs: r.Verbs,
				})
			}
		}
	}
	slices.SortFunc(types, func(a, b kube.ResourceType) int {
		return cmp.Or(cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Group, b.Group))
	})
	return types
}
