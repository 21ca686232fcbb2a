package definitions

import (
	"bytes"
	"compress/gzip"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"

	"bonsai/controlplane/addons"
)

// trees is a set of one definition, of version 1.2.0.
func trees(t *testing.T) Set {
	t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write([]byte(`[{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "trees.bonsai.test",
		"annotations": {"bonsai.test/bundle": "v1.2.0"}}}]`)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return Set{Of: "trees", Addon: "garden", Packed: packed.Bytes(), Bundle: "bonsai.test/bundle", Version: "v1.2.0"}
}

func definition(manager, version string) *unstructured.Unstructured {
	d := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}}
	d.SetName("trees.bonsai.test")
	d.SetAnnotations(map[string]string{"bonsai.test/bundle": version})
	d.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate}})
	return d
}

// TestInstall: a definition is installed where there is none, and replaced if an older version of the addon has installed it.
func TestInstall(t *testing.T) {
	for name, c := range map[string]struct {
		have metav1.Object
		want string // the version afterwards
	}{
		"none":                    {nil, "v1.2.0"},
		"ours and older":          {definition(addons.FieldManager, "v1.1.9"), "v1.2.0"},
		"ours and of no version":  {definition(addons.FieldManager, ""), "v1.2.0"},
		"ours and the same":       {definition(addons.FieldManager, "v1.2.0"), "v1.2.0"},
		"ours and newer":          {definition(addons.FieldManager, "v1.3.0"), "v1.3.0"},
		"from others and older":   {definition("helm", "v1.1.9"), "v1.1.9"},
		"from others, no version": {definition("helm", ""), ""},
	} {
		t.Run(name, func(t *testing.T) {
			api := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{Resource: "CustomResourceDefinitionList"})
			if d, ok := c.have.(*unstructured.Unstructured); ok {
				if _, err := api.Resource(Resource).Create(t.Context(), d, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			set := trees(t)
			list, err := set.Read()
			if err != nil || len(list) != 1 {
				t.Fatalf("%d definitions, %v", len(list), err)
			}
			for range 2 { // the second time it is there, which the addon may not know yet
				if err := set.Install(t.Context(), api, list[0], c.have); err != nil {
					t.Fatal(err)
				}
			}
			got, err := api.Resource(Resource).Get(t.Context(), "trees.bonsai.test", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if v := got.GetAnnotations()[set.Bundle]; v != c.want {
				t.Errorf("it is of version %q instead of %q", v, c.want)
			}
			if replaced := got.GetLabels()[addons.Label] == "garden"; replaced != set.Wants(c.have) {
				t.Errorf("it has the labels %v", got.GetLabels())
			}
		})
	}
}

func TestReadSaysWhatItReads(t *testing.T) {
	if _, err := (Set{Of: "trees", Packed: []byte("this is not compressed")}).Read(); err == nil || err.Error() != "read the definitions of trees: gzip: invalid header" {
		t.Error(err)
	}
}
