package containerd

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
)

func TestTheDaemonIsAskedFirst(t *testing.T) {
	dir := t.TempDir()
	const url = "https://10.201.0.1:40000"
	for addon, n := range map[string]cluster.NodeRegistries{
		"registry":       {URL: url, Names: []string{"localhost:5000", "registry.test"}},
		"registry-cache": {URL: url, Cache: true},
	} {
		if err := saveRoutes(dir, addon, &n); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "broken.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	mirrors := cluster.Registries{Mirrors: map[string][]cluster.Mirror{
		"docker.io":     {{URL: "https://mirror.example"}},
		"registry.test": {{URL: "https://never.example"}},
	}}
	files := registryFiles(mirrors, readRoutes(dir), 1)
	identity := func(at map[string]any) {
		t.Helper()
		client, _ := at["client"].([]any)
		if at["ca"] != "/etc/bonsai/pki/ca.crt" || len(client) != 1 || !slices.Equal(client[0].([]any), []any{"/etc/bonsai/pki/agent.crt", "/etc/bonsai/pki/agent.key"}) {
			t.Errorf("the node shows and trusts %v", at)
		}
	}
	for _, name := range []string{"localhost_5000_/hosts.toml", "registry.test/hosts.toml"} {
		v := parse(t, name, files[name])
		if v["server"] != url || v["host"] != nil {
			t.Errorf("%s: %v", name, v)
		}
		identity(v)
	}
	for name, others := range map[string]int{"_default/hosts.toml": 0, "docker.io/hosts.toml": 1} {
		v := parse(t, name, files[name])
		hosts := v["host"].(map[string]any)
		if len(hosts) != 1+others || v["ca"] != nil || v["server"] != nil {
			t.Errorf("%s: %v", name, v)
		}
		identity(hosts[url].(map[string]any))
		if text := files[name]; others > 0 && strings.Index(text, url) > strings.Index(text, "mirror.example") {
			t.Errorf("%s: the daemon is not the first:\n%s", name, text)
		}
	}
	for _, addon := range []string{"registry", "registry-cache", "registry"} {
		if err := saveRoutes(dir, addon, nil); err != nil {
			t.Fatal(err)
		}
	}
	if files := registryFiles(cluster.Registries{}, readRoutes(dir), 0); len(files) != 1 || files["_default/hosts.toml"] != "dial_timeout = \"5s\"\n" {
		t.Errorf("it is not forgotten: %q", files)
	}
}
