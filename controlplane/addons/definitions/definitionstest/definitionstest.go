// Package definitionstest compares the resource definitions that an addon brings along with those of the module that it is built with.
package definitionstest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"bonsai/controlplane/addons/definitions"
)

// Upstream are the definitions in those files of a module that match a pattern.
func Upstream(t *testing.T, module, pattern string) []*unstructured.Unstructured {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), pattern))
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
			continue // of several documents: Gateway API's policy, which is not installed
		}
		if content["kind"] == "CustomResourceDefinition" {
			delete(content, "status")
			list = append(list, &unstructured.Unstructured{Object: content})
		}
	}
	return list
}

// Compare fails the test if a set is not what upstream has, and returns the names in it. With update it writes the file that the set is
// read from first.
func Compare(t *testing.T, set definitions.Set, upstream []*unstructured.Unstructured, file string, update bool) (names []string) {
	t.Helper()
	if update {
		set.Packed = pack(t, upstream)
		if err := os.WriteFile(file, set.Packed, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	have, err := set.Read()
	if err != nil {
		t.Fatal(err)
	}
	if len(have) != len(upstream) {
		t.Errorf("there are %d definitions, and %d in the module; with -update this test writes %s", len(have), len(upstream), file)
	}
	for i, d := range have[:min(len(have), len(upstream))] {
		a, _ := json.Marshal(d)
		b, _ := json.Marshal(upstream[i])
		if !bytes.Equal(a, b) {
			t.Errorf("%s is not as in the module; with -update this test writes %s", d.GetName(), file)
		}
		if v := d.GetAnnotations()[set.Bundle]; v != set.Version {
			t.Errorf("%s is of %s, and the addon says %s", d.GetName(), v, set.Version)
		}
		names = append(names, d.GetName())
	}
	return names
}

func pack(t *testing.T, list []*unstructured.Unstructured) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewEncoder(w).Encode(list); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
