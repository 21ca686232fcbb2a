package gateway

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"bonsai/controlplane/addons"
)

var update = flag.Bool("update", false, "write definitions.json.gz")

// upstream reads the definitions of the module that the addon is built with.
func upstream(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "config/crd/standard/gateway.networking.k8s.io_*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var list []*unstructured.Unstructured
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		content := map[string]any{}
		if err := yaml.Unmarshal(text, &content); err != nil {
			continue // of several documents: the policy, which is not installed
		}
		if content["kind"] == "CustomResourceDefinition" {
			delete(content, "status")
			list = append(list, &unstructured.Unstructured{Object: content})
		}
	}
	return list
}

// TestDefinitionsAreUpstreams: what is installed is what the module has, so that a new version of it cannot be half there.
func TestDefinitionsAreUpstreams(t *testing.T) {
	want := upstream(t)
	if *update {
		var out bytes.Buffer
		w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
		if err := json.NewEncoder(w).Encode(want); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("definitions.json.gz", out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		definitions = out.Bytes()
	}
	have, err := readDefinitions()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for i, d := range have {
		a, _ := json.Marshal(d)
		b, _ := json.Marshal(want[min(i, len(want)-1)])
		if !bytes.Equal(a, b) {
			t.Errorf("%s is not as in the module; write the file:  go test ./controlplane/addons/gateway -update", d.GetName())
		}
		name, _, _ := strings.Cut(d.GetName(), ".")
		found = append(found, name)
		if v := d.GetAnnotations()[bundle]; v != bundleVersion {
			t.Errorf("%s is of %s, and the addon says %s", d.GetName(), v, bundleVersion)
		}
	}
	slices.Sort(found)
	if !slices.Equal(found, names) {
		t.Errorf("the definitions are %q, and the addon says %q", found, names)
	}
	_ = addons.FieldManager
}
