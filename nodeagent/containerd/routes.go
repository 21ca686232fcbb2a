package containerd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
)

// RoutesDir has what the daemon serves, a file for each addon. It is on a tmpfs, and therefore as old as the container's start: the
// daemon says it again.
const RoutesDir = "/run/bonsai/registries"

// SetRoutes records what an addon of the daemon serves, nil for nothing any more, and has containerd use it together with r.
func SetRoutes(addon string, n *cluster.NodeRegistries, r cluster.Registries, scale wait.Scale) error {
	if err := saveRoutes(RoutesDir, addon, n); err != nil {
		return err
	}
	return WriteRegistries(r, scale)
}

func saveRoutes(dir, addon string, n *cluster.NodeRegistries) error {
	file := filepath.Join(dir, addon+".json")
	if n == nil {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forget the registry of the daemon: %w", err)
		}
		return nil
	}
	data, err := json.Marshal(n)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err == nil {
		err = writeFile(file, data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("note the registry of the daemon: %w", err)
	}
	return nil
}

// routes are what the daemon serves: some registries alone, and others as the first that is asked.
type routes struct {
	sole  map[string]string // URLs by registry
	first []string          // URLs
}

// readRoutes reads what addons of the daemon serve. What cannot be read is said again by the daemon.
func readRoutes(dir string) routes {
	r := routes{sole: map[string]string{}}
	files, _ := filepath.Glob(filepath.Join(dir, "*.json")) // only a wrong pattern fails
	for _, file := range files {
		var n cluster.NodeRegistries
		data, err := os.ReadFile(file)
		if err != nil || json.Unmarshal(data, &n) != nil || n.URL == "" {
			continue
		}
		for _, name := range n.Names {
			r.sole[name] = n.URL
		}
		if n.Cache && !slices.Contains(r.first, n.URL) {
			r.first = append(r.first, n.URL)
		}
	}
	return r
}

// identity has the node show who it is, and trust the cluster.
func identity(indent string) string {
	file := func(name string) string { return quote(path.Join(cluster.NodePKIDir, name)) }
	return fmt.Sprintf("%sca = %s\n%sclient = [[%s, %s]]\n", indent, file("ca.crt"), indent, file("agent.crt"), file("agent.key"))
}

// soleHost is the hosts.toml of a registry that the daemon has, and nobody else.
func soleHost(url, dialTimeout string) string {
	return dialTimeout + fmt.Sprintf("server = %s\ncapabilities = [\"pull\", \"resolve\"]\n", quote(url)) + identity("")
}

// daemonHost is the part of a hosts.toml by which the daemon is asked.
func daemonHost(url, dialTimeout string) string {
	return fmt.Sprintf("\n[host.%s]\n  capabilities = [\"pull\", \"resolve\"]\n  %s", quote(url), dialTimeout) + identity("  ")
}
