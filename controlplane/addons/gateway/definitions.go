package gateway

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"

	"bonsai/bootstrap/wait"
	"bonsai/controlplane/addons"
	"bonsai/controlplane/addons/definitions"
)

// packed are the resource definitions of Gateway API's standard channel, as upstream has them.
//
//go:embed definitions.json.gz
var packed []byte

// defineLimit bounds the creation of all definitions, and servedPause is between two looks whether they are served.
const (
	defineLimit = 15 * time.Second
	servedPause = 20 * time.Millisecond
)

func definitionSet() definitions.Set {
	return definitions.Set{Of: "Gateway API", Addon: Name, Packed: packed, Bundle: "gateway.networking.k8s.io/bundle-version", Version: "v1.6.3"}
}

// Define implements addons.Definer: it installs what the cluster does not have of Gateway API, and replaces what an older
// version of this addon has installed. Definitions from others are left as they are, whatever their version is: other
// controllers may depend on it.
func (*Gateway) Define(ctx context.Context, c addons.Cluster) error {
	ctx, cancel := c.Scale.Limit(ctx, defineLimit, "the definitions of Gateway API")
	defer cancel()
	client, err := metadata.NewForConfig(c.Config)
	if err != nil {
		return fmt.Errorf("create a client for metadata: %w", err)
	}
	// From the server's cache, and without their large schemas: this is asked every half a minute.
	have, err := client.Resource(definitions.Resource).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return fmt.Errorf("list resource definitions: %w", err)
	}
	known := map[string]metav1.Object{}
	for i := range have.Items {
		known[have.Items[i].Name] = &have.Items[i]
	}
	set := definitionSet()
	if complete(set, known) {
		return nil
	}
	list, err := set.Read()
	if err != nil {
		return err
	}
	errs := make(chan error, len(list))
	var creating sync.WaitGroup
	for _, d := range list {
		creating.Go(func() { errs <- set.Install(ctx, c.Dynamic, d, known[d.GetName()]) })
	}
	creating.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	followed := [][]schema.GroupVersionResource{{gatewayClasses}, {gateways}, {httpRoutes}, {grpcRoutes}, referenceGrants}
	for _, r := range []schema.GroupVersionResource{tlsPolicies, tlsRoutes} {
		if set.Wants(known[r.GroupResource().String()]) { // others' may not have the version
			followed = append(followed, []schema.GroupVersionResource{r})
		}
	}
	return served(ctx, c, followed)
}

// names are the definitions that the addon installs, with the version in which it needs those that it follows.
var names = []string{
	"backendtlspolicies", "gatewayclasses", "gateways", "grpcroutes", "httproutes", "listenersets", "referencegrants", "tcproutes", "tlsroutes", "udproutes",
}

// complete reports whether nothing has to be installed or replaced.
func complete(set definitions.Set, known map[string]metav1.Object) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return set.Wants(known[name+".gateway.networking.k8s.io"]) })
}

// served waits until what is followed is served, each in one of its versions.
func served(ctx context.Context, c addons.Cluster, followed [][]schema.GroupVersionResource) error {
	for _, versions := range followed {
		for {
			_, err := firstServed(ctx, c.Dynamic, versions...)
			if err == nil {
				break
			}
			if !apierrors.IsNotFound(err) && !apierrors.IsServiceUnavailable(err) && !apierrors.IsTooManyRequests(err) || wait.Pause(ctx, servedPause) != nil {
				return err
			}
		}
	}
	return nil
}

// firstServed is the first of some resources that the API server serves. The error is that of the last one.
func firstServed(ctx context.Context, client dynamic.Interface, versions ...schema.GroupVersionResource) (r schema.GroupVersionResource, err error) {
	for _, r = range versions {
		if _, err = client.Resource(r).List(ctx, metav1.ListOptions{Limit: 1, ResourceVersion: "0"}); err == nil {
			return r, nil
		}
	}
	return r, fmt.Errorf("%s of Gateway API %s are not served: %w", r.Resource, r.Version, err)
}
