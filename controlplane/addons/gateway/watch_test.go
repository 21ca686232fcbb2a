package gateway

import (
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
)

// TestOlderDefinitions: a cluster may have definitions from others, in which ReferenceGrants have only their first version.
func TestOlderDefinitions(t *testing.T) {
	for name, test := range map[string]struct {
		served []string
		want   string
	}{
		"new":  {[]string{"v1", "v1beta1"}, "v1"},
		"old":  {[]string{"v1beta1"}, "v1beta1"},
		"none": {nil, ""},
	} {
		lists := map[schema.GroupVersionResource]string{}
		for _, r := range referenceGrants {
			lists[r] = "ReferenceGrantList"
		}
		client := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), lists)
		client.PrependReactor("list", "referencegrants", func(a clienttesting.Action) (bool, runtime.Object, error) {
			for _, v := range test.served {
				if a.GetResource().Version == v {
					return false, nil, nil
				}
			}
			return true, nil, apierrors.NewNotFound(a.GetResource().GroupResource(), "")
		})
		got, err := firstServed(t.Context(), client, referenceGrants...)
		if test.want == "" {
			if !apierrors.IsNotFound(err) {
				t.Errorf("%s: %v, %v", name, got, err)
			}
			continue
		}
		if err != nil || got.Version != test.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
