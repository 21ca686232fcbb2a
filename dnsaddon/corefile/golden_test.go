package corefile

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"bonsai/bootstrap/cluster"
	"bonsai/dnsaddon/zone"
)

var update = flag.Bool("update", false, "write the golden files")

// testDefaults are a node's.
func testDefaults() Defaults {
	return Defaults{Zone: zone.Options{Domain: "cluster.local"}, Upstreams: []string{"127.0.0.11:53"}}
}

// TestConfigurations reads texts in testdata, named CONFIGMAP/KEY, and compares configuration and problems.
func TestConfigurations(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			config, problems := Parse(sourcesOf(archive), testDefaults())
			got := []txtar.File{
				{Name: "config.json", Data: plain(t, config)},
				{Name: "problems", Data: []byte(problemText(problems))},
			}
			if *update {
				writeGolden(t, file, archive, got)
				return
			}
			for _, f := range got {
				if want := fileIn(archive, f.Name); want != string(f.Data) {
					t.Errorf("%s: got\n%swant\n%s", f.Name, f.Data, want)
				}
			}
		})
	}
}

func sourcesOf(archive *txtar.Archive) Sources {
	var src Sources
	maps := map[string]*map[string]string{"coredns": &src.Corefile, cluster.DNSValuesMap: &src.Values, "coredns-custom": &src.Custom, "kube-dns": &src.KubeDNS}
	for _, f := range archive.Files {
		dir, key := path.Split(f.Name)
		if m := maps[strings.TrimSuffix(dir, "/")]; m != nil {
			if *m == nil {
				*m = map[string]string{}
			}
			(*m)[key] = string(f.Data)
		}
	}
	return src
}

func fileIn(archive *txtar.Archive, name string) string {
	for _, f := range archive.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

func writeGolden(t *testing.T, file string, archive *txtar.Archive, got []txtar.File) {
	t.Helper()
	out := &txtar.Archive{Comment: archive.Comment}
	for _, f := range archive.Files {
		if strings.Contains(f.Name, "/") {
			out.Files = append(out.Files, f)
		}
	}
	out.Files = append(out.Files, got...)
	if err := os.WriteFile(file, txtar.Format(out), 0o644); err != nil {
		t.Fatal(err)
	}
}

// plain is a configuration as JSON without what is zero.
func plain(t *testing.T, c Config) []byte {
	t.Helper()
	data, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		t.Fatal(err)
	}
	data, err = json.MarshalIndent(prune(tree), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(data, '\n')
}

func prune(tree any) any {
	switch v := tree.(type) {
	case map[string]any:
		for k, e := range v {
			if e = prune(e); e == nil || reflect.ValueOf(e).IsZero() {
				delete(v, k)
			} else {
				v[k] = e
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		for i := range v {
			v[i] = prune(v[i])
		}
		if len(v) == 0 {
			return nil
		}
	}
	return tree
}

func problemText(problems []cluster.Problem) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintf(&b, "%s %s: %s", p.Severity, p.Object, p.Summary)
		if p.HintText() != "" {
			fmt.Fprintf(&b, " (%s)", p.HintText())
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func readArchive(t testing.TB, name string) *txtar.Archive {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/" + name + ".txtar")
	if err != nil {
		t.Fatal(err)
	}
	return archive
}

type problem = cluster.Problem
