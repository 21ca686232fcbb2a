// Package definitions installs the resource definitions that addons bring along: they are part of the binary, as upstream has them.
package definitions

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/dynamic"

	"bonsai/controlplane/addons"
)

// Resource is what resource definitions are themselves.
var Resource = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// Set are the definitions of one API.
type Set struct {
	// Of is the API, as errors name it.
	Of string
	// Addon is the name of the addon that installs them.
	Addon string
	// Packed is a list of them in JSON, compressed with gzip. A test with definitionstest compares and writes it.
	Packed []byte
	// Bundle is the annotation with the version of the API that a definition is from, and Version is that of these.
	Bundle, Version string
}

// Read unpacks the definitions.
func (s Set) Read() ([]*unstructured.Unstructured, error) {
	r, err := gzip.NewReader(bytes.NewReader(s.Packed))
	if err != nil {
		return nil, fmt.Errorf("read the definitions of %s: %w", s.Of, err)
	}
	var list []map[string]any
	if err := json.NewDecoder(r).Decode(&list); err != nil {
		return nil, fmt.Errorf("read the definitions of %s: %w", s.Of, err)
	}
	var out []*unstructured.Unstructured
	for _, content := range list {
		out = append(out, &unstructured.Unstructured{Object: content})
	}
	return out, nil
}

// Wants reports whether a definition is to be installed, where the cluster has another one of the name or, if that is nil, none. One
// that an older version of the addon has installed is replaced. One from others is left as it is, whatever its version: their programs
// may depend on it.
func (s Set) Wants(have metav1.Object) bool {
	if have == nil {
		return true
	}
	ours := false
	for _, f := range have.GetManagedFields() {
		ours = ours || f.Manager == addons.FieldManager
	}
	v, err := version.ParseSemantic(have.GetAnnotations()[s.Bundle])
	return ours && (err != nil || v.LessThan(version.MustParseSemantic(s.Version)))
}

// Install installs a definition that was read, if it is wanted: see Wants.
func (s Set) Install(ctx context.Context, cluster dynamic.Interface, d *unstructured.Unstructured, have metav1.Object) error {
	if !s.Wants(have) {
		return nil
	}
	client := cluster.Resource(Resource)
	d.SetLabels(map[string]string{addons.Label: s.Addon})
	var err error
	if have != nil {
		d.SetResourceVersion(have.GetResourceVersion())
		_, err = client.Update(ctx, d, metav1.UpdateOptions{FieldManager: addons.FieldManager})
	} else if _, err = client.Create(ctx, d, metav1.CreateOptions{FieldManager: addons.FieldManager}); apierrors.IsAlreadyExists(err) {
		err = nil // somebody was faster
	}
	if err != nil {
		return fmt.Errorf("install the definition %s: %w", d.GetName(), err)
	}
	return nil
}
