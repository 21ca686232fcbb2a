package containerd

import (
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"bonsai/bootstrap/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (run with -update to accept):\n%s", path, got)
	}
}

func parse(t *testing.T, name, data string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := toml.Unmarshal([]byte(data), &v); err != nil {
		t.Errorf("%s is not TOML: %v", name, err)
	}
	return v
}

func TestConfig(t *testing.T) {
	full := Config{Snapshotter: "overlayfs", Platform: "linux/amd64"}.toml()
	parse(t, "config", full)
	golden(t, "config.toml", full)

	restricted := Config{Snapshotter: "native", RestrictOOMScore: true, Platform: "linux/arm64"}.toml()
	v := parse(t, "restricted config", restricted)
	plugins := v["plugins"].(map[string]any)
	if got := plugins["io.containerd.cri.v1.runtime"].(map[string]any)["restrict_oom_score_adj"]; got != true {
		t.Errorf("restrict_oom_score_adj is %v", got)
	}
	for section, key := range map[string]string{"io.containerd.cri.v1.images": "snapshotter"} {
		if got := plugins[section].(map[string]any)[key]; got != "native" {
			t.Errorf("%s of %s is %v", key, section, got)
		}
	}
}

func TestRegistryFiles(t *testing.T) {
	files := registryFiles(cluster.Registries{Mirrors: map[string][]cluster.Mirror{
		"docker.io": {
			{URL: "https://mirror.example", Username: "ann", Password: `p"w`, CA: "-----BEGIN CERTIFICATE-----\n"},
			{URL: "http://10.0.0.2:5000"},
		},
		"registry.example:5000": {{URL: "https://10.0.0.3", SkipVerify: true}},
		"*":                     {{URL: "http://10.0.0.2:5000"}, {URL: "http://everything.example"}},
	}}, routes{}, 2)
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&b, "-- %s --\n%s", name, files[name])
		if strings.HasSuffix(name, ".toml") {
			parse(t, name, files[name])
		}
	}
	golden(t, "registries.txt", b.String())
}

// TestAuthoritiesAreTrustedEverywhere: by the registries themselves and by their mirrors, but not where it would mean to try TLS.
func TestAuthoritiesAreTrustedEverywhere(t *testing.T) {
	files := registryFiles(cluster.Registries{Authorities: "-----BEGIN CERTIFICATE-----\n", Mirrors: map[string][]cluster.Mirror{
		"docker.io": {{URL: "https://own", CA: "-----BEGIN CERTIFICATE-----\nown"}, {URL: "https://usual"}, {URL: "http://plain"}},
	}}, routes{}, 1)
	const all = CertsDir + "/_authorities/all.crt"
	if files["_authorities/all.crt"] == "" {
		t.Errorf("the files are %q", files)
	}
	if v := parse(t, "default", files["_default/hosts.toml"]); v["ca"] != all {
		t.Errorf("registries without mirrors trust %v", v["ca"])
	}
	v := parse(t, "docker.io", files["docker.io/hosts.toml"])
	hosts := v["host"].(map[string]any)
	for url, want := range map[string]any{"https://own": []any{CertsDir + "/docker.io/0.crt", all}, "https://usual": all, "http://plain": nil} {
		if got := hosts[url].(map[string]any)["ca"]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s trusts %v, want %v", url, got, want)
		}
	}
	if v["ca"] != all {
		t.Errorf("the registry itself trusts %v", v["ca"])
	}
}

func TestPodsFindWhatNodesTrust(t *testing.T) {
	dir, usual := filepath.Join(t.TempDir(), "trust"), filepath.Join(t.TempDir(), "usual")
	if err := os.WriteFile(usual, []byte("usual\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ own, want string }{{"", "usual\n"}, {"own\n", "usual\nown\n"}, {"", "usual\n"}} {
		if err := writeTrust(dir, usual, cluster.Registries{Authorities: c.own}); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "ca-certificates.crt")
		got, err := os.ReadFile(path)
		info, statErr := os.Stat(path)
		if err != nil || statErr != nil || string(got) != c.want || info.Mode().Perm() != 0o644 {
			t.Errorf("with %q: %q, %v, %v", c.own, got, err, statErr)
		}
	}
}

func TestNoMirrorsStillBoundsDialing(t *testing.T) {
	files := registryFiles(cluster.Registries{}, routes{}, 0)
	if len(files) != 1 || files["_default/hosts.toml"] != "dial_timeout = \"5s\"\n" {
		t.Errorf("got %q", files)
	}
}

func TestRegistriesFollowAChangedConfiguration(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs.d")
	for _, r := range []cluster.Registries{
		{},
		{Mirrors: map[string][]cluster.Mirror{
			"docker.io": {{URL: "https://one", CA: "-----BEGIN CERTIFICATE-----\n"}, {URL: "https://two", CA: "-----BEGIN CERTIFICATE-----\n"}}, "ghcr.io": {{URL: "http://g"}},
		}},
		{Mirrors: map[string][]cluster.Mirror{"docker.io": {{URL: "https://two", CA: "-----BEGIN CERTIFICATE-----\n"}}, "*": {{URL: "http://all"}}}},
		{},
	} {
		if err := writeRegistries(dir, t.TempDir(), r, 1); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		if err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name, _ := filepath.Rel(dir, file)
			if d.IsDir() {
				got[name+"/"] = "" // an empty folder would hide the mirrors for all registries
				return nil
			}
			data, err := os.ReadFile(file)
			got[name] = string(data)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"./": ""}
		for name, data := range registryFiles(r, routes{}, 1) {
			want[name], want[filepath.Dir(name)+"/"] = data, ""
		}
		if !maps.Equal(got, want) {
			t.Errorf("with %v there are\n%q, want\n%q", r, got, want)
		}
	}
}

func TestQuote(t *testing.T) {
	for _, s := range []string{"plain", `back\slash "quoted"`, "line\nbreak\ttab", "<&>", "ümlaut\u007f\u0001"} {
		v := parse(t, s, "k = "+quote(s))
		if v["k"] != s {
			t.Errorf("%q came back as %q", s, v["k"])
		}
	}
}

func TestHasCapability(t *testing.T) {
	const status = "Name:\tx\nCapEff:\t0000000000000000\nCapBnd:\t000001fffeffffff\n"
	if hasCapability(status, unix.CAP_SYS_RESOURCE) {
		t.Error("CAP_SYS_RESOURCE (24) is not in the set")
	}
	if !hasCapability(status, unix.CAP_SYS_ADMIN) {
		t.Error("CAP_SYS_ADMIN is in the set")
	}
	if hasCapability("", unix.CAP_SYS_ADMIN) {
		t.Error("no set has no capability")
	}
}
