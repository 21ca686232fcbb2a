package nodetest

import (
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"

	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
)

func testForeignContainer(t *testing.T, s *suite) {
	spec := s.cluster(t, 1)
	n := s.node(spec, 1)
	name := node.ContainerName(spec, n.Node)
	s.Container(t, name, s.p.Payload)
	wantKind(t, s.d.EnsureNode(t.Context(), n), fault.Conflict, name)
	must(t, s.d.RemoveNode(t.Context(), spec.ID, n.Node.Name))
	wantKind(t, s.d.EnsureNode(t.Context(), n), fault.Conflict, name)
	all, err := s.d.List(t.Context(), spec.ID)
	must(t, err)
	equal(t, "containers of the cluster", len(all), 0)
}

func testForeignNetwork(t *testing.T, s *suite) {
	spec := s.plan(t, 0)
	name := node.NetworkName(spec)
	s.Network(t, name, spec.Subnet)
	wantKind(t, s.d.EnsureNetwork(t.Context(), spec), fault.Conflict, name)
	must(t, s.d.RemoveCluster(t.Context(), spec.ID))
	if !s.hasNetwork(t, name) {
		t.Error("the foreign network was removed")
	}
}

func testForeignVolume(t *testing.T, s *suite) {
	spec := s.cluster(t, 1)
	n := s.node(spec, 1)
	name := node.VolumeName(spec, n.Node)
	s.Volume(t, name)
	wantKind(t, s.d.EnsureNode(t.Context(), n), fault.Conflict, name)
	must(t, s.d.RemoveNode(t.Context(), spec.ID, n.Node.Name))
	must(t, s.d.RemoveCluster(t.Context(), spec.ID))
	must(t, s.d.EnsureNetwork(t.Context(), spec))
	wantKind(t, s.d.EnsureNode(t.Context(), n), fault.Conflict, name) // the removals have left it
}

func testImageNames(t *testing.T, s *suite) {
	must(t, s.d.EnsurePayload(t.Context(), s.p.Payload, nil))
	id := strings.ToLower(rand.Text())
	one, two := "bonsai-nodetest/"+id+":1", "bonsai-nodetest/"+id+":2"
	s.Image(t, two, one)
	names, err := s.d.ImageNames(t.Context())
	must(t, err)
	if !slices.IsSorted(names) || !slices.Contains(names, one) || !slices.Contains(names, two) {
		t.Errorf("got %v, want them sorted, with %s and %s", names, one, two)
	}
	if slices.Contains(names, s.p.ImageRef) {
		t.Errorf("the image of nodes is in %v", names)
	}
	if found, err := s.d.FindImages(t.Context(), []string{one, "bonsai-nodetest/" + id + ":3", two}); err != nil || len(found) != 2 || found[0].Ref != one || found[1].Ref != two || found[0].ID != found[1].ID {
		t.Errorf("found %+v, %v", found, err)
	}
}

func testTakenSubnet(t *testing.T, s *suite) {
	first, second := s.cluster(t, 0), s.plan(t, 0)
	second.Subnet = first.Subnet
	second.Replan()
	err := s.d.EnsureNetwork(t.Context(), second)
	wantKind(t, err, fault.Conflict, first.Subnet.String())
	equal(t, "is taken", errors.Is(err, node.ErrTaken), true)
}
