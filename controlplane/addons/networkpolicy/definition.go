package networkpolicy

import (
	"bytes"
	"compress/gzip"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"

	"bonsai/bootstrap/wait"
	"bonsai/controlplane/addons"
)

// definition is the resource definition of ClusterNetworkPolicies as upstream has it, in JSON; see the test that compares and writes it.
// It is that of the experimental channel, which has the peers "nodes" and named ports, too.
//
//go:embed definition.json.gz
var definition []byte

var (
	customResourceDefinitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	// clusterPolicies are what it defines, in the version that agents read.
	clusterPolicies = schema.GroupVersionResource{Group: "policy.networking.k8s.io", Version: "v1beta1", Resource: "clusternetworkpolicies"}
)

const (
	// bundle is the annotation with the version of the API that a definition is from.
	bundle        = "policy.networking.k8s.io/bundle-version"
	bundleVersion = "v0.3.0"
	// defineLimit bounds the creation of the definition, and servedPause is between two looks whether it is served.
	defineLimit = 15 * time.Second
	servedPause = 50 * time.Millisecond
)

func readDefinition() (*unstructured.Unstructured, error) {
	r, err := gzip.NewReader(bytes.NewReader(definition))
	if err != nil {
		return nil, fmt.Errorf("read the definition of ClusterNetworkPolicies: %w", err)
	}
	content := map[string]any{}
	if err := json.NewDecoder(r).Decode(&content); err != nil {
		return nil, fmt.Errorf("read the definition of ClusterNetworkPolicies: %w", err)
	}
	return &unstructured.Unstructured{Object: content}, nil
}

// define installs the definition of ClusterNetworkPolicies, replaces what an older version of this addon has installed, and returns when
// it is served. A definition from others is left as it is: their programs may depend on its version.
func define(ctx context.Context, c addons.Cluster) error {
	ctx, cancel := c.Scale.Limit(ctx, defineLimit, "the definition of ClusterNetworkPolicies")
	defer cancel()
	client := c.Dynamic.Resource(customResourceDefinitions)
	have, err := client.Get(ctx, clusterPolicies.GroupResource().String(), metav1.GetOptions{ResourceVersion: "0"})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("read the definition of ClusterNetworkPolicies: %w", err)
	}
	if exists := err == nil; !exists || outdated(have) {
		want, err := readDefinition()
		if err != nil {
			return err
		}
		want.SetLabels(map[string]string{addons.Label: Name})
		if exists {
			want.SetResourceVersion(have.GetResourceVersion())
			_, err = client.Update(ctx, want, metav1.UpdateOptions{FieldManager: addons.FieldManager})
		} else if _, err = client.Create(ctx, want, metav1.CreateOptions{FieldManager: addons.FieldManager}); apierrors.IsAlreadyExists(err) {
			err = nil // somebody was faster
		}
		if err != nil {
			return fmt.Errorf("install the definition of ClusterNetworkPolicies: %w", err)
		}
	}
	for {
		_, err := c.Dynamic.Resource(clusterPolicies).List(ctx, metav1.ListOptions{Limit: 1, ResourceVersion: "0"})
		if err == nil {
			return nil
		}
		if wait.Pause(ctx, servedPause) != nil {
			return fmt.Errorf("ClusterNetworkPolicies are not served as %s: %w", clusterPolicies.GroupVersion(), err)
		}
	}
}

// outdated reports whether a definition is from an older version of this addon.
func outdated(d *unstructured.Unstructured) bool {
	ours := false
	for _, f := range d.GetManagedFields() {
		ours = ours || f.Manager == addons.FieldManager
	}
	have, err := version.ParseSemantic(d.GetAnnotations()[bundle])
	return ours && (err != nil || have.LessThan(version.MustParseSemantic(bundleVersion)))
}
