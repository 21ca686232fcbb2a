package conformance

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"bonsai/test/conformance/internal/plan"
)

// TestVersions: the tests must be those of the Kubernetes that bonsai links.
func TestVersions(t *testing.T) {
	here, there := kubernetes(t, "."), kubernetes(t, "../..")
	if there["k8s.io/kubernetes"] == "" {
		t.Fatal("bonsai's go.mod does not require k8s.io/kubernetes")
	}
	for module, version := range here {
		if want, ok := there[module]; ok && want != version {
			t.Errorf("bonsai has %s %s, the tests %s", module, want, version)
		}
	}
}

// kubernetes are the versions of Kubernetes and its staging modules that the go.mod in a folder selects.
func kubernetes(t *testing.T, dir string) map[string]string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go mod edit in %s: %v", dir, err)
	}
	var mod struct {
		Require []struct{ Path, Version string }
		Replace []struct {
			Old, New struct{ Path, Version string }
		}
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, r := range mod.Replace {
		if strings.HasPrefix(r.Old.Path, "k8s.io/") {
			versions[r.Old.Path] = r.New.Version
		}
	}
	for _, r := range mod.Require {
		if r.Path == "k8s.io/kubernetes" {
			versions[r.Path] = r.Version
		}
	}
	return versions
}

// TestQuickList: the names are those of conformance tests, as upstream spells them, and every SIG that has some is there.
func TestQuickList(t *testing.T) {
	data, err := os.ReadFile("quick.txt")
	if err != nil {
		t.Fatal(err)
	}
	quick := plan.ReadList(string(data))
	if len(quick) != 60 {
		t.Errorf("%d tests, not 60", len(quick))
	}
	for i, name := range quick {
		if slices.Contains(quick[:i], name) {
			t.Errorf("twice: %s", name)
		}
	}
	all := conformanceTests(t)
	for _, name := range quick {
		if !slices.Contains(all, name) {
			t.Errorf("not a conformance test: %s", name)
		}
	}
	for _, sig := range sigs(all) {
		if !slices.Contains(sigs(quick), sig) {
			t.Errorf("no test of %s", sig)
		}
	}
}

// conformanceTests are the names in upstream's own list.
func conformanceTests(t *testing.T) []string {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes").Output()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "test/conformance/testdata/conformance.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var tests []struct{ Codename string }
	if err := yaml.Unmarshal(data, &tests); err != nil {
		t.Fatal(err)
	}
	if len(tests) < 400 {
		t.Fatalf("upstream's list has only %d tests", len(tests))
	}
	var names []string
	for _, test := range tests {
		names = append(names, test.Codename)
	}
	return names
}

func sigs(names []string) []string {
	var found []string
	for _, name := range names {
		sig := regexp.MustCompile(`^\[sig-[a-z-]+\]`).FindString(name)
		if !slices.Contains(found, sig) {
			found = append(found, sig)
		}
	}
	return found
}
