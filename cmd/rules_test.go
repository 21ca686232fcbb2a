// Package cmd has no code of its own. Its tests check rules of the whole module that no linter knows.
package cmd

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the lists of modules")

// light are the packages that stay small because of what they do not link. The list of modules of each is in testdata:
// a new line there is a decision, to be explained in the commit.
var light = map[string]string{
	"bonsai-agent":    "./bonsai-agent",
	"bonsai-guardian": "./bonsai-guardian",
	"bonsai-init":     "./bonsai-init",
	"bootstrap":       "../bootstrap",
	"cli":             "./bonsai/internal/cli",
	"dnsaddon":        "../dnsaddon",
	"tui":             "../tui",
}

// forbidden says of packages, also of their subpackages, why the light ones do without them.
var forbidden = map[string]string{
	"k8s.io/kubernetes":                          "it alone makes an executable of 100 MB; only the control plane and the kubelet's process link it",
	"go.etcd.io/etcd":                            "only the control plane runs etcd",
	"k8s.io/kubectl":                             "kubectl is a command of the full executable",
	"github.com/google/cadvisor":                 "the agent reads the few files of cgroups itself (nodeagent/usage)",
	"github.com/containerd/containerd/v2/client": "it doubles the agent; nodeagent/containerd speaks gRPC itself",
	"github.com/spf13/viper":                     "flags and one variable are enough",
	"net/http/pprof":                             "it registers handlers in a global server",
	"testing":                                    "it registers flags and is for tests",
}

func TestLightPackagesLinkOnlyWhatIsListed(t *testing.T) {
	for name, path := range light {
		t.Run(name, func(t *testing.T) {
			list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{.ImportPath}} {{with .Module}}{{.Path}}{{end}}", path)
			list.Env = append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0")
			out, err := list.Output()
			if err != nil {
				t.Fatalf("go list: %v", err)
			}
			var modules []string
			for line := range strings.Lines(string(out)) {
				pkg, module, _ := strings.Cut(strings.TrimSpace(line), " ")
				for bad, why := range forbidden {
					if pkg == bad || strings.HasPrefix(pkg, bad+"/") {
						t.Errorf("it links %s: %s", pkg, why)
					}
				}
				if module != "" && module != "bonsai" && !slices.Contains(modules, module) {
					modules = append(modules, module)
				}
			}
			slices.Sort(modules)
			got, golden := strings.Join(append(modules, ""), "\n"), filepath.Join("testdata", name+".modules")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			listed := strings.Fields(string(want))
			for _, m := range modules {
				if !slices.Contains(listed, m) {
					t.Errorf("it links module %s, which is not in %s; if that is meant:  go test ./cmd -update", m, golden)
				}
			}
			for _, m := range listed {
				if !slices.Contains(modules, m) {
					t.Errorf("it does not link module %s any more:  go test ./cmd -update", m)
				}
			}
		})
	}
}

// sleepers are tests outside of synctest that may sleep.
var sleepers = map[string]string{
	"tui/figures_test.go": "it measures a program that is idle",
}

// TestTheExecutableCarriesTimeZones: the API server refuses CronJobs with time zones on a machine without zoneinfo else.
func TestTheExecutableCarriesTimeZones(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{join .Imports "\n"}}`, "./bonsai").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	if !slices.Contains(strings.Split(strings.TrimSpace(string(out)), "\n"), "time/tzdata") {
		t.Error("cmd/bonsai does not import time/tzdata")
	}
}

func TestTestsSleepOnlyInBubbles(t *testing.T) {
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		name := strings.TrimPrefix(filepath.ToSlash(path), "../")
		if err != nil || d.IsDir() && (name == "test" || name == "build" || strings.HasPrefix(d.Name(), ".") && name != "..") {
			if err == nil {
				err = fs.SkipDir
			}
			return err
		}
		if !strings.HasSuffix(name, "_test.go") || sleepers[name] != "" {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(f.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"testing/synctest"` }) {
			return nil
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Sleep" {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" {
					t.Errorf("%s sleeps: wait for the event with a limit, or use testing/synctest", name)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
