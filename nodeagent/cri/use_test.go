package cri

import (
	"slices"
	"testing"

	"bonsai/bootstrap/cluster"
)

func TestUse(t *testing.T) {
	list, err := lister(t).Use(t.Context(), map[string]bool{})
	if err != nil {
		t.Fatal(err)
	}
	want := []cluster.NodeDiskImage{
		{Names: []string{"localhost:5000/nginx:alpine"}, Bytes: 42_300_000, Used: true}, // a container that has ended counts
		{Bytes: 1200},
	}
	if !slices.EqualFunc(list, want, func(a, b cluster.NodeDiskImage) bool {
		return slices.Equal(a.Names, b.Names) && a.Bytes == b.Bytes && a.Used == b.Used && a.Kept == b.Kept
	}) {
		t.Errorf("got %+v", list)
	}
	if list, err = lister(t).Use(t.Context(), map[string]bool{"localhost:5000/nginx:alpine": true}); err != nil || !list[0].Kept {
		t.Errorf("one that was loaded: %+v, %v", list, err)
	}
}
