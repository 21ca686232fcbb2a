package coredns

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestVersions makes sure that what is compared and measured here is compiled from the same sources as in bonsai: this
// module's own requirements must not raise the version of any module that bonsai's DNS server uses.
func TestVersions(t *testing.T) {
	here, there := versions(t, "."), versions(t, "../..")
	for module, version := range there {
		if here[module] != version {
			t.Errorf("bonsai links %s %s, this module %s: write a replace", module, version, here[module])
		}
	}
	if len(there) < 10 {
		t.Errorf("only %d modules were found", len(there))
	}
}

// versions are those of the modules behind the packages of the DNS server, as selected by the go.mod in a folder.
func versions(t *testing.T, dir string) map[string]string {
	t.Helper()
	const format = `{{with .Module}}{{.Path}} {{if .Replace}}{{.Replace.Version}}{{else}}{{.Version}}{{end}}{{end}}`
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", format, "bonsai/dnsaddon/...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(fmt.Errorf("%q in %s: %w\n%s", cmd.Args, dir, err, &stderr))
	}
	found := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if module, version, _ := strings.Cut(strings.TrimSpace(line), " "); module != "" && module != "bonsai" {
			found[module] = version
		}
	}
	return found
}
