package problems

import (
	"reflect"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	fakediscovery "k8s.io/client-go/discovery/fake"
	metadatafake "k8s.io/client-go/metadata/fake"

	"bonsai/controlplane/observe/problems/diagnose"
)

func TestWhatFinalizersHold(t *testing.T) {
	_, client := newView(t, nil, &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db-7f"}, Revision: 7})
	client.Discovery().(*fakediscovery.FakeDiscovery).Resources = []*metav1.APIResourceList{
		{GroupVersion: "v1", APIResources: []metav1.APIResource{{Name: "configmaps", Kind: "ConfigMap", Namespaced: true}}},
		{GroupVersion: "example.com/v1beta1", APIResources: []metav1.APIResource{{Name: "widgets", Kind: "Widget", Namespaced: true}}},
	}
	object := func(version, kind, name string, deleted *metav1.Time, finalizers ...string) runtime.Object {
		return &metav1.PartialObjectMetadata{
			TypeMeta:   metav1.TypeMeta{APIVersion: version, Kind: kind},
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, DeletionTimestamp: deleted, Finalizers: finalizers},
		}
	}
	scheme := metadatafake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	now := metav1.NewTime(time.Now())
	f := newFetcher(Options{Client: client, Metadata: metadatafake.NewSimpleMetadataClient(scheme,
		object("v1", "ConfigMap", "stays", nil, "a.test/x"), object("v1", "ConfigMap", "goes", &now), object("v1", "ConfigMap", "x", &now, "a.test/x"),
		object("example.com/v1beta1", "Widget", "w", &now, "b.test/y"),
	)}, func() {})
	for name, want := range map[string][]diagnose.Held{
		"configmaps.":         {{Kind: "ConfigMap", Namespace: "shop", Name: "x", Finalizers: []string{"a.test/x"}}},
		"widgets.example.com": {{Kind: "Widget", Namespace: "shop", Name: "w", Finalizers: []string{"b.test/y"}}},
	} {
		got, err := f.answer(t.Context(), diagnose.Question{Topic: diagnose.HeldObjects, Namespace: "shop", Name: name})
		if err != nil || !reflect.DeepEqual(got.Held, want) {
			t.Errorf("%s: got %+v (%v), want %+v", name, got.Held, err, want)
		}
	}
	if _, err := f.answer(t.Context(), diagnose.Question{Topic: diagnose.HeldObjects, Name: "nothing.example.org"}); err == nil {
		t.Error("what no API has is found")
	}
	got, err := f.answer(t.Context(), diagnose.Question{Topic: diagnose.RevisionOf, Namespace: "shop", Name: "db-7f"})
	if err != nil || !reflect.DeepEqual(got.Lines, []string{"7"}) {
		t.Errorf("the revision is %v (%v)", got.Lines, err)
	}
}
