package networkpolicy

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write definition.json.gz")

// TestTheDefinitionIsUpstreams: what is installed is what the module has, so that a new version of it cannot be half there.
func TestTheDefinitionIsUpstreams(t *testing.T) {
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/network-policy-api").Output()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "config/crd/experimental/policy.networking.k8s.io_clusternetworkpolicies.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{}
	if err := yaml.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	delete(want, "status")
	if *update {
		var out bytes.Buffer
		w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
		if err := json.NewEncoder(w).Encode(want); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("definition.json.gz", out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		definition = out.Bytes()
	}
	have, err := readDefinition()
	if err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(have)
	b, _ := json.Marshal(want)
	if !bytes.Equal(a, b) {
		t.Error("the definition is not as in the module; write the file:  go test ./controlplane/addons/networkpolicy -update")
	}
	if got := have.GetName(); got != clusterPolicies.GroupResource().String() {
		t.Errorf("it defines %s", got)
	}
	if v := have.GetAnnotations()[bundle]; v != bundleVersion {
		t.Errorf("the definition is of %s, and the addon says %s", v, bundleVersion)
	}
}
