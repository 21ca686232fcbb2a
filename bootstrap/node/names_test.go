package node

import (
	"net/netip"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
)

func TestNames(t *testing.T) {
	for _, c := range []struct{ name, suffix, container, volume, network string }{
		{"dev", "k3f9", "dev-1-k3f9", "dev-1-k3f9-var", "bonsai-dev-k3f9"},
		{"dev", "", "dev-1", "dev-1-var", "bonsai-dev"}, // clusters of the layout before suffixes keep their names
	} {
		spec := &cluster.Spec{Name: c.name, Suffix: c.suffix, Subnet: netip.MustParsePrefix("10.201.0.0/22")}
		n := spec.PlanNode(1)
		if n.Name != "dev-1" {
			t.Errorf("the node is called %s", n.Name)
		}
		if got := []string{ContainerName(spec, n), VolumeName(spec, n), NetworkName(spec)}; got[0] != c.container || got[1] != c.volume || got[2] != c.network {
			t.Errorf("suffix %q: got %v", c.suffix, got)
		}
	}
}

// A container's name is a DNS label to the other nodes of its network.
func TestTheLongestNamesFit(t *testing.T) {
	spec := &cluster.Spec{
		Name: strings.Repeat("n", cluster.MaxNameLength), Suffix: strings.Repeat("s", cluster.SuffixLength),
		Subnet: netip.MustParsePrefix("10.201.0.0/22"),
	}
	n := spec.PlanNode(cluster.MaxNodes)
	for _, name := range []string{n.Name, ContainerName(spec, n), VolumeName(spec, n), NetworkName(spec)} {
		if len(name) > 63 {
			t.Errorf("%s has %d bytes, at most 63 fit", name, len(name))
		}
	}
}
