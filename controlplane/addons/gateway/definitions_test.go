package gateway

import (
	"flag"
	"slices"
	"strings"
	"testing"

	"bonsai/controlplane/addons/definitions/definitionstest"
)

var update = flag.Bool("update", false, "write definitions.json.gz")

// TestDefinitionsAreUpstreams: what is installed is what the module has, so that a new version of it cannot be half there.
func TestDefinitionsAreUpstreams(t *testing.T) {
	upstream := definitionstest.Upstream(t, "sigs.k8s.io/gateway-api", "config/crd/standard/gateway.networking.k8s.io_*.yaml")
	var found []string
	for _, name := range definitionstest.Compare(t, definitionSet(), upstream, "definitions.json.gz", *update) {
		short, _, _ := strings.Cut(name, ".")
		found = append(found, short)
	}
	slices.Sort(found)
	if !slices.Equal(found, names) {
		t.Errorf("the definitions are %q, and the addon says %q", found, names)
	}
}
