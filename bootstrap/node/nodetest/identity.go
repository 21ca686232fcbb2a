package nodetest

import (
	"slices"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
)

// testSameName is about two state folders that use one name on one engine.
func testSameName(t *testing.T, s *suite) {
	ours := s.cluster(t, 2)
	theirs := s.namesake(t, ours)
	theirNode := s.start(t, s.node(theirs, 1))
	s.output(t, theirNode.Name, "write", "/var/lib/mine", "theirs")
	ourNode, second := s.start(t, s.node(ours, 1)), s.start(t, s.node(ours, 2))
	s.output(t, ourNode.Name, "write", "/var/lib/mine", "ours")
	equal(t, "name of the node", ourNode.Node, theirNode.Node)

	all, err := s.d.List(t.Context(), ours.ID)
	must(t, err)
	if !slices.Equal(all, []node.Container{ourNode, second}) {
		t.Errorf("containers of one cluster: got %v", all)
	}
	same(t, "our holding", holding(t, s, ours), []string{
		node.ContainerName(ours, ours.Nodes[0]), node.ContainerName(ours, ours.Nodes[1]),
		node.VolumeName(ours, ours.Nodes[0]), node.VolumeName(ours, ours.Nodes[1]), node.NetworkName(ours),
	})
	their := []string{node.ContainerName(theirs, theirs.Nodes[0]), node.VolumeName(theirs, theirs.Nodes[0]), node.NetworkName(theirs)}
	same(t, "their holding", holding(t, s, theirs), their)

	must(t, s.d.RemoveNode(t.Context(), ours.ID, ourNode.Node))
	equal(t, "their node after the removal of ours", s.find(t, theirNode.Name), theirNode)
	must(t, s.d.RemoveCluster(t.Context(), ours.ID))
	same(t, "our holding after the removal", holding(t, s, ours), nil)
	same(t, "their holding after the removal", holding(t, s, theirs), their)
	equal(t, "their node after the removal", s.find(t, theirNode.Name), theirNode)
	equal(t, "their volume", s.output(t, theirNode.Name, "cat", "/var/lib/mine"), "theirs")
}

func testNoID(t *testing.T, s *suite) {
	spec := s.cluster(t, 1)
	before := s.start(t, s.node(spec, 1))
	wantKind(t, s.d.RemoveCluster(t.Context(), ""), fault.Internal)
	wantKind(t, s.d.RemoveNode(t.Context(), "", before.Node), fault.Internal)
	must(t, s.d.RemoveCluster(t.Context(), spec.Name)) // a name is not an ID
	must(t, s.d.RemoveNode(t.Context(), spec.Name, before.Node))
	equal(t, "the node", s.find(t, before.Name), before)
	equal(t, "objects", len(holding(t, s, spec)), 3)
}

// testAPIPort is about what others see of a stopped cluster.
func testAPIPort(t *testing.T, s *suite) {
	spec := s.cluster(t, 1)
	n := s.node(spec, 1)
	before := s.start(t, n)
	port := func() int {
		all, err := s.d.Networks(t.Context())
		must(t, err)
		i := slices.IndexFunc(all, func(n node.Network) bool { return n.ClusterID == spec.ID })
		if i < 0 {
			t.Fatalf("no network of the cluster in %v", all)
		}
		return all[i].APIPort
	}
	equal(t, "port", port(), 7443)
	must(t, s.d.StopNode(t.Context(), before.Name, grace))
	spec.APIPort = 8443
	must(t, s.d.EnsureNetwork(t.Context(), spec))
	equal(t, "port after a change", port(), 8443)
	after := s.start(t, n)
	equal(t, "running", after.Running, true)
	equal(t, "address", after.IP, before.IP)
}

// testNoSuffix is about clusters that were made before names had suffixes.
func testNoSuffix(t *testing.T, s *suite) {
	old := s.plan(t, 1)
	old.Suffix = ""
	s.made(t, old)
	before := s.start(t, s.node(old, 1))
	equal(t, "container", before.Name, before.Node)
	same(t, "objects", holding(t, s, old), []string{old.Name + "-1", old.Name + "-1-var", "bonsai-" + old.Name})
	equal(t, "container after another start", s.start(t, s.node(old, 1)).ID, before.ID)

	// A new one of its name has names of its own; one that was made without a suffix as well does not get theirs.
	s.start(t, s.node(s.namesake(t, old), 1))
	other := *old
	other.ID = "other"
	wantKind(t, s.d.EnsureNetwork(t.Context(), &other), fault.Conflict, node.NetworkName(old))
	wantKind(t, s.d.EnsureNode(t.Context(), s.node(&other, 1)), fault.Conflict, before.Name)
	equal(t, "the node", s.find(t, before.Name), before)

	// Nor its data, if that is all that is left of it.
	s.output(t, before.Name, "write", "/var/lib/mine", "old")
	volume := node.VolumeName(old, old.Nodes[0])
	s.RemoveContainer(t, before.Name)
	wantKind(t, s.d.EnsureNode(t.Context(), s.node(&other, 1)), fault.Conflict, volume)
	must(t, s.d.RemoveCluster(t.Context(), other.ID))
	equal(t, "its data", s.output(t, s.start(t, s.node(old, 1)).Name, "cat", "/var/lib/mine"), "old")
}

// holding lists what the engine has of a cluster: containers, volumes, networks.
func holding(t *testing.T, s *suite, spec *cluster.Spec) []string {
	t.Helper()
	all, err := s.d.Holdings(t.Context())
	must(t, err)
	for _, h := range all {
		if h.ID == spec.ID {
			equal(t, "name of the holding's cluster", h.Cluster, spec.Name)
			return slices.Concat(h.Containers, h.Volumes, h.Networks)
		}
	}
	return nil
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
