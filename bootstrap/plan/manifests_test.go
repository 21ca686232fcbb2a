package plan

import (
	"slices"
	"testing"
)

func TestManifestsAreAppliedWhenTheyHaveChanged(t *testing.T) {
	one, two := Manifest{Source: "/a.yaml", Data: "a"}, Manifest{Source: "https://example/b.yaml", Data: "b"}
	spec := mustResolve(t, Wish{Nodes: new(1), Manifests: []Manifest{one, two}}, nil, quietMachine())
	state := State{Spec: &spec, Running: true, Down: map[string]bool{}}
	changed := one
	changed.Data = "other"
	for _, tc := range []struct {
		wish Wish
		want []string
	}{
		{Wish{Exact: true}, nil},
		{Wish{Exact: true, Manifests: []Manifest{two, one}}, nil},
		{Wish{Exact: true, Manifests: []Manifest{changed, two}}, []string{"apply the objects of /a.yaml"}},
		{Wish{Exact: true, Manifests: []Manifest{one}}, []string{"leave the objects of https://example/b.yaml as they are from now on"}},
		{Wish{Exact: true, Manifests: []Manifest{}}, []string{"leave the objects of /a.yaml as they are from now on", "leave the objects of https://example/b.yaml as they are from now on"}},
	} {
		if got := changesOf(kept(t, tc.wish, state)); !slices.Equal(got, tc.want) {
			t.Errorf("%+v changes %q, want %q", tc.wish.Manifests, got, tc.want)
		}
	}
	// One that was not applied, because the command failed before, still has to be.
	spec.Manifests[0].Hash = ""
	if got := changesOf(kept(t, Wish{Exact: true, Manifests: []Manifest{one, two}}, state)); !slices.Equal(got, []string{"apply the objects of /a.yaml"}) {
		t.Errorf("changes %q", got)
	}
	if got := changesOf(kept(t, Wish{Exact: true}, state)); len(got) != 0 {
		t.Errorf("without a word of manifests: %q", got)
	}
}
