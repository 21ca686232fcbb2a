package gateway

import (
	"bytes"
	"compress/gzip"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"

	"bonsai/bootstrap/wait"
	"bonsai/controlplane/addons"
)

var customResourceDefinitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// definitions are the resource definitions of Gateway API's standard channel, as upstream has them, as a list in JSON; see the
// test that compares and writes them.
//
//go:embed definitions.json.gz
var definitions []byte

const (
	// bundle is the annotation with the version of Gateway API that a definition is from.
	bundle = "gateway.networking.k8s.io/bundle-version"
	// defineLimit bounds the creation of all definitions, and servedPause is between two looks whether they are served.
	defineLimit = 15 * time.Second
	servedPause = 20 * time.Millisecond
)

func readDefinitions() ([]*unstructured.Unstructured, error) {
	r, err := gzip.NewReader(bytes.NewReader(definitions))
	if err != nil {
		return nil, fmt.Errorf("read the definitions of Gateway API: %w", err)
	}
	var list []map[string]any
	if err := json.NewDecoder(r).Decode(&list); err != nil {
		return nil, fmt.Errorf("read the definitions of Gateway API: %w", err)
	}
	var out []*unstructured.Unstructured
	for _, content := range list {
		out = append(out, &unstructured.Unstructured{Object: content})
	}
	return out, nil
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
	have, err := client.Resource(customResourceDefinitions).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return fmt.Errorf("list resource definitions: %w", err)
	}
	known := map[string]metav1.PartialObjectMetadata{}
	for _, d := range have.Items {
		known[d.Name] = d
	}
	if complete(known) {
		return nil
	}
	list, err := readDefinitions()
	if err != nil {
		return err
	}
	errs := make(chan error, len(list))
	var creating sync.WaitGroup
	for _, d := range list {
		creating.Go(func() { errs <- define(ctx, c, d, known) })
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
		if d, there := known[r.GroupResource().String()]; !there || outdated(d) { // others' may not have the version
			followed = append(followed, []schema.GroupVersionResource{r})
		}
	}
	return served(ctx, c, followed)
}

// names are the definitions that the addon installs, with the version in which it needs those that it follows.
var names = []string{
	"backendtlspolicies", "gatewayclasses", "gateways", "grpcroutes", "httproutes", "listenersets", "referencegrants", "tcproutes", "tlsroutes", "udproutes",
}

const bundleVersion = "v1.6.3"

// complete reports whether nothing has to be installed or replaced.
func complete(known map[string]metav1.PartialObjectMetadata) bool {
	for _, name := range names {
		d, ok := known[name+".gateway.networking.k8s.io"]
		if !ok || outdated(d) {
			return false
		}
	}
	return true
}

// outdated reports whether a definition is from an older version of this addon.
func outdated(d metav1.PartialObjectMetadata) bool {
	ours := false
	for _, f := range d.ManagedFields {
		ours = ours || f.Manager == addons.FieldManager
	}
	have, err := version.ParseSemantic(d.Annotations[bundle])
	return ours && (err != nil || have.LessThan(version.MustParseSemantic(bundleVersion)))
}

func define(ctx context.Context, c addons.Cluster, d *unstructured.Unstructured, known map[string]metav1.PartialObjectMetadata) error {
	client := c.Dynamic.Resource(customResourceDefinitions)
	have, exists := known[d.GetName()]
	if exists && !outdated(have) {
		return nil
	}
	d.SetLabels(map[string]string{addons.Label: Name})
	var err error
	if exists {
		d.SetResourceVersion(have.ResourceVersion)
		_, err = client.Update(ctx, d, metav1.UpdateOptions{FieldManager: addons.FieldManager})
	} else if _, err = client.Create(ctx, d, metav1.CreateOptions{FieldManager: addons.FieldManager}); apierrors.IsAlreadyExists(err) {
		err = nil // somebody was faster
	}
	if err != nil {
		return fmt.Errorf("install %s: %w", d.GetName(), err)
	}
	return nil
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
