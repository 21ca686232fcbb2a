package nodeimages

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/imagestore"
	"bonsai/bootstrap/imagestore/imagetest"
	"bonsai/bootstrap/node"
)

// Large layers are unpacked once for all nodes, and only what can be is sent to each.
func TestLargeLayersAreUnpackedOnce(t *testing.T) {
	e, store, nodes := setup(t)
	large := strings.Repeat("large", stageFrom/10+1) // for two nodes
	e.images["app:1"] = []string{large, "top"}
	load(t, e, store, nodes, "app:1")
	if len(e.staged) != 1 || len(e.staged[0].Layers) != 2 || e.staged[0].Blobs != store.Blobs() {
		t.Fatalf("staged %+v", e.staged)
	}
	for _, l := range e.staged[0].Layers {
		if !slices.Equal(l.Volumes, []string{"one", "two"}) {
			t.Errorf("layer %s goes to %q", l.Chain, l.Volumes)
		}
	}
	for name := range e.nodes {
		if e.layers[name] != 0 || e.nodes[name]["docker.io/library/app:1"] == "" {
			t.Errorf("%s received %d layers, and has %q", name, e.layers[name], e.nodes[name]["docker.io/library/app:1"])
		}
	}
	if e.log.Len() > 0 {
		t.Errorf("nothing was unexpected, and the log has %s", &e.log)
	}

	// A layer on what the nodes have cannot be unpacked without it, and is sent, as is all that is small.
	e.images["app:2"] = []string{large, strings.Repeat("other", stageFrom/10+1)}
	load(t, e, store, nodes, "app:2")
	if len(e.staged) != 1 || e.layers["one"] != 1 || e.layers["two"] != 1 {
		t.Errorf("staged %d times, sent %v", len(e.staged), e.layers)
	}
}

// Where nothing can be unpacked beside nodes, or a node does not take it, layers are sent.
func TestLayersAreSentInstead(t *testing.T) {
	for what, c := range map[string]struct {
		apart  error
		native string
		sent   map[string]int
		said   string
	}{
		"the engine cannot": {apart: errors.New("no such folder"), sent: map[string]int{"one": 1, "two": 1}, said: "no such folder"},
		"a node cannot":     {native: "two", sent: map[string]int{"one": 0, "two": 1}, said: "a node cannot use unpacked layers"},
	} {
		t.Run(what, func(t *testing.T) {
			e, store, nodes := setup(t)
			e.apart, e.native = c.apart, c.native
			e.images["app:1"] = []string{strings.Repeat("large", stageFrom/10+1)}
			load(t, e, store, nodes, "app:1")
			for name, sent := range c.sent {
				if e.layers[name] != sent || e.nodes[name]["docker.io/library/app:1"] == "" {
					t.Errorf("%s received %d layers, want %d, and has %q", name, e.layers[name], sent, e.nodes[name]["docker.io/library/app:1"])
				}
			}
			if !strings.Contains(e.log.String(), c.said) {
				t.Errorf("the log has %q", e.log.String())
			}
		})
	}
}

func TestStageable(t *testing.T) {
	layer := func(diffID, parent string, size int64) imagestore.Layer {
		return imagestore.Layer{
			Content: imagestore.Descriptor{Digest: imagetest.Digest(diffID), Size: size}, DiffID: diffID, Parent: parent, Chain: imagestore.Chain(parent, diffID),
		}
	}
	base := layer("base", "", 10)
	top := layer("top", base.Chain, 100)
	images := []Image{{Image: imagestore.Image{Layers: []imagestore.Layer{base}}}, {Image: imagestore.Image{Layers: []imagestore.Layer{base, top}}}}
	to := func(name string, held ...string) recipient {
		return recipient{Container: node.Container{Name: name}, held: held}
	}
	for what, c := range map[string]struct {
		nodes []recipient
		want  map[string][]string
		bytes int64
	}{
		"all of it":             {[]recipient{to("a"), to("b")}, map[string][]string{base.Chain: {"a", "b"}, top.Chain: {"a", "b"}}, 220},
		"one has what is below": {[]recipient{to("a", base.Chain), to("b")}, map[string][]string{base.Chain: {"b"}, top.Chain: {"b"}}, 110},
		"one has everything":    {[]recipient{to("a", base.Chain, top.Chain)}, map[string][]string{}, 0},
		"nobody has it":         {nil, map[string][]string{}, 0},
	} {
		layers, bytes := stageable(c.nodes, images)
		got := map[string][]string{}
		for _, l := range layers {
			got[l.Chain] = l.Volumes
		}
		same := len(got) == len(c.want) && !slices.ContainsFunc(layers, func(l cluster.StagedLayer) bool { return !slices.Equal(l.Volumes, c.want[l.Chain]) })
		if !same || bytes != c.bytes {
			t.Errorf("%s: got %v of %d bytes, want %v of %d", what, got, bytes, c.want, c.bytes)
		}
	}
}
