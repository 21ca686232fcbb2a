package networkpolicy

import (
	"flag"
	"slices"
	"testing"

	"bonsai/controlplane/addons/definitions/definitionstest"
)

var update = flag.Bool("update", false, "write definition.json.gz")

// TestTheDefinitionIsUpstreams: what is installed is what the module has, so that a new version of it cannot be half there.
func TestTheDefinitionIsUpstreams(t *testing.T) {
	upstream := definitionstest.Upstream(t, "sigs.k8s.io/network-policy-api", "config/crd/experimental/policy.networking.k8s.io_clusternetworkpolicies.yaml")
	found := definitionstest.Compare(t, definition(), upstream, "definition.json.gz", *update)
	if want := []string{clusterPolicies.GroupResource().String()}; !slices.Equal(found, want) {
		t.Errorf("it defines %q instead of %q", found, want)
	}
}
